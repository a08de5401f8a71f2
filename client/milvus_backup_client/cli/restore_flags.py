"""The flags of `restore` that say how collections are made."""

from __future__ import annotations

from typing import Any

import click

from milvus_backup.v1.backup_service_pb2 import RestoreAliases, RestoreLoad, SkipParams
from milvus_backup_client.cli.arguments import split_names
from milvus_backup_client.cli.options import Callback, Decorator, go_flag

_WITHOUT = "without_"


def _without(flag: str, what: str) -> Decorator:
    name = _WITHOUT + flag.removeprefix("--skip-").replace("-", "_")
    text = f"{what} that are left out, separated by commas."
    return click.option(flag, name, default="", metavar="NAMES", callback=split_names, help=text)


_FLAGS = (
    go_flag("--rebuild_index", help_text="Make the backed-up indexes again."),
    go_flag(
        "--use_auto_index",
        help_text="Let Milvus choose the indexes of vectors. With --rebuild_index.",
    ),
    go_flag("--meta_only", help_text="Make collections, partitions and indexes, import no rows."),
    click.option(
        "--max-shards",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="The most shards that a collection gets.  [default: as in the backup]",
    ),
    _without("--skip-collection-properties", "Properties of collections"),
    _without("--skip-field-type-params", "Type parameters of fields"),
    _without("--skip-field-index-params", "Index parameters of fields"),
    _without("--skip-index-params", "Parameters of indexes"),
    go_flag(
        "--drop_exist_collection",
        help_text="Replace collections that are there, each when the new one is whole.",
    ),
    go_flag(
        "--skip_create_collection",
        help_text="Import into collections that exist. What a cancel finds imported stays.",
    ),
    go_flag(
        "--drop_exist_index",
        help_text="Drop the indexes of collections that exist. With --skip_create_collection.",
    ),
    go_flag(
        "--truncate-to-checkpoints",
        help_text="Leave out what is behind the checkpoints of a backup without a moment.",
    ),
    click.option(
        "--aliases",
        type=click.Choice(["kept-names", "all", "none"]),
        help="Which collections get the aliases that they had.  [default: those whose names stay]",
    ),
    click.option(
        "--load",
        type=click.Choice(["none", "as-backed-up", "all"]),
        help="Which collections are loaded, and waited for.  [default: none]",
    ),
    click.option(
        "--replicas",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="How many times they are loaded.  [default: as backed up]",
    ),
    go_flag("--rbac", help_text="Add users, roles and grants that lack (Milvus 2.4.9 or later)."),
    go_flag(
        "--use_v2_restore",
        help_text="Without effect: segments always share import jobs where Milvus can do that.",
    ),
)


def making_flags(command: Callback) -> Callback:
    """Give a command these flags."""
    for flag in reversed(_FLAGS):  # as decorators below one another: the last comes first
        command = flag(command)
    return command


def take_making(options: dict[str, Any]) -> dict[str, Any]:
    """Take the values of these flags out of a command's, and return the client's arguments."""
    options.pop("use_v2_restore")
    skipped = {
        name.removeprefix(_WITHOUT): options.pop(name)
        for name in list(options)
        if name.startswith(_WITHOUT)
    }
    return {
        "restore_indexes": options.pop("rebuild_index"),
        "use_auto_index": options.pop("use_auto_index"),
        "meta_only": options.pop("meta_only"),
        "max_shard_count": options.pop("max_shards"),
        "skip_params": SkipParams(**skipped) if any(skipped.values()) else None,
        "drop_existing_collections": options.pop("drop_exist_collection"),
        "skip_create_collections": options.pop("skip_create_collection"),
        "drop_existing_indexes": options.pop("drop_exist_index"),
        "truncate_to_checkpoints": options.pop("truncate_to_checkpoints"),
        "aliases": RestoreAliases.Value(_written("RESTORE_ALIASES_", options.pop("aliases"))),
        "load": RestoreLoad.Value(_written("RESTORE_LOAD_", options.pop("load"))),
        "replica_count": options.pop("replicas"),
        "rbac": options.pop("rbac"),
    }


def _written(prefix: str, word: str | None) -> Any:
    """Return a choice as the contract writes it; none is left to the service."""
    return prefix + (word or "unspecified").upper().replace("-", "_")
