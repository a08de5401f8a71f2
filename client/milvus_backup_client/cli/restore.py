"""The command `restore`."""

from __future__ import annotations

from typing import Any

import click

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup.v1.backup_service_pb2 import CollectionMapping
from milvus_backup_client.cli.arguments import split_mappings, split_names, split_renames
from milvus_backup_client.cli.commands import Command, Unsupported
from milvus_backup_client.cli.exits import ExitCode, UsageFailure
from milvus_backup_client.cli.follow import start
from milvus_backup_client.cli.options import (
    DETACH,
    LABELS,
    NAME,
    PARTITIONS,
    REQUEST_ID,
    VALIDATE_ONLY,
    checked,
    place_flags,
    removed,
)
from milvus_backup_client.cli.restore_flags import making_flags, take_making
from milvus_backup_client.cli.session import Session, service_command

_EXCLUSIVE = (
    ("suffix", "renames"),
    ("suffix", "mappings"),
    ("renames", "mappings"),
    ("drop_exist_collection", "skip_create_collection"),
)


_FLAGS = {"renames": "rename", "mappings": "map"}


def _check(options: dict[str, Any]) -> None:
    for first, second in _EXCLUSIVE:
        if options[first] and options[second]:
            raise UsageFailure(f"{_written(first)} and {_written(second)} exclude each other")
    options["making"] = take_making(options)


def _written(name: str) -> str:
    return f"--{_FLAGS.get(name, name)}"


@click.command(
    cls=Command,
    examples=(
        "milvus-backup restore -n nightly -s _recover --rebuild_index",
        "milvus-backup restore -n nightly --filter 'shop2.*' -r 'shop.*:shop2.*'",
        "milvus-backup restore -n nightly --map shop.orders:a.orders --map shop.orders:b.orders",
        "milvus-backup restore -n nightly --validate-only",
    ),
    alternatives={
        "secondary": Unsupported(
            "restore secondary", "clusters that replicate are not restored by this service"
        )
    },
)
@NAME
@click.option(
    "--filter",
    "names",
    default="",
    metavar="NAMES",
    callback=split_names,
    help="What to restore, by the names after renaming: db.*,db.coll,coll,db.  [default: all]",
)
@PARTITIONS
@click.option(
    "-s",
    "--suffix",
    default="",
    metavar="SUFFIX",
    help="Appended to every collection's name. Not with --rename.",
)
@click.option(
    "-r",
    "--rename",
    "renames",
    default="",
    metavar="OLD:NEW,...",
    callback=split_renames,
    help="New names: coll:coll2, db.coll:db2.coll2, db.*:db2.*, db.:db2. (the database alone).",
)
@click.option(
    "--map",
    "mappings",
    multiple=True,
    metavar="OLD:NEW",
    callback=split_mappings,
    help="As --rename, and can be repeated for one source: 'coll:coll2 shards=1 description=\"a copy\"'. "
    "Without --filter only what is mapped is restored.",
)
@making_flags
@click.option(
    "--skip-content-check",
    is_flag=True,
    help="Compare only presence and size of the objects. A damaged one can crash Milvus.",
)
@place_flags
@LABELS
@REQUEST_ID
@VALIDATE_ONLY
@DETACH
@removed("--collections", "-c", instead="--filter coll,db.coll")
@removed("--databases", "-d", instead="--filter 'db.*'")
@removed("--database_collections", "-a", instead="--filter db.coll,'db2.*'")
@removed("--restore_index", instead="--rebuild_index", flag=True)
@checked(_check)
@service_command
async def restore(
    session: Session,
    *,
    name: str,
    names: tuple[str, ...],
    partitions: dict[str, list[str]],
    suffix: str,
    renames: dict[str, str],
    mappings: list[CollectionMapping],
    making: dict[str, Any],
    skip_content_check: bool,
    place: BackupPlace | None,
    labels: dict[str, str],
    request_id: str | None,
    validate_only: bool,
    detach: bool,
) -> ExitCode:
    """Restore a backup.

    Each collection is built under a temporary name and gets its own when it is whole; none that
    exists is touched. Ctrl-C cancels it and removes what was made; with --address it goes on in
    the service, and Ctrl-C leaves it.
    """
    call = session.client.restore_backup(
        name,
        target_collections=names,
        partitions=partitions,
        suffix=suffix,
        renames=renames,
        mappings=mappings,
        **making,
        skip_content_check=skip_content_check,
        place=place,
        labels=labels,
        request_id=request_id,
        validate_only=validate_only,
    )
    return await start(session, call, detach=detach)
