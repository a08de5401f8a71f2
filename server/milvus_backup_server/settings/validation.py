"""Settings from what was given: every fault at once, with its key, its source and what would be right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.settings.checks import cross_faults
from milvus_backup_server.settings.keys import KEYS
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.settings.sources import Given, Rows, Source

_MILVUS_STORAGE: Final = "milvus.storage."
_BACKUP_STORAGE: Final = "backup.storage."
_SECTIONS: Final = (_MILVUS_STORAGE, _BACKUP_STORAGE)
_INHERITED: Final = (
    (_MILVUS_STORAGE, _BACKUP_STORAGE),
    ("service.storage.milvus.", "service.storage.backup."),
)
_NOT_INHERITED: Final = frozenset({"rootpath", "localpath", "milvusaddress", "milvusport"})
_OF_DIRECTORIES: Final = frozenset({"provider", "rootpath", "localpath"})
_KUBERNETES: Final = (
    "; Kubernetes sets such a variable for a service of that name: enableServiceLinks: false in "
    "the pod stops it"
)


class Checked(NamedTuple):
    """Settings, and what is wrong with what was given.

    Attributes:
        settings: Without the values that are no such values; the defaults are in their places.
        faults: All that is wrong.
        left_out: The lower-case keys of the values that were left out.
    """

    settings: Settings
    faults: tuple[FieldViolation, ...]
    left_out: frozenset[str]


def with_inherited(given: Rows) -> dict[str, Given]:
    """Return what was given, with what the store of the backups takes over from Milvus's."""
    rows = dict(given)
    for above, below in _INHERITED:
        for key, row in given.items():
            name = key.removeprefix(above)
            target = below + name
            if name != key and name not in _NOT_INHERITED and target not in given:
                rows[target] = replace(row, inherited=True)
    return rows


def check(given: Rows) -> Checked:
    """Make settings of what was given.

    Args:
        given: By lower-case key, with what is inherited.
    """
    bad = _bad_values(given)
    # Without the faulty values the rest can be checked too: nothing comes to light later.
    rest = {key: row for key, row in given.items() if key not in bad}
    settings = Settings.model_validate(_nested(rest))
    unknown = [section for section in _SECTIONS if f"{section}provider" in bad]
    faults = [
        _fault(given[key], expected)
        for key, expected in bad.items()
        if not (given[key].inherited or _is_unused(key, given) or _is_login(key, unknown))
    ]
    faults += [_with_origin(fault, given) for fault in cross_faults(settings, given, unknown)]
    return Checked(settings, tuple(dict.fromkeys(faults)), frozenset(bad))


def _bad_values(given: Rows) -> dict[str, str]:
    """Return what would be right for each key whose value is no such value."""
    bad = {key: "expected text in UTF-8" for key, row in given.items() if not _is_text(row.value)}
    try:
        Settings.model_validate(_nested(given))
    except ValidationError as error:
        return {_key_of(fault["loc"]): _expected(fault) for fault in error.errors()} | bad
    return bad


def _is_text(value: object) -> bool:
    """Tell whether a value has no halves of characters, as undecodable variables do."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_unused(key: str, given: Rows) -> bool:
    """Tell whether a key is one of a store's address, bucket or login, and the store a directory."""
    for section in _SECTIONS:
        provider = given.get(f"{section}provider")
        if key.startswith(section) and provider and str(provider.value).lower() == "local":
            return key.removeprefix(section) not in _OF_DIRECTORIES
    return False


def _is_login(key: str, sections: list[str]) -> bool:
    return any(key.startswith(f"{section}auth.") for section in sections)


def _nested(given: Rows) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, row in given.items():
        *sections, name = KEYS[key].split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = row.value
    return tree


def _key_of(location: tuple[int | str, ...]) -> str:
    key = ".".join(str(part) for part in location).lower()
    return next(known for known in KEYS if key == known or key.startswith(f"{known}."))


def _fault(row: Given, expected: str) -> FieldViolation:
    from_kubernetes = row.source is Source.ENVIRONMENT and str(row.value).startswith("tcp://")
    hint = _KUBERNETES if from_kubernetes else ""
    return FieldViolation(row.key, f"{expected} ({row.origin}){hint}")


def _with_origin(fault: FieldViolation, given: Rows) -> FieldViolation:
    row = given.get(fault.field.lower())
    if row is None:
        return fault
    named = "" if row.key.lower() == fault.field.lower() else f"{row.key}, "
    return FieldViolation(fault.field, f"{fault.description} ({named}{row.origin})")


def _expected(error: ErrorDetails) -> str:
    """Return what would have been right, in words that show no value."""
    bounds = error.get("ctx", {})
    words = {
        "int_type": "expected a whole number",
        "int_parsing": "expected a whole number",
        "int_parsing_size": "expected a smaller number",
        "int_from_float": "expected a whole number",
        "float_type": "expected a number",
        "float_parsing": "expected a number",
        "finite_number": "expected a number",
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "string_type": "expected one value, in quotes if it is no plain text",
        "string_pattern_mismatch": "expected letters, digits, ., _ and - without a path",
        "string_too_long": f"expected at most {bounds.get('max_length')} characters",
        "too_short": "expected at least one",
        "tuple_type": "expected a list",
        "greater_than": f"expected more than {bounds.get('gt')}",
        "greater_than_equal": f"expected at least {bounds.get('ge')}",
        "less_than_equal": f"expected at most {bounds.get('le')}",
        "literal_error": f"expected one of {bounds.get('expected', '')}",
        "value_error": str(bounds.get("error", "")),
    }
    return words.get(error["type"], error["msg"])
