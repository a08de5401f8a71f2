"""The check of the places that callers may name for backups."""

from __future__ import annotations

import asyncio

from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.places import SETTING
from milvus_backup_server.service.checks import Deadline, missing_bucket
from milvus_backup_server.service.context import Registry, Storage, WorkLimits
from milvus_backup_server.service.preflight_stores import where

NAME = "backup_places"


async def check_places(registry: Registry, limits: WorkLimits) -> tuple[CheckItem, ...]:
    """Look into each place; nothing is told where there are none."""
    if not registry.elsewhere:
        return ()
    try:
        found = await asyncio.gather(*(_look(it, limits) for it in registry.elsewhere.values()))
    except BackupError as error:
        return (CheckItem(NAME, CheckState.FAILED, error.message, error),)
    missing = [text for exists, text in found if not exists]
    state = CheckState.WARNING if missing else CheckState.OK
    return (CheckItem(NAME, state, "; ".join(missing or [text for _, text in found])),)


async def _look(storage: Storage, limits: WorkLimits) -> tuple[bool, str]:
    async with Deadline(limits.check_seconds).asking_store(storage):
        if await storage.store.bucket_exists():
            await storage.store.list_page(f"{storage.root}/" if storage.root else "", limit=1)
            return True, f"{where(storage)} answers"
    if not limits.create_bucket:
        raise missing_bucket(storage, SETTING)
    return False, f"{where(storage)} does not exist; the first create there makes it"
