"""JSON of the Go tool's records: declared on dataclasses, encoded and decoded by one rule.

Source: Go's ``encoding/json`` on the generated structs of zilliztech/milvus-backup. Zero values are
    omitted unless a field is marked ``always``; 64-bit integers are JSON numbers; keys match
    without regard to case; unknown keys are kept in ``extra`` and written back.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from milvus_backup_server.domain.errors import BackupCorrupt

_JSON_KEY = "json_key"
_ALWAYS = "always"


def json_key(name: str, default: Any = None, *, always: bool = False) -> Any:
    """Declare a field of a record.

    Args:
        name: The JSON key.
        default: The zero value; ``()`` and ``{}`` stand for an empty list and map.
        always: Write the key also when the value is zero.
    """
    metadata = {_JSON_KEY: name, _ALWAYS: always}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of the records: a frozen dataclass that knows its JSON."""

    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values, zero values omitted."""
        values: dict[str, Any] = {}
        kind: Any = type(self)
        for item in _declared(kind):
            value = getattr(self, item.name)
            if value or item.always:
                values[item.json_key] = _encode(value)
        values.update(self.extra)
        return values

    @classmethod
    def from_json(cls, values: Any, path: str = "") -> Self:
        """Build the record from JSON values.

        Args:
            values: What ``json.loads`` gave.
            path: Where it stood, for error messages.

        Raises:
            BackupCorrupt: A value has the wrong type.
        """
        if not isinstance(values, Mapping):
            raise _wrong(path or cls.__name__, "an object", values)
        kind: Any = cls  # mypy: a class of unhashable values is hashable itself
        declared = _by_lower_key(kind)
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in values.items():
            item = declared.get(name.lower())
            if item is None:
                extra[name] = value
            elif value is not None:
                known[item.name] = item.decode(value, f"{path}.{name}" if path else name)
        return cls(extra=extra, **known)


@dataclasses.dataclass(frozen=True, slots=True)
class _Declared:
    """A field of a record class with its resolved type."""

    name: str
    json_key: str
    always: bool
    kind: Any

    def decode(self, value: Any, path: str) -> Any:
        """Check a JSON value and return it as the field's type."""
        return _decode(self.kind, value, path)


@functools.cache
def _declared(cls: Any) -> tuple[_Declared, ...]:
    hints = get_type_hints(cls)
    return tuple(
        _Declared(
            field.name,
            field.metadata[_JSON_KEY],
            field.metadata[_ALWAYS],
            _without_none(hints[field.name]),
        )
        for field in dataclasses.fields(cls)
        if _JSON_KEY in field.metadata
    )


@functools.cache
def _by_lower_key(cls: Any) -> dict[str, _Declared]:
    return {item.json_key.lower(): item for item in _declared(cls)}


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def _encode(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _encode(value[name]) for name in sorted(value)}
    return value


def _decode(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(path, "a list", value)
        item = get_args(kind)[0]
        return tuple(_decode(item, entry, f"{path}[{i}]") for i, entry in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(path, "an object", value)
        item = get_args(kind)[1]
        return {name: _decode(item, entry, f"{path}.{name}") for name, entry in value.items()}
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.from_json(value, path)
    return _decode_scalar(kind, value, path)


def _decode_scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in (str, bool) and isinstance(value, kind):
        return value
    names = {int: "an integer", str: "a string", bool: "true or false"}
    raise _wrong(path, names.get(kind, str(kind)), value)


def _wrong(path: str, expected: str, value: Any) -> BackupCorrupt:
    return BackupCorrupt(
        f"the metadata is damaged: {path} should be {expected}, not {type(value).__name__}",
        key=path,
    )
