"""The route that finds, and removes on request, what operations left behind."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from milvus_backup_server.domain.requests import DEFAULT_SWEEP_AGE_SECONDS, SweepRequest
from milvus_backup_server.http.answers import Envelope, Refusal
from milvus_backup_server.http.operation_views import OperationResponse, operation_view
from milvus_backup_server.http.responses import answer
from milvus_backup_server.http.routing import CALLER, ServiceRoute, Use

_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Refusal | Envelope, "description": "Refused: the body tells why."}
}

router = APIRouter(route_class=ServiceRoute, tags=["Operation"], responses=_REFUSED)


@router.post("/sweep", response_model=OperationResponse)
async def sweep(
    *,
    use_cases: Use,
    apply: Annotated[bool, Query(description="Remove what is found.")] = False,
    min_age_seconds: Annotated[
        int, Query(ge=0, description="What is younger is left alone.")
    ] = DEFAULT_SWEEP_AGE_SECONDS,
) -> Response:
    """Begin to look for what operations left behind, and answer at once.

    `/operations/{name}` tells what was found, in `leftovers`. Whole backups, and what a running
    operation of any service on the repository works on, are left alone.
    """
    operation = await use_cases.sweep.start(SweepRequest(apply, min_age_seconds), CALLER)
    return answer(OperationResponse(data=operation_view(operation)))
