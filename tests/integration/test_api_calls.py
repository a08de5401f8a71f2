"""Calls through a real server: what use cases are asked, pages, sizes, the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from milvus_backup.v1 import backup_pb2, operation_pb2
from milvus_backup.v1.backup_service_pb2 import (
    CreateBackupRequest,
    DeleteBackupRequest,
    GetBackupRequest,
    ListBackupCollectionsRequest,
    ListBackupsRequest,
    RestoreBackupRequest,
)
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_service_pb2 import (
    CancelOperationRequest,
    GetOperationRequest,
    ListOperationCollectionsRequest,
    ListOperationsRequest,
)
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup.v1.server_service_pb2 import CheckRequest, GetServerInfoRequest
from milvus_backup.v1.server_service_pb2_grpc import ServerServiceStub
from milvus_backup_server.domain.backups import (
    Backup,
    BackupCollectionSummary,
    BackupState,
)
from milvus_backup_server.domain.diagnostics import (
    CheckItem,
    CheckState,
    ClusterInfo,
    ServerInfo,
    StoreInfo,
)
from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import StoreLocation
from milvus_backup_server.domain.operations import Caller, CollectionProgress, Origin
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
)
from milvus_backup_server.domain.requests import CreateRequest, DeleteRequest, RestoreRequest
from tests.support.fake_use_cases import FakeApi, serving_fakes

MIB = 1024 * 1024
NAMES = tuple(f"{number}_{'n' * 240}" for number in range(100))
SCHEMA = CollectionSchema(fields=tuple(FieldSchema(name=name, data_type=101) for name in NAMES))


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


def wide_collection(number: int) -> BackupCollectionSummary:
    record = CollectionBackupInfo(
        db_name="db", collection_name=f"c{number:05}", schema=SCHEMA, aliases=NAMES
    )
    return BackupCollectionSummary(record, moment=1 << 60)


def huge_collection(number: int) -> BackupCollectionSummary:
    """Return one whose fields alone are more than a message may hold."""
    schema = CollectionSchema(
        fields=tuple(FieldSchema(name=f"{n}_{'n' * 240}", data_type=101) for n in range(5000))
    )
    return BackupCollectionSummary(
        CollectionBackupInfo(db_name="db", collection_name=f"c{number:05}", schema=schema)
    )


def narrow_collection(number: int) -> BackupCollectionSummary:
    return BackupCollectionSummary(
        CollectionBackupInfo(db_name="db", collection_name=f"c{number:05}")
    )


async def test_requests_reach_the_use_cases(api: FakeApi) -> None:
    stub = BackupServiceStub(api.channel)
    created = await stub.CreateBackup(CreateBackupRequest(backup_name="a", collections=["db.*"]))
    restored = await stub.RestoreBackup(RestoreBackupRequest(backup_name="b", suffix="_x"))
    deleted = await stub.DeleteBackup(DeleteBackupRequest(backup_name="c"))
    assert api.create.asked == [(CreateRequest("a", ("db.*",)), Caller())]
    assert api.restore.asked == [(RestoreRequest("b", suffix="_x"), Caller())]
    assert api.delete.asked == [(DeleteRequest("c"), Caller())]
    assert [item.kind for item in (created, restored, deleted)] == [
        operation_pb2.OPERATION_KIND_CREATE_BACKUP,
        operation_pb2.OPERATION_KIND_RESTORE_BACKUP,
        operation_pb2.OPERATION_KIND_DELETE_BACKUP,
    ]
    known = await OperationServiceStub(api.channel).GetOperation(
        GetOperationRequest(name=created.name)
    )
    assert (known.name, known.backup_name) == (created.name, "a")


@pytest.mark.parametrize(
    ("value", "origin"), [("cli", Origin.CLI), ("http", Origin.GRPC), ("", Origin.GRPC)]
)
async def test_the_command_line_tells_that_it_is_one(
    api: FakeApi, value: str, origin: Origin
) -> None:
    metadata = (("x-milvus-backup-origin", value),)
    stub = BackupServiceStub(api.channel)
    await stub.CreateBackup(CreateBackupRequest(backup_name="a"), metadata=metadata)
    await stub.CreateBackup(CreateBackupRequest(backup_name="b"))
    assert [caller.origin for _, caller in api.create.asked] == [origin, Origin.GRPC]


async def test_get_shows_collections_unless_basic_is_asked(api: FakeApi) -> None:
    full = Backup("a", BackupState.COMPLETE, collections=(wide_collection(1),))
    api.catalog.backups["a"] = full
    stub = BackupServiceStub(api.channel)
    shown = await stub.GetBackup(GetBackupRequest(backup_name="a"))
    assert len(shown.collections) == 1
    basic = GetBackupRequest(backup_name="a", view=backup_pb2.BACKUP_VIEW_BASIC)
    assert len((await stub.GetBackup(basic)).collections) == 0


async def test_all_backups_come_in_pages_of_bounded_size(api: FakeApi) -> None:
    collections = tuple(wide_collection(number) for number in range(20))
    names = [f"b{number:03}" for number in range(30)]
    for name in names:
        api.catalog.backups[name] = Backup(name, BackupState.COMPLETE, collections=collections)
    stub, found, token = BackupServiceStub(api.channel), list[str](), ""
    while True:
        page = await stub.ListBackups(
            ListBackupsRequest(page_size=500, page_token=token, view=backup_pb2.BACKUP_VIEW_FULL)
        )
        assert page.ByteSize() < MIB
        found += [backup.name for backup in page.backups]
        token = page.next_page_token
        if not token:
            break
    assert found == names


@pytest.mark.parametrize(
    ("collection", "count", "least_pages"),
    [(narrow_collection, 10_000, 50), (wide_collection, 400, 20), (huge_collection, 5, 5)],
    ids=["narrow", "wide", "huge"],
)
async def test_all_collections_of_a_backup_come_in_pages_of_bounded_size(
    api: FakeApi,
    collection: Callable[[int], BackupCollectionSummary],
    count: int,
    least_pages: int,
) -> None:
    api.catalog.summaries = tuple(map(collection, range(count)))
    stub, found, token, pages = BackupServiceStub(api.channel), 0, "", 0
    request = ListBackupCollectionsRequest(backup_name="a", page_size=200)
    while True:
        request.page_token = token
        page = await stub.ListBackupCollections(request)
        assert page.ByteSize() < MIB
        assert [item.name for item in page.collections] == [
            f"c{number:05}" for number in range(found, found + len(page.collections))
        ]
        assert all(item.truncated is (collection is huge_collection) for item in page.collections)
        found += len(page.collections)
        pages += 1
        token = page.next_page_token
        if not token:
            break
    assert found == count
    assert pages >= least_pages


async def test_operations_newest_first_and_their_collections(api: FakeApi) -> None:
    names = [(await api.create.begin(f"b{number}")).name for number in range(5)]
    stub = OperationServiceStub(api.channel)
    first = await stub.ListOperations(ListOperationsRequest(page_size=3))
    rest = await stub.ListOperations(
        ListOperationsRequest(page_size=3, page_token=first.next_page_token)
    )
    assert [it.name for it in (*first.operations, *rest.operations)] == names[::-1]
    only = ListOperationsRequest(
        backup_name="b2", kinds=[operation_pb2.OPERATION_KIND_CREATE_BACKUP]
    )
    assert [it.name for it in (await stub.ListOperations(only)).operations] == [names[2]]
    none = ListOperationsRequest(states=[operation_pb2.OPERATION_STATE_FAILED])
    assert not (await stub.ListOperations(none)).operations


async def test_ten_thousand_collections_of_an_operation(api: FakeApi) -> None:
    operation = await api.create.begin("a")
    stub = OperationServiceStub(api.channel)
    tracker = await api.create.jobs[operation.name].tracker()
    error = MilvusUnavailable("ü" * 900, subject="s" * 900)
    tracker.add_collections(
        CollectionProgress(CollectionName("db", f"c{number:05}"), error=error)
        for number in range(10_000)
    )
    shown = await stub.GetOperation(GetOperationRequest(name=operation.name))
    assert (len(shown.collections), shown.collection_count) == (50, 10_000)
    assert shown.ByteSize() < MIB
    found, request = 0, ListOperationCollectionsRequest(name=operation.name, page_size=500)
    while True:
        page = await stub.ListOperationCollections(request)
        assert page.ByteSize() < MIB
        found += len(page.collections)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert found == 10_000


async def test_cancel(api: FakeApi) -> None:
    operation = await api.create.begin("a")
    stub = OperationServiceStub(api.channel)
    await stub.GetOperation(GetOperationRequest(name=operation.name))
    answer = await stub.CancelOperation(CancelOperationRequest(name=operation.name))
    assert answer.state in {
        operation_pb2.OPERATION_STATE_CANCELLING,
        operation_pb2.OPERATION_STATE_CANCELLED,
    }


async def test_check_and_server_info(api: FakeApi) -> None:
    down = MilvusUnavailable("Milvus does not answer", address="localhost:19530")
    api.diagnostics.items = (
        CheckItem("milvus", CheckState.FAILED, "does not answer", down),
        CheckItem("milvus_objects", CheckState.SKIPPED, "not tried"),
    )
    store = StoreInfo(StoreLocation("minio", "http://localhost:9000", "a-bucket"), "backup")
    api.diagnostics.info = ServerInfo(
        version="1.2.3",
        start_time=datetime(2026, 11, 22, 12, tzinfo=UTC),
        cluster=ClusterInfo("default", "localhost:19530", storage=None, error=down),
        repository=store,
        running_operations=1,
        pending_operations=2,
    )
    stub = ServerServiceStub(api.channel)
    check = await stub.Check(CheckRequest())
    assert not check.ok
    assert [item.name for item in check.items] == ["milvus", "milvus_objects"]
    assert check.items[0].error.message == "Milvus does not answer"
    info = await stub.GetServerInfo(GetServerInfoRequest())
    assert (info.version, info.repository.bucket) == ("1.2.3", "a-bucket")
    assert not info.cluster.HasField("storage")
    assert info.cluster.error.code == 14
    assert (info.running_operation_count, info.pending_operation_count) == (1, 2)
