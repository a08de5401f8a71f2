"""The command `create`."""

from __future__ import annotations

from typing import Any

import click

from milvus_backup_client.cli.arguments import split_names
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode, UsageFailure
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.options import (
    DETACH,
    LABELS,
    PARTITIONS,
    REQUEST_ID,
    VALIDATE_ONLY,
    checked,
    coming,
    refuse_coming,
    removed,
)
from milvus_backup_client.cli.session import Session, service_command

_STRATEGIES = ("auto", "meta_only", "skip_flush", "bulk_flush", "serial_flush")
_FORMATS = ("auto", "binlog", "snapshot")
_DONE = {"", "auto", "binlog"}
_COMING = ("--rbac", "--backup_index_extra")


def _check(options: dict[str, Any]) -> None:
    strategy, kind = options.pop("strategy"), options.pop("kind")
    if strategy == "snapshot":
        raise UsageFailure("--strategy snapshot is not a strategy, use --format snapshot")
    if strategy and strategy not in _STRATEGIES:
        raise UsageFailure(f"--strategy {strategy} is none of {', '.join(_STRATEGIES)}")
    if kind and kind not in _FORMATS:
        raise UsageFailure(f"--format {kind} is none of {', '.join(_FORMATS)}")
    chosen = (("--strategy", strategy), ("--format", kind))
    refuse_coming(
        options, _COMING, *(f"{flag} {value}" for flag, value in chosen if value not in _DONE)
    )


@click.command(
    cls=Command,
    examples=(
        "milvus-backup create -n nightly",
        "milvus-backup create -n shops --filter 'hello_milvus,shop.*'",
        "milvus-backup create -n nightly --validate-only",
    ),
)
@click.option(
    "-n",
    "--name",
    default="",
    metavar="NAME",
    help="The backup's name.  [default: backup_ and the time, which is printed]",
)
@click.option(
    "--filter",
    "names",
    default="",
    metavar="NAMES",
    callback=split_names,
    help="What to back up: db.*,db.coll,coll, or db. for the database alone.  [default: everything]",
)
@PARTITIONS
@click.option(
    "--strategy",
    default="",
    metavar="NAME",
    help="How Milvus flushes: auto; not supported yet: serial_flush, bulk_flush, skip_flush,"
    " meta_only.  [default: auto]",
)
@click.option(
    "--format",
    "kind",
    default="",
    metavar="NAME",
    help="What a backup holds: binlog; not supported yet: snapshot.  [default: auto]",
)
@coming(_COMING)
@LABELS
@REQUEST_ID
@VALIDATE_ONLY
@DETACH
@removed("--colls", "-c", instead="--filter coll,db.coll")
@removed("--databases", "-d", instead="--filter 'db.*'")
@removed("--database_collections", "-a", instead="--filter db.coll,'db2.*'")
@removed("--force", "-f", instead="--strategy skip_flush", flag=True)
@removed("--meta_only", instead="--strategy meta_only", flag=True)
@checked(_check)
@service_command
async def create(
    session: Session,
    *,
    name: str,
    names: tuple[str, ...],
    partitions: dict[str, list[str]],
    labels: dict[str, str],
    request_id: str | None,
    validate_only: bool,
    detach: bool,
) -> ExitCode:
    """Make a backup.

    Every collection is backed up as of one moment, while Milvus goes on. Ctrl-C cancels it and
    removes what was copied; with --address it goes on in the service, and Ctrl-C leaves it.
    """
    call = session.client.create_backup(
        name,
        collections=names,
        partitions=partitions,
        labels=labels,
        request_id=request_id,
        validate_only=validate_only,
    )
    return await start(session, call, detach=detach, tell_name=not name)
