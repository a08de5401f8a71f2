"""A sweep of what operations left that are on record, and have notes of what they could not bring to an end."""

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.operation_log.keys import LogKeys
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.leftovers import Leftover, SweepResult
from milvus_backup_server.domain.operations import Operation, OperationState
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.claim import new_claim
from milvus_backup_server.service.operation_fates import UNREADABLE
from milvus_backup_server.service.operations import OperationLimits
from tests.support.crash_checks import temporary
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.refused_journals import NoJournals
from tests.support.replacing_restores import BACKED_UP, LATER, REPLACING, rows, with_backup
from tests.support.resumed_restores import FIELDS, left, written
from tests.support.resumed_restores import with_backup as with_copies
from tests.support.running_service import Decorators
from tests.support.service import (
    CALLER,
    Service,
    World,
    add_collection,
    keys_below,
    named,
    running,
    succeeded,
)

pytestmark = pytest.mark.usefixtures("own_disk")

REFUSED = MilvusRefused("Milvus refuses", subject="one", call="rename_collection")
SILENT = MilvusUnavailable("Milvus does not answer")
FAILED, PARTIALLY = OperationState.FAILED, OperationState.PARTIALLY_SUCCEEDED
CANCELLED = OperationState.CANCELLED
QUICK = OperationLimits(cleanup_seconds=0.05)


@pytest.fixture
def records() -> ObjectStore:
    return MemoryServer("records").store("records")


async def sweep(
    world: World, records: ObjectStore, decorators: Decorators | None = None
) -> list[tuple[str, str]]:
    """Sweep with a service that has the records of the others; return what became of which kinds."""
    found = await leftovers(world, records, decorators)
    return [(item.state.value, item.kind.value) for item in found]


async def leftovers(
    world: World, records: ObjectStore, decorators: Decorators | None = None
) -> tuple[Leftover, ...]:
    async with running(world, decorators, records=records) as service:
        operation = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        last = succeeded(await service.end(operation))
    assert isinstance(last.result, SweepResult)
    return last.result.leftovers


async def replaced(
    world: World, records: ObjectStore, refusals: int, *collections: str
) -> Operation:
    """Replace collections in a Milvus that refuses to give names."""
    refusing = Meanwhile(GATEWAY, "rename_collection", failing(REFUSED), times=refusals)
    async with running(world, refusing.decorators, records=records) as service:
        begun = await service.start_restore("b", collections=collections, **REPLACING)
        last = await service.end(begun)
    assert refusing.fired == refusals
    return last


@pytest.mark.parametrize(
    ("collections", "refusals", "state"), [(("one",), 2, FAILED), ((), 2, PARTIALLY)]
)
async def test_the_only_copy_of_what_was_replaced_gets_its_name(
    records: ObjectStore, collections: tuple[str, ...], refusals: int, state: OperationState
) -> None:
    world = await with_backup()
    last = await replaced(world, records, refusals, *collections)
    assert last.state is state
    assert "default.one" not in world.collections(), "the old one is gone"
    assert len(temporary(world)) == 1
    assert await sweep(world, records) == [("failed", "collection")], "that it stays is told"
    assert world.milvus.keys(named("one")) == BACKED_UP
    assert await left(world) == []
    assert await sweep(world, records) == []


async def test_it_stays_as_long_as_another_has_its_name(records: ObjectStore) -> None:
    world = await with_backup()
    await replaced(world, records, 2, "one")
    await add_collection(world.milvus, "one", LATER)
    for _ in range(2):
        assert await sweep(world, records) == [("failed", "collection")]
    (copy,) = temporary(world)
    assert world.milvus.keys(named(copy)) == BACKED_UP
    await world.milvus.drop_collection(named("one"))
    assert await sweep(world, records) == [("failed", "collection")]
    assert rows(world) == [BACKED_UP, LATER]
    assert await left(world) == []


async def test_without_notes_it_stays_until_it_has_its_name(records: ObjectStore) -> None:
    world = await with_backup()
    world.backup_store = store = NoJournals(world.backup_store)
    await replaced(world, records, 2, "one")
    assert store.refused > 0
    (copy,) = temporary(world)
    for _ in range(2):
        (found,) = await leftovers(world, records)
        assert (found.state.value, found.subject) == ("kept", copy)
        assert found.note == (
            "it may be all that is left of default.one, which was replaced: rename it, or drop it"
        )
    await world.milvus.rename_collection(named(copy), "one")
    assert await sweep(world, records) == []
    assert rows(world) == [BACKED_UP, LATER]


async def test_it_stays_when_milvus_is_away_during_a_cancel(records: ObjectStore) -> None:
    world = await with_backup()
    services: list[Service] = []

    async def cancelled() -> None:
        (operation,) = services[0].operations.list("", 1).items
        services[0].operations.cancel(operation.name)
        raise SILENT

    silent = Meanwhile(GATEWAY, "rename_collection", cancelled, times=999)
    async with running(world, silent.decorators, records=records, operations=QUICK) as service:
        services.append(service)
        begun = await service.start_restore("b", collections=("one",), **REPLACING)
        last = await service.end(begun)
    assert silent.fired > 1
    assert last.state is CANCELLED
    (warning,) = last.warnings
    assert "is default.one as restored, and stays" in warning.message
    assert await sweep(world, records) == [("failed", "collection")]
    assert world.milvus.keys(named("one")) == BACKED_UP
    assert await left(world) == []


async def test_the_notes_stay_while_milvus_is_away(records: ObjectStore) -> None:
    world = await with_backup()
    await replaced(world, records, 2, "one")
    down = Meanwhile(GATEWAY, "list_databases", failing(SILENT))
    assert await sweep(world, records, down.decorators) == []
    assert down.fired == 1
    assert await written(world) != []
    assert await sweep(world, records) == [("failed", "collection")]
    assert world.milvus.keys(named("one")) == BACKED_UP


async def test_what_a_failed_restore_could_not_remove_is_removed_with_all_of_it(
    records: ObjectStore,
) -> None:
    world = await with_copies(staged=True)
    imports = Meanwhile(GATEWAY, "submit_import", failing(REFUSED), times=9)
    drops = Meanwhile(GATEWAY, "drop_collection", failing(REFUSED), times=9)

    def refusing(inner: MilvusGateway) -> MilvusGateway:
        return imports.decorators.gateway(drops.decorators.gateway(inner))

    async with running(world, Decorators(gateway=refusing), records=records) as service:
        last = await service.end(await service.start_restore(**FIELDS))
    assert min(imports.fired, drops.fired) > 0
    assert last.state is FAILED
    assert len(temporary(world)) == 2
    assert await sweep(world, records) == [("removed", "collection")]
    assert await left(world) == []


@pytest.mark.parametrize("record", [b'{"format_version":99}', b"{"])
async def test_what_a_newer_service_may_work_on_is_left_alone(
    records: ObjectStore, record: bytes
) -> None:
    world = await with_copies(staged=True)
    silent = Meanwhile(GATEWAY, "submit_import", failing(SILENT), first=2)
    async with running(world, silent.decorators, records=records) as service:
        last = await service.end(await service.start_restore(**FIELDS))
    assert last.state is OperationState.INTERRUPTED
    (key,) = [key for key in await keys_below(records) if key.endswith(f"/{last.name}.json")]
    await records.put(key, record)
    before = await left(world)
    found = await leftovers(world, records)
    assert [(item.state.value, item.kind.value, item.note) for item in found] == [
        ("kept", "collection", UNREADABLE),
        ("kept", "staging", UNREADABLE),
    ]
    assert await left(world) == before


async def test_half_backups_whose_record_cannot_be_read_stay(records: ObjectStore) -> None:
    world, operation = await with_backup(), "20200101t000000_0123abcd"
    claim = new_claim(operation, 1).data
    await world.backup_store.put("backup/half/meta/claim.json", claim)
    record = LogKeys("records").operation(operation)
    await records.put(record, b'{"format_version":99}')
    before = await world.backups()
    assert await sweep(world, records) == []
    assert await world.backups() == before
    await records.delete([record])
    assert await sweep(world, records) == [("removed", "backup")]
