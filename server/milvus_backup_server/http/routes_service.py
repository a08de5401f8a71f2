"""Greeting and check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.http.answers import Refusal
from milvus_backup_server.http.responses import JsonResponse
from milvus_backup_server.http.routing import REFUSED, GoRoute, Options, Use

GREETING: Final = "Hello, This is backup service"

_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text."}
}

router = APIRouter(route_class=GoRoute, tags=["Service"], responses=REFUSED)


@router.get("/hello", response_class=Response, responses=_TEXT)
async def hello() -> Response:
    """Tell that the service is there."""
    return PlainTextResponse(GREETING)


@router.get(
    "/check",
    response_class=Response,
    responses=_TEXT | {500: {"model": Refusal, "description": "Something does not work."}},
)
async def check(use_cases: Use, options: Options) -> Response:
    """Try everything that backups and restores need, and tell the settings, secrets masked.

    Writes probe objects and removes them again; nothing else is changed.
    """
    items = await use_cases.diagnostics.check()
    failed = [item for item in items if item.state is CheckState.FAILED]
    if failed:
        text = "; ".join(f"{item.name}: {item.message}" for item in failed)
        return JsonResponse({"error": text}, status_code=500)
    return PlainTextResponse(f"{_table(options.settings)}\n{_result(items)}")


def _table(settings: Mapping[str, str]) -> str:
    width = max(map(len, settings), default=0)
    return "".join(f"{key:<{width}}  {value}\n" for key, value in settings.items())


def _result(items: Sequence[CheckItem]) -> str:
    width = max((len(item.name) for item in items), default=0)
    return "".join(
        f"{item.name:<{width}}  {item.state.value:<7}  {item.message}\n" for item in items
    )
