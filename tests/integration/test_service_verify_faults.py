"""Verifications over stores that lose, damage or refuse: only what is damaged counts as damage."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from milvus_backup_server.domain.errors import (
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import (
    OperationState,
)
from milvus_backup_server.domain.verification import (
    ProblemKind,
)
from tests.support.held_calls import BACKUP_STORE, AroundStore
from tests.support.meanwhile import Meanwhile
from tests.support.recorded_requests import Requests
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, flushed, running, succeeded
from tests.support.verifications import CONTENT, data_keys, result_of, with_backup

T = TypeVar("T")


@pytest.mark.parametrize("times", [1, 2])
async def test_bytes_damaged_on_their_way_are_read_again(times: int) -> None:
    world = await with_backup()
    keys = [key for key in await world.backups() if "claim" not in key]
    for key in keys:
        requests = Requests()
        async with running(world, requests.decorators) as service:
            operation = await service.start_verify(level=CONTENT)
            requests.damage(key, times)
            succeeded(await service.end(operation))
        assert requests.damaged == times, key


@pytest.mark.parametrize("times", [1, 2])
async def test_what_tells_of_the_manifest_is_read_again(times: int) -> None:
    world, requests = await with_backup(), Requests()
    async with running(world, requests.decorators) as service:
        operation = await service.start_verify(level=CONTENT)
        requests.damage("backup/b/meta/full_meta.json", times, at=-10)
        succeeded(await service.end(operation))
    assert requests.damaged == times


async def test_an_object_that_the_store_cannot_give_is_unreadable() -> None:
    world = await with_backup()
    key = (await data_keys(world))[0]

    async def refuse() -> None:
        raise StorageRefused("the store answered: broken disk", code="InternalError")

    meanwhile = Meanwhile(BACKUP_STORE, "get", refuse, part=key)
    async with running(world, meanwhile.decorators) as service:
        operation = await service.verify(level=CONTENT)
    assert meanwhile.fired == 1
    assert operation.error is not None
    assert operation.error.reason == "BACKUP_CORRUPT"
    (problem,) = result_of(operation).problems
    assert problem.kind is ProblemKind.UNREADABLE
    assert problem.message.endswith("cannot be read: the store answered: broken disk")


async def test_bits_that_rot_in_the_store_are_found() -> None:
    world = await with_backup()
    for key in await data_keys(world):
        requests = Requests()
        requests.damage(key, 1000)
        async with running(world, requests.decorators) as service:
            problems = result_of(await service.verify(level=CONTENT)).problems
        assert [(it.key, it.kind) for it in problems] == [
            (key.removeprefix("backup/b/"), ProblemKind.CONTENT)
        ]


@pytest.mark.parametrize("failures", [8, 10**6], ids=["for a while", "for good"])
async def test_a_store_that_went_away_is_no_damage(failures: int) -> None:
    world = await with_backup()
    broken = Broken("/binlogs/", failures)
    decorators = Decorators(backup_store=lambda inner: AroundStore(inner, BACKUP_STORE, broken))
    async with running(world, decorators) as service:
        operation = await service.verify(level=CONTENT)
        assert broken.injected > 0
        assert operation.state is OperationState.INTERRUPTED
        assert operation.error is not None
        assert operation.error.metadata["cause"] == "STORAGE_UNAVAILABLE"
        assert operation.result is None
        broken.on = False
        assert (await service.catalog.get("b")).verifications == ()


class Broken:
    """A store that answers no request for a while, from the first one with a part in its key on."""

    def __init__(self, part: str, failures: int) -> None:
        self.injected = 0
        self._failures = failures
        self.on = True
        self._part = part
        self._begun = False

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T:
        self._begun |= method == "get" and self._part in subject
        if not (self.on and self._begun) or self.injected == self._failures:
            return await call()
        self.injected += 1
        raise StorageUnavailable("the store does not answer", endpoint="memory://main")


async def test_a_store_that_gives_nothing_ends_the_verification() -> None:
    world = World()
    name = await add_collection(world.milvus, "c")
    for number in range(40):
        world.milvus.insert(name, [number])
        await flushed(world.milvus, name)
    async with running(world) as service:
        await service.create("b")
    assert len(await data_keys(world)) > 101

    async def refuse() -> None:
        raise StorageDenied("no", subject="a-bucket")

    meanwhile = Meanwhile(BACKUP_STORE, "get", refuse, part="/binlogs/", times=10**6)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_verify(level=CONTENT))
    assert meanwhile.fired > 100
    assert error.reason == "STORAGE_DENIED"
