"""Calls of the service that wait to be made, as values for tests of what they have in common."""

from collections.abc import Awaitable, Callable
from typing import Any

from milvus_backup_client import BackupClient

Call = Callable[[BackupClient], Awaitable[object]]


def creating(name: str, *collections: str, validate_only: bool = False) -> Call:
    return lambda client: client.create_backup(
        name, collections=collections, validate_only=validate_only
    )


def restoring(name: str, **options: Any) -> Call:
    return lambda client: client.restore_backup(name, **options)


def getting(name: str) -> Call:
    return lambda client: client.get_backup(name)


def deleting(name: str) -> Call:
    return lambda client: client.delete_backup(name)


async def listing(client: BackupClient) -> list[str]:
    return [backup.name async for backup in client.list_backups()]
