"""Going on with a restore or a verification, or undoing it, after the service that ran it is gone."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.operation_record import NOBODY, OperationRecord
from milvus_backup_server.domain.operations import (
    Operation,
    OperationKind,
    OperationState,
    Result,
)
from milvus_backup_server.domain.requests import RestoreRequest, VerifyRequest
from milvus_backup_server.service.resuming import Continuation
from milvus_backup_server.service.running import Body
from milvus_backup_server.service.tracker import Tracker
from tests.support.crash_checks import temporary
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.sample import ROWS, fill
from tests.support.service import CALLER, INDEX, Service, World, keys_below, named, running

_JOURNALS = "backup/.milvus-backup/restores/"


def interrupted(name: str, attempt: int = 1, **fields: Any) -> OperationRecord:
    """Return the record of an interrupted restore of the backup `b`.

    Args:
        name: the operation.
        attempt: how often it ran.
        fields: of the request.
    """
    kind, state = OperationKind.RESTORE_BACKUP, OperationState.INTERRUPTED
    operation = Operation(name, kind, state, "b", datetime.now(UTC), CALLER)
    request = RestoreRequest("b", **fields)
    return OperationRecord(operation, Footprint(kind, "b"), request, NOBODY, attempt, accepted=True)


def interrupted_verification(name: str, **fields: Any) -> OperationRecord:
    """Return the record of an interrupted verification of the backup `b`."""
    kind, state = OperationKind.VERIFY_BACKUP, OperationState.INTERRUPTED
    operation = Operation(name, kind, state, "b", datetime.now(UTC), CALLER)
    request = VerifyRequest("b", **fields)
    return OperationRecord(operation, Footprint(kind, "b"), request, NOBODY, accepted=True)


async def _resumed(service: Service, record: OperationRecord) -> Continuation:
    return await service.use_cases.control.resumers[record.footprint.kind](record)


async def resume(service: Service, record: OperationRecord) -> Operation:
    """Check, go on with an operation, and return how it ends."""
    continuation = await _resumed(service, record)
    assert continuation.check is not None
    await continuation.check()
    return await _restarted(service, record, OperationState.PENDING, continuation.go_on)


async def undo(service: Service, record: OperationRecord) -> Operation:
    """Cancel an interrupted operation, and return how it ends."""
    undoing = (await _resumed(service, record)).undo
    assert undoing is not None

    async def body(tracker: Tracker) -> Result:
        await undoing(tracker)
        raise asyncio.CancelledError

    return await _restarted(service, record, OperationState.CANCELLING, body)


async def _restarted(
    service: Service, record: OperationRecord, state: OperationState, body: Body
) -> Operation:
    operation = replace(record.operation, state=state)
    next_attempt = replace(record, operation=operation, attempt=record.attempt + 1)
    return await service.end(service.operations.restart(next_attempt, None, body))


# --- a restore of two collections, and what it leaves

FIELDS: dict[str, Any] = {"suffix": "_r", "restore_indexes": True}
RECORDS = "backup/.milvus-backup/"

DOWN_NOW = MilvusUnavailable("it is down")


async def with_backup(*, staged: bool = False) -> World:
    world = World(backup_bucket="b-bucket") if staged else World()
    await fill(world)
    for name in ROWS:
        await world.milvus.create_index(named(name), INDEX)
    async with running(world) as service:
        await service.create("b")
    return world


class Begun:
    """Begins a restore and keeps its name."""

    def __init__(self, fields: Mapping[str, Any] = FIELDS) -> None:
        """Choose the fields of the request."""
        self.name = ""
        self._fields = fields

    async def __call__(self, service: Service) -> Operation:
        operation = await service.start_restore(**self._fields)
        self.name = operation.name
        return operation


async def written(world: World) -> list[str]:
    """Return the keys of journals."""
    return await keys_below(world.backup_store, f"{RECORDS}restores/")


async def left(world: World) -> list[str]:
    return [*temporary(world), *await world.staged(), *await world.uploads(), *await written(world)]


async def silent(world: World, silence: Meanwhile) -> Operation:
    begun = Begun()
    async with running(world, silence.decorators) as service:
        last = await service.end(await begun(service))
    assert silence.fired > 0
    return last


async def refused_by_milvus(world: World, method: str, first: int = 1) -> Operation:
    """Interrupt a restore in a call of Milvus."""
    return await silent(world, Meanwhile(GATEWAY, method, failing(DOWN_NOW), first=first))
