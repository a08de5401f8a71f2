"""What was given, from all sources, under the names of configuration v2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings
from milvus_backup_server.settings.keys import (
    KEYS,
    OURS,
    PORT_KEY,
    PORT_VARIABLE,
    VARIABLES,
    is_section,
    nearest,
)
from milvus_backup_server.settings.sources import (
    Given,
    Rows,
    find_file,
    from_variable,
    read_environment,
    read_file,
)
from milvus_backup_server.settings.v1 import V1_NAMES, nearest_v1, replacement
from milvus_backup_server.settings.v1_translation import collect, retired, translate

VERSION_KEY: Final = "configVersion"
V1: Final = "v1"
V2: Final = "v2"

_KEY_OF_VARIABLE: Final = {
    name.lower(): key for name, key in {**VARIABLES, PORT_VARIABLE: PORT_KEY}.items()
}

_OURS: Final = tuple(key for key in KEYS.values() if key.startswith(OURS))


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was given, not judged yet.

    Attributes:
        rows: By lower-case key of v2, from the source that counts.
        file: The file that was read, if there was one.
        version: The form of the file; v2 if there was none.
        warnings: What was given and has no effect.
        unknown: What was given and is no setting, in words.
        faults: What cannot be a setting whatever its value.
    """

    rows: Rows
    file: Path | None = None
    version: str = V2
    warnings: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    faults: list[FieldViolation] = field(default_factory=list)


def resolve(config: str | None, overrides: Rows, environ: Mapping[str, str]) -> Resolved:
    """Return what was given: command line over environment over file.

    Args:
        config: The file; empty for none, None for ``backup.yaml`` if there is one.
        overrides: What the command line sets, by lower-case key or variable of either version.
        environ: The environment.

    Raises:
        InvalidSettings: The file cannot be read.
    """
    file = find_file(config, environ)
    if file is None:
        return _resolve_v2({}, overrides, environ)
    given = read_file(file)
    version = _version(given.pop(VERSION_KEY.lower(), None))
    read = _resolve_v1 if version == V1 else _resolve_v2
    return replace(read(given, overrides, environ), file=file, version=version)


def _version(row: Given | None) -> str:
    # Files are older than the key.
    text = V1 if row is None else str(row.value).lower()
    if row is not None and text not in {V1, V2}:
        raise InvalidSettings(FieldViolation(VERSION_KEY, f"expected v1 or v2 ({row.origin})"))
    return text


def _resolve_v2(file: Rows, overrides: Rows, environ: Mapping[str, str]) -> Resolved:
    given = {**file, **_environment(environ, VARIABLES), **_by_key(overrides)}
    rows = {key: row for key, row in given.items() if key in KEYS}
    others = [row for key, row in given.items() if key not in KEYS]
    return Resolved(rows, unknown=list(_unknown(others)), faults=list(_misplaced(others)))


def _resolve_v1(file: Rows, overrides: Rows, environ: Mapping[str, str]) -> Resolved:
    translation = translate(collect(file, environ, overrides))
    ours = {key: row for key, row in file.items() if key in KEYS and key.startswith(OURS)}
    later = _by_key({key: row for key, row in overrides.items() if key not in V1_NAMES})
    known = {key: row for key, row in later.items() if key in KEYS}
    others = [row for key, row in file.items() if key not in V1_NAMES and key not in ours]
    more = [row for key, row in later.items() if key not in KEYS]
    return Resolved(
        {**translation.rows, **ours, **_environment(environ, {}), **known},
        warnings=[
            *translation.notes,
            *(f"accepted, no effect: {row.key}: {why}" for row, why in retired(file)),
            *_useless(translation.useless),
        ],
        unknown=[*_unknown_v1(others), *_unknown(more)],
        faults=[*translation.faults, *_misplaced([*others, *more])],
    )


def _environment(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, Given]:
    given = read_environment(environ, variables)
    if environ.get(PORT_VARIABLE):  # empty is not set, as for the command that it belongs to
        given[PORT_KEY.lower()] = from_variable(PORT_VARIABLE, PORT_KEY, environ)
    return given


def _by_key(overrides: Rows) -> dict[str, Given]:
    """Return overrides with the names of variables replaced by keys; a key counts more."""
    named = {
        _KEY_OF_VARIABLE[name].lower(): replace(row, key=_KEY_OF_VARIABLE[name], variable=row.key)
        for name, row in overrides.items()
        if name in _KEY_OF_VARIABLE
    }
    rest = {name: row for name, row in overrides.items() if name not in _KEY_OF_VARIABLE}
    return {**named, **rest}


def _useless(rows: list[Given]) -> Iterator[str]:
    if rows:
        keys = ", ".join(row.key for row in rows)
        yield f"accepted, no effect: {keys}: not what this provider and its login need"


def _misplaced(rows: list[Given]) -> Iterator[FieldViolation]:
    for row in rows:
        if is_section(row.key.lower()) or _is_v1_section(row.key.lower()):
            yield FieldViolation(row.key, f"expected settings below it, not a value ({row.origin})")


def _is_v1_section(key: str) -> bool:
    return any(name.startswith(f"{key}.") for name in V1_NAMES)


def _unknown(rows: list[Given]) -> Iterator[str]:
    for row in rows:
        near = replacement(row.key) or nearest(row.key, KEYS.values())
        yield from _ignored(row, f"; did you mean {near}?" if near else "")


def _unknown_v1(rows: list[Given]) -> Iterator[str]:
    for row in rows:
        hint = f"; it is a key of configVersion {V2}, which this file is not"
        if row.key.lower() not in KEYS:
            near = nearest_v1(row.key, _OURS)
            hint = f"; did you mean {near}?" if near else ""
        yield from _ignored(row, hint)


def _ignored(row: Given, hint: str) -> Iterator[str]:
    if not is_section(row.key.lower()) and not _is_v1_section(row.key.lower()):
        yield f"unknown setting {row.key} is ignored ({row.origin}){hint}"
