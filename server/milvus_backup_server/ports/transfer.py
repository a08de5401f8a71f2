"""The port to what moves objects between stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Protocol

from milvus_backup_server.domain.objects import TransferJob, TransferOutcome


class TransferEngine(Protocol):
    """Copies objects concurrently within the limits of the process."""

    def transfer(self, jobs: AsyncIterable[TransferJob]) -> AsyncGenerator[TransferOutcome, None]:
        """Copy each job's object and yield outcomes as they come, in any order.

        A job that fails for good yields an outcome with its error and stops no other. Jobs are
        drawn no faster than they are worked off. Closing the generator (``contextlib.aclosing``)
        cancels what runs and leaves no multipart upload behind.
        """
        ...
