"""The imports of one collection: what each reads, how it is written down and shown while it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from milvus_backup_server.domain.import_units import ImportUnit
from milvus_backup_server.domain.milvus import CollectionName, ImportJob, ImportState
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.restore_journal import ImportEntry, import_entry
from milvus_backup_server.service.importing import Import, ImportForgotten
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.tracker import Tracker


class Credit:
    """The progress that the import of one collection was given.

    Attributes:
        over: One of its imports failed, so that the others are of no use any more.
        halted: One was not taken; no others are issued for now.
    """

    def __init__(self, tracker: Tracker, target: CollectionName) -> None:
        self._tracker = tracker
        self._target = target
        self.given = Amount()
        self.over = False
        self.halted = False

    def give(self, amount: Amount) -> None:
        """Give further progress."""
        self.given += amount
        self._tracker.advance(amount, self._target)

    def take_back(self) -> None:
        """Take everything back."""
        self.give(-self.given)


@dataclass(frozen=True, slots=True)
class ImportStep:
    """One import of a collection of the backup, the source."""

    source: CollectionName
    unit: ImportUnit
    wanted: Import

    @property
    def entry(self) -> ImportEntry:
        """How it is written down before it is issued."""
        return import_entry(self.wanted.partition, self.wanted.sources)


@dataclass(frozen=True, slots=True)
class ForgottenImport:
    """One that may be done, of which Milvus does not tell any more.

    Attributes:
        watch: What its progress was told to.
        job: As it is if it is done.
        lost: What to raise if it is not.
    """

    watch: ImportWatcher
    job: ImportJob
    lost: ImportForgotten

    @property
    def rows(self) -> int:
        """The most that it leaves."""
        return self.job.rows

    @classmethod
    def of(cls, step: ImportStep, watch: ImportWatcher, lost: ImportForgotten) -> ForgottenImport:
        """Return one of a step.

        Raises:
            ImportForgotten: It deletes, which no number of rows tells.
        """
        if step.unit.l0:
            raise lost
        done = ImportJob(lost.job_id, ImportState.COMPLETED, rows=step.unit.rows, progress=100)
        return cls(watch, done, lost)


class ImportWatcher:
    """Writes down how one import goes, and shows it."""

    def __init__(
        self, step: ImportStep, tracker: Tracker, journal: RestoreJournal, credit: Credit
    ) -> None:
        self._step = step
        self._target = step.wanted.target
        self._tracker = tracker
        self._journal = journal
        self._credit = credit
        self._given = 0

    async def issuing(self) -> None:
        """Write down that it may run from now on."""
        await self._journal.note_import(self._target, self._step.entry)
        await self._tracker.require_owner()

    def is_wanted(self) -> bool:
        """Tell whether the imports of the collection go on."""
        return not (self._tracker.cancel_requested or self._credit.over or self._credit.halted)

    async def not_taken(self) -> None:
        """Forget it, and issue no others."""
        self._credit.halted = True
        await self._journal.forget_import(self._target, self._step.entry)

    async def issued(self, job_id: str) -> None:
        """Write down Milvus's id of it."""
        await self._journal.note_import(self._target, self._step.entry.issued(job_id))

    def seen(self, job: ImportJob) -> None:
        """Show how far it is."""
        self._tracker.wait_for(
            f"import job {job.job_id} of Milvus into {self._target} "
            f"({job.state.value}, {job.progress} %)"
        )
        self._reach(self._step.unit.bytes * job.progress // 100)

    def waits_for_end(self) -> bool:
        """Tell whether the collection goes then; who is interrupted leaves the job to those who resume."""
        return self._tracker.cancel_requested or self._credit.over

    async def done(self, job: ImportJob) -> None:
        """Write down that it is done; deletes leave no rows of their own."""
        rows = 0 if self._step.unit.l0 else job.rows
        await self._journal.note_import(self._target, self._step.entry.ended(job.job_id, rows))
        self._reach(self._step.unit.bytes)
        self._credit.give(Amount(rows=rows))

    def _reach(self, size: int) -> None:
        self._credit.give(Amount(bytes=size - self._given))
        self._given = size
