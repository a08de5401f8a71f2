"""A Milvus with 10,000 collections: everything works, and no message exceeds 1 MiB.

`make test` has 5,000: a message that told of all of them would exceed it, at 240 bytes each.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import grpc.aio
import pytest
from google.protobuf.message import Message

from milvus_backup.v1.backup_pb2 import BACKUP_VIEW_FULL
from milvus_backup.v1.backup_service_pb2 import (
    CreateBackupRequest,
    GetBackupRequest,
    ListBackupCollectionsRequest,
    ListBackupsRequest,
    RestoreBackupRequest,
)
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED, Operation
from milvus_backup.v1.operation_service_pb2 import (
    ListOperationCollectionsRequest,
    ListOperationsRequest,
    WatchOperationRequest,
)
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.app import running_app
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus

M = TypeVar("M", bound=Message)

LARGEST = 1 << 20
SCHEMA = CollectionSchema(
    fields=(
        FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5),
        FieldSchema(field_id=101, name="v", data_type=101),
    )
)


@dataclass
class Measured:
    """Stubs, and the size of the largest message that came through them."""

    backups: BackupServiceStub
    operations: OperationServiceStub
    sizes: list[int] = field(default_factory=list)

    def note(self, message: M) -> M:
        self.sizes.append(message.ByteSize())
        return message

    async def end_of(self, operation: Operation) -> Operation:
        request = WatchOperationRequest(name=self.note(operation).name)
        return [self.note(state) async for state in self.operations.WatchOperation(request)][-1]


@pytest.fixture
async def service(count: int) -> AsyncIterator[Measured]:
    stores = MemoryServer()
    milvus = FakeMilvus(stores.store("a-bucket"))
    milvus.flush_polls = 0  # a real one has flushed the others while the first is waited for
    for number in range(count):
        name = CollectionName("default", f"{'long_' * 40}{number:05}")
        await milvus.create_collection(
            name, SCHEMA, shards=1, consistency_level=2, properties=(), partition_count=0
        )
        if number < 3:
            milvus.insert(name, range(10))
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
        yield Measured(BackupServiceStub(channel), OperationServiceStub(channel))


@pytest.mark.parametrize("count", [5_000, pytest.param(10_000, marks=pytest.mark.torture)])
async def test_every_message_is_below_1_mib(service: Measured, count: int) -> None:
    created = await service.end_of(
        await service.backups.CreateBackup(CreateBackupRequest(backup_name="wide"))
    )
    assert created.state == OPERATION_STATE_SUCCEEDED, created.error
    assert created.succeeded_collection_count == count

    plan = service.note(
        await service.backups.RestoreBackup(
            RestoreBackupRequest(backup_name="wide", suffix="_r", validate_only=True)
        )
    )
    full = service.note(await service.backups.GetBackup(GetBackupRequest(backup_name="wide")))
    listed = service.note(
        await service.backups.ListBackups(ListBackupsRequest(view=BACKUP_VIEW_FULL))
    )
    operations = service.note(await service.operations.ListOperations(ListOperationsRequest()))

    assert (len(plan.restore_plan.collections), plan.restore_plan.collection_count) == (50, count)
    assert (len(full.collections), full.collection_count) == (50, count)
    assert (len(listed.backups), len(operations.operations)) == (1, 1)
    assert await _backed_up(service) == await _operated(service, created.name) == count
    assert max(service.sizes) < LARGEST


async def _backed_up(service: Measured) -> int:
    """Return how many collections of the backup the pages show."""
    found, token = 0, ""
    while True:
        request = ListBackupCollectionsRequest(backup_name="wide", page_size=200, page_token=token)
        page = service.note(await service.backups.ListBackupCollections(request))
        found, token = found + len(page.collections), page.next_page_token
        if not token:
            return found


async def _operated(service: Measured, name: str) -> int:
    """Return how many collections of the operation the pages show."""
    found, token = 0, ""
    while True:
        request = ListOperationCollectionsRequest(name=name, page_size=500, page_token=token)
        page = service.note(await service.operations.ListOperationCollections(request))
        found, token = found + len(page.collections), page.next_page_token
        if not token:
            return found
