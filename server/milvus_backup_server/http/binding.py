"""JSON bodies as the Go tool reads them.

Source: Go's ``encoding/json`` on the structs of zilliztech/milvus-backup: keys match without regard to
case, unknown keys are ignored, null is as if the key were not there, types must match exactly. Whatever
the Content-Type says, a body is JSON.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

_log = structlog.get_logger(__name__)

_MIB: Final = 1 << 20
_SHOWN: Final = 100
_EXPECTED: Final = {
    "bool_type": "expected true or false",
    "dict_type": "expected an object",
    "finite_number": "expected a number",
    "float_parsing": "expected a number",
    "greater_than_equal": "expected at least {ge}",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number",
    "int_type": "expected a whole number",
    "json_invalid": "the body is not JSON",
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
        known = {(field.alias or name).lower(): name for name, field in cls.model_fields.items()}
        names = {key: known.get(key.lower()) for key in given}
        _warn_of_unknown([key for key, name in names.items() if name is None], known)
        found = {names[key]: value for key, value in given.items() if value is not None}
        found.pop(None, None)
        return {cls.model_fields[name].alias or name: found[name] for name in found if name}


def _warn_of_unknown(keys: Sequence[str], known: Mapping[str, str]) -> None:
    for key in keys[:20]:
        near = difflib.get_close_matches(key[:_SHOWN].lower(), known, n=1)
        _log.warning("unknown field of a request is ignored", field=key[:_SHOWN], nearest=near)


def _object(value: Any) -> Any:
    """Take the text of an object for the object, and null for an empty list in it."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise ValueError("expected an object, or a string with the JSON of one") from None
    if isinstance(value, dict):
        return {key: [] if item is None else item for key, item in value.items()}
    return value


Int32 = Annotated[int, Field(ge=-(1 << 31), le=(1 << 31) - 1)]
Collections = Annotated[
    dict[str, list[str]],
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


def json_request(request: Request, max_bytes: int) -> Request:
    """Return a request whose body is taken for JSON, and refused when it is too large.

    Reading it raises HTTPException for a body beyond ``max_bytes``.
    """
    scope: Scope = dict(request.scope)
    others = [(key, value) for key, value in scope["headers"] if key != b"content-type"]
    scope["headers"] = [*others, (b"content-type", b"application/json")]
    return Request(scope, _bounded(request.receive, Headers(scope=scope), max_bytes))


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
    return "; ".join(_explain(fault) for fault in faults[:20])


def _explain(fault: Mapping[str, Any]) -> str:
    words = _EXPECTED.get(fault["type"], str(fault["msg"]))
    text = words.format_map({**fault.get("ctx", {})}) if fault["type"] in _EXPECTED else words
    name = field_path(fault["loc"][1:])  # the first part tells body, query or header
    if not name or fault["type"] == "json_invalid":
        return text if fault["type"] == "json_invalid" else f"the body: {text}"
    return f"{name}: {text}"


def field_path(location: Sequence[int | str]) -> str:
    """Return the path of a field as ``a.b[0].c``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:_SHOWN]}"
    return path.removeprefix(".")
