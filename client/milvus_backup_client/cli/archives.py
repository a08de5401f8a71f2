"""The commands `export` and `import`: backups as tar files."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import click
from rich.filesize import decimal

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup.v1.operation_pb2 import (
    OPERATION_KIND_IMPORT_BACKUP,
    OPERATION_STATE_CANCELLING,
    OPERATION_STATE_RUNNING,
    Operation,
)
from milvus_backup_client.cli.archive_files import (
    STANDARD,
    file_size,
    metered,
    read_file,
    refuse_target,
    write_file,
)
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.options import NAME, place_flags
from milvus_backup_client.cli.session import Session, service_command
from milvus_backup_client.errors import PreconditionFailed, Unavailable


@click.command(
    cls=Command,
    examples=(
        "milvus-backup export -n nightly",
        "milvus-backup export -n nightly -o - | gzip | ssh host 'cat > nightly.tar.gz'",
    ),
)
@NAME
@click.option(
    "-o",
    "--file",
    default="",
    metavar="FILE|-",
    help="Where to write it; - is standard output.  [default: NAME.tar]",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@place_flags
@service_command
async def export(
    session: Session, *, name: str, file: str, force: bool, place: BackupPlace | None
) -> ExitCode:
    """Write a backup into a tar file.

    It has the backup's directory in it, as it is in the object store. The file appears under its name
    when it is whole.
    """
    target = file or f"{name}.tar"
    refuse_target(target, force=force)
    with metered(f"export {name}") as meter:
        size = await write_file(target, session.client.export_backup(name, place=place), meter)
    tell = session.note if target == STANDARD else session.say
    if session.json:
        tell(json.dumps({"backup_name": name, "file": target, "size_bytes": size}, indent=4))
    else:
        tell(f"exported {name} to {target}: {decimal(size)}")
    return ExitCode.OK


@click.command(
    "import",
    cls=Command,
    examples=(
        "milvus-backup import nightly.tar",
        "milvus-backup import go_backup.tar.gz -n from_go",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "-n",
    "--name",
    default="",
    metavar="NAME",
    help="The backup to make.  [default: the file's top directory]",
)
@place_flags
@service_command
async def import_backup(
    session: Session, *, file: str, name: str, place: BackupPlace | None
) -> ExitCode:
    """Read a backup from a tar file.

    FILE is what `export` wrote, or a backup's directory packed by tar, also one of the Go tool; plain
    or in gzip; - is standard input. Everything is checked before the backup is complete. What fails
    or is left by Ctrl-C removes what it wrote.
    """
    try:
        with metered(f"import {file}", file_size(file)) as meter:
            content = read_file(file, meter)
            operation = await session.client.import_backup(content, name or None, place=place)
    except asyncio.CancelledError:
        if session.service.own is not None:
            await _wait_for_clean_up(session)
        raise
    if session.json:
        session.say_message(operation)
    else:
        session.say(_imported(operation))
    return ExitCode.OK


def _imported(operation: Operation) -> str:
    made = operation.import_backup
    return (
        f"imported {operation.backup_name}: {made.collection_count:,} collections, "
        f"{made.object_count:,} objects, {decimal(made.size_bytes)}"
    )


async def _wait_for_clean_up(session: Session) -> None:
    """Wait until what was written is removed: a service of our own ends with this command."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    session.note("Removing what was written; Ctrl-C again ends it at once.")
    at_work = session.client.list_operations(
        kinds=[OPERATION_KIND_IMPORT_BACKUP],
        states=[OPERATION_STATE_RUNNING, OPERATION_STATE_CANCELLING],
    )
    with suppress(Unavailable, PreconditionFailed):  # of the records: ours is told without them
        async for operation in at_work:
            await session.client.wait(operation, raise_on_failure=False)
