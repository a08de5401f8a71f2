"""The command `verify`."""

from __future__ import annotations

import click

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup.v1.verification_pb2 import VerifyLevel
from milvus_backup_client.cli.arguments import split_names
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.options import DETACH, NAME, place_flags
from milvus_backup_client.cli.session import Session, service_command

_LEVELS = {
    level.removeprefix("VERIFY_LEVEL_").lower(): number
    for level, number in VerifyLevel.items()
    if number
}
_MOST = 2**64 - 1


@click.command(
    cls=Command,
    examples=(
        "milvus-backup verify -n nightly",
        "milvus-backup verify -n nightly --level content --sample 10",
        "milvus-backup verify -n nightly --level restored --filter default.books",
    ),
)
@NAME
@click.option(
    "--level",
    type=click.Choice(list(_LEVELS)),
    default="listing",
    show_default=True,
    help="listing: metadata, and presence, size and ETag of the data. content: also every byte of it. "
    "restored: also restore it under temporary names, compare every row with the logs, and drop it.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 100),
    default=None,
    metavar="PERCENT",
    help="Read only this share of the data objects.  [default: all]",
)
@click.option(
    "--seed",
    type=click.IntRange(1, _MOST),
    default=None,
    metavar="NUMBER",
    help="Which objects a sample has.  [default: others each time]",
)
@place_flags
@click.option(
    "--filter",
    "-f",
    "collections",
    default="",
    metavar="NAMES",
    callback=split_names,
    help="Restore only these collections, separated by commas.  [default: all]",
)
@DETACH
@service_command
async def verify(
    session: Session,
    *,
    name: str,
    level: str,
    sample: int | None,
    seed: int | None,
    place: BackupPlace | None,
    collections: tuple[str, ...],
    detach: bool,
) -> ExitCode:
    """Compare a backup with what was recorded of it.

    Damage is told in a line each, and the exit code is 1. Nothing in the backup is changed. Level
    restored needs Milvus, and pyarrow where the service runs: pip install 'milvus-backup[binlogs]'.
    """
    call = session.client.verify_backup(
        name,
        level=_LEVELS[level],
        sample_percent=sample or 0,
        sample_seed=seed or 0,
        place=place,
        collections=collections,
    )
    return await start(session, call, detach=detach)
