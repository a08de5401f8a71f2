"""Routes that the Go tool does not have: a whole backup as one tar archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from starlette.requests import Request

from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.requests import ExportRequest, ImportRequest
from milvus_backup_server.http.answers import Envelope, Refusal
from milvus_backup_server.http.asked import naming
from milvus_backup_server.http.examples import NAME
from milvus_backup_server.http.operation_views import OperationResponse, operation_view
from milvus_backup_server.http.places import PLACE_NAMES, BucketQuery, PathQuery
from milvus_backup_server.http.responses import PiecesResponse, answer
from milvus_backup_server.http.routing import CALLER, ArchiveRoute, Use
from milvus_backup_server.service.export_backup import Export

_TAR: Final = "application/x-tar"
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Refusal | Envelope, "description": "Refused: the body tells why."},
    503: {"model": Envelope, "description": "Something outside does not answer now."},
}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "The archive, plain or in gzip, of any size.",
        "content": {_TAR: _BINARY, "application/gzip": _BINARY},
    }
}

router = APIRouter(
    route_class=ArchiveRoute, prefix="/backups", tags=["Archive"], responses=_REFUSED
)


@router.get(
    "/{name}/archive",
    response_class=Response,
    responses={200: {"content": {_TAR: _BINARY}, "description": "The archive."}},
)
async def export_backup(
    use_cases: Use,
    name: Annotated[str, Path(description="The backup.", examples=[NAME])],
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
) -> Response:
    """Download a backup as one tar archive. One that breaks off is not whole: clients notice."""
    wanted = ExportRequest(name, Place(bucket_name, path))
    with naming(PLACE_NAMES):
        export = await use_cases.export.start(wanted, CALLER)
    pieces = _pieces(export)
    await anext(pieces)
    headers = {"Content-Disposition": f'attachment; filename="{name}.tar"'}
    return PiecesResponse(pieces, _TAR, headers)


@router.post("", response_model=OperationResponse, openapi_extra=_BODY)
async def import_backup(
    request: Request,
    use_cases: Use,
    backup_name: Annotated[
        str, Query(description="Of the backup to make; empty: the archive's top directory.")
    ] = "",
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
) -> Response:
    """Make a backup of an archive, and answer when it is made. A client that goes away stops it."""
    wanted = ImportRequest(backup_name, Place(bucket_name, path))
    with naming(PLACE_NAMES):
        operation = await use_cases.import_.run(wanted, request.stream(), CALLER)
    return answer(OperationResponse(data=operation_view(operation)))


async def _pieces(export: Export) -> AsyncGenerator[bytes, None]:
    """Yield nothing once there is something to send, and then the archive."""
    async with aclosing(export.chunks()) as chunks:
        first = await anext(chunks, b"")
        yield b""
        yield first
        async for chunk in chunks:
            yield chunk
