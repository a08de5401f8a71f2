"""JSON bodies as the Go tool reads them.

Source: Go's ``encoding/json`` on the structs of zilliztech/milvus-backup: keys match without regard to
case, unknown keys are ignored, null is as if the key were not there, types must match exactly. Whatever
the Content-Type says, a body is JSON.
"""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Annotated, Any, Final

import structlog
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    model_validator,
)
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

_log = structlog.get_logger(__name__)

_MIB: Final = 1 << 20
_SHOWN: Final = 100
_TOLD: Final = 20
_NOT_JSON: Final = "the body is not JSON"

MAX_VALUES: Final = 40_000
"""How many values a body may hold, inside each other too: room for a plan of 10,000 collections.

Each is checked on the loop, where it takes up to some 20 microseconds.
"""

_BODY_SECONDS: Final = 30.0
_EXPECTED: Final = {
    "bool_type": "expected true or false",
    "dict_type": "expected an object",
    "finite_number": "expected a number",
    "float_parsing": "expected a number",
    "greater_than_equal": "expected at least {ge}",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number",
    "int_type": "expected a whole number",
    "less_than_equal": "expected at most {le}",
    "list_type": "expected a list",
    "literal_error": "expected {expected}",
    "missing": "is required",
    "model_attributes_type": "expected an object",
    "model_type": "expected an object",
    "string_type": "expected a string",
    "value_error": "{error}",
}


class Body(BaseModel):
    """Base of what a body may hold, at its top and inside."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _match_keys(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = _keys(cls)
        names = {key: known.get(key.lower()) for key in given}
        _warn_of_unknown((key for key, name in names.items() if name is None), known)
        found = {names[key]: value for key, value in given.items() if value is not None}
        found.pop(None, None)
        return found


@cache
def _keys(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the keys of a model by their small letters."""
    keys = (field.alias or name for name, field in model.model_fields.items())
    return {key.lower(): key for key in keys}


_warned: ContextVar[set[str]] = ContextVar("unknown fields that this request was warned of")


def _warn_of_unknown(keys: Iterable[str], known: Mapping[str, str]) -> None:
    warned = _warned.get(set())
    for key in keys:
        name = key[:_SHOWN]
        if len(warned) == _TOLD:
            return
        if name not in warned:
            warned.add(name)
            near = difflib.get_close_matches(name.lower(), known, n=1)
            _log.warning("unknown field of a request is ignored", field=name, nearest=near)


def _too_many(value: Any) -> bool:
    """Tell whether a JSON value holds more than ``MAX_VALUES`` others, however deep."""
    left, waiting = MAX_VALUES, [value] if isinstance(value, dict | list) else []
    while waiting:
        held = waiting.pop()
        left -= len(held)
        if left < 0:
            return True
        inner = held.values() if isinstance(held, dict) else held
        waiting += [item for item in inner if isinstance(item, dict | list)]
    return False


def _object(value: Any) -> Any:
    """Take the text of an object for the object, and null for an empty list in it."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise ValueError("expected an object, or a string with the JSON of one") from None
        if _too_many(value):  # this text was one value of the body
            raise ValueError(f"has more than {MAX_VALUES} values")
    if isinstance(value, dict):
        return {key: [] if item is None else item for key, item in value.items()}
    return value


Many = FailFast()
"""Marks a list whose first fault is told alone, as each fault of thousands takes time to word."""

Names = Annotated[list[str], Many]
Int32 = Annotated[int, Field(ge=-(1 << 31), le=(1 << 31) - 1)]
Collections = Annotated[
    dict[str, Names],
    BeforeValidator(_object),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
                {"type": "string", "contentMediaType": "application/json"},
            ]
        }
    ),
]
"""Collections by database, as an object or as the text of one."""


class _JsonRequest(Request):
    """A request whose body is JSON within bounds."""

    def __init__(self, scope: Scope, receive: Receive, seconds: float) -> None:
        super().__init__(scope, receive)
        self._seconds = seconds

    async def body(self) -> bytes:
        """Return the bytes, unless they take too long to come."""
        try:
            async with asyncio.timeout(self._seconds):
                return await super().body()
        except TimeoutError:
            text = f"the body did not arrive within {self._seconds:g} seconds"
            raise HTTPException(408, text) from None

    async def json(self) -> Any:
        """Return the value, unless it is too large to be checked beside other requests."""
        try:
            # Not in a thread: that would hold the interpreter, and so the loop, for as long.
            value = json.loads(await self.body())
        except (ValueError, RecursionError):
            raise HTTPException(400, _NOT_JSON) from None
        if _too_many(value):
            raise HTTPException(400, f"the body has more than {MAX_VALUES} values")
        return value


def json_request(request: Request, max_bytes: int, seconds: float = _BODY_SECONDS) -> Request:
    """Return a request whose body is taken for JSON, and refused when it is too large or slow.

    Reading it raises HTTPException for a body that is no JSON, has more than ``max_bytes`` bytes or
    ``MAX_VALUES`` values, or has not arrived after so many ``seconds``.
    """
    _warned.set(set())
    scope: Scope = dict(request.scope)
    others = [(key, value) for key, value in scope["headers"] if key != b"content-type"]
    scope["headers"] = [*others, (b"content-type", b"application/json")]
    receive = _bounded(request.receive, Headers(scope=scope), max_bytes)
    return _JsonRequest(scope, receive, seconds)


def _bounded(receive: Receive, headers: Headers, max_bytes: int) -> Receive:
    left = max_bytes
    announced = headers.get("content-length", "")

    async def read() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0 or (announced.isdecimal() and int(announced) > max_bytes):
            raise HTTPException(
                400, f"the body is larger than {max_bytes / _MIB:g} MiB (service.http.maxBodyMiB)"
            )
        return message

    return read


def explain(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong with a request, each fault with its field; no value is shown."""
    return "; ".join(_explain(fault) for fault in faults[:_TOLD])


def _explain(fault: Mapping[str, Any]) -> str:
    words = _EXPECTED.get(fault["type"], str(fault["msg"]))
    text = words.format_map({**fault.get("ctx", {})}) if fault["type"] in _EXPECTED else words
    name = field_path(fault["loc"][1:])  # the first part tells body, query or header
    return f"{name or 'the body'}: {text}"


def field_path(location: Sequence[int | str]) -> str:
    """Return the path of a field as ``a.b[0].c``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:_SHOWN]}"
    return path.removeprefix(".")
