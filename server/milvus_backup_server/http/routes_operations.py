"""Routes that the Go tool does not have: operations, and their progress as a stream of events."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.operations import OperationKind, OperationState
from milvus_backup_server.http.answers import Envelope, Refusal
from milvus_backup_server.http.events import EVENT_STREAM, HEADERS, events
from milvus_backup_server.http.operation_views import (
    ListOperationsResponse,
    OperationPage,
    OperationResponse,
    operation_view,
)
from milvus_backup_server.http.responses import PiecesResponse, answer
from milvus_backup_server.http.routing import CALLER, Messages, ServiceRoute, Use
from milvus_backup_server.service.operation_entries import Filter

E = TypeVar("E", bound=Enum)

_PAGE: Final = 20
_LARGEST_PAGE: Final = 50
_INTERVAL: Final = 0.25
_SHORTEST_INTERVAL: Final = 0.01
_LONGEST_INTERVAL: Final = 60.0
_UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Envelope, "description": "No such operation is on record."}
}
_ENDED: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Envelope, "description": "It has ended."}
}

_NOT_RESUMABLE: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Envelope, "description": "It is not interrupted, or cannot be resumed."}
}
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Refusal | Envelope, "description": "Refused: the body tells why."}
}

Id = Annotated[
    str,
    Path(
        description="An operation's name, or the `requestId` or `id` of the call that began it.",
    ),
]


def _choices(kind: type[Enum], description: str) -> Any:
    names = [item.name for item in kind]
    return Query(
        description=description, json_schema_extra={"items": {"type": "string", "enum": names}}
    )


router = APIRouter(
    route_class=ServiceRoute, prefix="/operations", tags=["Operation"], responses=_REFUSED
)


@router.get("", response_model=ListOperationsResponse)
async def list_operations(
    *,
    use_cases: Use,
    backup_name: Annotated[str, Query(description="Only those of this backup.")] = "",
    kind: Annotated[list[str], _choices(OperationKind, "Only those of these kinds.")] = [],  # noqa: B006
    state: Annotated[list[str], _choices(OperationState, "Only those in these states.")] = [],  # noqa: B006
    page_size: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = _PAGE,
    page_token: Annotated[str, Query(description="`next_page_token` of the page before.")] = "",
) -> Response:
    """List the operations on record, newest first."""
    kinds, states = _read("kind", kind, OperationKind), _read("state", state, OperationState)
    wanted = Filter(backup_name, kinds, states)
    page = await use_cases.directory.list(page_token, page_size, wanted)
    shown = OperationPage(
        operations=[operation_view(item) for item in page.items],
        next_page_token=page.next_key,
        records_error=page.records_error.message if page.records_error else "",
    )
    return answer(ListOperationsResponse(data=shown))


@router.get("/{operation}", response_model=OperationResponse, responses=_UNKNOWN)
async def get_operation(use_cases: Use, operation: Id) -> Response:
    """Tell about an operation."""
    return answer(OperationResponse(data=operation_view(await use_cases.directory.find(operation))))


@router.post("/{operation}/cancel", response_model=OperationResponse, responses=_UNKNOWN | _ENDED)
async def cancel_operation(use_cases: Use, operation: Id) -> Response:
    """Ask an operation to stop, and answer at once. It ends CANCELLED when all it made is removed."""
    found = await use_cases.directory.find(operation)
    cancelled = await use_cases.control.cancel(found.name)
    return answer(OperationResponse(data=operation_view(cancelled)))


@router.post(
    "/{operation}/resume", response_model=OperationResponse, responses=_UNKNOWN | _NOT_RESUMABLE
)
async def resume_operation(use_cases: Use, operation: Id) -> Response:
    """Go on with an interrupted operation under its own name, and answer at once."""
    found = await use_cases.directory.find(operation)
    resumed = await use_cases.control.resume(found.name)
    return answer(OperationResponse(data=operation_view(resumed)))


@router.post(
    "/{operation}/retry",
    response_model=OperationResponse,
    responses={**_UNKNOWN, 409: {"model": Envelope, "description": "There is nothing to retry."}},
)
async def retry_operation(use_cases: Use, operation: Id) -> Response:
    """Begin a new operation that does what one that has ended did not do, and answer at once.

    Of a restore these are the targets that were not restored.
    """
    found = await use_cases.directory.find(operation)
    begun = await use_cases.retry.start(found.name, "", CALLER)
    return answer(OperationResponse(data=operation_view(begun)))


@router.get(
    "/{operation}/events",
    response_class=Response,
    responses={
        **_UNKNOWN,
        200: {
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
            "description": "Events `operation`: `data` is the operation as `/operations/{id}` tells "
            "it in `data`, `id` its revision. The stream ends behind the last state.",
        },
        204: {"description": "The reader has seen the last state: nothing is to come."},
    },
)
async def watch_operation(
    use_cases: Use,
    messages: Messages,
    operation: Id,
    min_interval: Annotated[
        float,
        Query(ge=0, le=_LONGEST_INTERVAL, description="At most one event in so many seconds."),
    ] = _INTERVAL,
    last_event_id: Annotated[
        str, Header(description="The last event that the reader has seen; browsers send it.")
    ] = "",
) -> Response:
    """Follow an operation: its present state at once, the newest after changes, up to the last."""
    present = await use_cases.directory.find(operation)
    if present.state.ends_watch and last_event_id == str(present.revision):
        return Response(status_code=204)
    states = use_cases.directory.watch(present.name, max(min_interval, _SHORTEST_INTERVAL))
    return PiecesResponse(events(states, messages.of(present.name)), EVENT_STREAM, HEADERS)


def _read(name: str, given: Sequence[str], kind: type[E]) -> frozenset[E]:
    try:
        return frozenset(kind[text] for text in given)
    except KeyError as unknown:
        choices = ", ".join(item.name for item in kind)
        text = f"{str(unknown.args[0])[:100]!r} is unknown: expected some of {choices}"
        raise InvalidRequest(FieldViolation(name, text)) from None
