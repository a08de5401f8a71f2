from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.status_pb2 import Status

from milvus_backup.v1 import backup_pb2, backup_service_pb2, operation_pb2, operation_service_pb2
from milvus_backup.v1 import server_service_pb2 as server
from milvus_backup.v1.backup_service_pb2 import (
    RESTORE_ALIASES_ALL,
    RESTORE_LOAD_ALL,
    CollectionMapping,
    CollectionPartitions,
    SkipParams,
)
from milvus_backup_client import (
    BackupClient,
    BackupNotFound,
    BackupServiceError,
    DeadlineExceeded,
    RetryPolicy,
    ServerStopping,
    ServiceUnreachable,
    StorageDenied,
)
from tests.support.scripted_service import (
    FOREVER,
    SERVICES,
    UNREACHABLE,
    ScriptedService,
    serving,
    status,
)

QUICK = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.02)
STOPPING = status(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
SUCCEEDED = operation_pb2.Operation(name="op_1", state=operation_pb2.OPERATION_STATE_SUCCEEDED)
STARTED = operation_pb2.Operation(name="op_1", state=operation_pb2.OPERATION_STATE_PENDING)


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def client(service: ScriptedService) -> AsyncIterator[BackupClient]:
    async with serving(service) as address, BackupClient(address, retry=QUICK) as client:
        yield client


async def test_create_sends_every_field(service: ScriptedService, client: BackupClient) -> None:
    service.on("CreateBackup", STARTED)
    operation = await client.create_backup(
        "nightly",
        collections=["shop.*", "books"],
        partitions={"shop.orders": ["p", "q"], "films": ["r"]},
        labels={"team": "search"},
        request_id="r-1",
        validate_only=True,
    )
    assert operation == STARTED
    assert service.requests["CreateBackup"] == [
        backup_service_pb2.CreateBackupRequest(
            backup_name="nightly",
            collections=["shop.*", "books"],
            partitions=[
                CollectionPartitions(collection="shop.orders", partitions=["p", "q"]),
                CollectionPartitions(collection="films", partitions=["r"]),
            ],
            labels={"team": "search"},
            request_id="r-1",
            validate_only=True,
        )
    ]


async def test_restore_sends_every_field(service: ScriptedService, client: BackupClient) -> None:
    service.on("RestoreBackup", STARTED)
    await client.restore_backup(
        "nightly",
        collections=["shop.a"],
        partitions={"shop.a": ["p"]},
        target_collections=["shop2.a"],
        suffix="_new",
        renames={"shop.*": "shop2.*"},
        mappings=[CollectionMapping(source="a", target="b", shard_count=2, description="")],
        restore_indexes=True,
        use_auto_index=True,
        meta_only=True,
        max_shard_count=2,
        skip_params=SkipParams(index_params=["nlist"]),
        rbac=True,
        drop_existing_collections=True,
        skip_create_collections=True,
        drop_existing_indexes=True,
        truncate_to_checkpoints=True,
        aliases=RESTORE_ALIASES_ALL,
        load=RESTORE_LOAD_ALL,
        replica_count=2,
        skip_content_check=True,
        labels={"why": "drill"},
        request_id="r-2",
        validate_only=True,
    )
    assert service.requests["RestoreBackup"] == [
        backup_service_pb2.RestoreBackupRequest(
            backup_name="nightly",
            collections=["shop.a"],
            partitions=[CollectionPartitions(collection="shop.a", partitions=["p"])],
            target_collections=["shop2.a"],
            suffix="_new",
            renames={"shop.*": "shop2.*"},
            mappings=[CollectionMapping(source="a", target="b", shard_count=2, description="")],
            restore_indexes=True,
            use_auto_index=True,
            meta_only=True,
            max_shard_count=2,
            skip_params=SkipParams(index_params=["nlist"]),
            rbac=True,
            drop_existing_collections=True,
            skip_create_collections=True,
            drop_existing_indexes=True,
            truncate_to_checkpoints=True,
            aliases=RESTORE_ALIASES_ALL,
            load=RESTORE_LOAD_ALL,
            replica_count=2,
            skip_content_check=True,
            labels={"why": "drill"},
            request_id="r-2",
            validate_only=True,
        )
    ]


async def test_every_create_and_restore_gets_a_request_id_of_its_own(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("CreateBackup", STARTED)
    service.on("RestoreBackup", STARTED)
    await client.create_backup("a")
    await client.create_backup("a")
    await client.restore_backup("a")
    sent = service.requests["CreateBackup"] + service.requests["RestoreBackup"]
    ids = [request.request_id for request in sent]
    assert len(set(ids)) == 3
    assert all(1 <= len(request_id) <= 128 for request_id in ids)


async def test_one_name_is_no_list_of_names(client: BackupClient) -> None:
    with pytest.raises(TypeError, match=r"shop\.\*"):
        await client.create_backup("a", collections="shop.*")
    with pytest.raises(TypeError, match="not the one name 'p'"):
        await client.create_backup("a", partitions={"shop.orders": "p"})


async def test_simple_calls(service: ScriptedService, client: BackupClient) -> None:
    service.on("DeleteBackup", STARTED)
    service.on("GetBackup", backup_pb2.Backup(name="nightly"))
    service.on("GetOperation", STARTED)
    service.on("CancelOperation", STARTED)
    service.on("RetryOperation", STARTED)
    service.on("Check", server.CheckResponse(ok=True))
    service.on("GetServerInfo", server.GetServerInfoResponse(version="0.1.0"))

    assert await client.delete_backup("nightly") == STARTED
    backup = await client.get_backup("nightly", view=backup_pb2.BACKUP_VIEW_BASIC)
    assert backup.name == "nightly"
    assert await client.get_operation("op_1") == STARTED
    assert await client.get_operation(STARTED) == STARTED
    assert await client.cancel_operation(STARTED) == STARTED
    assert await client.retry_operation(STARTED, request_id="again") == STARTED
    assert (await client.check()).ok
    assert (await client.server_info()).version == "0.1.0"

    (retried,) = service.requests["RetryOperation"]
    assert (retried.name, retried.request_id) == ("op_1", "again")
    assert service.requests["DeleteBackup"][0].backup_name == "nightly"
    assert service.requests["GetBackup"] == [
        backup_service_pb2.GetBackupRequest(
            backup_name="nightly", view=backup_pb2.BACKUP_VIEW_BASIC
        )
    ]
    assert [request.name for request in service.requests["GetOperation"]] == ["op_1", "op_1"]
    assert service.requests["CancelOperation"][0].name == "op_1"


async def test_lists_read_all_pages(service: ScriptedService, client: BackupClient) -> None:
    service.on(
        "ListBackups",
        backup_service_pb2.ListBackupsResponse(
            backups=[backup_pb2.Backup(name="a"), backup_pb2.Backup(name="b")],
            next_page_token="two",
        ),
    )
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse(next_page_token="three"))
    service.on("ListBackups", UNREACHABLE)
    service.on(
        "ListBackups",
        backup_service_pb2.ListBackupsResponse(backups=[backup_pb2.Backup(name="c")]),
    )
    names = [backup.name async for backup in client.list_backups(page_size=2)]
    assert names == ["a", "b", "c"]
    requests = service.requests["ListBackups"]
    assert [request.page_token for request in requests] == ["", "two", "three", "three"]
    assert {request.page_size for request in requests} == {2}


async def test_other_lists(service: ScriptedService, client: BackupClient) -> None:
    service.on(
        "ListBackupCollections",
        backup_service_pb2.ListBackupCollectionsResponse(
            collections=[backup_pb2.BackupCollection(name="books")]
        ),
    )
    service.on(
        "ListOperations",
        operation_service_pb2.ListOperationsResponse(operations=[STARTED]),
    )
    service.on(
        "ListOperationCollections",
        operation_service_pb2.ListOperationCollectionsResponse(
            collections=[operation_pb2.OperationCollection(name="films")]
        ),
    )
    books = [found.name async for found in client.list_backup_collections("nightly")]
    operations = client.list_operations(
        backup_name="nightly",
        kinds=[operation_pb2.OPERATION_KIND_CREATE_BACKUP],
        states=[operation_pb2.OPERATION_STATE_PENDING],
    )
    assert books == ["books"]
    assert [found async for found in operations] == [STARTED]
    films = [found.name async for found in client.list_operation_collections(STARTED)]
    assert films == ["films"]
    assert service.requests["ListBackupCollections"][0].backup_name == "nightly"
    assert service.requests["ListOperations"] == [
        operation_service_pb2.ListOperationsRequest(
            backup_name="nightly",
            kinds=[operation_pb2.OPERATION_KIND_CREATE_BACKUP],
            states=[operation_pb2.OPERATION_STATE_PENDING],
        )
    ]
    assert service.requests["ListOperationCollections"][0].name == "op_1"


async def test_a_list_of_operations_without_the_records_ends_with_the_reason(
    service: ScriptedService, client: BackupClient
) -> None:
    denied = status(grpc.StatusCode.FAILED_PRECONDITION, "STORAGE_DENIED", "no")
    answers = operation_service_pb2.ListOperationsResponse
    service.on(
        "ListOperations",
        answers(operations=[STARTED], next_page_token="more", records_error=denied),
    )
    service.on("ListOperations", answers(operations=[STARTED]))
    operations = client.list_operations()
    assert [await anext(operations), await anext(operations)] == [STARTED, STARTED]
    with pytest.raises(StorageDenied):
        await anext(operations)


async def test_reads_are_repeated_while_the_service_is_away(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("GetBackup", UNREACHABLE)
    service.on("GetBackup", STOPPING)
    service.on("GetBackup", backup_pb2.Backup(name="nightly"))
    assert (await client.get_backup("nightly")).name == "nightly"
    assert len(service.requests["GetBackup"]) == 3


async def test_attempts_end(service: ScriptedService, client: BackupClient) -> None:
    service.on("GetBackup", STOPPING)
    with pytest.raises(ServerStopping):
        await client.get_backup("nightly")
    assert len(service.requests["GetBackup"]) == 4


@pytest.mark.parametrize("method", ["create_backup", "restore_backup"])
async def test_a_repeated_start_has_the_same_request_id(
    service: ScriptedService, client: BackupClient, method: str
) -> None:
    rpc = {"create_backup": "CreateBackup", "restore_backup": "RestoreBackup"}[method]
    service.on(rpc, UNREACHABLE)
    service.on(rpc, STARTED)
    assert await getattr(client, method)("nightly") == STARTED
    first, second = service.requests[rpc]
    assert first.request_id
    assert first == second


async def test_without_a_request_id_a_create_is_not_repeated(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("CreateBackup", UNREACHABLE)
    with pytest.raises(ServiceUnreachable):
        await client.create_backup("nightly", request_id="")
    assert len(service.requests["CreateBackup"]) == 1


async def test_delete_and_cancel_are_not_repeated(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("DeleteBackup", UNREACHABLE)
    service.on("CancelOperation", UNREACHABLE)
    with pytest.raises(ServiceUnreachable):
        await client.delete_backup("nightly")
    with pytest.raises(ServiceUnreachable):
        await client.cancel_operation("op_1")
    assert len(service.requests["DeleteBackup"]) == 1
    assert len(service.requests["CancelOperation"]) == 1


@pytest.mark.parametrize(
    "answer",
    [
        status(grpc.StatusCode.UNAVAILABLE, "MILVUS_UNAVAILABLE"),
        status(grpc.StatusCode.NOT_FOUND, "BACKUP_NOT_FOUND"),
        status(grpc.StatusCode.INTERNAL, "INTERNAL"),
        status(grpc.StatusCode.ABORTED, "OPERATION_CONFLICT"),
    ],
    ids=["milvus", "missing", "internal", "conflict"],
)
async def test_an_answer_of_the_service_is_not_asked_for_again(
    service: ScriptedService, client: BackupClient, answer: Status
) -> None:
    service.on("GetBackup", answer)
    with pytest.raises(BackupServiceError):
        await client.get_backup("nightly")
    assert len(service.requests["GetBackup"]) == 1


async def test_every_unary_call_has_a_deadline(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("GetBackup", backup_pb2.Backup())
    service.on("GetOperation", STARTED)
    await client.get_backup("nightly")
    await client.get_operation("op_1", timeout_seconds=5)
    default, given = service.time_remaining
    assert 15 < default < 31
    assert 1 < given < 6


async def test_the_deadline_ends_the_call(service: ScriptedService, client: BackupClient) -> None:
    service.on("GetBackup", FOREVER)
    begin = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await client.get_backup("nightly", timeout_seconds=0.2)
    assert time.monotonic() - begin < 15


async def test_the_deadline_is_for_all_attempts_together(service: ScriptedService) -> None:
    patient = RetryPolicy(attempts=1000, first_delay_seconds=0.05, max_delay_seconds=0.05)
    service.on("GetBackup", UNREACHABLE)
    async with serving(service) as address, BackupClient(address, retry=patient) as client:
        begin = time.monotonic()
        with pytest.raises((ServiceUnreachable, DeadlineExceeded)):
            await client.get_backup("nightly", timeout_seconds=1)
        assert time.monotonic() - begin < 15
    assert 1 < len(service.requests["GetBackup"]) < 100


async def test_a_missing_backup(service: ScriptedService, client: BackupClient) -> None:
    service.on(
        "GetBackup",
        status(
            grpc.StatusCode.NOT_FOUND,
            "BACKUP_NOT_FOUND",
            "backup 'nightly' does not exist",
            resource="nightly",
        ),
    )
    with pytest.raises(BackupNotFound) as caught:
        await client.get_backup("nightly")
    assert caught.value.metadata == {"resource": "nightly"}
    assert str(caught.value) == "backup 'nightly' does not exist (BACKUP_NOT_FOUND)"
    assert caught.value.operation is None


def test_the_client_has_every_method_of_the_contract() -> None:
    renamed = {
        "GetServerInfo": "server_info",
        "WatchOperation": "watch",
    }
    for service in SERVICES:
        for method in service.methods:
            snake = "".join(
                f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name
            )
            assert hasattr(BackupClient, renamed.get(method.name, snake.removeprefix("_")))
