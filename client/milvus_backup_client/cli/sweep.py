"""The command `sweep`."""

from __future__ import annotations

import click

from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.session import Session, service_command

_HOUR = 3600


@click.command(
    cls=Command,
    examples=("milvus-backup sweep", "milvus-backup sweep --older-than 1 --force"),
)
@click.option("--force", is_flag=True, help="Remove what is found. Without it nothing is changed.")
@click.option(
    "--older-than",
    type=click.FloatRange(0, 87_600),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="Leave alone what is younger.",
)
@service_command
async def sweep(session: Session, *, force: bool, older_than: float) -> ExitCode:
    """Find what operations that did not come to their end left behind.

    Half backups, copies in Milvus's bucket, collections under temporary names, uploads, files on the
    service's disk. Whole backups, and what a running operation of any service on the repository works
    on, are left alone.
    """
    call = session.client.sweep(apply=force, min_age_seconds=older_than * _HOUR)
    return await start(session, call)
