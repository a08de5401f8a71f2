"""The pause of Milvus's garbage collection: a lease that is renewed, recorded, and always given back."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from milvus_backup_server.domain.errors import (
    BackupError,
    LeftBehind,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.operations import Operation, OperationState
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Cluster
from milvus_backup_server.service.gc_pause import end_gc_leases
from milvus_backup_server.service.tracker import Tracker
from tests.support.bodies import in_time
from tests.support.gateways import FailingGateway, GatewayDecorator
from tests.support.gc_spy import Spy, spied
from tests.support.newer import newer
from tests.support.service import LIMITS, World
from tests.support.simulator import adopt

ARCHIVE = "fx_mv_2_6_18"


def collection_ids(paused: dict[str, tuple[int, int]]) -> list[int]:
    return sorted(collection for collection, _ in paused.values())


@pytest.mark.parametrize(
    ("version", "names", "paused"),
    [
        ("2.4.23", (), [-1]),
        ("2.5.27", ("deletes",), [-1]),
        ("2.6.7", ("deletes",), [-1]),
        ("2.6.8", (), [-1]),
        ("2.6.8", ("deletes", "vecs"), [470639877490628939, 470639877490628994]),
    ],
)
async def test_a_create_pauses_and_resumes(
    version: str, names: tuple[str, ...], paused: list[int]
) -> None:
    spies: list[Spy] = []
    async with newer(version, around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        spies[0].it = it
        operation = await it.service.create("b", *names, pause_gc=True, gc_pause_seconds=77)
        assert it.simulator.management.paused == {}
        assert len(it.simulator.management.resumed) == len(paused)
    assert operation.warnings == ()
    assert [collection_ids(seen) for seen in spies[0].seen] == [paused] * len(spies[0].seen)
    assert {seconds for seen in spies[0].seen for _, seconds in seen.values()} == {77}


async def test_many_collections_are_paused_together() -> None:
    spies: list[Spy] = []
    async with newer("2.6.18", around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        found = it.milvus.databases["default"]
        for number in range(51):
            made = replace(
                found["defaults"], name=f"c{number}", collection_id=900 + number, segments=[]
            )
            found[f"c{number}"] = made
        spies[0].it = it
        await it.service.create("b", "default.*", pause_gc=True)
    assert collection_ids(spies[0].seen[0]) == [-1]


@pytest.mark.parametrize(
    ("setting", "asked", "strategy", "paused"),
    [
        (True, False, BackupStrategy.AUTO, True),
        (False, False, BackupStrategy.AUTO, False),
        (True, True, BackupStrategy.META_ONLY, False),
        (False, True, BackupStrategy.SKIP_FLUSH, True),
    ],
)
async def test_the_settings_or_the_request_ask_for_it(
    setting: bool, asked: bool, strategy: BackupStrategy, paused: bool
) -> None:
    async with newer("2.6.18", limits=replace(LIMITS, pause_gc=setting)) as it:
        await adopt(it.milvus, ARCHIVE)
        await it.service.create(pause_gc=asked, strategy=strategy)
        assert len(it.simulator.management.resumed) == paused


@pytest.mark.parametrize("version", ["2.5.27", "2.6.18"])
async def test_the_lease_is_renewed(version: str) -> None:
    spies: list[Spy] = []
    async with newer(version, around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        before = it.simulator.management
        spies[0].it = it

        async def wait() -> None:
            async with asyncio.timeout(60):
                while before.asked < 3:  # noqa: ASYNC110 - it is asked over HTTP
                    await asyncio.sleep(0.01)

        spies[0].act = wait
        await it.service.create("b", "deletes", pause_gc=True, gc_pause_seconds=1)
        assert before.paused == {}
        assert before.asked >= 3


@pytest.mark.parametrize("status", [404, 500])
async def test_what_milvus_refuses_is_a_warning_with_the_reason(status: int) -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, ARCHIVE)
        it.simulator.management.refuse = status
        operation = await it.service.create("b", "deletes", "vecs", pause_gc=True)
    (warning,) = operation.warnings
    assert warning.reason == "MILVUS_REFUSED"
    assert warning.message.startswith(
        "Milvus's garbage collection is not paused: a collection whose objects vanish meanwhile is flushed "
        "and copied anew (Milvus at http://127.0.0.1:"
    )
    assert warning.message.endswith(f": HTTP status {status}: refused with {status})")


async def test_a_management_api_that_is_not_there_is_a_warning() -> None:
    async with newer("2.6.18", management="http://127.0.0.1:1") as it:
        await adopt(it.milvus, ARCHIVE)
        operation = await it.service.create("b", "deletes", pause_gc=True)
    (warning,) = operation.warnings
    assert warning.message.endswith(
        "(Milvus at http://127.0.0.1:1 does not answer garbage_collection/pause: no connection)"
    )


async def test_a_pause_that_cannot_be_given_back_runs_out_and_that_is_said() -> None:
    spies: list[Spy] = []
    async with newer("2.6.18", around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        spies[0].it = it

        async def refuse() -> None:
            it.simulator.management.refuse = 500

        spies[0].act = refuse
        operation = await it.service.create("b", "deletes", pause_gc=True)
    (warning,) = operation.warnings
    assert warning.reason == "LEFT_BEHIND"
    assert "could not be resumed: the pause runs out by itself at 2" in warning.message


LOST = MilvusUnavailable("Milvus does not answer garbage_collection/pause", code="LOST")
REFUSED = MilvusRefused("Milvus refuses garbage_collection/pause", code="500")


@pytest.mark.parametrize(
    ("version", "error", "resumed", "said"),
    [
        ("2.5.27", LOST, [""], "may not be paused"),
        ("2.5.27", REFUSED, [], "is not paused"),
        ("2.6.18", LOST, [], "may not be paused"),  # nothing ends it without its ticket
    ],
)
async def test_a_pause_whose_answer_was_lost_is_given_back_where_it_can_be(
    version: str, error: BackupError, resumed: list[str], said: str
) -> None:
    failing: list[FailingGateway] = []

    def fail(inner: MilvusGateway) -> FailingGateway:
        failing.append(FailingGateway(inner, "pause_gc", error, after=error is LOST))
        return failing[0]

    async with newer(version, around=fail) as it:
        await adopt(it.milvus, ARCHIVE)
        operation = await it.service.create("b", "deletes", pause_gc=True)
        assert it.simulator.management.resumed == resumed
        assert len(it.simulator.management.paused) == (version == "2.6.18")
    assert failing[0].injected == 1
    (warning,) = operation.warnings
    assert warning.message.startswith(f"Milvus's garbage collection {said}: ")


async def test_leases_that_take_too_long_to_give_back_are_told() -> None:
    class Slow(GatewayDecorator):
        async def resume_gc(self, ticket: str) -> None:
            if ticket != "quick":
                await asyncio.Event().wait()

    until = datetime.now(UTC) + timedelta(minutes=1)
    leases = [GcLease(until, ticket) for ticket in ("quick", "slow", "slower")]
    tracker = Tracker(lambda: None)
    tracker.set_gc_leases(tuple(leases))
    world = World()
    await end_gc_leases(Cluster("c", Slow(world.milvus)), tracker, seconds=0.05)
    assert tracker.gc_leases == tuple(leases[1:])
    (warning,) = tracker.warnings
    assert isinstance(warning, LeftBehind)
    assert warning.message.endswith(
        f"runs out by itself at {until:%Y-%m-%d %H:%M:%S} UTC (Milvus did not answer in time)"
    )


@pytest.mark.parametrize("end", ["fail", "cancel"])
async def test_it_is_given_back_however_a_create_ends(end: str) -> None:
    spies: list[Spy] = []
    async with newer("2.6.18", around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        spies[0].it = it
        started: list[Operation] = []

        async def act() -> None:
            if end == "cancel":
                await it.service.use_cases.control.cancel(started[0].name)
                await asyncio.Event().wait()
            raise RuntimeError("out of luck")

        spies[0].act = act
        started.append(await it.service.start_create("b", "deletes", pause_gc=True))
        last = await it.service.end(started[0])
        assert it.simulator.management.paused == {}
        assert len(it.simulator.management.resumed) == 1
    assert last.state.value == {"fail": "failed", "cancel": "cancelled"}[end]


@pytest.mark.parametrize("version", ["2.5.27", "2.6.18"])
async def test_a_cancel_while_milvus_is_asked_gives_it_back(version: str) -> None:
    asked = asyncio.Event()

    class Slow(GatewayDecorator):
        async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
            ticket = await self._inner.pause_gc(seconds, collection_id)
            asked.set()
            await asyncio.sleep(0.05)  # for the answer to come
            return ticket

    async with newer(version, around=Slow) as it:
        await adopt(it.milvus, ARCHIVE)
        operation = await it.service.start_create("b", "deletes", pause_gc=True)
        await in_time(asked.wait())
        assert len(it.simulator.management.paused) == 1
        await it.service.use_cases.control.cancel(operation.name)
        last = await it.service.end(operation)
        assert last.state is OperationState.CANCELLED
        assert it.simulator.management.paused == {}
        assert len(it.simulator.management.resumed) == 1


async def test_of_two_creates_the_last_one_ends_a_pause_without_ticket() -> None:
    spies: list[Spy] = []
    async with newer("2.5.27", around=lambda inner: spied(spies, inner)) as it:
        await adopt(it.milvus, ARCHIVE)
        spies[0].it = it
        resumed: list[list[str]] = []

        async def other() -> None:
            await it.service.create("c", "vecs", pause_gc=True)
            resumed.append(list(it.simulator.management.resumed))

        spies[0].act = other
        await it.service.create("b", "deletes", pause_gc=True)
        assert resumed == [[]]
        assert it.simulator.management.resumed == [""]


def test_a_lease_runs_out() -> None:
    now = datetime.now(UTC)
    lease = GcLease(now)
    assert not lease.runs_at(now)
    assert lease.runs_at(now - timedelta(microseconds=1))
