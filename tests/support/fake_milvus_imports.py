"""The import jobs of a `FakeMilvus`: one after another, each a few polls long."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from milvus_backup_server.domain.binlog_header import timestamp_rows
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus_state import (
    ROW_ID_FIELD,
    TIMESTAMP_FIELD,
    FakeCollection,
    Stamped,
    cut_of,
    latest,
    live,
    read_stamped,
    upto,
)

ENDED = frozenset({ImportState.COMPLETED, ImportState.FAILED})


@dataclass(slots=True)
class FakeImport:
    """An import job, and after its end every object that it read."""

    job_id: str
    target: CollectionName
    collection_id: int
    partition: str
    sources: tuple[ImportSource, ...]
    options: ImportOptions
    state: ImportState = ImportState.PENDING
    polls_left: int = 1
    rows: int = 0
    reason: str = ""
    read: dict[str, bytes] = field(default_factory=dict)

    def told(self) -> ImportJob:
        """Return what Milvus tells about it."""
        return ImportJob(
            job_id=self.job_id,
            state=self.state,
            rows=self.rows,
            progress=100 if self.state is ImportState.COMPLETED else 0,
            reason=self.reason,
            files=tuple(
                file for item in self.sources for file in (item.insert, item.delta) if file
            ),
            collection_id=self.collection_id,
            partition=self.partition,
        )


class ImportFault(Exception):
    """Why a job fails."""


@dataclass(slots=True)
class Segments:
    """What was found below the directories of a job."""

    rows: list[Stamped] = field(default_factory=list)
    deletes: list[Stamped] = field(default_factory=list)
    foreign_rows: int = 0
    """Rows of binlogs that are not ours: counted, not read."""


class ImportQueue:
    """Runs jobs one at a time; each poll of any job takes the first one a step further."""

    def __init__(
        self, store: ObjectStore, finish: Callable[[FakeImport, Segments], Awaitable[None]]
    ) -> None:
        """Make an empty queue.

        Args:
            store: where jobs read.
            finish: puts what a job read into its collection.
        """
        self.gate = asyncio.Event()
        self.gate.set()
        self.faults: deque[str] = deque()
        self.polls = 1
        self.jobs: dict[str, FakeImport] = {}
        self._store = store
        self._finish = finish
        self._busy = False

    def add(self, job: FakeImport) -> None:
        """Put a job at the end."""
        job.polls_left = self.polls
        self.jobs[job.job_id] = job

    def forget(self, job_id: str) -> None:
        """Let a job be unknown from now on."""
        del self.jobs[job_id]

    async def restart(self) -> None:
        """Fail the running job with half of its rows in, as a kill of Milvus does; others wait on."""
        for job in self.jobs.values():
            if job.state is ImportState.RUNNING:
                await self._half(job)
                _fail(job, "task marked failed as service restarted")

    async def _half(self, job: FakeImport) -> None:
        await self._read_all(job)
        found = collected(job)
        found.rows = found.rows[: len(found.rows) // 2]
        with contextlib.suppress(ImportFault):
            await self._finish(job, found)
        job.rows = 0

    async def poll(self) -> None:
        """Take the first job that has not ended a step further, unless the gate is closed."""
        job = next((item for item in self.jobs.values() if item.state not in ENDED), None)
        if job is None or self._busy or not self.gate.is_set():
            return
        self._busy = True
        try:
            await self._step(job)
        finally:
            self._busy = False

    async def _step(self, job: FakeImport) -> None:
        if job.state is ImportState.PENDING:
            job.state = ImportState.RUNNING
        elif job.polls_left > 1:
            job.polls_left -= 1
        else:
            await self._run(job)

    async def _run(self, job: FakeImport) -> None:
        if self.faults:
            return _fail(job, self.faults.popleft())
        try:
            await self._read_all(job)
            await self._finish(job, collected(job))
        except ImportFault as fault:
            _fail(job, str(fault))
        else:
            job.state = ImportState.COMPLETED
        return None

    async def _read_all(self, job: FakeImport) -> None:
        for source in job.sources:
            await self._read(job, source.insert)
            await self._read(job, source.delta)

    async def _read(self, job: FakeImport, prefix: str) -> None:
        token = ""
        while prefix:
            page = await self._store.list_page(prefix, token=token)
            for item in page.objects:
                job.read[item.key] = await self._store.get(item.key)
            token = page.next_token
            if not token:
                return


def _fail(job: FakeImport, reason: str) -> None:
    job.state, job.reason = ImportState.FAILED, reason


def _is_insert(job: FakeImport, key: str) -> bool:
    return any(item.insert and key.startswith(item.insert) for item in job.sources)


def collected(job: FakeImport) -> Segments:
    """Return the rows and deletes in the objects that a job read."""
    found = Segments()
    for key, data in job.read.items():
        if not _is_insert(job, key):
            found.deletes += read_stamped(data, "deletes") or []
        elif (rows := read_stamped(data, "rows")) is not None:
            found.rows += rows
        elif PurePosixPath(key).parent.name == str(TIMESTAMP_FIELD) and b'"field"' not in data:
            found.foreign_rows += timestamp_rows(data) or 0
    return found


def check_columns(job: FakeImport, collection: FakeCollection) -> None:
    """Check that every segment has the columns of the collection.

    Raises:
        ImportFault: one has not.
    """
    columns: dict[PurePosixPath, set[str]] = {}
    for key in job.read:
        if _is_insert(job, key):
            path = PurePosixPath(key)
            columns.setdefault(path.parent.parent, set()).add(path.parent.name)
    for there in columns.values():
        for wanted in collection.field_ids:
            if str(wanted) not in there and wanted != ROW_ID_FIELD:
                raise ImportFault(f"the field {wanted} has no binlog file: importing data failed")


def surviving(found: Segments, moment: int | None, *, hybrid: bool) -> list[Stamped]:
    """Return the rows that an import leaves, as Milvus does: cut first, then the deletes."""
    cut = cut_of(moment, hybrid=hybrid)
    return live(upto(found.rows, cut), latest(upto(found.deletes, cut)))
