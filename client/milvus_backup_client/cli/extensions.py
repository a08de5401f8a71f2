"""Commands that other parts of the distribution bring, loaded only when they are run.

An extension is an entry point in the group ``milvus_backup.commands`` of the distribution: a
function that takes the arguments after the command's name and returns an exit code, or None for 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from itertools import takewhile

import click

from milvus_backup_client.cli.exits import UsageFailure
from milvus_backup_client.cli.place import Place

_GROUP = "milvus_backup.commands"
# Of those that are known, so that the list of commands need not load them.
_SHORT_HELP = {
    "server": "Run the service: gRPC and HTTP.",
    "config": "Show the settings and where each comes from; turn v1 files into v2.",
}
_UNTOUCHED = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


def names() -> list[str]:
    """Return the names of the commands that extensions bring."""
    return sorted(_entry_points().names)


def command(name: str) -> click.Command | None:
    """Return the command of an extension, not loaded yet; None if there is no such."""
    found = _entry_points()
    if name not in found.names:
        return None

    @click.pass_context
    def run(context: click.Context, arguments: tuple[str, ...]) -> None:
        if context.find_root().params.get("address"):  # given here, not by the environment
            raise UsageFailure(f"milvus-backup {name} calls no service: leave out --address")
        place = context.find_object(Place) or Place()
        context.exit(_run(found[name], _with(place, arguments)))

    return click.Command(
        name,
        callback=run,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings=_UNTOUCHED,
        add_help_option=False,
        short_help=_SHORT_HELP.get(name, f"See milvus-backup {name} --help."),
    )


def _with(place: Place, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the settings that were given before the command's name.

    They come behind the names of subcommands, as in `config show --config backup.yaml`.
    """
    words = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    return [*words, *place.service_arguments(), *arguments[len(words) :]]


def _run(entry_point: metadata.EntryPoint, arguments: list[str]) -> int:
    try:
        function = entry_point.load()
    except ModuleNotFoundError as missing:
        raise _not_installed(entry_point.name, missing) from missing
    code: int | None = function(arguments)
    return code or 0


def _not_installed(name: str, missing: ModuleNotFoundError) -> UsageFailure:
    library = (missing.name or "").partition(".")[0]
    return UsageFailure(
        f"milvus-backup {name} needs {library}: pip install 'milvus-backup[server]'"
    )


def _entry_points() -> metadata.EntryPoints:
    try:
        own = metadata.distribution("milvus-backup").entry_points
    except metadata.PackageNotFoundError:
        return metadata.EntryPoints()
    return own.select(group=_GROUP)
