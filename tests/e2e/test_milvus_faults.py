"""A real Milvus whose answers get lost, which does not answer, or which says that there are too many."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from tests.support.collection_builder import Dataset
from tests.support.datasets import make_versioned
from tests.support.environment import Environment, service_settings
from tests.support.faults import Fault
from tests.support.milvus_proxy import MilvusProxy
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, Service, running_service, settings_of
from tests.support.traces import Inspector

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

NAME = "faulty_milvus"
LOST = ("Flush", "CreateCollection", "Import", "RenameCollection")


@pytest.fixture(scope="module")
def dataset(environment: Environment) -> Dataset:
    return make_versioned(environment.milvus.uri, NAME, range(100))


@asynccontextmanager
async def behind(environment: Environment, proxy: MilvusProxy) -> AsyncIterator[Service]:
    """Run a service that reaches Milvus through a proxy."""
    values = service_settings(environment.seaweed, environment.milvus, backup_root=NAME)
    values["milvus"]["grpc"]["port"] = proxy.port
    waits: Mapping[str, object] = {"milvus": {"pollSeconds": 0.05, "retrySeconds": 20}}
    async with running_service(settings_of({**values, "service": {**FAST, **waits}})) as service:
        yield service


async def round_trip(
    environment: Environment, service: Service, dataset: Dataset, name: str
) -> None:
    """Back up, restore under another name, compare every row, and look for what stays behind."""
    with Inspector(environment.seaweed, environment.milvus) as inspector:
        before = inspector.traces()
        client = service.client
        made = await client.wait(await client.create_backup(name, collections=[NAME]))
        restored = await client.wait(await client.restore_backup(name, suffix=f"_{name}"))
        assert {made.state, restored.state} == {OPERATION_STATE_SUCCEEDED}
        found = fetch_rows(environment.milvus.uri, "default", f"{NAME}_{name}")
        assert_same_rows(dataset.rows, found)
        await client.wait(await client.delete_backup(name))
        after = inspector.traces()
    assert after.collections - before.collections == {f"default.{NAME}_{name}"}


async def test_answers_that_get_lost_double_nothing_and_lose_nothing(
    environment: Environment, dataset: Dataset
) -> None:
    async with MilvusProxy(environment.milvus.address) as proxy:
        for method in LOST:
            proxy.rules.add(Fault.LOST_ANSWER, method, at=[1])
        for method in ("DescribeCollection", "GetFlushState", "GetImportState"):
            proxy.rules.add(Fault.SLOW_DOWN, method, at=[1])
            proxy.rules.add(Fault.ERROR, method, at=[2])
        async with behind(environment, proxy) as service:
            await round_trip(environment, service, dataset, "lost")
        assert proxy.rules.injected[Fault.LOST_ANSWER] == len(LOST)
        assert proxy.rules.injected[Fault.SLOW_DOWN] == 3
        assert proxy.rules.injected[Fault.ERROR] > 0
        assert len(proxy.calls("Import")) == 1


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(5))
async def test_a_milvus_that_mostly_does_not_answer(
    environment: Environment, dataset: Dataset, seed: int
) -> None:
    async with MilvusProxy(environment.milvus.address, seed=seed) as proxy:
        proxy.rules.add(Fault.LOST_ANSWER, probability=0.1)
        proxy.rules.add(Fault.ERROR, probability=0.1)
        proxy.rules.add(Fault.SLOW_DOWN, probability=0.1)
        async with behind(environment, proxy) as service:
            await round_trip(environment, service, dataset, f"seed{seed}")
        for fault in (Fault.LOST_ANSWER, Fault.ERROR, Fault.SLOW_DOWN):
            assert proxy.rules.injected[fault] > 0
