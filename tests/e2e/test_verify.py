"""Verification of a real backup: by the client, by the command line, and after its objects were damaged."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup.v1 import verification_pb2
from milvus_backup_client import BackupCorrupt
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_objects
from tests.support.command_line import run
from tests.support.datasets import make_churn
from tests.support.environment import Environment
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
CONTENT = verification_pb2.VERIFY_LEVEL_CONTENT
STORES: list[ObjectStore] = []


def keep(inner: ObjectStore) -> ObjectStore:
    STORES.append(inner)
    return inner


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    """A service, and a backup of a collection with deletes, whose objects the store copied by itself."""
    await asyncio.to_thread(make_churn, environment.milvus.uri, name=COLLECTION)
    settings = environment_settings(environment, backup_root=ROOT)
    async with running_service(settings, Decorators(backup_store=keep)) as running:
        await running.client.wait(
            await running.client.create_backup(BACKUP, collections=[COLLECTION])
        )
        yield running


async def test_every_byte_of_a_new_backup_is_compared_with_its_hash(service: Service) -> None:
    operation = await service.client.wait(await service.client.verify_backup(BACKUP, level=CONTENT))
    result = operation.verify_backup
    backup = await service.client.get_backup(BACKUP)
    assert result.hash_checked_count > 0
    assert (result.etag_checked_count, result.read_count, result.listed_count) == (0, 0, 0)
    assert result.read_bytes == result.size_bytes == backup.size_bytes
    (shown,) = (item for item in backup.verifications if item.level == CONTENT)
    assert (shown.sound, shown.operation) == (True, operation.name)


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
