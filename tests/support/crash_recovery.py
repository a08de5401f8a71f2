"""What a service finds whose predecessor ended, or sleeps, in the middle of an operation."""

import asyncio
from dataclasses import dataclass, field, replace

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.crash_checks import temporary
from tests.support.replicas import QUICK
from tests.support.service import CALLER, Service, World, keys_below, succeeded

KEPT = "backup/.milvus-backup/"
SOON = replace(QUICK, lost_after=0.2)
"""A service that died counts as gone soon, so that the tests need not wait."""
_SECONDS = 60


@dataclass
class Crashed:
    """A world in which a service died, and what its operations recorded."""

    world: World
    records: ObjectStore = field(default_factory=lambda: MemoryServer("records").store("records"))

    async def interrupted(self, service: Service) -> str:
        """Wait until the operation counts as interrupted, and return its name."""
        async with asyncio.timeout(_SECONDS):
            while True:
                (operation,) = (await service.use_cases.directory.list("", 2)).items
                if operation.state is OperationState.INTERRUPTED:
                    return operation.name
                await asyncio.sleep(0.02)

    async def notes(self) -> list[str]:
        """Return what operations noted for their continuation."""
        places = ("plans/", "restores/")
        return [
            key
            for place in places
            for key in await keys_below(self.world.backup_store, KEPT + place)
        ]

    async def left(self) -> list[str]:
        """Return what only an operation that is at work may have."""
        world = self.world
        uploads, copies = await world.uploads(), await world.staged()
        return [*temporary(world), *copies, *uploads, *await self.notes()]


async def sweep(service: Service) -> SweepResult:
    """Sweep everything up, however young it is."""
    operation = await service.use_cases.sweep.start(
        SweepRequest(apply=True, min_age_seconds=0), CALLER
    )
    last = succeeded(await service.end(operation))
    assert last.warnings == ()
    assert isinstance(last.result, SweepResult)
    return last.result
