"""JSON of the Go tool's records: declared on dataclasses, encoded and decoded by one rule.

Source: Go's ``encoding/json`` on the generated structs of zilliztech/milvus-backup. Zero values are
omitted unless a field is marked ``always``; 64-bit integers are JSON numbers; keys match without
regard to case; unknown keys are kept in ``extra`` and written back.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

from milvus_backup_server.domain.errors import BackupCorrupt

_JSON_KEY = "json_key"
_ALWAYS = "always"
_PLAIN = frozenset({str, int, bool})

_Decoder: TypeAlias = Callable[[Any], Any]


def json_key(name: str, default: Any = None, *, always: bool = False, secret: bool = False) -> Any:
    """Declare a field of a record.

    Args:
        name: The JSON key.
        default: The zero value; ``()`` and ``{}`` stand for an empty list and map.
        always: Write the key also when the value is zero.
        secret: The record does not show it when it is printed.
    """
    metadata = {_JSON_KEY: name, _ALWAYS: always}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


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
        try:
            return cast("Self", _decode_record(cls, values))
        except _MismatchError as mismatch:
            raise mismatch.located(path, cls.__name__) from None


@dataclasses.dataclass(frozen=True, slots=True)
class JsonField:
    """A declared field of a record: its key, its type, and whether it is written when it is zero."""

    key: str
    kind: Any
    always: bool


def json_fields(kind: type[Record]) -> tuple[JsonField, ...]:
    """Return the declared fields of a kind of records, in the order of its keys."""
    cls: Any = kind
    hints = get_type_hints(cls)
    return tuple(
        JsonField(item.json_key, _without_none(hints[item.name]), item.always)
        for item in _declared(cls)
    )


class _MismatchError(Exception):
    """A value of the wrong type; the way to it is collected while the error travels outwards."""

    def __init__(self, expected: str, value: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.kind = type(value).__name__
        self.steps: list[str] = []

    def located(self, path: str, record: str) -> BackupCorrupt:
        """Return the error; ``record`` names what was read where no way leads to the value."""
        where = (path + "".join(reversed(self.steps))).removeprefix(".") or record
        return BackupCorrupt(
            f"the metadata is damaged: {where} should be {self.expected}, not {self.kind}",
            key=where,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Declared:
    """A field of a record class with what decodes its values."""

    name: str
    json_key: str
    always: bool
    decode: _Decoder


@functools.cache
def _declared(cls: Any) -> tuple[_Declared, ...]:
    hints = get_type_hints(cls)
    return tuple(
        _Declared(
            field.name,
            field.metadata[_JSON_KEY],
            field.metadata[_ALWAYS],
            _decoder(_without_none(hints[field.name])),
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
    if type(value) in _PLAIN:  # nearly all are, and asking for a Mapping takes long
        return value
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _encode(value[name]) for name in sorted(value)}
    return value


def _decoder(kind: Any) -> _Decoder:
    """Return what turns a JSON value into a type; made once for each field of each class."""
    origin = get_origin(kind)
    if origin is tuple:
        return functools.partial(_decode_list, _decoder(get_args(kind)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return functools.partial(_decode_map, _decoder(get_args(kind)[1]))
    if isinstance(kind, type) and issubclass(kind, Record):
        return functools.partial(_decode_record, kind)
    return _SCALARS[kind]


def _decode_record(cls: Any, values: Any) -> Record:
    if not isinstance(values, Mapping):
        raise _MismatchError("an object", values)
    declared = _by_lower_key(cls)
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in values.items():
        item = declared.get(name.lower())
        if item is None:
            extra[name] = value
        elif value is not None:
            try:
                known[item.name] = item.decode(value)
            except _MismatchError as mismatch:
                mismatch.steps.append(f".{name}")
                raise
    return cast("Record", cls(extra=extra, **known))


def _decode_list(item: _Decoder, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise _MismatchError("a list", values)
    decoded: list[Any] = []
    try:
        for value in values:
            decoded.append(item(value))  # noqa: PERF401 its length tells where a mismatch is
    except _MismatchError as mismatch:
        mismatch.steps.append(f"[{len(decoded)}]")
        raise
    return tuple(decoded)


def _decode_map(item: _Decoder, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise _MismatchError("an object", values)
    decoded: dict[str, Any] = {}
    for name, value in values.items():
        try:
            decoded[name] = item(value)
        except _MismatchError as mismatch:
            mismatch.steps.append(f".{name}")
            raise
    return decoded


def _decode_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _MismatchError("an integer", value)


def _decode_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _MismatchError("a string", value)


def _decode_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _MismatchError("true or false", value)


def _as_it_is(value: Any) -> Any:
    return value


_SCALARS: dict[Any, _Decoder] = {
    int: _decode_int,
    str: _decode_str,
    bool: _decode_bool,
    Any: _as_it_is,
}
