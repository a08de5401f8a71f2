"""A service over a simulated Milvus 2.4 to 2.6, through the real gateway."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from milvus_backup_server.adapters.binlog import ArrowBinlogReader
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.recording import RecordingLimits
from tests.support.replicas import QUICK
from tests.support.rows import Rows
from tests.support.running_service import Decorators
from tests.support.service import BACKUPS, LIMITS, ROOT, Service, World, running
from tests.support.simulator import SimulatedMilvus, Simulator, simulator


@dataclass(frozen=True)
class Newer:
    """A service with a simulated Milvus."""

    service: Service
    simulator: Simulator

    @property
    def milvus(self) -> SimulatedMilvus:
        """The simulated Milvus."""
        return self.simulator.milvus

    def rows(self, name: str, database: str = "default") -> Rows:
        """Return the rows that imports left in a collection."""
        return self.milvus.databases[database][name].rows()

    async def full_meta(self, backup: str) -> Any:
        """Return what stands in the main file of a backup."""
        key = f"{BACKUPS}/{backup}/meta/full_meta.json"
        return json.loads(await self.service.world.backup_store.get(key))


@asynccontextmanager
async def newer(
    version: str,
    world: World | None = None,
    *,
    limits: WorkLimits = LIMITS,
    around: Callable[[MilvusGateway], MilvusGateway] = lambda inner: inner,
    records: ObjectStore | None = None,
    recording: RecordingLimits = QUICK,
    management: str = "",
) -> AsyncIterator[Newer]:
    """Run a service over a simulated Milvus of a version.

    Operations are recorded in `records`, if given, as `recording` says; `management` is another address
    of the management API.
    """
    world = world or World()
    milvus = SimulatedMilvus(world.milvus_store, version, ROOT)
    async with simulator(milvus) as served:
        settings = MilvusSettings(
            host="127.0.0.1",
            port=served.port,
            retry_seconds=0.1,
            management_endpoint=management or f"http://127.0.0.1:{served.management_port}/",
        )
        gateway = GrpcMilvusGateway(settings)
        decorators = Decorators(gateway=lambda _: around(gateway))
        try:
            async with running(
                world,
                decorators,
                limits=limits,
                records=records,
                recording=recording,
                binlogs=ArrowBinlogReader,
            ) as service:
                yield Newer(service, served)
        finally:
            await gateway.close()
