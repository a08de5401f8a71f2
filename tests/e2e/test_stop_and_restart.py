"""The service as a process: stopped, killed, started again, started before all else."""

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from milvus_backup.v1 import backup_pb2, server_service_pb2
from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client import BackupClient, errors
from milvus_backup_client.operations import error_of
from tests.support.collection_builder import Dataset
from tests.support.command_line import run
from tests.support.datasets import make_versioned
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.faults import Fault
from tests.support.processes import free_ports
from tests.support.relay import Relay
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.s3_proxy import S3Proxy, S3Request
from tests.support.service_process import (
    GRACE,
    SECONDS,
    SOON_LOST,
    STOP_SECONDS,
    Process,
    Values,
    launch,
    serving,
    through,
    until,
)
from tests.support.watchers import Watcher

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

NAME = "stopped_rows"
COPY = b"x-amz-copy-source"  # in every request that copies an object


@pytest.fixture(scope="module")
def dataset(environment: Environment) -> Dataset:
    return make_versioned(environment.milvus.uri, NAME, range(100))


async def test_what_runs_at_sigterm_is_interrupted_and_resumed_at_the_next_start(
    environment: Environment, dataset: Dataset, tmp_path: Path
) -> None:
    root = "stopped_by_term"
    values = service_settings(environment.seaweed, environment.milvus, backup_root=root)
    one, all_of_them = Watcher(), Watcher()
    async with (
        Relay(environment.seaweed.port) as relay,
        serving(through(relay, values), tmp_path) as server,
        BackupClient(server.address, reconnect_seconds=0) as impatient,
    ):
        await relay.start()
        assert await server.health() == health_pb2.HealthCheckResponse.SERVING
        relay.hold(COPY)
        operation = await server.client.create_backup("term", collections=[dataset.collection])
        following = asyncio.gather(
            one.follow(server.client.watch(operation)),
            all_of_them.follow(impatient.watch_operations()),
        )
        async with asyncio.timeout(STOP_SECONDS):
            await relay.wait_held()

        server.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            await until(server.is_stopping)
        with pytest.raises(errors.ServerStopping):
            await impatient.create_backup("late", collections=[NAME], request_id="")
        await asyncio.sleep(2 * GRACE)
        relay.release()  # a request under way ends before its operation does
        async with asyncio.timeout(SECONDS):
            await following
        code = await server.exit_code()

    assert code == 0, server.child.log_tail()
    assert_interrupted(one.states[-1])
    assert one.error is None
    assert_interrupted(all_of_them.states[-1])
    assert type(all_of_them.error) is errors.ServerStopping
    keys = list(environment.seaweed.objects.keys(BACKUP_BUCKET, f"{root}/term/"))
    assert f"{root}/term/meta/claim.json" in keys
    assert f"{root}/term/meta/full_meta.json" not in keys
    values = service_settings(environment.seaweed, environment.milvus, backup_root=root)
    async with serving(values, tmp_path, operations={"resumeAtStart": True}) as server:
        async with asyncio.timeout(STOP_SECONDS):
            await until(lambda: has_succeeded(server.client, operation.name))
        assert await server.listed() == {"term": backup_pb2.BACKUP_STATE_COMPLETE}


async def has_succeeded(client: BackupClient, name: str) -> bool:
    return (await client.get_operation(name)).state == pb.OPERATION_STATE_SUCCEEDED


def assert_interrupted(ended: pb.Operation) -> None:
    error = error_of(ended)
    assert ended.state == pb.OPERATION_STATE_INTERRUPTED
    assert type(error) is errors.OperationInterrupted
    assert error.reason == "OPERATION_INTERRUPTED"
    assert ended.progress.waiting_for == ""


async def test_an_endless_watch_of_nothing_is_told_of_sigterm(
    environment: Environment, tmp_path: Path
) -> None:
    values = service_settings(environment.seaweed, environment.milvus, backup_root="stopped_idle")
    watcher = Watcher()
    async with (
        serving(values, tmp_path) as server,
        BackupClient(server.address, reconnect_seconds=0) as impatient,
    ):
        following = asyncio.create_task(watcher.follow(impatient.watch_operations()))
        assert [it.name async for it in impatient.list_operations()] == []
        server.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            await following
        assert await server.exit_code() == 0, server.child.log_tail()

    assert watcher.states == []
    assert type(watcher.error) is errors.ServerStopping


async def test_after_sigkill_in_the_copy_phase_a_new_process_resumes_what_is_missing(
    environment: Environment, dataset: Dataset, tmp_path: Path
) -> None:
    root = "stopped_by_kill"
    values = service_settings(environment.seaweed, environment.milvus, backup_root=root)
    (port,) = free_ports(1)
    watcher = Watcher()
    async with S3Proxy(environment.seaweed.port) as proxy:
        values = through(proxy, values)
        async with serving(values, tmp_path, port, **SOON_LOST) as killed:
            await make(killed.client, "whole")
            # Some are copied; at those that follow the service dies.
            proxy.rules.add(Fault.DROP, "CopyObject", part="/torso/", at=range(3, 10_000))
            operation = await killed.client.create_backup("torso", collections=[NAME])
            following = asyncio.create_task(watcher.follow(killed.client.watch(operation)))

            async def stuck() -> bool:
                asked = copies_of_the_torso(proxy.log)
                dropped = [it for it in asked if it.fault is Fault.DROP]
                return bool(dropped) and all(it.status for it in asked if it not in dropped)

            async with asyncio.timeout(STOP_SECONDS):
                await until(stuck)
                await until(watcher.sees_copying)
            await asyncio.to_thread(killed.child.kill)
            proxy.rules.clear()
            before = len(proxy.log)

            async with serving(values, tmp_path, port, **SOON_LOST) as server:
                async with asyncio.timeout(STOP_SECONDS):
                    await following
                assert_interrupted(watcher.states[-1])
                await assert_only_the_whole_one_is_usable(server)
                resumed = await run(server.address, "resume", operation.name)
                assert resumed.exit_code == 0, resumed.output
                assert await server.listed() == {
                    "torso": backup_pb2.BACKUP_STATE_COMPLETE,
                    "whole": backup_pb2.BACKUP_STATE_COMPLETE,
                }
                ended = await server.client.get_operation(operation.name)
                assert_no_more_than_what_was_in_flight(proxy, before, ended)
                restores = [
                    await server.client.restore_backup(name, suffix=f"_{name}")
                    for name in ("torso", "whole")
                ]
                for restore in restores:
                    await server.client.wait(restore)

    assert watcher.error is None  # the next service knows the operation from its record
    assert watcher.states[-1].state == pb.OPERATION_STATE_INTERRUPTED
    assert watcher.states[-1].error.message
    assert pb.OPERATION_PHASE_COPYING in {it.progress.phase for it in watcher.states}
    assert ended.state == pb.OPERATION_STATE_SUCCEEDED
    left = environment.seaweed.objects.keys(BACKUP_BUCKET, f"{root}/.milvus-backup/plans/")
    assert list(left) == []
    for name in ("torso", "whole"):
        rows = await asyncio.to_thread(
            fetch_rows, environment.milvus.uri, "default", f"{NAME}_{name}"
        )
        assert_same_rows(dataset.rows, rows)


def copies_of_the_torso(requests: Sequence[S3Request]) -> list[S3Request]:
    return [it for it in requests if it.operation == "CopyObject" and "/torso/" in it.key]


def assert_no_more_than_what_was_in_flight(
    proxy: S3Proxy, before: int, ended: pb.Operation
) -> None:
    """Assert which copies were repeated behind a place in the proxy's log."""
    first = copies_of_the_torso(proxy.log[:before])
    again = copies_of_the_torso(proxy.log[before:])
    answered = {it.key for it in first if it.status}
    in_flight = {it.key for it in first if not it.status}
    made = [it.key for it in again]
    assert len(answered) == 2
    assert in_flight
    assert answered.isdisjoint(made)
    assert {it.key for it in first}.intersection(made) <= in_flight
    assert len(made) == len(set(made)) == ended.create_backup.object_count - len(answered)


async def make(client: BackupClient, name: str) -> None:
    async with asyncio.timeout(STOP_SECONDS):
        await client.wait(await client.create_backup(name, collections=[NAME]))


async def assert_only_the_whole_one_is_usable(server: Process) -> None:
    """Assert how a torso looks, and that nothing else gets its name."""
    client = server.client
    assert await server.listed() == {
        "torso": backup_pb2.BACKUP_STATE_INCOMPLETE,
        "whole": backup_pb2.BACKUP_STATE_COMPLETE,
    }
    assert (await client.get_backup("torso")).state == backup_pb2.BACKUP_STATE_INCOMPLETE
    with pytest.raises(errors.BackupNotRestorable) as refused:
        await client.restore_backup("torso", suffix="_x")
    assert refused.value.metadata["subject"] == "torso"
    with pytest.raises(errors.BackupAlreadyExists):
        await client.create_backup("torso", collections=[NAME])


@pytest.mark.usefixtures("dataset")
async def test_it_starts_before_milvus_and_the_store_and_finds_them_when_they_come(
    environment: Environment, tmp_path: Path
) -> None:
    values = service_settings(environment.seaweed, environment.milvus, backup_root="stopped_early")
    async with Relay(environment.milvus.port) as milvus, Relay(environment.seaweed.port) as store:
        values["milvus"]["grpc"]["port"] = milvus.port
        async with serving(through(store, values), tmp_path, checkTimeoutSeconds=3) as server:
            assert await server.health() == health_pb2.HealthCheckResponse.SERVING
            await assert_nothing_is_there(server.client, milvus.port, store.port)

            await milvus.start()
            await store.start()
            async with asyncio.timeout(STOP_SECONDS):
                await until(server.is_well)
            await make(server.client, "early")
            assert await server.listed() == {"early": backup_pb2.BACKUP_STATE_COMPLETE}
            info = await server.client.server_info()

    assert info.cluster.supported
    assert not info.cluster.HasField("error")


async def assert_nothing_is_there(client: BackupClient, milvus: int, store: int) -> None:
    """Assert that everything that can be asked is answered in time, and how."""

    async def listing() -> list[str]:
        return [backup.name async for backup in client.list_backups()]

    async with asyncio.timeout(SECONDS):
        info, check, create, listed, got, deleted = await asyncio.gather(
            client.server_info(),
            client.check(),
            client.create_backup("early", collections=[NAME]),
            listing(),
            client.get_backup("early"),
            client.delete_backup("early"),
            return_exceptions=True,
        )
    assert isinstance(info, server_service_pb2.GetServerInfoResponse)
    assert info.cluster.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert str(milvus) in info.cluster.error.message
    assert isinstance(check, server_service_pb2.CheckResponse)
    assert not check.ok
    assert {item.name: item.state for item in check.items} == {
        "milvus": server_service_pb2.CHECK_STATE_FAILED,
        "milvus_version": server_service_pb2.CHECK_STATE_SKIPPED,
        "milvus_permissions": server_service_pb2.CHECK_STATE_SKIPPED,
        "milvus_storage": server_service_pb2.CHECK_STATE_FAILED,
        "milvus_objects": server_service_pb2.CHECK_STATE_SKIPPED,
        "backup_storage": server_service_pb2.CHECK_STATE_FAILED,
        "backup_storage_write": server_service_pb2.CHECK_STATE_SKIPPED,
        "conditional_writes": server_service_pb2.CHECK_STATE_SKIPPED,
        "staging_write": server_service_pb2.CHECK_STATE_SKIPPED,
        "transfer": server_service_pb2.CHECK_STATE_SKIPPED,
        "restore": server_service_pb2.CHECK_STATE_SKIPPED,
    }
    assert type(create) is errors.MilvusUnavailable
    assert create.metadata["address"].endswith(f":{milvus}")
    for error in (listed, got, deleted):
        assert type(error) is errors.StorageUnavailable
        assert str(store) in error.metadata["endpoint"]


@pytest.mark.parametrize("taken_by", ["another program", "another service"])
async def test_a_taken_port_is_told_in_one_line(tmp_path: Path, taken_by: str) -> None:
    (port,) = free_ports(1)
    values = with_nothing_up()
    if taken_by == "another service":
        (tmp_path / "first").mkdir()
        async with serving(values, tmp_path / "first", port) as first:
            code, lines = await failed_start(values, port, tmp_path)
            assert await first.health() == health_pb2.HealthCheckResponse.SERVING
    else:
        with closing(socket.create_server(("127.0.0.1", port))):
            code, lines = await failed_start(values, port, tmp_path)

    assert code not in (0, 128 + signal.SIGTERM)
    told = f"milvus-backup server: cannot listen on 127.0.0.1:{port}: is the address taken?"
    assert [line for line in lines if "add_port" not in line] == [told]  # gRPC writes one itself
    assert lines[-1] == told


def with_nothing_up() -> Values:
    milvus, store = free_ports(2)
    return {
        "configVersion": "v2",
        "milvus": {"grpc": {"port": milvus}, "storage": {"port": store}},
        "backup": {"storage": {"port": store}},
    }


async def failed_start(values: Values, port: int, directory: Path) -> tuple[int, list[str]]:
    """Start a process that cannot serve; return its exit code and what it wrote."""
    child = launch(values, port, directory)
    try:
        code = await asyncio.to_thread(child.wait, STOP_SECONDS)
    finally:
        await asyncio.to_thread(child.kill)
    return code, child.log.read_text(encoding="utf-8").splitlines()
