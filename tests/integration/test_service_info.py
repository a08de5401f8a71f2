"""The service tells what it is."""

from dataclasses import replace

from milvus_backup_server.domain.operations import Phase
from milvus_backup_server.service.operations import OperationLimits
from tests.support.gateways import DelayingGateway
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    LIMITS,
    World,
    filled,
    running,
)


async def test_the_service_tells_what_it_is() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    async with running(world) as service:
        info = await service.use_cases.diagnostics.server_info()
    assert info.version == "1.2.3"
    assert (info.running_operations, info.pending_operations) == (0, 0)
    cluster = info.cluster
    assert (cluster.name, cluster.address, cluster.milvus_version) == (
        "default",
        "fake:19530",
        "v2.3.5-lite",
    )
    assert (cluster.error, cluster.supported, cluster.capabilities) == (None, True, ())
    assert cluster.storage is not None
    assert (cluster.storage.location.bucket, cluster.storage.root_path) == ("a-bucket", "files")
    assert (info.repository.location.bucket, info.repository.root_path) == ("b-bucket", "backup")


async def test_it_tells_so_also_while_milvus_is_down() -> None:
    world = await filled()
    decorators = Decorators(gateway=lambda inner: DelayingGateway(inner, {"": 60}))
    async with running(world, decorators, limits=replace(LIMITS, check_seconds=0.05)) as service:
        info = await service.use_cases.diagnostics.server_info()
    assert info.cluster.milvus_version == ""
    assert info.cluster.error is not None
    assert info.cluster.error.reason == "MILVUS_UNAVAILABLE"
    assert not info.cluster.supported
    assert info.cluster.capabilities == (), "nobody knows yet what it can do"


async def test_operations_are_counted() -> None:
    world = await filled()
    gate = PhaseGate(Phase.COPYING)
    one_place = OperationLimits(concurrent=1)
    async with running(world, gate.decorators, operations=one_place) as service:
        gate.operations = service.operations
        first = await service.start_create("first")
        await gate.wait()
        await service.start_create("second")
        info = await service.use_cases.diagnostics.server_info()
        assert (info.running_operations, info.pending_operations) == (1, 1)
        gate.opened.set()
        await service.end(first)
