"""The fence before changes that would harm whoever has taken an operation over meanwhile.

A service may sleep between any two of its steps, for as long as others need to go on with its operation
and to end it. What it removes by name then may be what they made. So it looks directly before; a
request that is sent already cannot be called back.
"""

from __future__ import annotations

from milvus_backup_server.domain.errors import OperationInterrupted, Unavailable
from milvus_backup_server.service.running import WorkInterrupted
from milvus_backup_server.service.tracker import Tracker


async def require_ours(tracker: Tracker) -> None:
    """Await directly before a change that cannot be taken back.

    Raises:
        WorkInterrupted: Another service has the operation, or it cannot be told. It is no BackupError,
            so that no clean-up goes on behind it as it does behind what it cannot remove.
    """
    try:
        await tracker.require_owner()
    except (OperationInterrupted, Unavailable) as error:
        raise WorkInterrupted(error) from error
