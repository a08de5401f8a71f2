"""A sweep of what interrupted operations left whose records are not kept any more: their notes tell whose it is."""

import asyncio

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable, StorageDenied
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.replacing_restores import BACKED_UP, LATER, rows, stopped_while_replacing
from tests.support.resumed_restores import FIELDS, left, refused_by_milvus, with_backup, written
from tests.support.running_service import Decorators
from tests.support.service import CALLER, World, running, succeeded
from tests.support.stores import FailingStore
from tests.support.verifications import RESTORED

pytestmark = pytest.mark.usefixtures("own_disk")

REFUSED = MilvusRefused("Milvus refuses", subject="x", call="drop_collection")


async def sweep(
    world: World, decorators: Decorators | None = None, *, apply: bool = True, age: int = 0
) -> list[tuple[str, str]]:
    """Sweep by a service on whose records nothing is; return what became of which kinds."""
    records = MemoryServer("records").store("records")
    async with running(world, decorators, records=records) as service:
        request = SweepRequest(apply, age)
        operation = await service.use_cases.sweep.start(request, CALLER)
        last = succeeded(await service.end(operation))
    assert isinstance(last.result, SweepResult)
    return [(item.state.value, item.kind.value) for item in last.result.leftovers]


async def test_a_forgotten_restore_is_undone() -> None:
    world = await with_backup(staged=True)
    whole = world.collections()
    await refused_by_milvus(world, "submit_import", 2)
    before = await left(world)
    kinds = ["collection", "staging", "plan"]
    assert await sweep(world, age=3600) == [], "it is not old enough"
    assert await sweep(world, apply=False) == [("found", kind) for kind in kinds]
    assert await left(world) == before
    assert await sweep(world) == [("removed", "collection")], "and with it all of the restore"
    assert await left(world) == []
    assert world.collections() == whole


async def test_an_import_that_it_left_running_is_waited_for() -> None:
    world = await with_backup(staged=True)
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        await service.start_restore(**FIELDS)
        await until(lambda: len(world.milvus.imports.jobs) == 1)
    calls = Meanwhile(GATEWAY, "none", asyncio.Event().wait)
    sweeping = asyncio.create_task(sweep(world, calls.decorators))
    await until(lambda: any(method == "import_job" for _, method, _ in calls.calls))
    assert len(temporary(world)) == 1
    assert await world.staged() != []
    world.milvus.imports.gate.set()
    await sweeping
    assert await left(world) == []


async def test_while_milvus_is_away_the_journal_that_tells_whose_it_is_stays() -> None:
    world = await with_backup()
    await refused_by_milvus(world, "submit_import", 2)
    down = Meanwhile(GATEWAY, "list_databases", failing(MilvusUnavailable("down")))
    assert await sweep(world, down.decorators) == []
    assert down.fired == 1
    assert await written(world) != []
    assert await sweep(world) == [("removed", "collection")]
    assert await left(world) == []


async def test_what_could_not_be_undone_now_can_be_later() -> None:
    world = await with_backup(staged=True)
    await refused_by_milvus(world, "submit_import", 2)
    down = Meanwhile(GATEWAY, "version", failing(MilvusUnavailable("down")), times=2)
    assert await sweep(world, down.decorators) == [("failed", "collection"), ("failed", "staging")]
    assert down.fired == 2
    assert await written(world) != []
    assert await sweep(world) == [("removed", "collection")]
    assert await left(world) == []


async def test_a_collection_that_could_not_be_dropped_is_not_forgotten() -> None:
    world = await with_backup(staged=True)
    await refused_by_milvus(world, "submit_import", 2)
    refusing = Meanwhile(GATEWAY, "drop_collection", failing(REFUSED))
    assert await sweep(world, refusing.decorators) == [("failed", "collection")]
    assert refusing.fired == 1
    assert await written(world) != []
    assert await sweep(world) == [("removed", "collection")]
    assert await left(world) == []


async def test_what_a_verification_could_not_drop_is_not_forgotten() -> None:
    world = await with_backup(staged=True)
    refusing = Meanwhile(GATEWAY, "drop_collection", failing(REFUSED), times=2)
    async with running(world, refusing.decorators) as service:
        last = await service.verify(level=RESTORED)
    assert refusing.fired == 2
    assert [warning.reason for warning in last.warnings] == ["LEFT_BEHIND"]
    assert len(temporary(world)) == 1
    assert await written(world) != []
    assert await sweep(world) == [("removed", "collection")]
    assert await left(world) == []


async def test_copies_that_could_not_be_removed_are_not_forgotten() -> None:
    world = await with_backup(staged=True)
    await refused_by_milvus(world, "submit_import", 2)

    def refusing(inner: ObjectStore) -> FailingStore:
        store = FailingStore(inner)
        store.fail("delete", StorageDenied("not allowed"))
        return store

    told = await sweep(world, Decorators(milvus_store=refusing))
    assert told == [("failed", "collection"), ("failed", "staging")]
    assert temporary(world) == []
    assert await written(world) != []
    assert await sweep(world) == [("removed", "staging")]
    assert await left(world) == []


async def test_what_is_all_that_is_left_of_a_collection_gets_its_name() -> None:
    world, _ = await stopped_while_replacing()
    assert "default.one" not in world.collections()
    assert await sweep(world) == [("failed", "collection")], "that it stays is told"
    assert rows(world) == [BACKED_UP, LATER]
    assert temporary(world) == []
