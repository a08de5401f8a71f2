"""The composition of ``app`` over stores and a Milvus in memory: a backup's whole life by gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import pytest

from milvus_backup.v1 import backup_pb2, operation_pb2
from milvus_backup.v1.backup_service_pb2 import (
    CreateBackupRequest,
    DeleteBackupRequest,
    ListBackupsRequest,
    RestoreBackupRequest,
)
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_service_pb2 import WatchOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup.v1.server_service_pb2 import CheckRequest
from milvus_backup.v1.server_service_pb2_grpc import ServerServiceStub
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.app import running_app
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus

SOURCE, COPY = CollectionName("default", "books"), CollectionName("default", "books_copy")
SCHEMA = CollectionSchema(
    fields=(
        FieldSchema(name="pk", is_primary_key=True, data_type=5),
        FieldSchema(name="v", data_type=101),
    )
)
KEYS = list(range(100))


@dataclass(frozen=True)
class Service:
    """A service in memory and a channel to it."""

    milvus: FakeMilvus
    channel: grpc.aio.Channel

    async def end_of(self, operation: operation_pb2.Operation) -> operation_pb2.Operation:
        stub = OperationServiceStub(self.channel)
        request = WatchOperationRequest(name=operation.name)
        return [state async for state in stub.WatchOperation(request)][-1]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    stores = MemoryServer()
    milvus = FakeMilvus(stores.store("a-bucket"))
    await milvus.create_collection(
        SOURCE, SCHEMA, shards=1, consistency_level=2, properties=(), partition_count=0
    )
    milvus.insert(SOURCE, KEYS)
    adapters = Adapters(milvus, stores.store("a-bucket"), stores.store("a-bucket"))
    settings = Settings.model_validate(
        {
            "service": {
                "grpc": {"port": 0},
                "http": {"enabled": False},
                "milvus": {"pollSeconds": 0.01},
            }
        }
    )
    async with (
        running_app(settings, adapters) as app,
        grpc.aio.insecure_channel(app.address) as channel,
    ):
        yield Service(milvus, channel)


async def test_a_backup_is_made_listed_restored_and_removed(service: Service) -> None:
    stub = BackupServiceStub(service.channel)
    created = await service.end_of(
        await stub.CreateBackup(CreateBackupRequest(backup_name="nightly", labels={"a": "b"}))
    )
    assert created.state == operation_pb2.OPERATION_STATE_SUCCEEDED, created
    assert created.create_backup.row_count == len(KEYS)
    (listed,) = (await stub.ListBackups(ListBackupsRequest())).backups
    assert (listed.name, listed.state) == ("nightly", backup_pb2.BACKUP_STATE_COMPLETE)
    assert dict(listed.labels) == {"a": "b"}
    restored = await service.end_of(
        await stub.RestoreBackup(RestoreBackupRequest(backup_name="nightly", suffix="_copy"))
    )
    assert restored.state == operation_pb2.OPERATION_STATE_SUCCEEDED, restored
    assert service.milvus.keys(COPY) == KEYS
    deleted = await service.end_of(
        await stub.DeleteBackup(DeleteBackupRequest(backup_name="nightly"))
    )
    assert deleted.state == operation_pb2.OPERATION_STATE_SUCCEEDED, deleted
    assert not (await stub.ListBackups(ListBackupsRequest())).backups


async def test_plans_are_answered_at_once(service: Service) -> None:
    stub = BackupServiceStub(service.channel)
    planned = await stub.CreateBackup(CreateBackupRequest(backup_name="x", validate_only=True))
    assert planned.state == operation_pb2.OPERATION_STATE_SUCCEEDED
    assert planned.create_plan.collection_count == 1
    assert planned.create_plan.server_side_copy
    assert not (await stub.ListBackups(ListBackupsRequest())).backups


async def test_check(service: Service) -> None:
    answer = await ServerServiceStub(service.channel).Check(CheckRequest())
    assert answer.ok, answer
