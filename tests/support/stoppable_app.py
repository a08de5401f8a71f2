"""An app with an operation under way, which a test ends when it likes; nothing else is up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from milvus_backup_server.app import RunningApp, StopRequest, running_app
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.operations import Caller, DeleteResult, OperationKind, Result
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.settings.models import Settings

NOBODY = 1
"""A port on which nothing listens."""
OUTSIDE: dict[str, Any] = {
    "milvus": {"grpc": {"port": NOBODY}, "storage": {"port": NOBODY}},
    "backup": {"storage": {"port": NOBODY}},
}
WAITS: dict[str, Any] = {
    "checkTimeoutSeconds": 2,
    "operations": {"cleanupSeconds": 0.2},
    "milvus": {"callTimeoutSeconds": 1, "retrySeconds": 0.1},
    "storage": {"retryBudgetSeconds": 0.1},
}


@dataclass
class Work:
    """An operation of a running app that goes on until it is told to end."""

    app: RunningApp
    let_end: asyncio.Event = field(default_factory=asyncio.Event)
    tracker: Tracker | None = None
    name: str = ""

    async def begin(self) -> None:
        footprint = Footprint(OperationKind.DELETE_BACKUP, "nightly")
        request = OperationRequest(footprint, Caller(), object(), task_id="long")
        self.name = (await self.app.use_cases.operations.begin(request, self._body)).name

    async def _body(self, tracker: Tracker) -> Result:
        self.tracker = tracker
        await self.let_end.wait()
        return DeleteResult(0)


@asynccontextmanager
async def stoppable(
    chosen: Settings, stop: StopRequest | None = None
) -> AsyncIterator[tuple[RunningApp, asyncio.Event]]:
    """Run an app in a task of its own; setting the event begins its end, which is waited for."""
    started: asyncio.Queue[RunningApp] = asyncio.Queue()
    end = asyncio.Event()

    async def run() -> None:
        async with running_app(chosen, stop=stop) as app:
            started.put_nowait(app)
            await end.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        yield await started.get(), end
        end.set()
