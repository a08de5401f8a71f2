"""The commands `list`, `get` and `delete`."""

from __future__ import annotations

import json

import click

from milvus_backup.v1.backup_pb2 import (
    BACKUP_STATE_COMPLETE,
    BACKUP_STATE_LEGACY,
    BACKUP_VIEW_FULL,
    Backup,
    BackupPlace,
)
from milvus_backup.v1.backup_service_pb2 import ListBackupsResponse
from milvus_backup_client.cli.brief import brief
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.options import DETACH, NAME, place_flags, place_words, removed
from milvus_backup_client.cli.session import Session, calling_service, service_command
from milvus_backup_client.cli.tables import table_lines
from milvus_backup_client.cli.views import backup_lines, backup_rows

_RESTORABLE = {BACKUP_STATE_COMPLETE, BACKUP_STATE_LEGACY}


@click.command("list", cls=Command)
@removed("--collection", "-c", instead="get, which shows the collections of a backup")
@place_flags
@calling_service(outputs=("text", "wide", "json"))
async def list_backups(session: Session, *, place: BackupPlace | None) -> ExitCode:
    """List the backups.

    Text is the names of those that can be restored, as the Go tool lists them. Wide is a table of
    all, also those that are being made or deleted or are incomplete; so is JSON.
    """
    found = [backup async for backup in session.client.list_backups(place=place)]
    if session.json:
        session.say_message(ListBackupsResponse(backups=found))
    elif session.output == "wide":
        for line in table_lines(backup_rows(found)):
            session.say(line)
    else:
        _list_names(session, found, place)
    return ExitCode.OK


def _list_names(session: Session, found: list[Backup], place: BackupPlace | None) -> None:
    session.say(">> Backups:")
    restorable = [backup for backup in found if backup.state in _RESTORABLE]
    for backup in restorable:
        session.say(backup.name)
    if others := len(found) - len(restorable):
        see = session.command("list", "--output", "wide", *place_words(place))
        session.note(f"{others} not complete; see: {see}")


@click.command(
    cls=Command,
    examples=(
        "milvus-backup get -n nightly",
        "milvus-backup get -n nightly --output text",
    ),
)
@NAME
@removed("--detail", "-d", instead="nothing: all is shown", flag=True)
@place_flags
@calling_service(outputs=("json", "text"))
async def get(session: Session, *, name: str, place: BackupPlace | None) -> ExitCode:
    """Show a backup.

    JSON has the Go tool's keys, and some of ours: state, exact, row_count, labels, notes.
    """
    backup = await session.client.get_backup(name, view=BACKUP_VIEW_FULL, place=place)
    # A backup whose metadata cannot be read has no collections to list.
    if backup.collection_count > len(backup.collections):
        del backup.collections[:]
        backup.collections.extend(
            [found async for found in session.client.list_backup_collections(name, place=place)]
        )
    for collection in backup.collections:
        if collection.truncated:
            session.note(
                f"Warning: {collection.database}.{collection.name} is too large to be shown whole"
            )
    if session.json:
        session.say(json.dumps(brief(backup), indent=4, ensure_ascii=False))
    else:
        for line in backup_lines(backup):
            session.say(line)
    return ExitCode.OK


@click.command(cls=Command)
@NAME
@place_flags
@DETACH
@service_command
async def delete(
    session: Session, *, name: str, place: BackupPlace | None, detach: bool
) -> ExitCode:
    """Remove a backup, whole or not.

    Ctrl-C stops it and leaves what is not removed yet, which is no backup any more.
    """
    return await start(session, session.client.delete_backup(name, place=place), detach=detach)
