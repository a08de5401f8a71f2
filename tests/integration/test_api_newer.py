"""The composition of ``app`` over a simulated Milvus 2.6.18, asked by gRPC through the client."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from milvus_backup.v1.backup_pb2 import BACKUP_STRATEGY_BULK_FLUSH
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from milvus_backup.v1.rbac_pb2 import RbacCounts, RbacPlan, RbacPlanPart
from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway
from milvus_backup_server.adapters.milvus.rbac import rbac_message
from milvus_backup_server.app import running_app
from milvus_backup_server.domain.records import RbacMeta
from milvus_backup_server.wiring import Adapters, gateway_settings
from tests.support.decoded_rows import expected_rows
from tests.support.fixtures import OF_NEWER_MILVUS
from tests.support.rows import assert_same_rows
from tests.support.running_service import FAST, settings_of
from tests.support.simulator import SimulatedMilvus, Simulator, adopt, simulator

ARCHIVE = OF_NEWER_MILVUS[2]
HASH = "$2a$04$vaAib7RNwH1HF.9GWxQy5OUmZjOGbfmFpUDjn/4KePKEgqqsqYH5q"
ACCESS = RbacMeta.from_json(
    {
        "users": [{"user": "ann", "password": HASH}, {"user": "bob", "password": HASH}],
        "roles": [{"name": "reader"}],
    }
)
HAS = RbacMeta.from_json({"users": [{"user": "bob", "password": "other"}]})


@dataclass(frozen=True)
class Service:
    client: BackupClient
    simulator: Simulator


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    stores = MemoryServer()
    milvus = SimulatedMilvus(stores.store("a-bucket"), "2.6.18")
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(simulator(milvus))
        management = f"http://127.0.0.1:{served.management_port}"
        reached = {"grpc": {"address": "127.0.0.1", "port": served.port}}
        settings = settings_of(
            {
                "configVersion": "v2",
                "milvus": {**reached, "management": {"endpoint": management}},
                "service": FAST,
            }
        )
        gateway = GrpcMilvusGateway(gateway_settings(settings))
        stack.push_async_callback(gateway.close)
        adapters = Adapters(gateway, stores.store("a-bucket"), stores.store("a-bucket"))
        app = await stack.enter_async_context(running_app(settings, adapters))
        client = await stack.enter_async_context(BackupClient(app.address))
        yield Service(client, served)


async def test_a_backup_with_users_by_one_flush_with_a_pause(service: Service) -> None:
    client, milvus = service.client, service.simulator.milvus
    records = await adopt(milvus, ARCHIVE)
    milvus.access.CopyFrom(rbac_message(ACCESS))
    created = await client.wait(
        await client.create_backup("b", strategy=BACKUP_STRATEGY_BULK_FLUSH, rbac=True)
    )
    assert (created.state, list(created.warnings)) == (OPERATION_STATE_SUCCEEDED, [])
    assert created.create_backup.rbac == RbacCounts(user_count=2, role_count=1)
    assert (milvus.flushes_of_all, milvus.flushes) == (1, 0)
    # The default of the settings; nothing asked for it.
    assert (len(service.simulator.management.resumed), service.simulator.management.paused) == (
        1,
        {},
    )
    assert (await client.get_backup("b")).rbac == RbacCounts(user_count=2, role_count=1)

    milvus.access.CopyFrom(rbac_message(HAS))
    planned = await client.restore_backup("b", suffix="_r", rbac=True, validate_only=True)
    assert planned.restore_plan.rbac == RbacPlan(
        users=RbacPlanPart(
            new_names=["ann"], new_count=1, existing_names=["bob"], existing_count=1
        ),
        roles=RbacPlanPart(new_names=["reader"], new_count=1),
        grants=RbacPlanPart(),
        privilege_groups=RbacPlanPart(),
    )
    restored = await client.wait(await client.restore_backup("b", suffix="_r", rbac=True))
    assert restored.restore_backup.rbac == RbacCounts(user_count=1, role_count=1)
    assert [(it.user, it.password) for it in milvus.access.users] == [
        ("bob", "other"),
        ("ann", HASH),
    ]
    for record in records:
        rows = milvus.databases[record.db_name][f"{record.collection_name}_r"].rows()
        assert_same_rows(expected_rows(ARCHIVE, record), rows)


async def test_the_capabilities_are_told(service: Service) -> None:
    info = await service.client.server_info()
    assert {"rbac", "flush_all", "gc_pause_by_collection"} <= set(info.cluster.capabilities)
    checked = await service.client.check()
    (version,) = [item for item in checked.items if item.name == "milvus_version"]
    assert "capabilities: hybrid_end_ts, parallel_import, rest_import, gc_pause," in version.message
