"""The command `create`."""

from __future__ import annotations

from typing import Any

import click

from milvus_backup.v1.backup_pb2 import BackupPlace, BackupStrategy
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
    go_flag,
    place_flags,
    removed,
)
from milvus_backup_client.cli.session import Session, service_command

_STRATEGIES = ("auto", "serial_flush", "bulk_flush", "skip_flush", "meta_only")
_FORMATS = ("auto", "binlog", "snapshot")
_DONE = {"", "auto", "binlog"}


def _check(options: dict[str, Any]) -> None:
    strategy, kind = options["strategy"], options.pop("kind")
    if strategy == "snapshot":
        raise UsageFailure("--strategy snapshot is not a strategy, use --format snapshot")
    if strategy and strategy not in _STRATEGIES:
        raise UsageFailure(f"--strategy {strategy} is none of {', '.join(_STRATEGIES)}")
    if kind and kind not in _FORMATS:
        raise UsageFailure(f"--format {kind} is none of {', '.join(_FORMATS)}")
    if kind not in _DONE:
        raise UsageFailure(f"not supported yet: --format {kind}")
    if options.pop("backup_index_extra"):
        raise UsageFailure(
            "--backup_index_extra is refused: only restores into a secondary cluster need it, and these are "
            "not made by this service"
        )


@click.command(
    cls=Command,
    examples=(
        "milvus-backup create -n nightly",
        "milvus-backup create -n shops --filter 'hello_milvus,shop.*'",
        "milvus-backup create -n schemas --strategy meta_only",
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
    help="How Milvus is flushed: auto (all at once), serial_flush (one after another), skip_flush (not at"
    " all: no stated moment), meta_only (no rows), bulk_flush (Milvus 2.6.11 or later).  [default: auto]",
)
@click.option(
    "--format",
    "kind",
    default="",
    metavar="NAME",
    help="What a backup holds: binlog; not supported yet: snapshot.  [default: auto]",
)
@go_flag("--rbac", help_text="Also users, roles and grants (Milvus 2.4.9 or later).")
@click.option(
    "--pause-gc",
    is_flag=True,
    help="Pause Milvus's garbage collection meanwhile, where it can be done.",
)
@click.option(
    "--gc-pause-seconds",
    type=click.IntRange(min=0, max=(1 << 31) - 1),
    default=0,
    metavar="SECONDS",
    help="So long the pause stays behind a crash of the service.  [default: 900]",
)
@click.option(
    "--allow-partial",
    is_flag=True,
    help="Make it complete without the collections that fail; it names them.",
)
@place_flags
@go_flag(
    "--backup_index_extra",
    help_text="Refused: only restores into a secondary cluster need it.",
)
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
    strategy: str,
    rbac: bool,
    pause_gc: bool,
    gc_pause_seconds: int,
    allow_partial: bool,
    place: BackupPlace | None,
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
        strategy=BackupStrategy.Value(f"BACKUP_STRATEGY_{strategy.upper() or 'UNSPECIFIED'}"),
        pause_gc=pause_gc,
        gc_pause_seconds=gc_pause_seconds,
        rbac=rbac,
        allow_partial=allow_partial,
        place=place,
        labels=labels,
        request_id=request_id,
        validate_only=validate_only,
    )
    return await start(session, call, detach=detach, tell_name=not name)
