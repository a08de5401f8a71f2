"""Values of the domain as JSON and back, by the types that their classes declare.

Dataclasses become objects, tuples and sets lists, maps lists of pairs unless their keys are texts,
enums their names, records of the Go tool what they are in its files, times ISO 8601. A value of a
union of classes says which it is in ``type``. Zero and default values are left out, so that a field
that is added later with a default reads as that in what was written before it; a field that is not
known any more is passed over.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from milvus_backup_server.domain.error_codec import decode_error, encode_error
from milvus_backup_server.domain.errors import BackupCorrupt, BackupError
from milvus_backup_server.domain.record_codec import Record

Json: TypeAlias = Any
"""What ``json.loads`` gives."""

_TYPE = "type"
_UNION = (Union, types.UnionType)


class NotDecodable(ValueError):
    """The JSON is not that of a value of the type."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    encode: Callable[[Any], Json]
    decode: Callable[[Json], Any]


def encode(kind: Any, value: Any) -> Json:
    """Return a value as JSON.

    Args:
        kind: The declared type, which decoding it will ask for; may be a union.
        value: The value.
    """
    return _codec(kind).encode(value)


def decode(kind: Any, values: Json) -> Any:
    """Return the value that some JSON is of.

    Raises:
        NotDecodable: It is of another type, or of a newer version.
    """
    try:
        return _codec(kind).decode(values)
    except (BackupCorrupt, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise NotDecodable(f"{type(error).__name__}: {error}") from error


@functools.cache
def _codec(kind: Any) -> _Codec:
    origin = get_origin(kind)
    if origin in _UNION:
        return _union(kind)
    if origin is not None:
        return _container(origin, get_args(kind))
    return _named(kind)


def _named(kind: Any) -> _Codec:
    if kind in (int, float, str, bool):
        return _Codec(_as_it_is, functools.partial(_scalar, kind))
    if kind is datetime:
        return _Codec(datetime.isoformat, datetime.fromisoformat)
    if issubclass(kind, Enum):
        return _Codec(lambda value: value.name, lambda name: kind[name])
    if issubclass(kind, BackupError):
        return _Codec(encode_error, decode_error)
    if issubclass(kind, Record):
        return _Codec(kind.to_json, kind.from_json)
    if dataclasses.is_dataclass(kind):
        return _Codec(
            functools.partial(_encode_fields, kind), functools.partial(_decode_fields, kind)
        )
    raise AssertionError(f"{kind} has no codec")  # a test encodes every type that is stored


def _container(origin: Any, args: tuple[Any, ...]) -> _Codec:
    if origin is tuple and args[1:] != (Ellipsis,):
        items = tuple(_codec(arg) for arg in args)
        return _Codec(
            lambda values: [it.encode(value) for it, value in zip(items, values, strict=True)],
            lambda values: tuple(it.decode(value) for it, value in zip(items, values, strict=True)),
        )
    if issubclass(origin, Mapping):
        return _map(*args)
    item = _codec(args[0])
    if origin is frozenset:
        return _Codec(
            lambda values: sorted((item.encode(value) for value in values), key=repr),
            lambda values: frozenset(item.decode(value) for value in values),
        )
    return _Codec(
        lambda values: [item.encode(value) for value in values],
        lambda values: tuple(item.decode(value) for value in values),
    )


def _map(key_kind: Any, value_kind: Any) -> _Codec:
    key, item = _codec(key_kind), _codec(value_kind)
    if key_kind is str:
        return _Codec(
            lambda values: {name: item.encode(value) for name, value in values.items()},
            lambda values: {name: item.decode(value) for name, value in values.items()},
        )
    return _Codec(
        lambda values: [[key.encode(name), item.encode(value)] for name, value in values.items()],
        lambda values: {key.decode(name): item.decode(value) for name, value in values},
    )


def _union(kind: Any) -> _Codec:
    members = [member for member in get_args(kind) if member is not type(None)]
    if len(members) == 1:
        codec = _codec(members[0])
        return _Codec(
            lambda value: None if value is None else codec.encode(value),
            lambda values: None if values is None else codec.decode(values),
        )
    by_name = {member.__name__: member for member in members}
    return _Codec(_encode_tagged, functools.partial(_decode_tagged, by_name))


def _encode_tagged(value: Any) -> Json:
    if value is None:
        return None
    kind: Any = type(value)
    return {_TYPE: kind.__name__, **_codec(kind).encode(value)}


def _decode_tagged(by_name: Mapping[str, Any], values: Json) -> Any:
    return None if values is None else _codec(by_name[values[_TYPE]]).decode(values)


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Any, _Codec], ...]:
    """Return name, default and codec of each field; a field without a default has MISSING."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, _default(field), _codec(hints[field.name]))
        for field in dataclasses.fields(kind)
        if field.init
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _encode_fields(kind: Any, value: Any) -> Json:
    found = ((name, default, codec, getattr(value, name)) for name, default, codec in _fields(kind))
    return {
        name: codec.encode(item)
        for name, default, codec, item in found
        if default is dataclasses.MISSING or item != default
    }


@functools.cache
def _decoders(kind: Any) -> Mapping[str, Callable[[Json], Any]]:
    return {name: codec.decode for name, _, codec in _fields(kind)}


def _decode_fields(kind: Any, values: Json) -> Any:
    """Decode what is there, as most fields have their defaults; one that must be there is missed by the class."""
    decoders = _decoders(kind)
    found = {name: decoders[name](value) for name, value in values.items() if name in decoders}
    return kind(**found)


def _as_it_is(value: Any) -> Json:
    return value


def _scalar(kind: type, value: Json) -> Any:
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        if kind is float and isinstance(value, int):
            return float(value)
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value
