"""Archives over a real gRPC server: by the client, and by whoever speaks the contract."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest

from milvus_backup.v1.backup_service_pb2 import (
    ExportBackupRequest,
    ExportBackupResponse,
    ImportBackupRequest,
)
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_pb2 import (
    OPERATION_KIND_EXPORT_BACKUP,
    OPERATION_KIND_IMPORT_BACKUP,
    OPERATION_STATE_CANCELLED,
    OPERATION_STATE_FAILED,
    OPERATION_STATE_SUCCEEDED,
    ImportBackupResult,
    Operation,
)
from milvus_backup_client import (
    ArchiveInvalid,
    BackupAlreadyExists,
    BackupClient,
    BackupCorrupt,
    BackupNotFound,
    InvalidRequest,
    OperationCancelled,
    ServiceUnreachable,
)
from milvus_backup_server.app import running_app
from milvus_backup_server.wiring import Adapters
from tests.support.running_service import FAST, settings_of
from tests.support.service import World
from tests.support.tars import below, files_of, go_backup, gzipped, in_chunks, joined, tar_of

MIB = 1 << 20
GO = go_backup(3, 700)
LARGE = go_backup(6, 2_000_000)
STOP = "x-milvus-backup-stop-sending"


@dataclass(frozen=True)
class Api:
    """A service, its client, and a bare stub."""

    world: World
    client: BackupClient
    stub: BackupServiceStub

    async def operations(self) -> list[Operation]:
        return [operation async for operation in self.client.list_operations()]

    async def only_operation(self) -> Operation:
        """Return the one operation, when it has ended."""
        (operation,) = await self.operations()
        return await self.client.wait(operation, raise_on_failure=False)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    world = World()
    adapters = Adapters(world.milvus, world.milvus_store, world.backup_store)
    async with (
        running_app(settings_of({"configVersion": "v2", "service": FAST}), adapters) as app,
        grpc.aio.insecure_channel(app.address) as channel,
        BackupClient(app.address) as client,
    ):
        yield Api(world, client, BackupServiceStub(channel))


async def endless(archive: bytes) -> AsyncIterator[bytes]:
    """Yield an archive, and then more and more."""
    yield archive
    while True:
        yield bytes(MIB)


async def silent(archive: bytes) -> AsyncIterator[bytes]:
    """Yield an archive, and then nothing."""
    yield archive
    await asyncio.Event().wait()


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


# --- the client


@pytest.mark.parametrize("size", [100_000, 5 * MIB])
async def test_there_and_back(api: Api, size: int) -> None:
    operation = await api.client.import_backup(in_chunks(tar_of(below("b", LARGE)), size))
    assert (operation.kind, operation.state) == (
        OPERATION_KIND_IMPORT_BACKUP,
        OPERATION_STATE_SUCCEEDED,
    )
    assert operation.import_backup == ImportBackupResult(
        collection_count=1,
        object_count=6,
        size_bytes=12_000_000,
        row_count=10,
        size_checked_count=6,
    )
    assert await api.world.objects() == below("backup/b", LARGE)
    archive = await joined(api.client.export_backup("b"))
    assert files_of(archive) == below("b", LARGE)
    newest, _ = await api.operations()
    assert newest.kind == OPERATION_KIND_EXPORT_BACKUP
    assert newest.export_backup.object_count == 11
    assert newest.export_backup.size_bytes == sum(map(len, LARGE.values()))
    assert newest.export_backup.archive_size_bytes == len(archive)


async def test_under_another_name_and_in_gzip(api: Api) -> None:
    archive = gzipped(tar_of(below("my backup", GO)))
    operation = await api.client.import_backup(in_chunks(archive), "mine")
    assert operation.backup_name == "mine"
    assert await api.world.objects() == below("backup/mine", GO)


@pytest.mark.parametrize("rest", [endless, silent])
async def test_a_sender_learns_at_once_why_no_more_is_needed(api: Api, rest: Any) -> None:
    await api.client.import_backup(in_chunks(tar_of(below("taken", GO))))
    archive = tar_of(below("taken", GO))
    async with asyncio.timeout(60):
        with pytest.raises(BackupAlreadyExists):
            await api.client.import_backup(rest(archive))
        with pytest.raises(InvalidRequest):
            await api.client.import_backup(rest(archive), "no name")
        with pytest.raises(ArchiveInvalid):
            await api.client.import_backup(rest(b"no archive" * 1000))
        with pytest.raises(ArchiveInvalid):
            await api.client.import_backup(rest(tar_of({"b/stray": b""})))


async def test_a_damaged_archive_is_refused_as_what_it_is(api: Api) -> None:
    files = below("b", {**GO, "binlogs/insert_log/1/2/3/3/100/1": b"short"})
    with pytest.raises(BackupCorrupt) as caught:
        await api.client.import_backup(in_chunks(tar_of(files)))
    assert caught.value.metadata["key"] == "binlogs/insert_log/1/2/3/3/100/1"
    with pytest.raises(ArchiveInvalid) as invalid:
        await api.client.import_backup(in_chunks(tar_of(below("b", GO) | {"b/x": b""})))
    assert invalid.value.metadata["entry"] == "b/x"
    assert invalid.value.code is grpc.StatusCode.INVALID_ARGUMENT
    operations = await api.operations()
    assert [it.error.message for it in operations] == [invalid.value.message, caught.value.message]
    assert await api.world.objects() == {}


async def test_what_the_chunks_raise_ends_the_import(api: Api) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield tar_of(below("b", LARGE))[:5_000_000]
        raise ValueError("the caller's own")

    with pytest.raises(ValueError, match="the caller's own"):
        await api.client.import_backup(breaking())
    operation = await api.only_operation()
    assert operation.state == OPERATION_STATE_FAILED
    assert operation.error.message == "the caller left before the end of the archive"
    assert await api.world.objects() == {}


async def test_a_caller_that_leaves_ends_its_import(api: Api) -> None:
    importing = asyncio.create_task(
        api.client.import_backup(silent(tar_of(below("b", LARGE))[:5_000_000]))
    )
    while not await api.operations():  # noqa: ASYNC110 - until it is there
        await asyncio.sleep(0.01)
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    operation = await api.only_operation()
    assert operation.state == OPERATION_STATE_FAILED
    assert await api.world.objects() == {}


async def test_an_import_is_cancelled_like_any_operation(api: Api) -> None:
    importing = asyncio.create_task(
        api.client.import_backup(endless(tar_of(below("b", LARGE))[:5_000_000]))
    )
    while not (operations := await api.operations()):  # noqa: ASYNC110 - until it is there
        await asyncio.sleep(0.01)
    await api.client.cancel_operation(operations[0])
    with pytest.raises(OperationCancelled):
        await importing
    assert (await api.only_operation()).state == OPERATION_STATE_CANCELLED
    assert await api.world.objects() == {}


async def test_a_reader_that_leaves_ends_its_export(api: Api) -> None:
    await api.client.import_backup(in_chunks(tar_of(below("b", LARGE))))
    chunks = api.client.export_backup("b")
    assert await anext(chunks)
    await chunks.aclose()
    newest, _ = await api.operations()
    ended = await api.client.wait(newest, raise_on_failure=False)
    assert ended.error.message == "the caller left before the end of the archive"
    await api.client.wait(await api.client.delete_backup("b"))


async def test_a_backup_that_is_not_there(api: Api) -> None:
    with pytest.raises(BackupNotFound):
        await joined(api.client.export_backup("x"))


async def test_a_service_that_is_not_there() -> None:
    async with BackupClient("127.0.0.1:1") as client:
        with pytest.raises(ServiceUnreachable):
            await client.import_backup(in_chunks(b"x"))
        with pytest.raises(ServiceUnreachable):
            await joined(client.export_backup("b"))


# --- the contract


async def test_no_message_is_larger_than_1_mib(api: Api) -> None:
    await api.client.import_backup(in_chunks(tar_of(below("b", LARGE))))
    call = api.stub.ExportBackup(ExportBackupRequest(backup_name="b"))
    messages: list[ExportBackupResponse] = [message async for message in call]
    assert max(message.ByteSize() for message in messages) <= MIB
    assert min(len(message.chunk) for message in messages) > 0


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "chunk"),
        ([ImportBackupRequest(chunk=bytes(MIB + 1))], "chunk"),
        (
            [ImportBackupRequest(backup_name="b"), ImportBackupRequest(backup_name="b")],
            "backup_name",
        ),
        ([ImportBackupRequest(backup_name="a/b", chunk=b"x")], "backup_name"),
    ],
)
async def test_messages_that_are_not_as_they_should_be(
    api: Api, messages: list[ImportBackupRequest], field: str
) -> None:
    error = await failure(api.stub.ImportBackup(iter(messages)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(f"{field}: ")
    assert await api.world.objects() == {}


async def test_a_chunk_of_1_mib_is_taken(api: Api) -> None:
    archive = tar_of(below("b", LARGE))
    messages = [
        ImportBackupRequest(chunk=archive[offset : offset + MIB])
        for offset in range(0, len(archive), MIB)
    ]
    await api.stub.ImportBackup(iter(messages))
    assert await api.world.objects() == below("backup/b", LARGE)


async def test_who_goes_on_sending_is_told_to_stop(api: Api) -> None:
    call = api.stub.ImportBackup()
    await call.write(ImportBackupRequest(chunk=b"no archive" * 100))
    metadata = await call.initial_metadata()
    assert metadata is not None
    assert STOP in dict(metadata)
    await call.write(ImportBackupRequest(chunk=b"more"))
    await call.done_writing()
    error = await failure(call)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "this is no tar archive" in (error.details() or "")


async def test_bytes_that_are_no_message(api: Api) -> None:
    async with grpc.aio.insecure_channel(api.client._connection.address) as channel:  # noqa: SLF001
        method = channel.stream_unary(
            "/milvus_backup.v1.BackupService/ImportBackup",
            request_serializer=bytes,
            response_deserializer=Operation.FromString,
        )
        error = await failure(method(iter([b"\xff\xff\xff"])))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
