"""The settings of the service: read once at start, checked whole, all faults told together.

The only module that reads the environment of the process.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings
from milvus_backup_server.settings_checks import cross_faults
from milvus_backup_server.settings_models import Settings, known_keys
from milvus_backup_server.settings_sources import (
    NOT_USED,
    Given,
    find_file,
    read_environment,
    read_file,
)

VERSION_KEY: Final = "configVersion"

_KEYS: Final = {key.lower(): key for key in known_keys()}
_NOT_INHERITED: Final = frozenset({"rootpath", "localpath"})
_MILVUS_STORAGE: Final = "milvus.storage."
_BACKUP_STORAGE: Final = "backup.storage."


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and how they came about.

    Attributes:
        settings: The settings.
        file: The file that was read, if there was one.
        warnings: What was given and has no effect.
    """

    settings: Settings
    file: Path | None = None
    warnings: tuple[str, ...] = ()


def load(
    config: str | None = None,
    overrides: Mapping[str, Given] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read and check the settings: command line over environment over file over defaults.

    Args:
        config: The file; empty for none, None for ``backup.yaml`` if there is one.
        overrides: What the command line sets, by lower-case key.
        environ: Instead of the environment of the process.

    Raises:
        InvalidSettings: With every fault: its key, what would be right, and where it came from.
    """
    environ = os.environ if environ is None else environ
    file = find_file(config, environ)
    given = {}
    if file is not None:
        given = read_file(file)
        _check_version(given.pop(VERSION_KEY.lower(), None), file)
    given |= read_environment(environ) | dict(overrides or {})
    warnings = tuple(_warnings(given))
    known = {key: row for key, row in given.items() if key in _KEYS}
    settings = _validated(known | _inherited(known), list(_misplaced(given)))
    return Loaded(settings, file, (*warnings, *_without_effect(settings)))


def _check_version(version: Given | None, file: Path) -> None:
    if version is None:
        fault = (
            f"is missing in {file}: expected configVersion: v2. Files without it have the older "
            "form v1, which a later release will read"
        )
    elif str(version.value).lower() == "v1":
        fault = "v1 files will be read by a later release; this one reads v2"
    elif str(version.value).lower() != "v2":
        fault = f"expected v2 ({version.origin})"
    else:
        return
    raise InvalidSettings(FieldViolation(VERSION_KEY, fault))


def _warnings(given: Mapping[str, Given]) -> Iterator[str]:
    without_effect = [row.key for key, row in given.items() if key in NOT_USED]
    if without_effect:
        yield f"settings without effect in this service: {', '.join(without_effect)}"
    for key, row in given.items():
        if key in _KEYS or key in NOT_USED or _is_section(key):
            continue
        near = difflib.get_close_matches(key, _KEYS, n=1)
        hint = f"; did you mean {_KEYS[near[0]]}?" if near else ""
        yield f"unknown setting {row.key} is ignored ({row.origin}){hint}"


def _without_effect(settings: Settings) -> Iterator[str]:
    mode = settings.transfer.mode
    if mode != "auto":
        yield f"transfer.mode {mode} has no effect yet: the service chooses by itself, as with auto"


def _misplaced(given: Mapping[str, Given]) -> Iterator[FieldViolation]:
    for key, row in given.items():
        if _is_section(key):
            yield FieldViolation(row.key, f"expected settings below it, not a value ({row.origin})")


def _is_section(key: str) -> bool:
    return any(known.startswith(f"{key}.") for known in _KEYS)


def _inherited(given: Mapping[str, Given]) -> dict[str, Given]:
    """Return what ``backup.storage`` takes over from ``milvus.storage``."""
    rows: dict[str, Given] = {}
    for key, row in given.items():
        name = key.removeprefix(_MILVUS_STORAGE)
        target = _BACKUP_STORAGE + name
        if name != key and name not in _NOT_INHERITED and target not in given:
            rows[target] = Given(_KEYS[target], row.value, row.origin, inherited=True)
    return rows


def _validated(given: dict[str, Given], faults: list[FieldViolation]) -> Settings:
    try:
        settings = Settings.model_validate(_nested(given))
    except ValidationError as error:
        bad = {_key_of(fault["loc"]): fault for fault in error.errors()}
        # Without the faulty values the rest can be checked too: nothing comes to light later.
        rest = {key: row for key, row in given.items() if key not in bad}
        settings = Settings.model_validate(_nested(rest))
        faults += [_fault(given[key], bad[key]) for key in bad if not given[key].inherited]
    faults += [_with_origin(fault, given) for fault in cross_faults(settings, given)]
    if faults:
        raise InvalidSettings(*dict.fromkeys(faults))
    return settings


def _with_origin(fault: FieldViolation, given: Mapping[str, Given]) -> FieldViolation:
    row = given.get(fault.field.lower())
    if row is None:
        return fault
    return FieldViolation(fault.field, f"{fault.description} ({row.origin})")


def _nested(given: Mapping[str, Given]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, row in given.items():
        *sections, name = _KEYS[key].split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = row.value
    return tree


def _key_of(location: tuple[int | str, ...]) -> str:
    key = ".".join(str(part) for part in location).lower()
    return next(known for known in _KEYS if key == known or key.startswith(f"{known}."))


def _fault(row: Given, fault: ErrorDetails) -> FieldViolation:
    return FieldViolation(row.key, f"{_expected(fault)} ({row.origin})")


def _expected(fault: ErrorDetails) -> str:
    """Return what would have been right, in words that show no value."""
    bounds = fault.get("ctx", {})
    words = {
        "int_type": "expected a whole number",
        "int_parsing": "expected a whole number",
        "int_from_float": "expected a whole number",
        "float_type": "expected a number",
        "float_parsing": "expected a number",
        "finite_number": "expected a number",
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "string_type": "expected text; put it in quotes",
        "string_pattern_mismatch": "expected letters, digits, ., _ and - without a path",
        "greater_than": f"expected more than {bounds.get('gt')}",
        "greater_than_equal": f"expected at least {bounds.get('ge')}",
        "less_than_equal": f"expected at most {bounds.get('le')}",
        "literal_error": f"expected one of {bounds.get('expected', '')}",
        "value_error": str(bounds.get("error", "")),
    }
    return words.get(fault["type"], fault["msg"])
