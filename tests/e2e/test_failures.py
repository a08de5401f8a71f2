"""What goes wrong gives its own error, soon, with the name of what is wrong, and writes nothing."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client import BackupClient, errors
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.calls import Call, creating, deleting, getting, listing, restoring
from tests.support.datasets import make_versioned
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.gateways import GatewayDecorator
from tests.support.milvus import MilvusStandalone
from tests.support.processes import free_ports
from tests.support.running_service import FAST, Decorators, Service, running_service, settings_of
from tests.support.traces import Inspector

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

SECONDS = 10  # within which whoever asks knows what is wrong
NAME = "failures"
BACKUP = "failures_backup"
ROOT = "failures_root"
NEW = "failures_new"
WRONG_SECRET = secrets.token_hex(16)
INTERNAL = ("Traceback", '.py"', "botocore", "aiohttp", "pymilvus", "AioRpcError", "Exception")

Values = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A call that fails, its error, and what the error's metadata must tell."""

    call: Call
    error: type[errors.BackupServiceError]
    metadata: Mapping[str, str] = field(default_factory=dict)


CREATE = creating(NEW, NAME)
RESTORE = restoring(BACKUP, suffix="_x")
GET = getting(BACKUP)
DELETE = deleting(BACKUP)

REQUESTS = {
    "unknown collection": Case(
        creating(NEW, NAME, "nowhere"),
        errors.CollectionNotFound,
        {"resource": "default.nowhere", "type": "collection"},
    ),
    "unknown collection of another database": Case(
        creating(NEW, "nobody.nowhere"), errors.DatabaseNotFound, {"resource": "nobody"}
    ),
    "unknown database": Case(
        creating(NEW, "nobody.*"),
        errors.DatabaseNotFound,
        {"resource": "nobody", "type": "database"},
    ),
    "bad name": Case(creating("no-name", NAME), errors.InvalidRequest, {"field": "backup_name"}),
    "bad collection": Case(creating(NEW, "a.b.c"), errors.InvalidRequest),
    "bad suffix": Case(restoring(BACKUP, suffix="-x"), errors.InvalidRequest, {"field": "suffix"}),
    "get of nothing": Case(getting("nothing"), errors.BackupNotFound, {"resource": "nothing"}),
    "delete of nothing": Case(deleting("nothing"), errors.BackupNotFound, {"resource": "nothing"}),
    "restore of nothing": Case(
        restoring("nothing", suffix="_x"),
        errors.BackupNotFound,
        {"resource": "nothing", "type": "backup"},
    ),
    "taken name": Case(creating(BACKUP, NAME), errors.BackupAlreadyExists, {"resource": BACKUP}),
    "existing target": Case(
        restoring(BACKUP), errors.TargetAlreadyExists, {"resource": f"default.{NAME}"}
    ),
    "collection that the backup has not": Case(
        restoring(BACKUP, collections=["nowhere"], suffix="_x"),
        errors.CollectionNotFound,
        {"resource": "default.nowhere"},
    ),
    "database that the backup has not": Case(
        restoring(BACKUP, collections=["nobody.*"], suffix="_x"),
        errors.DatabaseNotFound,
        {"resource": "nobody"},
    ),
    "unknown operation": Case(
        lambda client: client.get_operation("operations/nothing"), errors.OperationNotFound
    ),
}


@dataclass(frozen=True)
class Stage:
    """The servers, what is in them, and a service with the right settings."""

    environment: Environment
    inspector: Inspector
    service: Service

    @property
    def values(self) -> Values:
        """The right settings, to be made wrong."""
        values = service_settings(
            self.environment.seaweed, self.environment.milvus, backup_root=ROOT
        )
        return {**deepcopy(values), "service": deepcopy(FAST)}

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Assert that the block leaves stores and Milvus as they were."""
        before = self.inspector.traces()
        yield
        assert self.inspector.traces() == before

    async def failing(
        self, call: Call, kind: type[errors.BackupServiceError], client: BackupClient | None = None
    ) -> Any:
        """Return the error of a call, which is of this very class, comes soon and tells no secret."""
        with pytest.raises(errors.BackupServiceError) as caught:
            async with asyncio.timeout(SECONDS):
                await call(client or self.service.client)
        error = caught.value
        assert (type(error), error.reason) == (kind, kind.reason)
        self.assert_presentable(error)
        return error

    def assert_presentable(self, error: errors.BackupServiceError) -> None:
        texts = (str(error), repr(error), str(error.status), str(error.operation))
        for untold in (self.environment.seaweed.secret_key, WRONG_SECRET, *INTERNAL):
            assert not any(untold in text for text in texts)

    async def failing_all(
        self,
        kind: type[errors.BackupServiceError],
        client: BackupClient,
        *calls: Call,
    ) -> list[Any]:
        """Make calls at the same time and return the errors of all of them."""
        return await asyncio.gather(*(self.failing(call, kind, client) for call in calls))


@pytest.fixture(scope="module")
async def stage(environment: Environment) -> AsyncIterator[Stage]:
    await asyncio.to_thread(make_versioned, environment.milvus.uri, NAME, range(50))
    values = service_settings(environment.seaweed, environment.milvus, backup_root=ROOT)
    with Inspector(environment.seaweed, environment.milvus) as inspector:
        async with running_service(settings_of({**values, "service": FAST})) as service:
            await service.client.wait(
                await service.client.create_backup(BACKUP, collections=[NAME])
            )
            yield Stage(environment, inspector, service)


@pytest.fixture(scope="module")
def guarded(environment: Environment) -> Iterator[MilvusStandalone]:
    """A Milvus that asks who one is."""
    milvus = MilvusStandalone(environment.seaweed, "failures-guarded", authorization=True)
    with milvus:
        yield milvus


@asynccontextmanager
async def service_of(
    values: Values, gateway: Callable[[MilvusGateway], MilvusGateway] | None = None
) -> AsyncIterator[BackupClient]:
    decorators = Decorators(gateway=gateway) if gateway else None
    async with running_service(settings_of(values), decorators) as service:
        yield service.client


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_wrong_request_is_refused(stage: Stage, name: str) -> None:
    case = REQUESTS[name]
    with stage.untouched():
        error = await stage.failing(case.call, case.error)

    assert case.metadata.items() <= error.metadata.items()
    if case.error is errors.InvalidRequest:
        assert [fault.field for fault in error.violations] == [error.metadata["field"]]
    for value in case.metadata.values():
        assert value in str(error)


async def test_a_wrong_key_of_the_backup_store_is_denied_to_all_calls(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    values = stage.values
    values["backup"]["storage"]["auth"]["secretAccessKey"] = WRONG_SECRET
    with stage.untouched():
        async with service_of(values) as client:
            calls = (CREATE, listing, GET, RESTORE, DELETE)
            found = await stage.failing_all(errors.StorageDenied, client, *calls)
            check = await client.check()

    for error in found:
        assert BACKUP_BUCKET in str(error.metadata)
    assert not check.ok
    logged = str(capfd.readouterr())
    assert "STORAGE_DENIED" in logged
    for told in (str(check), logged):
        assert WRONG_SECRET not in told
        assert stage.environment.seaweed.secret_key not in told


async def test_a_wrong_key_of_milvus_store_is_denied(stage: Stage) -> None:
    values = stage.values
    values["milvus"]["storage"]["auth"]["secretAccessKey"] = WRONG_SECRET
    with stage.untouched():
        async with service_of(values) as client:
            for error in await stage.failing_all(errors.StorageDenied, client, CREATE, RESTORE):
                assert stage.environment.milvus.bucket in str(error.metadata)
            assert await listing(client) == [BACKUP]


async def test_a_milvus_that_does_not_answer_is_named(stage: Stage) -> None:
    (nobody,) = free_ports(1)
    values = stage.values
    values["milvus"]["grpc"]["port"] = nobody
    with stage.untouched():
        async with service_of(values) as client:
            for error in await stage.failing_all(errors.MilvusUnavailable, client, CREATE, RESTORE):
                assert error.metadata["address"] == f"{stage.environment.milvus.host}:{nobody}"
                assert str(nobody) in str(error)
            assert await listing(client) == [BACKUP]


@pytest.mark.parametrize("whose", ["milvus", "backup"])
async def test_a_store_that_does_not_answer_is_named(stage: Stage, whose: str) -> None:
    (nobody,) = free_ports(1)
    values = stage.values
    values[whose]["storage"]["port"] = nobody
    values["service"]["checkTimeoutSeconds"] = 2  # all of it is used, a store may come back
    calls: list[Call] = [CREATE, RESTORE]
    if whose == "backup":
        calls += [listing, GET, DELETE]
    with stage.untouched():
        async with service_of(values) as client:
            found = await stage.failing_all(errors.StorageUnavailable, client, *calls)

    for error in found:
        assert str(nobody) in error.metadata["endpoint"]
        assert str(nobody) in str(error)


async def test_a_milvus_bucket_that_is_missing_is_named_and_not_made(stage: Stage) -> None:
    values = stage.values
    values["milvus"]["storage"]["bucketName"] = "failures-no-milvus"
    with stage.untouched():
        async with service_of(values) as client:
            for error in await stage.failing_all(errors.BucketNotFound, client, CREATE, RESTORE):
                assert error.metadata["bucket"] == "failures-no-milvus"
                assert error.metadata["setting"] == "milvus.storage.bucketName"


async def test_a_missing_backup_bucket_is_an_empty_repository_and_made_by_a_create(
    stage: Stage,
) -> None:
    bucket = f"failures-made-{secrets.token_hex(4)}"
    values = stage.values
    values["backup"]["storage"]["bucketName"] = bucket
    async with service_of(values) as client:
        with stage.untouched():
            assert await listing(client) == []
            await stage.failing_all(errors.BackupNotFound, client, GET, RESTORE, DELETE)
            await creating(NEW, NAME, validate_only=True)(client)
        async with asyncio.timeout(3 * SECONDS):
            await client.wait(await client.create_backup(NEW, collections=[NAME]))
        assert await listing(client) == [NEW]
    keys = list(stage.environment.seaweed.objects.keys(bucket))
    assert f"{ROOT}/{NEW}/meta/full_meta.json" in keys


async def test_a_missing_backup_bucket_is_not_made_when_the_settings_say_so(stage: Stage) -> None:
    values = stage.values
    values["backup"]["storage"]["bucketName"] = "failures-never-made"
    values["service"]["storage"] = {"createBackupBucket": False}
    with stage.untouched():
        async with service_of(values) as client:
            error = await stage.failing(CREATE, errors.BucketNotFound, client)
            assert await listing(client) == []
            await stage.failing_all(errors.BackupNotFound, client, GET, RESTORE, DELETE)

    assert error.metadata["bucket"] == "failures-never-made"
    assert error.metadata["setting"] == "backup.storage.bucketName"


@pytest.mark.parametrize(
    ("setting", "value"), [("rootPath", "elsewhere"), ("bucketName", BACKUP_BUCKET)]
)
async def test_a_wrong_place_of_milvus_objects_fails_the_create_with_bucket_and_prefix(
    stage: Stage, setting: str, value: str
) -> None:
    values = stage.values
    storage = values["milvus"]["storage"]
    storage[setting] = value
    with stage.untouched():
        async with service_of(values) as client:
            operation = await client.create_backup(NEW, collections=[NAME])
            error = await stage.failing(
                lambda client: client.wait(operation), errors.SourceStorageMismatch, client
            )

    assert error.operation.state == pb.OPERATION_STATE_FAILED
    assert error.metadata["bucket"] == storage["bucketName"]
    assert error.metadata["prefix"] == storage["rootPath"]
    assert storage["bucketName"] in str(error)
    assert storage["rootPath"] in str(error)


async def test_a_wrong_password_of_milvus_is_denied(
    stage: Stage, guarded: MilvusStandalone, capfd: pytest.CaptureFixture[str]
) -> None:
    values = {**service_settings(stage.environment.seaweed, guarded), "service": FAST}
    everything = creating(NEW, "default.*", validate_only=True)
    async with service_of(values) as client:
        await everything(client)
    values["milvus"]["password"] = WRONG_SECRET
    with stage.untouched():
        async with service_of(values) as client:
            error = await stage.failing(everything, errors.MilvusDenied, client)
            check = await client.check()

    assert error.metadata["subject"] == guarded.address
    logged = str(capfd.readouterr())
    assert "MILVUS_DENIED" in logged
    assert "MILVUS_DENIED" in str(check)
    for told in (str(check), logged):
        assert WRONG_SECRET not in told


async def test_what_accepts_a_connection_and_never_answers_is_named_in_time(stage: Stage) -> None:
    milvus, store = stage.values, stage.values  # with the waits that the service has by itself
    with socket.create_server(("127.0.0.1", 0)) as silent, stage.untouched():
        port = milvus["milvus"]["grpc"]["port"] = silent.getsockname()[1]
        store["backup"]["storage"]["port"] = port
        async with service_of(milvus) as one, service_of(store) as other:
            calls = (CREATE, listing, GET, DELETE)
            of_milvus, of_store = await asyncio.gather(
                stage.failing_all(errors.MilvusUnavailable, one, CREATE),
                stage.failing_all(errors.StorageUnavailable, other, *calls),
            )

    for error in (*of_milvus, *of_store):
        assert str(port) in str(error)


@pytest.mark.parametrize("version", ["v2.2.9", "v3.0.1"])
async def test_a_version_out_of_range_is_refused(stage: Stage, version: str) -> None:
    with stage.untouched():
        async with service_of(stage.values, lambda inner: OtherVersion(inner, version)) as client:
            found = await stage.failing_all(
                errors.MilvusVersionUnsupported, client, CREATE, RESTORE
            )
            info = await client.server_info()
            assert await listing(client) == [BACKUP]

    assert (info.cluster.milvus_version, info.cluster.supported) == (version, False)
    for error in found:
        assert error.metadata["version"] == version
        assert error.metadata["supported"] in str(error)


@pytest.mark.parametrize("version", ["v2.2.9", "v3.0.1"])
async def test_a_version_out_of_range_is_accepted_when_the_settings_say_so(
    stage: Stage, version: str
) -> None:
    values = stage.values
    values["service"]["milvus"] = {**values["service"]["milvus"], "allowUntestedVersions": True}
    name = f"{NEW}_{version[1:].replace('.', '_')}"
    async with service_of(values, lambda inner: OtherVersion(inner, version)) as client:
        await client.wait(await client.create_backup(name, collections=[NAME]))
        planned = await client.restore_backup(name, suffix=f"_{name}", validate_only=True)
        await client.wait(await client.delete_backup(name))

    assert planned.restore_plan.collection_count == 1


class OtherVersion(GatewayDecorator):
    """A Milvus that says it is of another version."""

    def __init__(self, inner: MilvusGateway, version: str) -> None:
        super().__init__(inner)
        self._version = version

    async def version(self) -> str:
        return self._version
