"""A cancelled operation ends within seconds, at whatever phase, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from pymilvus import DataType, MilvusClient

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client.errors import BackupNotFound
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.milvus import CollectionName, ImportJob, ImportState
from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder, Dataset
from tests.support.datasets import vectors
from tests.support.environment import Environment, service_settings
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE, Gate, Gates, around_all
from tests.support.relay import Relay
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, Service, running_service, settings_of
from tests.support.traces import Inspector, Traces

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

SECONDS = 10  # within which an operation has ended after its cancel
PLENTY = 60
FULL, EMPTY = "cancel_full", "cancel_empty"
BACKUP = "cancel_source"
DATABASE = "cancel_db"
RENAMES = {f"default.{FULL}": f"{DATABASE}.full", f"default.{EMPTY}": f"{DATABASE}.empty"}

Case = tuple[pb.OperationPhase.ValueType, Callable[[], Gate]]

CREATE: dict[str, Case] = {
    "flushing": (pb.OPERATION_PHASE_FLUSHING, lambda: Gate(GATEWAY, "is_flushed", number=2)),
    "listing": (pb.OPERATION_PHASE_LISTING, lambda: Gate(GATEWAY, "list_indexes")),
    "claiming": (
        pb.OPERATION_PHASE_LISTING,
        lambda: Gate(BACKUP_STORE, "put", part="claim.json", answer=True),
    ),
    "copying": (pb.OPERATION_PHASE_COPYING, lambda: Gate(BACKUP_STORE, "copy", number=2)),
    "copying in parts": (pb.OPERATION_PHASE_COPYING, lambda: Gate(BACKUP_STORE, "copy_part")),
    "checking": (
        pb.OPERATION_PHASE_CHECKING,
        lambda: Gate(BACKUP_STORE, "list_page", part="/binlogs/"),
    ),
    "writing metadata": (
        pb.OPERATION_PHASE_WRITING_METADATA,
        lambda: Gate(BACKUP_STORE, "put", part="segment_meta.json"),
    ),
    "the last object stands": (
        pb.OPERATION_PHASE_WRITING_METADATA,
        lambda: Gate(BACKUP_STORE, "put", part="full_meta.json", answer=True),
    ),
}
RESTORE: dict[str, Case] = {
    "verifying": (
        pb.OPERATION_PHASE_VERIFYING,
        lambda: Gate(BACKUP_STORE, "get", part="/binlogs/", number=3),
    ),
    "staging": (pb.OPERATION_PHASE_STAGING, lambda: Gate(MILVUS_STORE, "copy", number=2)),
    "staging in parts": (pb.OPERATION_PHASE_STAGING, lambda: Gate(MILVUS_STORE, "copy_part")),
    "making a collection": (
        pb.OPERATION_PHASE_IMPORTING,
        lambda: Gate(GATEWAY, "create_collection", answer=True),
    ),
    "finishing": (
        pb.OPERATION_PHASE_FINISHING,
        lambda: Gate(GATEWAY, "rename_collection", number=2, answer=True),
    ),
}


@dataclass(frozen=True)
class Stage:
    """Where the tests play: a service with gates, its servers, and what it backs up."""

    environment: Environment
    service: Service
    gates: Gates
    dataset: Dataset
    milvus: GrpcMilvusGateway
    inspector: Inspector

    def traces(self) -> Traces:
        return self.inspector.traces()

    async def create(self, name: str) -> pb.Operation:
        return await self.service.client.create_backup(name, collections=[FULL, EMPTY])

    async def restore(self) -> pb.Operation:
        return await self.service.client.restore_backup(BACKUP, renames=RENAMES)

    async def cancel_at(self, gate: Gate, operation: pb.Operation) -> pb.Operation:
        """Cancel an operation as soon as the gate is reached, and return it as it was then."""
        async with asyncio.timeout(PLENTY):
            await gate.reached.wait()
        return await self.service.client.cancel_operation(operation)

    async def imports(self) -> list[ImportJob]:
        """The import jobs that have not ended, whoever began them."""
        jobs = await self.milvus.list_imports(CollectionName("default", ""))
        return [job for job in jobs if job.state in (ImportState.PENDING, ImportState.RUNNING)]


@pytest.fixture(scope="module")
def dataset(environment: Environment) -> Dataset:
    """One collection with an object of more than 1 MiB, and one without rows."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=512)
    with connected(environment.milvus.uri) as client:
        CollectionBuilder(client, EMPTY, schema)
        full = CollectionBuilder(client, FULL, schema)
        full.insert([{"pk": pk, "v": vector} for pk, vector in enumerate(vectors(800, 512, 7))])
        full.flush()
    return Dataset("default", FULL, full.rows)


@pytest.fixture(scope="module")
def inspector(environment: Environment) -> Iterator[Inspector]:
    with Inspector(environment.seaweed, environment.milvus) as made:
        yield made


@pytest.fixture(scope="module")
async def stage(
    environment: Environment, dataset: Dataset, inspector: Inspector
) -> AsyncIterator[Stage]:
    gates = Gates()
    settings = settings_of(
        {
            **service_settings(environment.seaweed, environment.milvus),
            "service": FAST,
            "transfer": {"multipartCopyThresholdMiB": 1},
        }
    )
    milvus = GrpcMilvusGateway(
        MilvusSettings(host=environment.milvus.host, port=environment.milvus.port)
    )
    async with running_service(settings, around_all(gates)) as service:
        operation = await service.client.create_backup(BACKUP, collections=[FULL, EMPTY])
        await service.client.wait(operation)
        yield Stage(environment, service, gates, dataset, milvus, inspector)
    await milvus.close()


@pytest.mark.parametrize("case", CREATE)
async def test_a_cancelled_create_leaves_nothing_and_its_name_is_free(
    stage: Stage, case: str
) -> None:
    phase, make_gate = CREATE[case]
    stage.gates.gate = gate = make_gate()
    name = f"cancelled_{case}".replace(" ", "_")
    before = stage.traces()
    operation = await stage.create(name)

    asked = await stage.cancel_at(gate, operation)
    async with asyncio.timeout(SECONDS):
        gate.opened.set()
        ended = await stage.service.done(operation)

    assert (asked.state, asked.progress.phase) == (pb.OPERATION_STATE_CANCELLING, phase)
    assert_cancelled(ended)
    assert stage.traces() == before
    with pytest.raises(BackupNotFound):
        await stage.service.client.get_backup(name)
    await stage.service.client.wait(await stage.create(name))
    await stage.service.client.wait(await stage.service.client.delete_backup(name))
    assert stage.traces() == before


@pytest.mark.parametrize("case", RESTORE)
async def test_a_cancelled_restore_leaves_nothing(stage: Stage, case: str) -> None:
    phase, make_gate = RESTORE[case]
    stage.gates.gate = gate = make_gate()
    before = stage.traces()
    operation = await stage.restore()

    asked = await stage.cancel_at(gate, operation)
    async with asyncio.timeout(SECONDS):
        gate.opened.set()
        ended = await stage.service.done(operation)

    assert (asked.state, asked.progress.phase) == (pb.OPERATION_STATE_CANCELLING, phase)
    assert_cancelled(ended)
    assert stage.traces() == before
    assert await stage.imports() == []


async def test_a_cancelled_import_is_waited_for_and_the_same_restore_then_succeeds(
    stage: Stage,
) -> None:
    stage.gates.gate = gate = Gate(GATEWAY, "import_job")
    before = stage.traces()
    operation = await stage.restore()

    asked = await stage.cancel_at(gate, operation)
    running = await stage.imports()
    waiting = await stage.service.client.get_operation(operation)
    gate.opened.set()
    async with asyncio.timeout(PLENTY):
        ended = await stage.service.done(operation)

    assert asked.progress.phase == pb.OPERATION_PHASE_IMPORTING
    assert len(running) == 1
    assert waiting.state == pb.OPERATION_STATE_CANCELLING
    assert f"import job {running[0].job_id} of Milvus" in waiting.progress.waiting_for
    assert_cancelled(ended)
    assert stage.traces() == before
    assert await stage.imports() == []

    await stage.service.client.wait(await stage.restore())
    uri = stage.environment.milvus.uri
    assert_same_rows(stage.dataset.rows, fetch_rows(uri, DATABASE, "full"))
    with connected(uri, DATABASE) as client:
        assert sorted(client.list_collections()) == ["empty", "full"]
        client.drop_collection("empty")
        client.drop_collection("full")
    await stage.milvus.drop_database(DATABASE)


async def test_what_fails_while_it_is_cancelled_is_cleaned_up_too(stage: Stage) -> None:
    failure = StorageUnavailable("the store went away in the same moment")
    stage.gates.gate = gate = Gate(BACKUP_STORE, "list_page", part="/binlogs/", error=failure)
    before = stage.traces()
    operation = await stage.create("cancelled_in_failure")

    await stage.cancel_at(gate, operation)
    ended = await stage.service.done(operation)

    assert ended.state == pb.OPERATION_STATE_CANCELLED
    assert ended.error.message == "cancelled on request"
    assert [warning.message for warning in ended.warnings] == [failure.message]
    assert stage.traces() == before


async def test_a_request_under_way_is_not_overtaken_by_the_clean_up(
    environment: Environment, inspector: Inspector, dataset: Dataset
) -> None:
    async with Relay(environment.seaweed.port) as relay:
        await relay.start()
        values = service_settings(environment.seaweed, environment.milvus)
        values["milvus"]["storage"]["port"] = values["backup"]["storage"]["port"] = relay.port
        async with running_service(settings_of({**values, "service": FAST})) as service:
            before = inspector.traces()
            relay.hold(b"x-amz-copy-source")
            operation = await service.client.create_backup(
                "cancelled_late", collections=[dataset.collection]
            )
            async with asyncio.timeout(PLENTY):
                await relay.wait_held()
            await service.client.cancel_operation(operation)
            await asyncio.sleep(0.5)
            waiting = await service.client.get_operation(operation)
            relay.release()
            ended = await service.done(operation)

    assert waiting.state == pb.OPERATION_STATE_CANCELLING
    assert_cancelled(ended)
    assert inspector.traces() == before


def assert_cancelled(ended: pb.Operation) -> None:
    assert ended.state == pb.OPERATION_STATE_CANCELLED
    assert ended.error.message == "cancelled on request"
    assert (ended.warning_count, ended.progress.waiting_for) == (0, "")
    assert {item.state for item in ended.collections} == {pb.COLLECTION_STATE_STOPPED}
