"""Level RESTORED of a verification: the backup is restored under temporary names, compared, and dropped.

The machinery is that of a restore, journal included: what a crash leaves is known by the operation's name
and removed as that of a restore is. Only the end is another one: a whole collection is loaded, its rows are
compared, and it is dropped before the next one is built.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupError,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.failures import concerns_all
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import CollectionState, Phase, RestoreResult
from milvus_backup_server.domain.query_indexes import query_indexes
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.records import CollectionBackupInfo, PartitionBackupInfo
from milvus_backup_server.domain.requests import RestoreRequest, VerifyRequest
from milvus_backup_server.domain.restore_options import AliasMode, RestoreOptions, SkipParams
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.domain.targets import Loading
from milvus_backup_server.domain.verification import Problem, ProblemKind, RowDifference
from milvus_backup_server.ports.binlogs import BinlogReader
from milvus_backup_server.service.building import Built
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.restore_end import EndParts
from milvus_backup_server.service.restore_tools import RestoreTools
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.row_check import RowCheck
from milvus_backup_server.service.rows import BackupRows
from milvus_backup_server.service.serving import Served
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_report import VerifyReport

Binlogs = Callable[[], BinlogReader]
"""Returns what reads rows; raises BinlogsNotInstalled where it is not installed."""

_SUFFIX = 8
"""Characters of an operation's name that are random."""

_UNTOUCHED = SkipParams(collection_properties=("collection.ttl.seconds",))
"""Rows that expire while they are compared would be missing."""

_DAMAGE: Mapping[type[BackupError], ProblemKind] = {
    BackupCorrupt: ProblemKind.UNREADABLE,
    ObjectNotFound: ProblemKind.MISSING,
    ObjectChanged: ProblemKind.ETAG,
}
"""What is wrong with a log, by the error of who reads it."""


def restore_request(request: VerifyRequest, operation: str) -> RestoreRequest:
    """Return the restore that a verification makes. No collection ever gets the names that it gives.

    They are short, as Milvus takes names of at most 255 characters and those of the backup may be long.
    """
    return RestoreRequest(
        request.backup_name,
        collections=request.collections,
        suffix=f"_{operation[-_SUFFIX:]}",
        skip_content_check=True,  # all of it has just been read
        place=request.place,
        options=RestoreOptions(aliases=AliasMode.NONE, skip_params=_UNTOUCHED),
    )


@dataclass(slots=True)
class RowsTest:
    """Compares the collections of one verification, and remembers which could not be compared.

    Attributes:
        failed: Why not, by their names in the backup.
    """

    checked: CheckedRestore
    reader: BinlogReader
    report: VerifyReport
    failed: dict[CollectionName, BackupError] = field(default_factory=dict)

    async def compare(
        self, built: Built, record: CollectionBackupInfo, moment: int | None, tracker: Tracker
    ) -> None:
        """Compare a loaded collection with the logs of the backup, and report what differs.

        What cannot be read of the logs is reported too: it is the backup that is damaged then, however
        right its hashes are.
        """
        repository = self.checked.repository
        directory = repository.layout(self.checked.request.backup_name).directory
        rows = BackupRows(
            reader=self.reader, store=repository.storage.store, directory=directory, moment=moment
        )
        gateway = self.checked.cluster.gateway
        check = RowCheck(
            rows, record, gateway, built.temporary, tracker=tracker, source=built.source
        )
        try:
            compared = await check.run()
        except tuple(_DAMAGE) as error:
            key = str(error.metadata.get("key", "")).removeprefix(directory)
            text = f"of {built.source}: {error.message}"
            self.report.add(Problem(key, _DAMAGE[type(error)], text, built.source))
            return
        self.report.count(restored_collections=1, compared_rows=compared.rows)
        if check.form.left_out:
            names = ", ".join(check.form.left_out)
            text = f"of {built.source} not compared, as Milvus does not give them back: {names}"
            self.report.notes.append(text)
        for partition, difference in compared.differences:
            self.report.add(_problem(built.source, record, partition, difference))


class RowsEnding:
    """What becomes of restored collections here: ``restore_end.Ending``.

    Args:
        test: Compares them.
        parts: What it works with.
    """

    looks = Phase.LISTING  # their content has been read by then

    def __init__(self, test: RowsTest, parts: EndParts) -> None:
        self._test = test
        self._parts = parts

    def shaped(self, record: CollectionBackupInfo, wanted: TargetCollection) -> TargetCollection:
        """Return it with indexes by which it can be loaded at the least cost."""
        return replace(wanted, indexes=query_indexes(record), aliases=(), loading=None)

    def remember(self, target: CollectionName, served: Served) -> None:
        """It is never served."""

    async def whole(self, built: Built, record: CollectionBackupInfo, moment: int | None) -> None:
        """Load it, compare its rows, and drop it."""
        parts, tracker = self._parts, self._parts.tracker
        tracker.enter(Phase.COMPARING)
        try:
            await parts.serving.serve(built.temporary, Served((), Loading(replicas=1), None))
            await self._test.compare(built, record, moment, tracker)
        except BackupError as error:
            # Dropped now, not kept loaded beside the next ones.
            if not concerns_all(error):
                parts.journal.forget_made(built.target)
            raise
        await parts.builder.drop(built.temporary)
        parts.journal.forget_made(built.target)
        damage = self._test.report.collection_error(built.source)
        if damage is None:
            tracker.collection(built.target, state=CollectionState.SUCCEEDED)
        else:
            tracker.collection(built.target, state=CollectionState.FAILED, error=damage)

    async def finish(
        self,
        *,
        resumed: bool,  # noqa: ARG002
        staged: int,
        rbac: RbacCounts | None,  # noqa: ARG002
    ) -> RestoreResult:
        """Drop what is left, databases that were made included.

        The journal stays where a sweep needs it to remove the rest.
        """
        parts = self._parts
        parts.tracker.enter(Phase.FINISHING)
        await parts.builder.roll_back(renamed=False)
        sources = {item.target: item.source for item in self._test.checked.plan}
        self._test.failed = {sources[name]: error for name, error in parts.marks.failed.items()}
        if not parts.builder.remains:
            await require_ours(parts.tracker)
            with contextlib.suppress(BackupError):  # it tells of nothing that is left
                await parts.journal.remove()
        return parts.journal.result((), staged=staged)


class RestoredVerification:
    """Level RESTORED of verifications: checks, runs, and removes what one left.

    Args:
        tools: What it restores with.
        binlogs: Gives what reads rows.
    """

    def __init__(self, tools: RestoreTools, binlogs: Binlogs) -> None:
        self._tools = tools
        self._binlogs = binlogs

    async def check(self, request: VerifyRequest, operation: str) -> CheckedRestore | None:
        """Make the checks of a restore; None where the backup's metadata is damaged, which is told later.

        Raises:
            BinlogsNotInstalled: What reads rows is not installed.
            BackupError: Anything else that a restore is refused for.
        """
        await asyncio.to_thread(self._binlogs)
        try:
            checked, _, _ = await self._tools.check(restore_request(request, operation), operation)
        except BackupCorrupt:
            return None
        return checked

    async def run(
        self,
        request: VerifyRequest,
        checked: CheckedRestore | None,
        report: VerifyReport,
        tracker: Tracker,
        *,
        operation: str,
        attempt: int,
    ) -> Mapping[CollectionName, BackupError]:
        """Restore and compare, and return why collections could not be compared.

        Raises:
            WorkInterrupted: Something outside does not answer; what was made stays for the next attempt.
            BackupError: As of a restore.
        """
        if checked is None:
            restore = restore_request(request, operation)
            checked, _, _ = await self._tools.check(restore, operation)
        test = RowsTest(checked, await asyncio.to_thread(self._binlogs), report)
        for item in checked.plan:
            if item.target is not None:
                tracker.know_as(item.source, item.target)
        journal = self._tools.journal(operation, attempt)
        await self._tools.run(checked, tracker, journal, partial(RowsEnding, test))
        return test.failed

    async def clear(self, operation: str, attempt: int, tracker: Tracker) -> None:
        """Remove what an interrupted attempt left in Milvus and in its bucket.

        Raises:
            MilvusUnavailable, StorageUnavailable: Something does not answer.
        """
        journal = self._tools.journal(operation, attempt)
        await journal.load()
        if journal.begun:
            for entry in journal.targets():
                tracker.know_as(entry.source, entry.target)
            await self._tools.undo(operation, journal, tracker)


def _problem(
    source: CollectionName,
    record: CollectionBackupInfo,
    partition: PartitionBackupInfo | None,
    difference: RowDifference,
) -> Problem:
    directory = f"binlogs/insert_log/{record.collection_id}/"
    if partition is not None:
        directory += f"{partition.partition_id}/"
    where = f"partition {difference.partition!r} of {source}" if partition else str(source)
    other = f"is restored to other rows than its logs hold: {difference}"
    if not difference.unfit:
        return Problem(directory, ProblemKind.ROWS, f"{where} {other}", source, difference)
    fields = ", ".join(difference.unfit_fields)
    rows = f"{difference.unfit} row{'s' * (difference.unfit > 1)}"
    text = f"{where} has {rows} in its logs with values that do not fit: of {fields}"
    if difference.differs:
        text += f"; it {other}"
    return Problem(directory, ProblemKind.UNREADABLE, text, source, difference)
