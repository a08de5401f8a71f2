"""Flags that several commands have, and the Go tool's, also those that it removed."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeAlias

import click

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup_client.cli.arguments import split_labels, split_partitions
from milvus_backup_client.cli.exits import UsageFailure

Callback: TypeAlias = Callable[..., None]
Decorator: TypeAlias = Callable[[Callback], Callback]


def place_flags(command: Callback) -> Callback:
    """Give a command the flags that say where a backup lies; it gets them as one ``place``."""

    def run(**options: Any) -> None:
        bucket, path = options.pop("bucket_name"), options.pop("path")
        place = BackupPlace(bucket_name=bucket, path=path) if bucket or path else None
        command(**options, place=place)

    where = "{}, as far as service.storage.allowedPlaces allows.  [default: as in the settings]"
    flags = (
        click.option(
            "--bucket-name", default="", metavar="NAME", help=where.format("The backup's bucket")
        ),
        click.option(
            "--path", default="", metavar="PATH", help=where.format("The path that it lies below")
        ),
    )
    decorated = update_wrapper(run, command)
    for flag in reversed(flags):
        decorated = flag(decorated)
    return decorated


def place_words(place: BackupPlace | None) -> tuple[str, ...]:
    """Return the flags that name a place, as a command line has them."""
    if place is None:
        return ()
    named = {"--bucket-name": place.bucket_name, "--path": place.path}
    return tuple(word for flag, value in named.items() if value for word in (flag, value))


def given_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a name that must not be empty."""
    if not value:
        raise click.MissingParameter(ctx=context, param=parameter)
    return value


NAME = click.option(
    "-n", "--name", required=True, callback=given_name, metavar="NAME", help="The backup's name."
)
LABELS = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=split_labels,
    help="Kept with it; can be repeated.",
)
PARTITIONS = click.option(
    "--partition",
    "partitions",
    multiple=True,
    metavar="COLL:PART,...",
    callback=split_partitions,
    help="Of this collection only these partitions: db.coll:part,part2; can be repeated.",
)
REQUEST_ID = click.option(
    "--request-id",
    default=None,
    metavar="ID",
    help="The same id does not begin a second operation.  [default: a new one]",
)
VALIDATE_ONLY = click.option(
    "--validate-only", is_flag=True, help="Check everything, show the plan, change nothing."
)
DETACH = click.option(
    "--detach", is_flag=True, help="Begin it, print the operation's name and leave."
)


def go_flag(*names: str, help_text: str, **more: Any) -> Decorator:
    """Make a flag as Go has them: alone it is true, and `--flag=false` may be said.

    Args:
        names: Its spellings, and the name of the parameter.
        help_text: What it does.
        more: For `click.option`.
    """
    kind: dict[str, Any] = {"is_flag": False, "flag_value": True, "type": click.BOOL, "metavar": ""}
    return click.option(*names, help=help_text, **{"default": False, **kind, **more})


def removed(*names: str, instead: str, flag: bool = False) -> Decorator:
    """Make a flag that the Go tool had before 0.6; using it is an error that says what to use.

    Args:
        names: Its spellings, the long one first.
        instead: What to use.
        flag: It takes no value.
    """

    def refuse(_: click.Context, __: click.Parameter, value: object) -> None:
        if value is not None:
            raise UsageFailure(f"{names[0]} was removed in 0.6, use {instead}")

    more: dict[str, Any] = {"hidden": True, "expose_value": False, "is_eager": True}
    if flag:
        return go_flag(*names, help_text="", default=None, callback=refuse, **more)
    return click.option(*names, default=None, callback=refuse, **more)


def checked(check: Callable[[dict[str, Any]], None]) -> Decorator:
    """Look at all options of a command together, before anything is begun.

    Args:
        check: Gets the options, raises UsageFailure, may take options away.
    """

    def decorate(command: Callback) -> Callback:
        def run(**options: Any) -> None:
            check(options)
            command(**options)

        return update_wrapper(run, command)

    return decorate
