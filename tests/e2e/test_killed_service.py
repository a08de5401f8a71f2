"""The service's process is killed at random changes of a create, a restore and a delete, and goes on exactly."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client import BackupClient
from tests.support.collection_builder import Dataset
from tests.support.datasets import make_versioned
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.faults import KillSwitch
from tests.support.milvus_proxy import MilvusProxy
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.s3_proxy import S3Proxy
from tests.support.service_process import SOON_LOST, Process, Values, serving, until
from tests.support.traces import Inspector

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.torture,
    pytest.mark.xdist_group("milvus-one"),
    pytest.mark.timeout(600),
]

NAMES = ("killed_one", "killed_two")
SEEDS = range(6)
SECONDS = 120
# Changes of stores and of Milvus that each takes at least, with those of its record.
LEAST = {"create": 20, "restore": 25, "delete": 5}

Begin = Callable[[BackupClient], Awaitable[pb.Operation]]


@dataclass
class Rig:
    """A service that reaches everything through proxies, one of which kills it.

    Attributes:
        kills: when it was killed, for whoever reads why a test failed.
    """

    values: Values
    store: S3Proxy
    milvus: MilvusProxy
    directory: Path
    chance: random.Random
    kills: list[str] = field(default_factory=list)

    async def killed(self, what: str, begin: Begin) -> pb.Operation:
        """Begin an operation in a service that is killed before or after a change that it makes."""
        at = self.chance.randint(2, LEAST[what])
        async with serving(self.values, self.directory, **SOON_LOST) as service:
            operation = await begin(service.client)
            switch = KillSwitch(
                at=at,
                after=self.chance.random() < 0.5,
                kill=lambda: service.child.send_signal(signal.SIGKILL),
            )
            self.store.switch = self.milvus.switch = switch

            async def dead() -> bool:
                return switch.dead

            async with asyncio.timeout(SECONDS):
                await until(dead)
        self.store.switch = self.milvus.switch = KillSwitch(at=0)
        self.kills.append(f"{what}: {'after' if switch.after else 'before'} {switch.seen[-1]}")
        return operation

    async def ends(self, what: str, begin: Begin) -> pb.Operation:
        """Kill the service in an operation, start another one, go on, and return how it ends."""
        begun = await self.killed(what, begin)
        at_start = self.chance.random() < 0.5
        operations = {**SOON_LOST["operations"], "resumeAtStart": at_start}
        async with serving(self.values, self.directory, operations=operations) as service:
            async with asyncio.timeout(SECONDS):
                if not at_start:
                    await self._interrupted(service, begun.name)
                    await service.client.resume_operation(begun.name)
                last = await self._ended(service, begun.name)
                if "delete it again" in last.error.message:  # nothing was noted, nor removed
                    assert "before" in self.kills[-1]
                    last = await service.client.wait(await begin(service.client))
        assert last.state == pb.OPERATION_STATE_SUCCEEDED, (self.kills, last)
        return last

    async def _interrupted(self, service: Process, name: str) -> None:
        async def found() -> bool:
            operation = await service.client.get_operation(name)
            assert operation.state in {pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_INTERRUPTED}
            return operation.state == pb.OPERATION_STATE_INTERRUPTED

        await until(found)

    async def _ended(self, service: Process, name: str) -> pb.Operation:
        last = pb.Operation()

        async def ended() -> bool:
            last.CopyFrom(await service.client.get_operation(name))
            return last.HasField("end_time") and last.state != pb.OPERATION_STATE_INTERRUPTED

        await until(ended)
        return last


@asynccontextmanager
async def rig(environment: Environment, directory: Path, seed: int) -> AsyncIterator[Rig]:
    root = f"killed_{seed}"
    values = service_settings(environment.seaweed, environment.milvus, backup_root=root)
    async with (
        S3Proxy(environment.seaweed.port, seed=seed) as store,
        MilvusProxy(environment.milvus.address, seed=seed) as milvus,
    ):
        values["milvus"]["grpc"]["port"] = milvus.port
        for whose in ("milvus", "backup"):
            values[whose]["storage"]["port"] = store.port
        yield Rig(values, store, milvus, directory, random.Random(seed))


@pytest.fixture(scope="module")
def datasets(environment: Environment) -> list[Dataset]:
    return [make_versioned(environment.milvus.uri, name, range(200)) for name in NAMES]


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_killed_goes_on_to_exactly_the_rows(
    environment: Environment, datasets: list[Dataset], tmp_path: Path, seed: int
) -> None:
    suffix = f"_{seed}"
    with Inspector(environment.seaweed, environment.milvus) as inspector:
        before = inspector.traces()
        async with rig(environment, tmp_path, seed) as setting:
            await setting.ends("create", lambda it: it.create_backup("b", collections=NAMES))
            await setting.ends("restore", lambda it: it.restore_backup("b", suffix=suffix))
            for dataset in datasets:
                rows = await asyncio.to_thread(
                    fetch_rows, environment.milvus.uri, "default", dataset.collection + suffix
                )
                assert_same_rows(dataset.rows, rows)
            await setting.ends("delete", lambda it: it.delete_backup("b"))
            assert len(setting.kills) == 3
        after = inspector.traces()
    assert after.keys == before.keys, setting.kills
    assert after.uploads == before.uploads
    assert after.collections - before.collections == {f"default.{it}{suffix}" for it in NAMES}
    kept = f"killed_{seed}/.milvus-backup/"
    for notes in ("plans/", "restores/"):
        assert list(environment.seaweed.objects.keys(BACKUP_BUCKET, kept + notes)) == []
