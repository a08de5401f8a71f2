"""The HTTP application: routes, document, guard."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from milvus_backup_server.http import (
    docs,
    routes_archives,
    routes_backups,
    routes_operations,
    routes_restores,
    routes_service,
    routes_sweep,
    routes_verify,
)
from milvus_backup_server.http.events import event
from milvus_backup_server.http.guard import Guard
from milvus_backup_server.http.options import API_PATH, HttpOptions
from milvus_backup_server.http.routing import refuse, refuse_invalid
from milvus_backup_server.service.shared_messages import SharedMessages
from milvus_backup_server.service.use_cases import UseCases

_ROUTES: Final = (
    routes_service,
    routes_backups,
    routes_restores,
    routes_operations,
    routes_sweep,
    routes_archives,
    routes_verify,
    docs,
)
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_DESCRIPTION: Final = """
Backups of a Milvus and their restores: the HTTP API of the tool `milvus-backup`, and `/operations`, which
tells of what is under way.

- Bodies are JSON, whatever the Content-Type says. Keys match without regard to case; unknown keys are
  ignored; `null` is as if the key were not there.
- The routes of the tool answer with the HTTP status 200 also when something went wrong: look at `code`, which
  is absent on success, 400 for wrong parameters and 3 for everything else. The other routes tell it by the
  HTTP status too.
- In answers keys are absent where they are zero or empty, 64-bit integers are numbers, enums are numbers.
- Requests whose Host is not allowed, or that come from pages of another origin, get the HTTP status 403.
"""


def build_app(use_cases: UseCases, options: HttpOptions) -> ASGIApp:
    """Return the application that serves the use cases."""
    routes = [Route("/", _greet, methods=_METHODS), Mount(API_PATH, build_api(use_cases, options))]
    outer = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    return Guard(outer, listening=options.host, allowed=options.allowed_hosts)


def build_api(use_cases: UseCases, options: HttpOptions) -> FastAPI:
    """Return what is served below ``API_PATH``."""
    api = FastAPI(
        title="Milvus backup",
        version=options.version,
        description=_DESCRIPTION,
        servers=[{"url": options.base_path or API_PATH}],
        root_path_in_servers=False,
        generate_unique_id_function=lambda route: route.name,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        exception_handlers={RequestValidationError: refuse_invalid, HTTPException: refuse},
    )
    api.state.use_cases = use_cases
    api.state.options = options
    api.state.messages = SharedMessages(event)
    for routes in _ROUTES:
        api.include_router(routes.router)
    return api


async def _greet(_request: Request) -> Response:
    return PlainTextResponse(routes_service.GREETING)
