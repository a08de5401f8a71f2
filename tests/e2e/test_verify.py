"""Verification of a real backup: by the client, by the command line, and after its objects were damaged."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from milvus_backup.v1 import verification_pb2
from milvus_backup_client import BackupCorrupt
from milvus_backup_server.domain.names import is_temporary_name
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_objects
from tests.support.clients import connected
from tests.support.command_line import run
from tests.support.datasets import make_churn
from tests.support.environment import Environment
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.running_service import (
    Decorators,
    Service,
    environment_settings,
    running_service,
)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

ROOT = "verify"
BACKUP = "verified"
COLLECTION = "verify_churn"
RESTORED = verification_pb2.VERIFY_LEVEL_RESTORED
STORES: list[ObjectStore] = []
MEDDLING: list[Callable[[], None]] = []
"""What others do before the next question for restored rows."""


def keep(inner: ObjectStore) -> ObjectStore:
    STORES.append(inner)
    return inner


async def meddle() -> None:
    if MEDDLING:
        await asyncio.to_thread(MEDDLING.pop())


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    """A service, and a backup of a collection with deletes, whose objects the store copied by itself."""
    await asyncio.to_thread(make_churn, environment.milvus.uri, name=COLLECTION)
    settings = environment_settings(environment, backup_root=ROOT)
    meddling = Meanwhile(GATEWAY, "query_rows", meddle, times=1000).decorators
    around = Decorators(backup_store=keep, gateway=meddling.gateway)
    async with running_service(settings, around) as running:
        await running.client.wait(
            await running.client.create_backup(BACKUP, collections=[COLLECTION])
        )
        yield running


async def test_every_byte_is_compared_with_its_hash_and_every_row_with_the_logs(
    service: Service,
) -> None:
    operation = await service.client.wait(
        await service.client.verify_backup(BACKUP, level=RESTORED)
    )
    result = operation.verify_backup
    backup = await service.client.get_backup(BACKUP)
    assert result.hash_checked_count > 0
    assert (result.etag_checked_count, result.read_count, result.listed_count) == (0, 0, 0)
    assert result.read_bytes == result.size_bytes == backup.size_bytes
    assert (result.restored_collection_count, result.compared_row_count) == (1, 1850)
    shown = backup.verifications[0]  # the newest
    assert (shown.level, shown.sound, shown.operation) == (RESTORED, True, operation.name)
    assert shown.restored_collection_count == 1


async def test_rows_that_are_altered_behind_our_back_are_found(
    environment: Environment, service: Service
) -> None:
    uri, altered = environment.milvus.uri, []

    def alter() -> None:
        with connected(uri) as client:
            (name,) = [it for it in client.list_collections() if is_temporary_name(it)]
            vector = [0.5] * 8
            client.delete(name, ids=[450, 451])
            client.upsert(name, [{"pk": 700, "round": 77, "v": vector}])
            client.insert(name, [{"pk": -3, "round": 0, "v": vector}])
            altered.append(name)

    MEDDLING.append(alter)
    command = ("verify", "-n", BACKUP, "--level", "restored")
    result = await run(service.app.address, *command)
    assert len(altered) == 1
    assert result.exit_code == 1
    assert (
        f"Damaged: partition '_default' of default.{COLLECTION} is restored to other rows than its "
        "logs hold: 2 missing, 1 too many, 1 different; missing 450, 451; too many -3; different 700"
    ) in result.stderr
    with connected(uri) as client:
        assert not [it for it in client.list_collections() if is_temporary_name(it)]


async def test_a_flipped_bit_is_found_by_the_command_line(service: Service) -> None:
    store = STORES[0]
    keys = [item.key async for item in list_objects(store, f"{ROOT}/{BACKUP}/binlogs/")]
    data = await store.get(keys[-1])
    middle = len(data) // 2
    damaged = data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]
    await store.put(keys[-1], damaged)
    key = keys[-1].removeprefix(f"{ROOT}/{BACKUP}/")
    command = ("verify", "-n", BACKUP, "--level", "content")
    result = await run(service.app.address, *command)
    assert result.exit_code == 1
    assert f"Damaged: {key} has other content than was recorded (default.{COLLECTION})" in (
        result.stderr
    )
    with pytest.raises(BackupCorrupt):
        await service.client.wait(await service.client.verify_backup(BACKUP))
    await store.put(keys[-1], data)
    result = await run(service.app.address, *command)
    assert result.exit_code == 0
    assert f"{BACKUP} is sound by level content" in result.stdout
