"""JSON on its way out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from milvus_backup_server.http.faults import log_failure


class JsonResponse(Response):
    """JSON that any client can read, whatever characters a caller sent and gets back."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the bytes of a JSON value."""
        return json_bytes(content)


def json_bytes(content: Any) -> bytes:
    """Return a JSON value without spaces; half surrogate pairs, which UTF-8 cannot carry, as ``?``."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def answer(model: BaseModel, status: int = 200) -> JsonResponse:
    """Return a model as a response; what is equal to its default is left out."""
    return JsonResponse(shown(model), status_code=status)


def shown(model: BaseModel) -> Mapping[str, Any]:
    """Return a model as JSON values; what is equal to its default is left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class PiecesResponse(StreamingResponse):
    """A stream whose source is closed when the response ends, in whatever way.

    Args:
        pieces: The source.
        media_type: What it is.
        headers: More about it.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        async with aclosing(self._pieces):
            try:
                await super().__call__(scope, receive, send)
            except Exception as error:  # noqa: BLE001 (too late for an answer)
                # Left without its end, the response tells the reader that it is not whole.
                log_failure(error)
