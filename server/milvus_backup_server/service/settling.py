"""What becomes of records of operations that nobody works on: they are judged, and written down so.

Their services vanished. Or one that was to go on with an operation made it its own and did not begin:
its call was cancelled in that moment, or the answer of the store was lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace

from milvus_backup_server.domain.errors import ObjectChanged, OperationInterrupted
from milvus_backup_server.domain.operation_record import OperationRecord, Owner
from milvus_backup_server.ports.operation_log import OperationLog, Stored


class Settling:
    """Tells and writes down what became of such operations.

    Args:
        log: Where they are on record.
        owner: We.
        living: Returns the services that give signs of life.
        at_work: Tells whether an operation, by its name, is at work or begins here.
    """

    def __init__(
        self,
        log: OperationLog,
        owner: Owner,
        *,
        living: Callable[[], Awaitable[frozenset[str]]],
        at_work: Callable[[str], bool],
    ) -> None:
        self._log = log
        self._owner = owner
        self._living = living
        self._at_work = at_work

    def is_left(self, record: OperationRecord) -> bool:
        """Tell whether an operation is ours by its record, and nothing here works on it."""
        ours = record.owner.instance == self._owner.instance
        return record.active and ours and not self._at_work(record.name)

    def judged(self, record: OperationRecord, living: Container[str]) -> OperationRecord:
        """Return a record as it is, where these services are alive: interrupted if nobody works on it."""
        if self.is_left(record):
            return record.interrupted(_never_begun())
        return record.judged(living)

    async def run(self) -> None:
        """Write such operations down as interrupted, and remove what never began.

        Records that stay active are kept for ever. A service that was only cut off finds its record
        still its own, and goes on with it.
        """
        # In this order: who ends in peace writes the record first, which another version tells.
        active = [item for item in await self._log.recent() if item.record.active]
        living = await self._living() if active else frozenset()
        for item in active:
            judged = self.judged(item.record, living)
            if judged is not item.record:
                await self._write(item, judged)

    async def _write(self, item: Stored, judged: OperationRecord) -> None:
        if not item.record.accepted:
            found = await self._log.read(item.record.name)
            # It may have been accepted since, and have ended.
            if found is not None and found.version == item.version:
                await self._log.remove(item.record.name)
            return
        with contextlib.suppress(ObjectChanged):
            await self._log.replace(judged, item.version)

    async def hand_back(self, before: OperationRecord, taken: OperationRecord) -> None:
        """Leave an operation interrupted as it was, if it became ours: that may not have been told us.

        Args:
            before: As it was.
            taken: As it was to be when it went on here.
        """
        found = await self._log.read(taken.name)
        if found is None or not found.record.held_by(self._owner, taken.attempt):
            return
        if self.is_left(found.record):
            revision = found.record.operation.revision + 1
            as_it_was = replace(before.operation, revision=revision)
            with contextlib.suppress(ObjectChanged):
                await self._log.replace(replace(found.record, operation=as_it_was), found.version)


def _never_begun() -> OperationInterrupted:
    return OperationInterrupted(
        "the service that was to go on with the operation did not come to it: resume it, or cancel it"
    )
