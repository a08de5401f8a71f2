"""The commands about backups: create, restore, delete, get, list."""

from __future__ import annotations

import click

from milvus_backup.v1.backup_service_pb2 import ListBackupsResponse
from milvus_backup_client.cli.arguments import split_labels, split_names, split_renames
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.outcomes import ExitCode
from milvus_backup_client.cli.session import Session, service_command

_NAME = click.option("-n", "--name", required=True, help="The backup's name.")
_LABELS = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=split_labels,
    help="Kept with it; can be repeated.",
)
_REQUEST_ID = click.option(
    "--request-id",
    default=None,
    metavar="ID",
    help="The same id does not begin a second operation.  [default: a new one]",
)
_VALIDATE_ONLY = click.option(
    "--validate-only", is_flag=True, help="Check everything, show the plan, change nothing."
)
_DETACH = click.option(
    "--detach", is_flag=True, help="Begin it, print the operation's name and leave."
)


@click.command()
@click.option("-n", "--name", default="", help="The backup's name.  [default: from the time]")
@click.option(
    "--filter",
    "names",
    default="",
    metavar="NAMES",
    callback=split_names,
    help="What to back up: db.*,db.coll,coll  [default: everything]",
)
@_LABELS
@_REQUEST_ID
@_VALIDATE_ONLY
@_DETACH
@service_command
async def create(
    session: Session,
    *,
    name: str,
    names: tuple[str, ...],
    labels: dict[str, str],
    request_id: str | None,
    validate_only: bool,
    detach: bool,
) -> ExitCode:
    """Make a backup."""
    call = session.client.create_backup(
        name,
        collections=names,
        labels=labels,
        request_id=request_id,
        validate_only=validate_only,
    )
    return await start(session, call, detach=detach)


@click.command()
@_NAME
@click.option(
    "--filter",
    "names",
    default="",
    metavar="NAMES",
    callback=split_names,
    help="What to restore, by the names after renaming: db.*,db.coll,coll  [default: all]",
)
@click.option("-s", "--suffix", default="", help="Appended to every collection's name.")
@click.option(
    "-r",
    "--rename",
    "renames",
    default="",
    metavar="OLD:NEW,...",
    callback=split_renames,
    help="New names: coll:coll2, db.coll:db2.coll2, db.*:db2.*",
)
@click.option(
    "--rebuild_index",
    "--rebuild-index",
    "rebuild_index",
    is_flag=True,
    help="Make the backed-up indexes again.",
)
@click.option(
    "--skip-content-check",
    is_flag=True,
    help="Compare only presence and size of the objects. A damaged one can crash Milvus.",
)
@_LABELS
@_REQUEST_ID
@_VALIDATE_ONLY
@_DETACH
@service_command
async def restore(
    session: Session,
    *,
    name: str,
    names: tuple[str, ...],
    suffix: str,
    renames: dict[str, str],
    rebuild_index: bool,
    skip_content_check: bool,
    labels: dict[str, str],
    request_id: str | None,
    validate_only: bool,
    detach: bool,
) -> ExitCode:
    """Restore a backup."""
    call = session.client.restore_backup(
        name,
        target_collections=names,
        suffix=suffix,
        renames=renames,
        restore_indexes=rebuild_index,
        skip_content_check=skip_content_check,
        labels=labels,
        request_id=request_id,
        validate_only=validate_only,
    )
    return await start(session, call, detach=detach)


@click.command()
@_NAME
@_DETACH
@service_command
async def delete(session: Session, *, name: str, detach: bool) -> ExitCode:
    """Remove a backup, whole or not."""
    return await start(session, session.client.delete_backup(name), detach=detach)


@click.command()
@_NAME
@service_command
async def get(session: Session, *, name: str) -> ExitCode:
    """Show a backup as JSON."""
    session.say_message(await session.client.get_backup(name))
    return ExitCode.OK


@click.command("list")
@service_command
async def list_backups(session: Session) -> ExitCode:
    """List the backups, whole or not."""
    found = [backup async for backup in session.client.list_backups()]
    if session.json:
        session.say_message(ListBackupsResponse(backups=found))
        return ExitCode.OK
    session.say(">> Backups:")
    for backup in found:
        session.say(backup.name)
    return ExitCode.OK
