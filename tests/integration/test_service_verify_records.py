"""What is remembered of verifications, what is refused, and what may run beside one."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import (
    BackupNotFound,
    BackupNotRestorable,
    InvalidRequest,
    OperationConflict,
    StorageDenied,
)
from milvus_backup_server.domain.operations import (
    OperationState,
)
from tests.support.held_calls import BACKUP_STORE, Gate, Gates, around_all
from tests.support.meanwhile import Meanwhile
from tests.support.service import World, running, succeeded
from tests.support.verifications import CONTENT, LISTING, RECORD, data_keys, with_backup

T = TypeVar("T")


# --- what is remembered


async def test_the_last_verification_of_each_level_is_shown() -> None:
    world = await with_backup()
    async with running(world) as service:
        assert (await service.catalog.get("b")).verifications == ()
        names = [
            (await service.verify(level=LISTING)).name,
            (await service.verify(level=CONTENT)).name,
            (await service.verify(level=CONTENT, sample_percent=10)).name,
            (await service.verify(level=LISTING)).name,
        ]
        shown = (await service.catalog.get("b")).verifications
        assert [(it.level, it.sample_percent, it.problem_count, it.operation) for it in shown] == [
            (LISTING, 100, 0, names[3]),
            (CONTENT, 10, 0, names[2]),
            (CONTENT, 100, 0, names[1]),
        ]
        (listed,) = (await service.catalog.list("", 10, full=False)).items
        assert listed.verifications == shown
        await world.backup_store.delete([(await data_keys(world))[0]])
        await service.verify(level=CONTENT)
        assert (await service.catalog.get("b")).verifications[0].problem_count == 1


async def test_another_backup_of_the_name_is_not_verified() -> None:
    world = await with_backup()
    async with running(world) as service:
        await service.verify(level=CONTENT)
        record = await world.backup_store.get(RECORD)
        await service.delete("b")
        assert await world.backups() == []
        await world.backup_store.put(RECORD, record)  # as if the delete had not reached it
    async with running(world, generation=2) as service:
        await service.create("b")
        assert (await service.catalog.get("b")).verifications == ()
        await service.verify(level=LISTING)
        shown = (await service.catalog.get("b")).verifications
        assert [it.level for it in shown] == [LISTING]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"verifications":[{"level":"x"}]}', b'{"format_version":2}']
)
async def test_a_record_that_cannot_be_read_counts_as_none(data: bytes) -> None:
    world = await with_backup()
    await world.backup_store.put(RECORD, data)
    async with running(world) as service:
        assert (await service.catalog.get("b")).verifications == ()
        succeeded(await service.verify())
        assert len((await service.catalog.get("b")).verifications) == 1


async def test_where_writing_is_denied_the_verification_succeeds_and_warns() -> None:
    world = await with_backup()

    async def refuse() -> None:
        raise StorageDenied("the store refuses to write", subject="a-bucket")

    meanwhile = Meanwhile(BACKUP_STORE, "put", refuse)
    async with running(world, meanwhile.decorators) as service:
        operation = succeeded(await service.verify(level=CONTENT))
    assert meanwhile.fired == 1
    assert [it.message for it in operation.warnings] == [
        "the verification could not be recorded: the store refuses to write"
    ]


# --- what is refused, and what may run beside


async def test_wrong_requests_are_refused() -> None:
    world = await with_backup()
    async with running(world) as service:
        for fields, field in (
            ({"name": "no/name"}, "backup_name"),
            ({"level": CONTENT, "sample_percent": 101}, "sample_percent"),
            ({"level": CONTENT, "sample_percent": -1}, "sample_percent"),
            ({"level": LISTING, "sample_percent": 5}, "sample_percent"),
            ({"request_id": "ä"}, "request_id"),
        ):
            with pytest.raises(InvalidRequest) as refused:
                await service.start_verify(**fields)
            assert [it.field for it in refused.value.violations] == [field]
        with pytest.raises(BackupNotFound):
            await service.start_verify("nothing")


async def test_a_backup_that_is_not_whole_is_refused() -> None:
    world = await with_backup()
    await world.backup_store.delete(["backup/b/meta/full_meta.json"])
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable, match="incomplete"):
            await service.start_verify()


async def test_a_newer_format_is_refused_by_name() -> None:
    world = await with_backup()
    key = "backup/b/meta/manifest.1.json"
    head = await world.backup_store.get(key)
    newer = head.replace(b'"format_version":1', b'"format_version":9')
    await world.backup_store.put(key, newer)
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable, match="format version 9"):
            await service.start_verify()


async def test_a_request_id_begins_one_verification() -> None:
    world = await with_backup()
    async with running(world) as service:
        first = await service.start_verify(request_id="one")
        assert (await service.start_verify(request_id="one")).name == first.name
        await service.end(first)


async def test_a_delete_waits_for_the_end_of_a_verification() -> None:
    world = await with_backup()
    async with running(world) as service:
        operation = await service.start_verify(level=CONTENT)
        with pytest.raises(OperationConflict) as conflict:
            await service.start_delete("b")
        assert conflict.value.metadata["operation"] == operation.name
        assert [it.state.value for it in (await service.catalog.list("", 5, full=False)).items] == [
            "complete"
        ]
        restored = await service.start_restore(suffix="_r")
        succeeded(await service.end(operation))
        succeeded(await service.end(restored))


async def test_a_backup_that_others_remove_meanwhile_is_not_called_damaged() -> None:
    world = await with_backup()
    keys = [key for key in await world.backups() if "/b/" in key]

    async def remove() -> None:
        await world.backup_store.delete(keys)

    meanwhile = Meanwhile(BACKUP_STORE, "get", remove, part="/binlogs/")
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_verify(level=CONTENT))
    assert meanwhile.fired == 1
    assert error.reason == "BACKUP_NAME_LOST"
    assert await world.backups() == []


async def test_a_cancelled_verification_leaves_nothing() -> None:
    world = await with_backup()
    before = await world.backups()
    gate = Gate(BACKUP_STORE, "get", part="/binlogs/")
    gates = Gates()
    gates.gate = gate
    async with running(world, around_all(gates)) as service:
        operation = await service.start_verify(level=CONTENT)
        await gate.reached.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
    assert last.state is OperationState.CANCELLED
    assert await world.backups() == before


async def test_milvus_is_not_needed() -> None:
    world = await with_backup(
        World(backup_server=MemoryServer("backups"), backup_bucket="b-bucket")
    )
    calls: list[str] = []

    async def count(port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        calls.append(f"{port}.{method} {subject}")
        return await call()

    async with running(world, around_all(count)) as service:
        succeeded(await service.verify(level=CONTENT))
    assert {call.partition(".")[0] for call in calls} == {BACKUP_STORE}
