"""A file of configuration v1 written anew as v2, with a report of what changed on the way.

Source of the rules: the Go tool's ``config migrate``, whose result it reads, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings
from milvus_backup_server.settings.checks import concerns
from milvus_backup_server.settings.keys import (
    KEYS,
    OURS,
    PORT_VARIABLE,
    is_confidential,
    variable_of,
)
from milvus_backup_server.settings.resolution import V2, VERSION_KEY, Resolved, resolve
from milvus_backup_server.settings.sources import Rows, Source
from milvus_backup_server.settings.validation import Checked, check, with_inherited
from milvus_backup_server.settings.yaml_text import Line, render

_HEADING: Final = "# Written by milvus-backup config migrate"
_LOG_FILE: Final = "log.file.path"
_LOGINS: Final = {
    "static": ("auth.accessKeyID", "auth.secretAccessKey", "auth.sessionToken"),
    "sharedkey": ("auth.accountKey",),
    "serviceaccount": ("auth.credentialsFile",),
    "iam": ("auth.endpoint",),
}
_OF_ALL_BUCKETS: Final = (
    "address",
    "port",
    "region",
    "useSSL",
    "bucketName",
    "milvusAddress",
    "milvusPort",
)


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration gave.

    Attributes:
        text: The new file.
        report: What people should know of it.
        faults: Why it cannot be used as it is; empty if it can.
    """

    text: str
    report: tuple[str, ...]
    faults: tuple[FieldViolation, ...]


def migrate(config: str | None, overrides: Rows, environ: Mapping[str, str]) -> Migration:
    """Turn a file of v1 into one of v2 that means the same.

    Values from the environment, which v2 reads for credentials only, go into the file; secrets do
    not, but are named with the variables that v2 reads.

    Args:
        config: The file; None for ``backup.yaml``.
        overrides: What the command line sets, by lower-case key or variable.
        environ: The environment.

    Raises:
        InvalidSettings: There is no such file, it cannot be read, or it is v2 already.
    """
    resolved = resolve(config, overrides, environ)
    if resolved.file is None:
        raise InvalidSettings(FieldViolation("--config", "there is no file to migrate"))
    if resolved.version == V2:
        fault = f"is {V2} already in {resolved.file}"
        raise InvalidSettings(FieldViolation(VERSION_KEY, fault))
    given = with_inherited(resolved.rows)
    checked = check(given)
    lines = _Writer(given, checked.left_out, checked.settings.values_by_key()).lines()
    faults = (*resolved.faults, *_with_new_keys(checked, given))
    text = f"{_HEADING} from {resolved.file.name}.\n{render(lines)}"
    return Migration(text, tuple(_report(resolved, given, checked)), faults)


class _Writer(NamedTuple):
    """Decides what of the settings is written."""

    given: Rows
    left_out: frozenset[str]
    values: Mapping[str, Any]

    def lines(self) -> Iterator[Line]:
        yield Line(VERSION_KEY, V2)
        for key, value in self.values.items():
            if self._applies(key):
                yield from self._line(key, value)

    def _line(self, key: str, value: object) -> Iterator[Line]:
        row = self.given.get(key.lower())
        if row and row.source is Source.ENVIRONMENT and is_confidential(key):
            if not row.inherited:
                yield Line(key, comment=f"set the environment variable {variable_of(key)}")
        elif row and key.lower() in self.left_out:
            if not row.inherited:
                yield Line(key, _number_or_text(row.value))
        elif key == _LOG_FILE and value == "":
            yield Line(key, comment="not set, no log file is written")
        else:
            yield Line(key, value.get_secret_value() if isinstance(value, SecretStr) else value)

    def _applies(self, key: str) -> bool:
        """Tell whether a key belongs into the file: v2 refuses logins that do not apply."""
        row = self.given.get(key.lower())
        was_given = row is not None and not row.inherited
        if key.startswith(OURS):
            return was_given and row is not None and row.variable != PORT_VARIABLE
        section, found, name = key.partition(".storage.")
        if not found or name in {"provider", "rootPath"}:
            return True
        provider = self._text(f"{section}.storage.provider")
        if provider == "local":
            return was_given and name in {*_OF_ALL_BUCKETS, "localPath"}
        login = self._text(f"{section}.storage.auth.type")
        names = (*_OF_ALL_BUCKETS, "auth.type", *_LOGINS.get(login, ()))
        return name in names or (name == "accountName" and provider == "azure")

    def _text(self, key: str) -> str:
        """Return a name in lower case, also one that this service does not take."""
        left_out = key.lower() in self.left_out
        value = self.given[key.lower()].value if left_out else self.values[key]
        return str(value).lower()


def _number_or_text(value: object) -> object:
    """Return a number for the text of one, such as a port's that is too large: it needs no quotes."""
    if not isinstance(value, str) or not value[-1:].isdigit():
        return value
    for kind in (int, float):
        with suppress(ValueError):
            if str(number := kind(value)) == value:
                return number
    return value


def _with_new_keys(checked: Checked, given: Rows) -> Iterator[FieldViolation]:
    """Yield the faults, with the key of the new file where it is another than the old one's."""
    new_keys: dict[str, str] = {}
    # In their order: a provider comes before the login that it implies.
    for key, new in KEYS.items():
        if key in checked.left_out and not given[key].inherited and given[key].key.lower() != key:
            new_keys.setdefault(given[key].key, new)
    for fault in checked.faults:
        renamed = new_keys.get(fault.field)
        named = f"; in {V2} it is {renamed}" if renamed else ""
        yield FieldViolation(fault.field, f"{fault.description}{named}")


def _report(resolved: Resolved, given: Rows, checked: Checked) -> Iterator[str]:
    yield from (*resolved.warnings, *resolved.unknown)
    yield from concerns(checked.settings)
    for key in checked.settings.values_by_key():
        row = given.get(key.lower())
        if row is None or row.inherited or row.source is not Source.ENVIRONMENT:
            continue
        if is_confidential(key):
            yield (
                f"{key} is not written, because it came from the environment variable "
                f"{row.variable}: with {V2} set {variable_of(key)}"
            )
        elif row.variable != PORT_VARIABLE and row.variable != variable_of(key):
            yield (
                f"{key} is written as the environment variable {row.variable} has it: {V2} does "
                "not read that variable"
            )
