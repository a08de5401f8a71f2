"""The Go tool's records as models, so that the API document tells what their JSON looks like."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Field, create_model

from milvus_backup_server.domain.record_codec import JsonField, Record, json_fields


def model_of(
    kind: type[Record], name: str = "", *, only: Collection[str] = (), without: Collection[str] = ()
) -> type[BaseModel]:
    """Return a model of the JSON of a kind of records.

    Args:
        kind: The kind.
        name: Of the model; as the kind if empty.
        only: The keys that it has; all if empty.
        without: Keys that it does not have.
    """
    keys = [
        item
        for item in json_fields(kind)
        if item.key not in without and (not only or item.key in only)
    ]
    fields: dict[str, Any] = {f"field_{item.key}": _declaration(item) for item in keys}
    return create_model(name or kind.__name__, __doc__=kind.__doc__, **fields)


def _declaration(item: JsonField) -> tuple[Any, Any]:
    shape = _shape(item.kind)
    default = ... if item.always else _zero(shape)
    return (shape, Field(default, alias=item.key, title=item.key))


@functools.cache
def _whole(kind: type[Record]) -> type[BaseModel]:
    return model_of(kind)


def _shape(kind: Any) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        return list[_shape(get_args(kind)[0])]  # type: ignore[misc] # made at run time
    if origin is not None and issubclass(origin, Mapping):
        return dict[str, _shape(get_args(kind)[1])]  # type: ignore[misc] # likewise
    if isinstance(kind, type) and issubclass(kind, Record):
        return _whole(kind)  # type: ignore[arg-type] # a class can be hashed, if not its instances
    return kind


def _zero(shape: Any) -> Any:
    made = get_origin(shape) or shape
    simple = made in (bool, int, str, list, dict)
    return made() if simple else None
