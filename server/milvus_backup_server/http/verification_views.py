"""Verifications as our own routes show them: what the gRPC contract tells, enums by their names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import AliasPath, BeforeValidator, Field

from milvus_backup_server.domain.verification import (
    SHOWN_PROBLEMS,
    ProblemKind,
    VerifyBasis,
    VerifyLevel,
    VerifyResult,
)
from milvus_backup_server.http.answers import Envelope
from milvus_backup_server.http.views import View, name_of, names


def _first(value: Sequence[object]) -> Sequence[object]:
    return value[:SHOWN_PROBLEMS]


def _verification(value: object) -> object:
    return value if isinstance(value, VerifyResult) else None


LevelName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(VerifyLevel)]
BasisName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(VerifyBasis)]
ProblemKindName: TypeAlias = Annotated[str, BeforeValidator(name_of), names(ProblemKind)]


class RowDifferenceView(View):
    """How the rows of a restored partition differ from those of the backup's logs."""

    partition: str = Field(default="", description="Empty: of the whole collection.")
    missing: int
    extra: int
    different: int
    missing_keys: list[str] = Field(default=..., description="The first 5; so with the others.")
    extra_keys: list[str]
    different_keys: list[str]
    unfit: int = Field(
        default=...,
        description="Rows of the backup with values that are none of their fields' types, or null "
        "where nothing may be.",
    )
    unfit_keys: list[str]
    unfit_fields: list[str] = Field(default=..., description="The first 5 fields of these values.")


class ProblemView(View):
    """Something of a backup that is not as it should be; the contract's Problem."""

    key: str = Field(default=..., description="Relative to the backup's directory.")
    kind: ProblemKindName
    message: str
    database: str = Field(default="", validation_alias=AliasPath("collection", "database"))
    collection: str = Field(default="", validation_alias=AliasPath("collection", "name"))
    rows: RowDifferenceView | None = Field(
        default=None, description="Of kind `ROWS`, or of rows that are `UNREADABLE`."
    )


class VerificationView(View):
    """What a verification found, beside the counts."""

    level: LevelName
    basis: BasisName
    sound: bool
    sample_percent: int = Field(default=..., validation_alias=AliasPath("sample", "percent"))
    sample_seed: int = Field(default=..., validation_alias=AliasPath("sample", "seed"))
    problem_count: int
    problems: Annotated[list[ProblemView], BeforeValidator(_first)] = Field(
        default=..., description=f"The first {SHOWN_PROBLEMS}."
    )
    notes: list[str]


Verified: TypeAlias = Annotated[VerificationView | None, BeforeValidator(_verification)]


class RememberedVerification(View):
    """A verification of a backup, as it is remembered."""

    level: LevelName
    sample_percent: int
    restored_collections: int
    some_collections: bool = Field(
        default=False, validation_alias="some", description="Not all of the backup were restored."
    )
    end_time: datetime
    problem_count: int
    operation: str = Field(default=..., description="It may be forgotten.")


class VerificationsResponse(Envelope):
    """The last verification of each level, the newest first."""

    data: list[RememberedVerification] | None
