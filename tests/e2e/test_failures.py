"""What goes wrong gives its own error, soon, with the name of what is wrong, and writes nothing."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client import BackupClient, errors
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.collection_builder import Dataset
from tests.support.datasets import make_versioned
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.gateways import GatewayDecorator
from tests.support.processes import free_ports
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, Decorators, Service, running_service, settings_of
from tests.support.traces import Inspector

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("failures")]

SECONDS = 10  # within which whoever asks knows what is wrong
NAME = "failures"
BACKUP = "failures_backup"
ROOT = "failures_root"
NEW = "failures_new"
WRONG_SECRET = secrets.token_hex(16)

Call = Callable[[BackupClient], Awaitable[object]]
Values = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A call that fails, its error, and what the error's metadata must tell."""

    call: Call
    error: type[errors.BackupServiceError]
    metadata: Mapping[str, str] = field(default_factory=dict)


def creating(name: str = NEW, *collections: str, validate_only: bool = False) -> Call:
    return lambda client: client.create_backup(
        name, collections=collections or [NAME], validate_only=validate_only
    )


def restoring(name: str = BACKUP, **options: Any) -> Call:
    return lambda client: client.restore_backup(name, **options)


def getting(name: str = BACKUP) -> Call:
    return lambda client: client.get_backup(name)


def deleting(name: str = BACKUP) -> Call:
    return lambda client: client.delete_backup(name)


async def listing(client: BackupClient) -> list[str]:
    return [backup.name async for backup in client.list_backups()]


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
    "bad name": Case(creating("no-name"), errors.InvalidRequest, {"field": "backup_name"}),
    "bad collection": Case(creating(NEW, "a.b.c"), errors.InvalidRequest),
    "bad suffix": Case(restoring(suffix="-x"), errors.InvalidRequest, {"field": "suffix"}),
    "get of nothing": Case(getting("nothing"), errors.BackupNotFound, {"resource": "nothing"}),
    "delete of nothing": Case(deleting("nothing"), errors.BackupNotFound, {"resource": "nothing"}),
    "restore of nothing": Case(
        restoring("nothing", suffix="_x"),
        errors.BackupNotFound,
        {"resource": "nothing", "type": "backup"},
    ),
    "taken name": Case(creating(BACKUP), errors.BackupAlreadyExists, {"resource": BACKUP}),
    "existing target": Case(
        restoring(), errors.TargetAlreadyExists, {"resource": f"default.{NAME}"}
    ),
    "collection that the backup has not": Case(
        restoring(collections=["nowhere"], suffix="_x"),
        errors.CollectionNotFound,
        {"resource": "default.nowhere"},
    ),
    "database that the backup has not": Case(
        restoring(collections=["nobody.*"], suffix="_x"),
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
    dataset: Dataset
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
        self.assert_no_secret(error)
        return error

    def assert_no_secret(self, error: errors.BackupServiceError) -> None:
        texts = (str(error), repr(error), str(error.status), str(error.operation))
        for secret in (self.environment.seaweed.secret_key, WRONG_SECRET):
            assert not any(secret in text for text in texts)

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
    dataset = await asyncio.to_thread(make_versioned, environment.milvus.uri, NAME, range(50))
    values = service_settings(environment.seaweed, environment.milvus, backup_root=ROOT)
    with Inspector(environment.seaweed, environment.milvus) as inspector:
        async with running_service(settings_of({**values, "service": FAST})) as service:
            await service.client.wait(
                await service.client.create_backup(BACKUP, collections=[NAME])
            )
            yield Stage(environment, inspector, dataset, service)


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


async def test_a_wrong_key_of_the_backup_store_is_denied_to_all_calls(stage: Stage) -> None:
    values = stage.values
    values["backup"]["storage"]["auth"]["secretAccessKey"] = WRONG_SECRET
    with stage.untouched():
        async with service_of(values) as client:
            calls = (creating(), listing, getting(), restoring(suffix="_x"), deleting())
            found = await stage.failing_all(errors.StorageDenied, client, *calls)
            check = await client.check()

    for error in found:
        assert BACKUP_BUCKET in str(error.metadata)
    assert not check.ok
    assert WRONG_SECRET not in str(check)


async def test_a_wrong_key_of_milvus_store_is_denied(stage: Stage) -> None:
    values = stage.values
    values["milvus"]["storage"]["auth"]["secretAccessKey"] = WRONG_SECRET
    with stage.untouched():
        async with service_of(values) as client:
            for error in await stage.failing_all(
                errors.StorageDenied, client, creating(), restoring(suffix="_x")
            ):
                assert stage.environment.milvus.bucket in str(error.metadata)
            assert await listing(client) == [BACKUP]


async def test_a_milvus_that_does_not_answer_is_named(stage: Stage) -> None:
    (nobody,) = free_ports(1)
    values = stage.values
    values["milvus"]["grpc"]["port"] = nobody
    with stage.untouched():
        async with service_of(values) as client:
            for error in await stage.failing_all(
                errors.MilvusUnavailable, client, creating(), restoring(suffix="_x")
            ):
                assert error.metadata["address"] == f"{stage.environment.milvus.host}:{nobody}"
                assert str(nobody) in str(error)
            assert await listing(client) == [BACKUP]


@pytest.mark.parametrize("whose", ["milvus", "backup"])
async def test_a_store_that_does_not_answer_is_named(stage: Stage, whose: str) -> None:
    (nobody,) = free_ports(1)
    values = stage.values
    values[whose]["storage"]["port"] = nobody
    values["service"]["checkTimeoutSeconds"] = 4  # all of it is used, a store may come back
    calls: list[Call] = [creating(), restoring(suffix="_x")]
    if whose == "backup":
        calls += [listing, getting(), deleting()]
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
            for error in await stage.failing_all(
                errors.BucketNotFound, client, creating(), restoring(suffix="_x")
            ):
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
            await stage.failing_all(
                errors.BackupNotFound, client, getting(), restoring(suffix="_x"), deleting()
            )
            await creating(validate_only=True)(client)
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
            error = await stage.failing(creating(), errors.BucketNotFound, client)
            assert await listing(client) == []
            await stage.failing_all(
                errors.BackupNotFound, client, getting(), restoring(suffix="_x"), deleting()
            )

    assert error.metadata["bucket"] == "failures-never-made"
    assert error.metadata["setting"] == "backup.storage.bucketName"


async def test_a_wrong_root_path_fails_the_create_with_bucket_and_prefix(stage: Stage) -> None:
    values = stage.values
    values["milvus"]["storage"]["rootPath"] = "elsewhere"
    with stage.untouched():
        async with service_of(values) as client:
            operation = await client.create_backup(NEW, collections=[NAME])
            error = await stage.failing(
                lambda client: client.wait(operation), errors.SourceStorageMismatch, client
            )

    assert error.operation.state == pb.OPERATION_STATE_FAILED
    assert error.metadata["bucket"] == stage.environment.milvus.bucket
    assert error.metadata["prefix"] == "elsewhere"
    assert stage.environment.milvus.bucket in str(error)
    assert "elsewhere" in str(error)


@pytest.mark.parametrize("version", ["v2.2.9", "v2.6.1"])
async def test_a_version_out_of_range_is_refused(stage: Stage, version: str) -> None:
    with stage.untouched():
        async with service_of(stage.values, lambda inner: OtherVersion(inner, version)) as client:
            found = await stage.failing_all(
                errors.MilvusVersionUnsupported, client, creating(), restoring(suffix="_x")
            )
            info = await client.server_info()
            assert await listing(client) == [BACKUP]

    assert (info.cluster.milvus_version, info.cluster.supported) == (version, False)
    for error in found:
        assert error.metadata["version"] == version
        assert error.metadata["supported"] in str(error)


@pytest.mark.parametrize("version", ["v2.2.9", "v2.6.1"])
async def test_a_version_out_of_range_is_accepted_when_the_settings_say_so(
    stage: Stage, version: str
) -> None:
    values = stage.values
    values["service"]["milvus"] = {**values["service"]["milvus"], "allowUntestedVersions": True}
    name = f"{NEW}_{version[1:].replace('.', '_')}"
    async with service_of(values, lambda inner: OtherVersion(inner, version)) as client:
        await client.wait(await client.create_backup(name, collections=[NAME]))
        await client.wait(await client.restore_backup(name, suffix=f"_{name}"))
        await client.wait(await client.delete_backup(name))

    rows = await asyncio.to_thread(
        fetch_rows, stage.environment.milvus.uri, "default", f"{NAME}_{name}"
    )
    assert_same_rows(stage.dataset.rows, rows)


class OtherVersion(GatewayDecorator):
    """A Milvus that says it is of another version."""

    def __init__(self, inner: MilvusGateway, version: str) -> None:
        super().__init__(inner)
        self._version = version

    async def version(self) -> str:
        return self._version
