"""What is done round every request: the body is read as JSON, a failure is logged and becomes an answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar, Final

import structlog
from fastapi import Depends, Header
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from milvus_backup_server.domain.operations import Caller, Origin
from milvus_backup_server.http.answers import Refusal
from milvus_backup_server.http.binding import explain, json_request
from milvus_backup_server.http.faults import Face, callers_error, face_of, log_failure
from milvus_backup_server.http.options import API_PATH, HttpOptions
from milvus_backup_server.http.responses import JsonResponse
from milvus_backup_server.service.shared_messages import SharedMessages
from milvus_backup_server.service.use_cases import UseCases

CALLER: Final = Caller(origin=Origin.HTTP)
"""Who calls over HTTP: nobody knows, as there are no logins yet."""

_OK: Final = 200
_INTERNAL: Final = 500
_BAD_REQUEST: Final = 400
_CREATE: Final = f"{API_PATH}/create"

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def _use_cases(request: Request) -> UseCases:
    found: UseCases = request.app.state.use_cases
    return found


async def _options(request: Request) -> HttpOptions:
    found: HttpOptions = request.app.state.options
    return found


async def _messages(request: Request) -> SharedMessages:
    found: SharedMessages = request.app.state.messages
    return found


Use = Annotated[UseCases, Depends(_use_cases)]
Options = Annotated[HttpOptions, Depends(_options)]
Messages = Annotated[SharedMessages, Depends(_messages)]
RequestId = Annotated[
    str,
    Header(alias="request_id", convert_underscores=False, description="Given back as `requestId`."),
]


REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {
        "model": Refusal,
        "description": "400: the body or a parameter cannot be read. 403: this Host is not allowed, or "
        "the request comes from a page of another origin. 408: the body did not arrive in time.",
    }
}
"""What the API document says of requests that no route sees."""


def remember_id(request: Request, request_id: str) -> str:
    """Have the request's id in the answer, also if that is a failure; returns it."""
    request.state.request_id = request_id
    return request_id


class GoRoute(APIRoute):
    """A route of the Go tool: business failures are answered with the HTTP status 200."""

    reads_json: ClassVar[bool] = True

    def get_route_handler(self) -> _Handler:
        """Return what serves a request."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            bound = structlog.contextvars.bound_contextvars(
                route=f"{request.method} {self.path}", peer=_peer(request)
            )
            with bound:
                return await self._answer(inner, request)

        return handle

    async def _answer(self, inner: _Handler, request: Request) -> Response:
        options: HttpOptions = request.app.state.options
        if self.reads_json:
            request = json_request(request, options.max_body_bytes)
        try:
            return await inner(request)
        except (RequestValidationError, HTTPException):
            raise  # answered by the handlers of the application
        except ClientDisconnect:
            return Response(status_code=_BAD_REQUEST)  # which nobody reads
        except Exception as error:  # noqa: BLE001 (the edge: everything becomes an answer)
            log_failure(error)
            return self._failure(error, request)

    def _failure(self, error: Exception, request: Request) -> Response:
        shown = callers_error(error)
        face = face_of(shown)
        envelope = {
            "requestId": getattr(request.state, "request_id", ""),
            "code": face.code,
            "msg": shown.message,
        }
        content = {key: value for key, value in envelope.items() if value}
        if request.method != "DELETE":  # whose answer has no data
            content["data"] = None
        return JsonResponse(content, status_code=self.status_of(face))

    def status_of(self, face: Face) -> int:
        """Return the HTTP status of a failure."""
        return face.status if face.status == _INTERNAL else _OK


class ServiceRoute(GoRoute):
    """A route that the Go tool does not have: failures have an HTTP status that tells them."""

    def status_of(self, face: Face) -> int:
        """Return the HTTP status of a failure."""
        return face.status


class ArchiveRoute(ServiceRoute):
    """A route of ours whose body is not JSON and has no bound."""

    reads_json = False


async def refuse_invalid(request: Request, error: Exception) -> Response:
    """Answer a request whose body or parameters could not be read."""
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    return refusal(request, explain(faults))


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes, or that is too large."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == _BAD_REQUEST:
        return refusal(request, error.detail)
    return JsonResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )


def refusal(request: Request, detail: str) -> Response:
    """Return the answer of HTTP status 400, in the Go tool's words where it has some."""
    if request.scope["path"] == _CREATE:
        content = {"error": "Invalid request body", "detail": detail}
    elif request.method == "POST":
        content = {"error": f"invalid request body: {detail}"}
    else:
        content = {"error": f"invalid request: {detail}"}
    return JsonResponse(content, status_code=_BAD_REQUEST)


def _peer(request: Request) -> str:
    return f"{request.client.host}:{request.client.port}" if request.client else ""
