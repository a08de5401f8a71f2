"""What the flags hold: lists of names, renames, labels."""

from __future__ import annotations

import shlex

import click

from milvus_backup.v1.backup_service_pb2 import CollectionMapping


def split_names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Split `db.*,db.coll,coll`; the service reads the names themselves."""
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    if "" in names:
        raise click.BadParameter(
            f"there is an empty name in {value!r}", ctx=context, param=parameter
        )
    return names


def split_partitions(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, list[str]]:
    """Split each `coll:part,part2`."""
    chosen: dict[str, list[str]] = {}
    for text in value:
        collection, _, names = (part.strip() for part in text.partition(":"))
        partitions = [name.strip() for name in names.split(",")]
        if not collection or "" in partitions:
            raise click.BadParameter(
                f"{text!r} is not coll:part,part2", ctx=context, param=parameter
            )
        chosen.setdefault(collection, []).extend(partitions)
    return chosen


def split_renames(context: click.Context, parameter: click.Parameter, value: str) -> dict[str, str]:
    """Split `old:new,old2:new2`."""
    renames: dict[str, str] = {}
    for rule in value.split(",") if value else ():
        old, colon, new = (part.strip() for part in rule.partition(":"))
        if not (old and colon and new) or ":" in new:
            raise click.BadParameter(f"{rule!r} is not old:new", ctx=context, param=parameter)
        if old in renames:
            raise click.BadParameter(f"{old!r} is renamed twice", ctx=context, param=parameter)
        renames[old] = new
    return renames


def split_mappings(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[CollectionMapping]:
    """Split each `old:new shards=2 description='of May'`."""
    return [_mapping(context, parameter, text) for text in value]


def _mapping(context: click.Context, parameter: click.Parameter, text: str) -> CollectionMapping:
    mapping = CollectionMapping()
    try:
        rule, *options = shlex.split(text)
        mapping.source, mapping.target = (part.strip() for part in rule.split(":"))
        chosen = dict(option.split("=", 1) for option in options)
        mapping.shard_count = int(chosen.pop("shards", "0"))
        if "description" in chosen:
            mapping.description = chosen.pop("description")
    except ValueError:
        chosen = {text: "is no mapping"}
    if not (mapping.source and mapping.target) or chosen:
        right = "old:new, with shards=N and description='...' behind it"
        raise click.BadParameter(f"{text!r} is not {right}", ctx=context, param=parameter)
    return mapping


def split_labels(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Split each `key=value`."""
    labels: dict[str, str] = {}
    for label in value:
        key, equals, text = label.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{label!r} is not key=value", ctx=context, param=parameter)
        if key in labels:
            raise click.BadParameter(f"{key!r} is given twice", ctx=context, param=parameter)
        labels[key] = text
    return labels
