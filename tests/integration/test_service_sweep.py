"""A sweep finds what operations left behind, tells of it, and removes it on request; nothing else."""

import asyncio
import fcntl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import (
    InvalidRequest,
    MilvusUnavailable,
    OperationConflict,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.leftovers import LeftoverState, SweepResult
from milvus_backup_server.domain.operation_record import OperationRecord, Owner
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationKind,
    OperationState,
    Phase,
)
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.claim import new_claim
from milvus_backup_server.service.operations import OperationLimits
from tests.support.crash_checks import OTHER, world_with
from tests.support.fixtures import put_backup
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    CALLER,
    Service,
    World,
    add_collection,
    named,
    running,
    succeeded,
)
from tests.support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("own_disk")

OLD = "20200101t000000_0123abcd"
"""An operation of long ago."""
NEW = "29990101t000000_0123abcd"
OLD_TIME = datetime(2020, 1, 1, tzinfo=UTC)
CREATE, RESTORE = OperationKind.CREATE_BACKUP, OperationKind.RESTORE_BACKUP
FAILED, INTERRUPTED = OperationState.FAILED, OperationState.INTERRUPTED
RUNNING = OperationState.RUNNING


@dataclass
class Place:
    """A world with whole backups, and the records of its operations."""

    world: World
    records: ObjectStore

    async def record(self, name: str, state: OperationState, kind: OperationKind = CREATE) -> None:
        """Put an operation on record, which a service that lives on has."""
        log, owner = StoreOperationLog(self.records, "records"), Owner("0123456789abcdef")
        now = datetime.now(UTC)
        operation = Operation(name, kind, state, "b", now, Caller(), end_time=now)
        await log.create(
            OperationRecord(operation, Footprint(kind, "b"), None, owner, accepted=True)
        )
        await log.beat(owner)

    async def torso(self, operation: str, name: str = "b") -> None:
        """Put what a create left that ended before its time."""
        claim = new_claim(operation, 1).data
        for key, data in {"meta/claim.json": claim, "binlogs/insert_log/1/2/3/3/0/5": b"x"}.items():
            await self.world.backup_store.put(f"backup/{name}/{key}", data)
        plans = f"backup/.milvus-backup/plans/{operation}/1/plan.json"
        await self.world.backup_store.put(plans, b"{}")

    async def everything(self) -> tuple[object, ...]:
        """Return all there is."""
        world = self.world
        keys = await world.backups(), await world.staged(), await world.uploads()
        return *keys, world.collections()


@pytest.fixture
async def place() -> Place:
    world = await world_with("whole", OTHER)
    await put_backup(world.backup_store, "backup", "fx_go_0_4_30", name="go")
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3_groups", name="legacy", legacy=True)
    for key in ("gotorso/meta/backup_meta.json", "foreign/anything", "readme.txt"):
        await world.backup_store.put(f"backup/{key}", b"{}")
    await world.backup_store.start_upload("backup/whole/elsewhere")
    await world.backup_store.start_upload("somebody/else")
    return Place(world, MemoryServer("records").store("records"))


async def sweep(service: Service, *, apply: bool = True, age: int = 0) -> SweepResult:
    request = SweepRequest(apply, age)
    operation = await service.use_cases.sweep.start(request, CALLER)
    last = succeeded(await service.end(operation))
    assert isinstance(last.result, SweepResult)
    return last.result


def told(result: SweepResult) -> list[tuple[str, str, str]]:
    return [(item.state.value, item.kind.value, item.subject) for item in result.leftovers]


async def test_where_nothing_was_left_nothing_is_found_or_changed(place: Place) -> None:
    before = await place.everything()
    async with running(place.world, records=place.records) as service:
        result = await sweep(service)
    assert (told(result), result.count) == ([], 0)
    assert await place.everything() == before


@pytest.mark.parametrize(
    ("operation", "state", "age", "found"),
    [
        (OLD, FAILED, 0, True),
        (OLD, OperationState.CANCELLED, 0, True),
        (OLD, FAILED, 3600, False),  # written just now
        (OLD, RUNNING, 0, False),
        (OLD, OperationState.CANCELLING, 0, False),
        (OLD, OperationState.PENDING, 0, False),
        (OLD, None, 0, True),  # its record was forgotten
        (NEW, None, 3600, False),
        ("no_operation", None, 0, False),
        ("", None, 0, False),
    ],
)
async def test_half_backups(
    place: Place, operation: str, state: OperationState | None, age: int, *, found: bool
) -> None:
    whole = await place.everything()
    await place.torso(operation)
    if state is not None:
        await place.record(operation, state)
    half = await place.everything()
    wanted = ["b", f"backup/.milvus-backup/plans/{operation}/"] if found else []
    async with running(place.world, records=place.records) as service:
        result = await sweep(service, apply=False, age=age)
        assert [item.subject for item in result.leftovers] == wanted
        assert {item.state for item in result.leftovers} <= {LeftoverState.FOUND}
        assert await place.everything() == half
        result = await sweep(service, apply=True, age=age)
    assert await place.everything() == (whole if found else half)
    if found:
        assert (result.applied, result.leftovers[0].object_count) == (True, 2)
        assert result.by_state[LeftoverState.REMOVED] >= 1


@pytest.mark.parametrize("claim", [b"", b"{}", b"[1]", b"\xff"], ids=repr)
async def test_a_claim_that_names_nobody_is_left_alone(place: Place, claim: bytes) -> None:
    await place.world.backup_store.put("backup/b/meta/claim.json", claim)
    before = await place.everything()
    async with running(place.world, records=place.records) as service:
        assert told(await sweep(service)) == []
    assert await place.everything() == before


async def test_a_half_backup_with_something_foreign_in_it_is_left_alone(place: Place) -> None:
    await place.torso(OLD)
    await place.record(OLD, FAILED)
    await place.world.backup_store.put("backup/b/notes.txt", b"mine")
    async with running(place.world, records=place.records) as service:
        assert [it[1] for it in told(await sweep(service))] == ["plan"]
    assert await place.world.backup_store.head("backup/b/binlogs/insert_log/1/2/3/3/0/5")


@pytest.mark.parametrize(
    ("state", "expected"),
    [(FAILED, "removed"), (RUNNING, ""), (INTERRUPTED, ""), (None, "kept")],
)
async def test_what_a_restore_left_in_milvus(
    place: Place, state: OperationState | None, expected: str
) -> None:
    world, before = place.world, await place.everything()
    staging = f"files/milvus-backup-staging/{OLD}/"
    await world.milvus_store.put(f"{staging}binlogs/x", b"x")
    await world.milvus_store.start_upload(f"{staging}binlogs/y")
    await add_collection(world.milvus, f"shop._mbtmp_{OLD}_0")
    await add_collection(world.milvus, "_mbtmp_mine")  # not a name that we give
    if state is not None:
        await place.record(OLD, state, RESTORE)
    left = await place.everything()
    async with running(world, records=place.records) as service:
        result = await sweep(service, age=3600 if state is INTERRUPTED else 0)
    names = [("collection", f"shop._mbtmp_{OLD}_0"), ("staging", staging)]
    assert told(result) == ([(expected, *name) for name in names] if expected else [])
    await world.milvus.drop_collection(named("_mbtmp_mine"))
    if expected == "removed":
        assert await place.everything() == before
    else:
        assert (await place.everything())[:3] == left[:3]


@pytest.mark.parametrize(
    ("state", "found"), [(FAILED, True), (None, True), (RUNNING, False), (INTERRUPTED, False)]
)
async def test_the_journal_of_a_restore_that_ended(
    place: Place, state: OperationState | None, *, found: bool
) -> None:
    key = f"backup/.milvus-backup/restores/{OLD}/head.000001.json"
    before = await place.everything()
    await place.world.backup_store.put(key, b"{}")
    if state is not None:
        await place.record(OLD, state, RESTORE)
    async with running(place.world, records=place.records) as service:
        # An interrupted one is old enough to be cancelled, but for this look.
        result = await sweep(service, age=3600 if state is INTERRUPTED else 0)
    assert told(result) == ([("removed", "plan", key.removesuffix("head.000001.json"))] * found)
    left = [it for it in await place.world.backups() if "/restores/" in it]
    assert left == ([] if found else [key])
    assert (await place.everything() == before) is found


async def interrupted(place: Place) -> str:
    gate = PhaseGate(Phase.COPYING, number=3)
    async with running(place.world, gate.decorators, records=place.records) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
        stopping = asyncio.create_task(service.operations.drain(0))
        await asyncio.sleep(0.01)
        gate.opened.set()
        await stopping
    return operation.name


async def test_an_interrupted_create_is_cancelled_when_it_is_old_enough(place: Place) -> None:
    before = await place.everything()
    name = await interrupted(place)
    half = await place.everything()
    async with running(place.world, records=place.records, generation=2) as service:
        assert told(await sweep(service, age=3600)) == []
        assert await place.everything() == half
        assert told(await sweep(service)) == [("removed", "operation", "b")]
        assert (await service.use_cases.directory.get(name)).state is OperationState.CANCELLED
        assert told(await sweep(service)) == []
    assert await place.everything() == before


@pytest.mark.parametrize("silent_since", [None, OLD_TIME], ids=["it vanished now", "long ago"])
async def test_the_age_of_what_vanished_counts_from_its_last_sign(
    place: Place, silent_since: datetime | None
) -> None:
    log, footprint = StoreOperationLog(place.records, "records"), Footprint(CREATE, "b")
    begun_long_ago = Operation(OLD, CREATE, RUNNING, "b", OLD_TIME, Caller())
    written = silent_since or datetime.now(UTC)
    gone = Owner("0123456789abcdef")
    record = OperationRecord(begun_long_ago, footprint, None, gone, accepted=True, written=written)
    await log.create(record)
    async with running(place.world, records=place.records) as service:
        found = told(await sweep(service, age=3600))
        ends = [it.end_time for it in await service.use_cases.directory.interrupted()]
    assert found == ([("removed", "operation", "b")] if silent_since else [])
    assert ends == ([] if silent_since else [written])


async def test_a_sweep_in_the_only_place_cancels_what_was_interrupted(place: Place) -> None:
    before = await place.everything()
    await interrupted(place)
    alone = OperationLimits(concurrent=1, cleanup_seconds=0.1)
    async with running(place.world, operations=alone, records=place.records) as service:
        assert told(await sweep(service)) == [("removed", "operation", "b")]
    assert await place.everything() == before


async def test_what_could_not_be_taken_back_now_is_not_told_as_removed(place: Place) -> None:
    await interrupted(place)
    half = await place.everything()
    down = Meanwhile(BACKUP_STORE, "get", failing(StorageUnavailable("down")), part="b/meta/claim")
    async with running(place.world, down.decorators, records=place.records) as service:
        (item,) = (await sweep(service)).leftovers
        assert down.fired == 1
        assert (item.state, item.note[:4]) == (LeftoverState.FAILED, "down")
        assert await place.everything() == half
        assert told(await sweep(service)) == [("removed", "operation", "b")]


async def test_what_another_service_works_on_is_left_alone(place: Place) -> None:
    gate = PhaseGate(Phase.COPYING, number=3)
    async with running(place.world, gate.decorators, records=place.records) as busy:
        gate.operations = busy.operations
        operation = await busy.start_create("b")
        await gate.wait()
        await place.world.backup_store.start_upload("backup/b/binlogs/x")
        before = await place.world.backups()
        async with running(place.world, records=place.records, generation=2) as service:
            assert told(await sweep(service)) == []
        # It goes on with its other collection meanwhile; nothing of it goes.
        assert set(before) <= set(await place.world.backups())
        assert "backup/b/binlogs/x" in await place.world.uploads()
        gate.opened.set()
        succeeded(await busy.end(operation))


async def test_uploads_of_the_dead_are_aborted(place: Place) -> None:
    before = await place.everything()
    await place.torso(OLD)
    await place.record(OLD, FAILED)
    await place.world.backup_store.start_upload("backup/b/binlogs/x")
    await place.world.backup_store.start_upload("backup/unclaimed/binlogs/x")
    async with running(place.world, records=place.records) as service:
        shown = told(await sweep(service, apply=False))
        assert ("found", "upload", "backup/b/binlogs/x") in shown
        await sweep(service)
    assert set(await place.world.uploads()) == {
        "backup/unclaimed/binlogs/x",
        "backup/whole/elsewhere",
        "somebody/else",
    }
    assert (await place.everything())[0] == before[0]


async def test_spools_of_processes_that_ended_are_removed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("milvus-backup-dead", "milvus-backup-live"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in-use").write_bytes(b"")
        (tmp_path / name / "0").write_bytes(b"lines")
    (tmp_path / "milvus-backup-other").mkdir()
    with (tmp_path / "milvus-backup-live" / "in-use").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with running(place.world, records=place.records) as service:
            assert told(await sweep(service, age=3600)) == []
            assert told(await sweep(service)) == [
                ("removed", "spool", str(tmp_path / "milvus-backup-dead"))
            ]
    left = await asyncio.to_thread(lambda: {it.name for it in tmp_path.iterdir()})
    assert left == {"milvus-backup-live", "milvus-backup-other"}


async def test_what_cannot_be_looked_at_or_removed_is_told(place: Place) -> None:
    await place.torso(OLD)
    await place.record(OLD, FAILED)
    down = Meanwhile(
        GATEWAY, "list_databases", failing(MilvusUnavailable("down", address="x")), times=9
    )

    def refusing(inner: ObjectStore) -> FailingStore:
        store = FailingStore(down.decorators.backup_store(inner))
        store.fail("delete", StorageDenied("not allowed"))
        return store

    around = Decorators(gateway=down.decorators.gateway, backup_store=refusing)
    async with running(place.world, around, records=place.records) as service:
        operation = await service.use_cases.sweep.start(
            SweepRequest(apply=True, min_age_seconds=0), CALLER
        )
        last = succeeded(await service.end(operation))
    assert [warning.message for warning in last.warnings] == ["down"]
    assert isinstance(last.result, SweepResult)
    assert [(it.state, it.note) for it in last.result.leftovers] == [
        (LeftoverState.FAILED, "not allowed"),
        (LeftoverState.FAILED, "not allowed"),
    ]


async def test_more_than_a_result_can_name_are_counted(place: Place) -> None:
    for number in range(105):
        await place.world.backup_store.put(
            f"backup/.milvus-backup/plans/20200101t000000_{number:08x}/1/plan.json", b"{}"
        )
    async with running(place.world, records=place.records) as service:
        result = await sweep(service)
    assert (len(result.leftovers), result.count) == (100, 105)


@pytest.mark.parametrize("age", [-1, 10**12])
async def test_an_age_that_is_none_is_refused(place: Place, age: int) -> None:
    async with running(place.world, records=place.records) as service:
        with pytest.raises(InvalidRequest) as refused:
            await service.use_cases.sweep.start(SweepRequest(min_age_seconds=age), CALLER)
    assert [it.field for it in refused.value.violations] == ["min_age"]


async def test_two_sweeps_do_not_run_at_once(place: Place) -> None:
    held = Meanwhile(GATEWAY, "list_databases", asyncio.Event().wait)
    async with running(place.world, held.decorators, records=place.records) as service:
        first = await service.use_cases.sweep.start(SweepRequest(), CALLER)
        with pytest.raises(OperationConflict):
            await service.use_cases.sweep.start(SweepRequest(), CALLER)
        await service.use_cases.control.cancel(first.name)
