"""How a create comes to what it copies: by flushing, without, or not at all."""

from __future__ import annotations

from enum import Enum


class BackupStrategy(Enum):
    """The strategies of the Go tool, with its names.

    Attributes:
        AUTO: BULK_FLUSH where Milvus can; else one call per database, from 2.4 on per collection, all at
            the same time.
        SERIAL_FLUSH: The collections are flushed one after another.
        BULK_FLUSH: One call flushes everything in Milvus, also what is not backed up. Milvus can from
            2.6.11 on.
        SKIP_FLUSH: Nothing is flushed: what Milvus has written by itself is backed up, as of no
            stated moment.
        META_ONLY: Nothing is flushed and no rows are backed up.
    """

    AUTO = "auto"
    SERIAL_FLUSH = "serial_flush"
    BULK_FLUSH = "bulk_flush"
    SKIP_FLUSH = "skip_flush"
    META_ONLY = "meta_only"

    @property
    def flushes(self) -> bool:
        """True if each collection is backed up as of a stated moment."""
        return self not in (BackupStrategy.SKIP_FLUSH, BackupStrategy.META_ONLY)

    @property
    def copies(self) -> bool:
        """True if rows are backed up."""
        return self is not BackupStrategy.META_ONLY
