"""Import jobs of Milvus: issued one after another, followed to their end, never repeated blindly."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from milvus_backup_server.domain.capabilities import capabilities_of
from milvus_backup_server.domain.errors import (
    BackupError,
    ImportFailed,
    ImportOutcomeUnknown,
    MilvusUnavailable,
    OperationStalled,
)
from milvus_backup_server.domain.failures import is_too_much
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
    MilvusVersion,
)
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import WorkLimits

_SEARCHES = 5
_AS_FOR_JOBS = 4
_LONGEST_PAUSE = 3.0


class ImportWatch(Protocol):
    """Is told how an import goes."""

    async def issuing(self) -> None:
        """Milvus is asked for it next; an error stops it."""
        ...

    def is_wanted(self) -> bool:
        """Tell whether it is to be issued still; others of the same collection may have failed."""
        ...

    async def not_taken(self) -> None:
        """Milvus has not taken it, that much is known. An error is not raised."""
        ...

    async def issued(self, job_id: str) -> None:
        """Milvus has taken it. An error is no reason to leave the job alone: it is not raised."""
        ...

    def seen(self, job: ImportJob) -> None:
        """The job has moved."""
        ...

    def waits_for_end(self) -> bool:
        """Tell, when the caller is cancelled, whether it waits until the job has ended."""
        ...


class ImportLost(Exception):
    """How many rows a job put into its collection cannot be known.

    Its answer was lost and no such job is found, Milvus forgot it, or failed it because it was
    restarted, and then a part of the rows may be there. No further import can make the collection
    right: it must be built anew.

    Attributes:
        error: What to tell where it is not built anew.
    """

    def __init__(self, error: BackupError) -> None:
        super().__init__(error.message)
        self.error = error


class ImportForgotten(ImportLost):
    """Milvus does not know a job any more, as it forgets those that ended long ago.

    Attributes:
        job_id: The job.
    """

    def __init__(self, job_id: str) -> None:
        text = f"Milvus does not know its import job {job_id} any more"
        super().__init__(ImportFailed(text, job=job_id))
        self.job_id = job_id


@dataclass(frozen=True, slots=True)
class Import:
    """A job to issue.

    Attributes:
        collection: What it fills.
        target: The name that the collection will have, for messages.
        partition: Which partition of it.
        sources: What it reads.
        options: How.
        parallel: This Milvus runs jobs beside each other.
    """

    collection: CollectionName
    target: CollectionName
    partition: str
    sources: Sequence[ImportSource]
    options: ImportOptions
    parallel: bool = False


class ImportQueue:
    """The place where import jobs of one cluster are issued.

    Milvus 2.3 runs jobs one after another and has no way to cancel one, so a queued job would hold
    up everyone else's: there is one in flight for the cluster, whatever the number of restores.
    Later ones run many beside each other. They are issued one at a time all the same: then at most
    one job of a collection is not known to us, and after a lost answer that is the one.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        limits: WorkLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._limits = limits
        self._one_in_flight = asyncio.Semaphore(1)
        self._in_flight = asyncio.Semaphore(limits.import_jobs)
        self._issuing = asyncio.Lock()
        self._issued: dict[CollectionName, set[str]] = {}
        self._followed = 0
        self._moved = 0.0

    async def run(self, wanted: Import, watch: ImportWatch) -> ImportJob:
        """Issue a job when it is its turn, and return it when it is completed.

        Who is cancelled after a job was issued waits until it has ended, as Milvus reads its objects
        until then; who is interrupted leaves it to those who resume.

        Raises:
            ImportFailed: Milvus could not finish it; the reason is its own.
            ImportLost: What it left in the collection cannot be known.
            OperationStalled: It shows no progress.
        """
        async with self._in_flight if wanted.parallel else self._one_in_flight:
            # A cancel is in time until the job is issued; so whatever else is asked is asked before.
            fitting = await self._fitting(wanted)
            await self._issuing.acquire()  # it is held while Milvus has no room
            with contextlib.ExitStack() as turn:
                turn.callback(self._issuing.release)
                return await _shielded(self._issue_and_follow(fitting, watch, turn), watch)

    async def rejoin(self, wanted: Import, job_id: str, watch: ImportWatch) -> ImportJob:
        """Follow a job that was issued before, by us or by who was interrupted, until it is completed.

        Args:
            wanted: What was issued.
            job_id: Milvus's id of it; empty if the answer that told it was lost.
            watch: Is told how it goes on.

        Raises:
            ImportFailed, ImportLost, OperationStalled: As in ``run``.
        """
        async with self._in_flight if wanted.parallel else self._one_in_flight:
            return await _shielded(self._find_and_follow(wanted, job_id, watch), watch)

    def remember(self, collection: CollectionName, jobs: Iterable[str]) -> None:
        """Take down which jobs a collection has, from an earlier run."""
        self._issued.setdefault(collection, set()).update(jobs)

    def forget(self, collection: CollectionName) -> None:
        """Forget which jobs a collection had; it gets no more."""
        self._issued.pop(collection, None)

    async def _fitting(self, wanted: Import) -> Import:
        """Return a job in the words of the version of Milvus that answers now.

        An import is not repeated; that Milvus answers is found out here, where it may be.
        """
        version = MilvusVersion.parse(await self._gateway.version())
        hybrid = capabilities_of(version).hybrid_end_ts
        return replace(wanted, options=replace(wanted.options, hybrid_end_ts=hybrid))

    async def _issue_and_follow(
        self, wanted: Import, watch: ImportWatch, turn: contextlib.ExitStack
    ) -> ImportJob:
        """Issue a job, let others have their turn, and follow it."""
        with turn:
            await _announce(watch)
            job_id = await self._issue(wanted, watch)
            self.remember(wanted.collection, [job_id])
        with contextlib.suppress(BackupError):  # the job is found by its files, too
            await watch.issued(job_id)
        return await self._follow(job_id, wanted.target, watch)

    async def _issue(self, wanted: Import, watch: ImportWatch) -> str:
        begun = self._clock()
        while True:
            try:
                return await self._gateway.submit_import(
                    wanted.collection, wanted.partition, wanted.sources, wanted.options
                )
            except ImportOutcomeUnknown:
                return await self._look_for(wanted)
            except BackupError as error:
                still = self._clock() - max(begun, self._moved)
                waits = is_too_much(error) and still < self._limits.import_stall_seconds
                if not (waits and watch.is_wanted()):
                    with contextlib.suppress(BackupError):
                        await watch.not_taken()
                    raise
            await asyncio.sleep(self._pause())

    async def _find_and_follow(self, wanted: Import, job_id: str, watch: ImportWatch) -> ImportJob:
        known = job_id or await self._look_for(wanted)
        self.remember(wanted.collection, [known])
        return await self._follow(known, wanted.target, watch)

    async def _look_for(self, wanted: Import) -> str:
        """Return the job that reads the sources into the collection, if there is one.

        Some lists of jobs do not tell what they read; but nobody else imports into the collection,
        which has a name of its own.
        """
        paths = {path for it in wanted.sources for path in (it.insert, it.delta)} - {""}
        known = self._issued.get(wanted.collection, set())
        end = self._clock() + self._limits.import_stall_seconds
        answered = 0
        while answered < _SEARCHES and self._clock() < end:
            with contextlib.suppress(MilvusUnavailable):  # what lost the answer may not be over
                for job in await self._gateway.list_imports(wanted.collection):
                    files = set(job.files) - {""}
                    if files == paths or (not files and job.job_id not in known):
                        return job.job_id
                answered += 1
            await asyncio.sleep(self._limits.poll_seconds)
        text = (
            f"the answer to an import into {wanted.target} was lost, and Milvus lists no such job"
        )
        raise ImportLost(ImportOutcomeUnknown(text, target=str(wanted.target)))

    async def _follow(self, job_id: str, target: CollectionName, watch: ImportWatch) -> ImportJob:
        self._followed += 1
        try:
            return await self._followed_to_end(job_id, target, watch)
        finally:
            self._followed -= 1

    async def _followed_to_end(
        self, job_id: str, target: CollectionName, watch: ImportWatch
    ) -> ImportJob:
        moved = self._clock()
        last = ImportJob(job_id, ImportState.PENDING)
        watch.seen(last)
        while True:
            job = await self._look(last)
            if job != last:
                moved = self._moved = self._clock()
                last = job
                watch.seen(job)
            if job.ended:
                return _completed(job, target)
            # One that has not begun moves as long as those do for which it waits.
            since = max(moved, self._moved) if job.state is ImportState.PENDING else moved
            if self._clock() - since > self._limits.import_stall_seconds:
                raise OperationStalled(
                    f"import job {job_id} into {target} shows no progress for "
                    f"{self._limits.import_stall_seconds:g} s (state {job.state.value})",
                    job=job_id,
                    target=str(target),
                )
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        return poll_pause(self._limits.poll_seconds, self._followed)

    async def _look(self, last: ImportJob) -> ImportJob:
        """Return a job; while Milvus does not answer, the job as it was last seen."""
        job_id = last.job_id
        try:
            job = await self._gateway.import_job(job_id)
        except MilvusUnavailable:
            return last
        if job.state is ImportState.UNKNOWN:
            raise ImportForgotten(job_id)
        return job


def poll_pause(usual: float, jobs: int) -> float:
    """Return how many seconds to wait until each of some jobs is asked for again.

    The more there are, the longer, so that Milvus is not asked more often than for a few; but no
    longer than people wait for the news.
    """
    return max(usual, min(usual * jobs / _AS_FOR_JOBS, _LONGEST_PAUSE))


def _completed(job: ImportJob, target: CollectionName) -> ImportJob:
    if job.state is not ImportState.FAILED:
        return job
    reason = job.reason or "it gave no reason"
    text = f"Milvus could not import into {target}: {reason}"
    error = ImportFailed(text, job=job.job_id, target=str(target))
    raise ImportLost(error) if job.failed_by_restart else error


async def _announce(watch: ImportWatch) -> None:
    """Tell that an import is issued next: of what was told it must be assumed later that it runs.

    Raises:
        CancelledError: It is not issued any more, as what it belongs to ends.
    """
    try:
        await watch.issuing()
        _require_wanted(watch)
    except asyncio.CancelledError:
        with contextlib.suppress(BackupError):
            await watch.not_taken()
        raise


def _require_wanted(watch: ImportWatch) -> None:
    if not watch.is_wanted():
        raise asyncio.CancelledError


async def _shielded(work: Coroutine[None, None, ImportJob], watch: ImportWatch) -> ImportJob:
    following = asyncio.create_task(work)
    try:
        return await asyncio.shield(following)
    except asyncio.CancelledError:
        if watch.waits_for_end():
            await _until_done(following)
        following.cancel()
        raise


async def _until_done(task: asyncio.Task[ImportJob]) -> None:
    """Wait for a job to end, whatever its outcome; a further cancel gives up waiting."""
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
