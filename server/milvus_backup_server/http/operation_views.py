"""Operations as our own routes show them: what the gRPC contract tells, enums by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import AliasPath, BeforeValidator, Field

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.leftovers import LeftoverKind, LeftoverState, SweepResult
from milvus_backup_server.domain.operations import (
    CollectionState,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Phase,
    Result,
)
from milvus_backup_server.domain.verification import VerifyResult
from milvus_backup_server.http.answers import Envelope
from milvus_backup_server.http.faults import callers_error
from milvus_backup_server.http.verification_views import Verified
from milvus_backup_server.http.views import View, name_of, names


def _error(value: object) -> object:
    return callers_error(value) if isinstance(value, BackupError) else value


def _result(value: Result | None) -> Mapping[str, Any] | None:
    if isinstance(value, SweepResult):
        return value.counts
    if isinstance(value, VerifyResult):
        found = {"problem_count": value.problem_count, "hit_collections": value.hit_collections}
        return {**asdict(value.counts), **found}
    return None if value is None else dict(_counts(asdict(value)))


def _counts(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the counts of a result; those of a part of it with its name before theirs."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}_{key}", count) for key, count in _counts(value))
        elif isinstance(value, int):
            yield name, value


KindName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(OperationKind)]
StateName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(OperationState)]
PhaseName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(Phase)]
OriginName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(Origin)]
LeftoverKindName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(LeftoverKind)]
LeftoverStateName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(LeftoverState)]
CollectionStateName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(CollectionState)]


class ErrorView(View):
    """An error: `reason` is stable and for programs, `metadata` has the values that `message` names."""

    reason: str
    message: str
    metadata: dict[str, str]


Error: TypeAlias = Annotated[ErrorView, BeforeValidator(_error)]


class CallerView(View):
    """Who asked."""

    principal: str
    origin: OriginName


class PhaseView(View):
    """How far one phase is. A total that is not known yet is absent."""

    phase: PhaseName
    start_time: datetime
    end_time: datetime | None = None
    bytes_done: int = Field(default=..., validation_alias=AliasPath("done", "bytes"))
    bytes_total: int | None = None
    objects_done: int = Field(default=..., validation_alias=AliasPath("done", "objects"))
    objects_total: int | None = None
    segments_done: int = Field(default=..., validation_alias=AliasPath("done", "segments"))
    segments_total: int | None = None
    rows_done: int = Field(default=..., validation_alias=AliasPath("done", "rows"))
    rows_total: int | None = None


class ProgressView(View):
    """How far an operation is; the last of `phases` is the present one."""

    phases: list[PhaseView]
    bytes_per_second: int
    remaining_seconds: float | None = Field(
        default=None, description="Estimate to the end of the present phase."
    )
    waiting_for: str = Field(default="", description="Outside of this service.")


class CollectionView(View):
    """How one collection of an operation fares."""

    database: str = Field(default=..., validation_alias=AliasPath("source", "database"))
    name: str = Field(default=..., validation_alias=AliasPath("source", "name"))
    target_database: str = Field(default="", validation_alias=AliasPath("target", "database"))
    target_name: str = Field(default="", validation_alias=AliasPath("target", "name"))
    state: CollectionStateName
    error: Error | None = None
    bytes_done: int
    bytes_total: int | None = None
    row_count: int | None = None
    moment: int | None = Field(default=None, description="Hybrid timestamp: 64 bits.")
    start_time: datetime | None = None
    end_time: datetime | None = None


class LeftoverView(View):
    """Something that an operation left behind; the contract's Leftover."""

    kind: LeftoverKindName
    subject: str
    operation: str = Field(default="", description="Whose it is.")
    object_count: int
    size_bytes: int
    state: LeftoverStateName
    note: str = Field(default="", description="Why it was kept, or could not be removed.")


class OperationView(View):
    """An operation. `SUCCEEDED`, `PARTIALLY_SUCCEEDED`, `FAILED` and `CANCELLED` are final."""

    name: str
    task_id: str = Field(default="", description="`requestId` or `id` of the call that began it.")
    kind: KindName
    state: StateName
    backup_name: str
    bucket_name: str = Field(
        default="",
        validation_alias=AliasPath("place", "bucket"),
        description="The backup's, where it does not lie in the repository of the settings.",
    )
    path: str = Field(
        default="",
        validation_alias=AliasPath("place", "root"),
        description="The path below which it lies then.",
    )
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    progress: ProgressView
    warnings: list[Error] = Field(default=..., description="The oldest 50.")
    warning_count: int
    error: Error | None = None
    result: Annotated[dict[str, int] | None, BeforeValidator(_result)] = Field(
        default=None, description="Counts of what was done, once it has succeeded."
    )
    verification: Verified = Field(
        default=None, validation_alias="result", description="What a verification found."
    )
    leftovers: list[LeftoverView] = Field(
        default=[],
        validation_alias=AliasPath("result", "leftovers"),
        description="Of a sweep: the first 100 that it found.",
    )
    collections: list[CollectionView] = Field(
        default=..., description="At most 50, failed and running ones first."
    )
    collection_count: int
    succeeded_count: int
    failed_count: int
    labels: dict[str, str]
    request_id: str = Field(default="", description="The idempotency key of a gRPC call.")
    retry_of: str = ""
    caller: CallerView
    revision: int = Field(default=..., description="Grows with each change.")
    owner: str = Field(
        default="", description="The service that runs it, if it is not the one that answers."
    )


class OperationPage(View):
    """Some operations, newest first."""

    operations: list[OperationView]
    next_page_token: str = Field(default="", description="Absent on the last page.")
    records_error: str = Field(
        default="",
        description="Why operations are missing that only the records tell of. Absent if none is.",
    )


class OperationResponse(Envelope):
    """One operation."""

    data: OperationView | None


class ListOperationsResponse(Envelope):
    """Some operations."""

    data: OperationPage | None


def operation_view(operation: Operation) -> OperationView:
    """Return an operation as it is shown."""
    return OperationView.model_validate(operation)
