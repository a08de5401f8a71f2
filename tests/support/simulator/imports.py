"""Import jobs of a simulated Milvus: checked as the proxy and the data coordinator check, then read.

Source: milvus `internal/proxy/task_import.go`, `internal/datacoord/import_util.go`,
`internal/util/importutilv2/binlog`, and what was recorded.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from milvus_backup_server.adapters.binlog import ArrowBinlogReader
from milvus_backup_server.adapters.milvus.schemas import schema_record
from milvus_backup_server.domain.binlogs import RowBatch, SegmentLogs, columns_of
from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.milvus import (
    ALL_PARTITIONS,
    MilvusVersion,
    physical_milliseconds,
)
from milvus_backup_server.service.objects import list_children, list_objects
from milvus_backup_server.service.rows import live_rows
from tests.support.simulator.model import (
    Collection,
    Fault,
    Segment,
    SimulatedMilvus,
    Stored,
)

FAILED, COMPLETED, PENDING, IMPORTING = "Failed", "Completed", "Pending", "Importing"
_READER = ArrowBinlogReader()
_DATA_STEPS = (10, 40, 70, 80, 90)
_L0_STEPS = (10, 40, 80, 90)
_MOST_PATHS = 2
_WITH_GROUPS = MilvusVersion(2, 6, 0)
_PARQUET = b"PAR1"
TIMESTAMP = 1


@dataclass(slots=True)
class File:
    """What one segment's directories gave."""

    paths: tuple[str, ...]
    size: int = 0
    rows: int = 0

    def __str__(self) -> str:
        return f"[{' '.join(self.paths)}]"


@dataclass(slots=True)
class Job:
    """An import job. Each question about it takes it a step further."""

    job_id: int
    collection: Collection
    partition_id: int
    files: list[File]
    options: Mapping[str, str]
    created: str = ""
    state: str = PENDING
    progress: int = 0
    reason: str = ""
    completed: str = ""
    read_at: str = ""
    read: bool = False

    @property
    def l0(self) -> bool:
        """Whether it imports deletes alone."""
        return "l0_import" in self.options

    @property
    def rows(self) -> int:
        """Rows or deletes that it imported, once it has read everything."""
        return sum(file.rows for file in self.files) if self.read else 0

    @property
    def ended(self) -> bool:
        """Whether it does nothing any more."""
        return self.state in (FAILED, COMPLETED)


class ImportJobs:
    """The jobs of one Milvus.

    Attributes:
        jobs: by id.
        fail: reasons for which the next jobs fail.
        forget_after: at this many further questions about jobs it forgets all; 0: never.
        forget_ended: so many of the next jobs are at their end and forgotten when they are asked for.
        turned_away: how many it did not take because of that.
        created: is told of each new job.
        room: how many jobs it takes at one time.
        most_running: the most that were not at their end at one time.
    """

    def __init__(self, milvus: SimulatedMilvus) -> None:
        self._milvus = milvus
        self.jobs: dict[int, Job] = {}
        self.fail: list[str] = []
        self._advancing = asyncio.Lock()
        self.forget_after = 0
        self.forget_ended = 0
        self.created: Callable[[Job], object] = lambda _: None
        self.most_running = 0
        self.room = 1024
        self.turned_away = 0

    async def create(
        self,
        collection: Collection,
        partition: str,
        files: Sequence[Sequence[str]],
        options: Mapping[str, str],
    ) -> Job:
        """Check a request as Milvus does and make a job of it."""
        partition_id = self._partition(collection, partition, options)
        wanted = [[path for path in paths if path] for paths in files if paths]
        if not wanted:
            raise Fault(1100, "import request is empty: invalid parameter")
        found = [file for paths in wanted for file in await self._segments(paths, options)]
        if sum(not item.ended for item in self.jobs.values()) >= self.room:
            self.turned_away += 1
            text = "The number of jobs has reached the limit, please try again later."
            raise Fault(2100, f"{text}: importing data failed")
        job = Job(next(self._milvus.numbers), collection, partition_id, found, options)
        job.created = now()
        self.jobs[job.job_id] = job
        running = sum(not item.ended for item in self.jobs.values())
        self.most_running = max(self.most_running, running)
        self.created(job)
        return job

    async def look(self, job_id: int) -> Job:
        """Return a job as it is, and take it a step further."""
        if self.forget_after:
            self.forget_after -= 1
            if not self.forget_after:
                self.jobs.clear()
        if self.forget_ended and job_id in self.jobs:
            self.forget_ended -= 1
            await self._finish(self.jobs.pop(job_id))
        try:
            job = self.jobs[job_id]
        except KeyError:
            text = f"import job does not exist, jobID={job_id}: importing data failed"
            raise Fault(2100, text) from None
        told = replace(job)
        async with self._advancing:  # who asks may go away and ask again before it is answered
            await self._advance(job)
        return told

    async def finish(self) -> None:
        """Take every job to its end, as time would."""
        for job in list(self.jobs.values()):
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        while not job.ended:
            await self._advance(job)

    def _partition(self, collection: Collection, name: str, options: Mapping[str, str]) -> int:
        if "backup" in options:
            if not name:
                raise Fault(1100, "partition not specified: invalid parameter")
            return self._milvus.partition_id(collection, name)
        if "l0_import" in options:
            if collection.load != "NotLoad":
                text = "for l0 import, collection cannot be loaded, please release it first"
                raise Fault(2100, f"{text}: importing data failed")
            return self._milvus.partition_id(collection, name) if name else ALL_PARTITIONS
        if collection.keyed and name:
            text = "not allow to set partition name for collection with partition key"
            raise Fault(2100, f"{text}: importing data failed")
        raise Fault(2100, "unexpected file type, files=[]: importing data failed")

    async def _segments(self, paths: Sequence[str], options: Mapping[str, str]) -> list[File]:
        if len(paths) > _MOST_PATHS:
            text = "too many input paths for binlog import. Valid paths length should be one or two"
            raise self._refused(
                f"list binlogs failed, err={text}, but got paths:[{' '.join(paths)}]: "
                "importing data failed"
            )
        if "l0_import" in options:
            return [File(tuple(paths))]
        inserts = [child async for child in list_children(self._milvus.store, paths[0])]
        deltas: dict[str, str] = {}
        for prefix in paths[1:]:
            async for child in list_children(self._milvus.store, prefix):
                deltas[_base(child)] = child
        if not inserts:
            shown = " ".join(f'paths:"{path}"' for path in paths)
            raise self._refused(f"no binlog to import, input=[{shown}]")
        return [
            File((path, deltas[_base(path)]) if _base(path) in deltas else (path,))
            for path in inserts
        ]

    def _refused(self, text: str) -> Fault:
        if self._milvus.version < _WITH_GROUPS:
            return Fault(2100, f"{text}: importing data failed")
        prefix = "failed to broadcast import: failed to validate import request: "
        return Fault(2100, f"{prefix}{text}: importing data failed: importing data failed")

    async def _advance(self, job: Job) -> None:
        if job.ended:
            return
        if job.state == PENDING:
            job.state, job.progress = IMPORTING, _DATA_STEPS[0]
            return
        try:
            if not job.read:
                await self._read(job)
        except Fault as fault:
            job.state, job.progress, job.reason = FAILED, 0, fault.message
            return
        steps = [step for step in (_L0_STEPS if job.l0 else _DATA_STEPS) if step > job.progress]
        if steps and job.rows:
            job.progress = steps[0]
            return
        job.state, job.progress = COMPLETED, 100
        job.completed = now() if job.rows else ""
        self._add_segments(job)

    def _add_segments(self, job: Job) -> None:
        """Let the collection tell of the rows, or deletes, of a job; their logs are not written."""
        for file in job.files:
            if file.rows:
                number = next(self._milvus.numbers)
                segment = Segment(number, job.partition_id, file.rows, l0=job.l0)
                job.collection.segments.append(segment)

    async def _read(self, job: Job) -> None:
        if self.fail:
            raise Fault(2100, self.fail.pop(0))
        if not any(job.collection is item for item in self._milvus.collections()):
            raise Fault(100, f"collection not found[collection={job.collection.collection_id}]")
        for file in job.files:
            try:
                await (self._read_deletes if job.l0 else self._read_segment)(job, file)
            except (Fault, BackupCorrupt) as error:
                shown = " ".join(f'paths:"{path}"' for path in file.paths)
                text = f"error: {error}: importing data failed, file: id:{job.job_id} {shown}"
                raise Fault(2100, text) from error
        job.read, job.read_at = True, now()

    async def _read_deletes(self, job: Job, file: File) -> None:
        last = _end_of(job.options)
        keys = [item.key async for item in list_objects(self._milvus.store, file.paths[0])]
        async with aclosing(_READER.deletes(self._milvus.store, keys)) as batches:
            async for batch in batches:
                for delete in batch:
                    if last is None or delete.timestamp <= last:
                        file.rows += 1
                        job.collection.delete(delete.key, delete.timestamp, job.partition_id)

    async def _read_segment(self, job: Job, file: File) -> None:
        last = _end_of(job.options)
        store, schema = self._milvus.store, schema_record(job.collection.schema)
        logs = await self._logs(file)
        await self._verify(job, logs)
        rows = live_rows(_READER, store, logs, schema, moment=last)
        async with aclosing(rows) as batches:
            async for batch in batches:
                file.rows += len(batch)
                job.collection.stored += _stored(batch, job.partition_id)

    async def _logs(self, file: File) -> SegmentLogs:
        store = self._milvus.store
        inserts = [item async for item in list_objects(store, file.paths[0])]
        file.size = sum(item.size for item in inserts)
        prefixes = file.paths[1:]
        deltas = [item.key for path in prefixes async for item in list_objects(store, path)]
        return SegmentLogs(columns_of(item.key for item in inserts), deltas)

    async def _verify(self, job: Job, logs: SegmentLogs) -> None:
        """Check that the logs are of the storage version that the options say."""
        knows_groups = self._milvus.version >= _WITH_GROUPS
        if knows_groups and job.options.get("storage_version") == "2":
            first = next(iter(logs.columns.values()))[0]
            if await self._milvus.store.get(first, length=len(_PARQUET)) != _PARQUET:
                raise Fault(2100, f"failed to read column groups of {first}")
            return
        system = [(TIMESTAMP, "Timestamp field")] if knows_groups else []
        fields = [
            (item.fieldID, f"field:{item.name}")
            for item in job.collection.user_fields()
            if not (knows_groups and (item.nullable or item.HasField("default_value")))
        ]
        for number, name in (*system, *fields):
            if number not in logs.columns:
                raise Fault(2100, f"no binlog for {name}")


def now() -> str:
    """Return the time as Milvus writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _end_of(options: Mapping[str, str]) -> int | None:
    for name in ("startTs", "start_ts", "endTs", "end_ts"):
        if name in options and physical_milliseconds(int(options[name])) == 0:
            raise Fault(2100, f"{name} is not a valid hybrid timestamp, value={options[name]}")
    text = options.get("endTs", options.get("end_ts"))
    return int(text) if text else None


def _stored(batch: RowBatch, partition_id: int) -> Iterator[Stored]:
    for key, at, row in zip(batch.keys, batch.timestamps, batch.rows(), strict=True):
        yield Stored(key, at, partition_id, row)


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
