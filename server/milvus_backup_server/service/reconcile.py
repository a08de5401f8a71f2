"""Comparing what should be in a place with what is listed there, both in the order of keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class Pair:
    """One key: what is wanted there and what is there. One of both may be None."""

    wanted: ManifestObject | None
    present: ObjectInfo | None


async def reconcile(
    wanted: AsyncIterator[ManifestObject], present: AsyncIterator[ObjectInfo], directory: str
) -> AsyncIterator[Pair]:
    """Yield a pair for every key that is wanted or present, in the order of keys.

    Args:
        wanted: Objects with keys relative to ``directory``, in order.
        present: A listing, in order.
        directory: The prefix of the backup, ending in ``/``.

    Raises:
        BackupCorrupt: One of both is not in order; pairing would be wrong.
    """
    left = await anext(wanted, None)
    right = await anext(present, None)
    last = ""
    while left is not None or right is not None:
        left_key = None if left is None else directory + left.key
        right_key = None if right is None else right.key
        key = min(it for it in (left_key, right_key) if it is not None)
        if key <= last:
            raise BackupCorrupt(f"objects are not listed in the order of keys at {key}", key=key)
        last = key
        yield Pair(left if key == left_key else None, right if key == right_key else None)
        if key == left_key:
            left = await anext(wanted, None)
        if key == right_key:
            right = await anext(present, None)
