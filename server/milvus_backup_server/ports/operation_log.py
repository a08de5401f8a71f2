"""The port to what is kept of operations: records, signs of life of their owners, an index of ids.

Several services share one log. A record is changed by compare-and-swap alone: whoever writes one has
the version that was read or written last, and of two writers one is told that it came too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from milvus_backup_server.domain.operation_record import (
    OperationDetails,
    OperationRecord,
    Owner,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, and the version that the next writer must name."""

    record: OperationRecord
    version: str


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the records of ended operations are kept.

    Attributes:
        number: At most so many, the newest; those that have not ended do not count.
        age: No longer than this after their end.
    """

    number: int = 1000
    age: timedelta = timedelta(days=30)


class OperationLog(Protocol):
    """Records of operations.

    Methods raise StorageUnavailable, StorageDenied and StorageRefused as the store does. Those that
    read find nothing where the bucket does not exist; those that write raise BucketNotFound.
    """

    # --- records

    async def create(self, record: OperationRecord) -> Stored:
        """Write a record that is not there yet."""
        ...

    async def replace(self, record: OperationRecord, version: str) -> Stored:
        """Write a record in place of the version that is known.

        Raises:
            ObjectChanged: Another one is there, or none.
        """
        ...

    async def remove(self, name: str) -> None:
        """Remove a record that was never accepted."""
        ...

    async def read(self, name: str) -> Stored | None:
        """Return the newest version of a record; of one in the archive the version is empty."""
        ...

    async def versions(self) -> Mapping[str, str]:
        """Return the versions of the records outside the archive by operation, unread."""
        ...

    async def recent(self) -> Sequence[Stored]:
        """Return the records outside the archive by name: all that have not ended, and some that have."""
        ...

    async def all(self) -> Sequence[OperationRecord]:
        """Return all records by name, also those of the archive, as far as they are to be kept.

        Of an operation that ended long ago it may be only what tells which one it is and how it ended;
        ``whole`` has the rest.
        """
        ...

    def whole(self, record: OperationRecord) -> OperationRecord:
        """Return a record that ``all`` gave with everything that is known of it."""
        ...

    async def tidy(self) -> None:
        """Move ended records into the archive where it pays, and drop what is not to be kept."""
        ...

    async def write_details(self, name: str, details: OperationDetails) -> None:
        """Keep what is too long for a record, in place of what was kept before."""
        ...

    async def read_details(self, name: str) -> OperationDetails | None:
        """Return what was kept beside a record; None if nothing was."""
        ...

    # --- ids of requests

    async def operation_of(self, request_id: str) -> str:
        """Return the name of the operation that a request id belongs to, empty if to none."""
        ...

    async def take_request_id(self, request_id: str, name: str, instead_of: str = "") -> str:
        """Let a request id belong to an operation, and return whose it is now.

        Args:
            request_id: Any text; it is no part of a key.
            name: The operation.
            instead_of: Only in place of this one, which never came to be.
        """
        ...

    # --- owners

    async def beat(self, owner: Owner) -> None:
        """Give a sign of life, at the time of the store."""
        ...

    async def end(self, owner: Owner) -> None:
        """Say that an owner has ended, or owns nothing any more."""
        ...

    async def heartbeats(self) -> Mapping[str, datetime]:
        """Return the instances that have not ended, with their last signs of life by the store's clock."""
        ...

    async def living(self, limit: timedelta) -> frozenset[str]:
        """Return the instances that gave a sign of life in the last ``limit``, by the store's clock."""
        ...
