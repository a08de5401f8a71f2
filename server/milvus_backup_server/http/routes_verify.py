"""Routes that the Go tool does not have: a backup is verified, and tells when it last was."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.requests import VerifyRequest
from milvus_backup_server.domain.verification import VerifyLevel
from milvus_backup_server.http.answers import Envelope, Refusal
from milvus_backup_server.http.asked import naming
from milvus_backup_server.http.examples import NAME
from milvus_backup_server.http.operation_views import OperationResponse, operation_view
from milvus_backup_server.http.places import PLACE_NAMES, BucketQuery, PathQuery
from milvus_backup_server.http.responses import answer
from milvus_backup_server.http.routing import CALLER, ServiceRoute, Use
from milvus_backup_server.http.verification_views import (
    RememberedVerification,
    VerificationsResponse,
)

_LEVELS: Final = [level.value for level in VerifyLevel]
_MOST: Final = 2**64 - 1
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Refusal | Envelope, "description": "Refused: the body tells why."}
}
_Name = Annotated[str, Path(description="The backup.", examples=[NAME])]

router = APIRouter(route_class=ServiceRoute, prefix="/backups", tags=["Backup"], responses=_REFUSED)


@router.post("/{name}/verify", response_model=OperationResponse)
async def verify(
    *,
    use_cases: Use,
    name: _Name,
    level: Annotated[
        str,
        Query(
            description="`listing`: metadata, and presence, size and ETag of the data. `content`: also "
            "every byte of it. `restored`: also restored under temporary names, every row compared with the "
            "backup's logs, and dropped.",
            json_schema_extra={"enum": _LEVELS},
        ),
    ] = VerifyLevel.LISTING.value,
    sample_percent: Annotated[
        int,
        Query(ge=0, le=100, description="`content` reads only this share of the objects; 0: all."),
    ] = 0,
    sample_seed: Annotated[
        int, Query(ge=0, le=_MOST, description="Chooses which they are; 0: others each time.")
    ] = 0,
    collections: Annotated[
        list[str], Query(description="`restored` restores only these; none: all.")
    ] = [],  # noqa: B006
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
) -> Response:
    """Begin to compare a backup with what was recorded of it, and answer at once.

    `/operations/{name}` tells what was found, in `verification`. Nothing in the backup is changed.
    """
    wanted = VerifyRequest(
        name,
        level=_level(level),
        sample_percent=sample_percent,
        sample_seed=sample_seed,
        collections=tuple(collections),
        place=Place(bucket_name, path),
    )
    with naming(PLACE_NAMES):
        operation = await use_cases.verify.start(wanted, CALLER)
    return answer(OperationResponse(data=operation_view(operation)))


@router.get("/{name}/verifications", response_model=VerificationsResponse)
async def verifications(
    use_cases: Use, name: _Name, path: PathQuery = "", bucket_name: BucketQuery = ""
) -> Response:
    """Tell when a backup was last verified, to which level, and with what outcome."""
    with naming(PLACE_NAMES):
        backup = await use_cases.catalog.at(Place(bucket_name, path)).get(name)
    shown = [RememberedVerification.model_validate(item) for item in backup.verifications]
    return answer(VerificationsResponse(data=shown))


def _level(text: str) -> VerifyLevel:
    try:
        return VerifyLevel(text)
    except ValueError:
        expected = f"{text[:100]!r} is unknown: expected one of {', '.join(_LEVELS)}"
        raise InvalidRequest(FieldViolation("level", expected)) from None
