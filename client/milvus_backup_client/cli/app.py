"""The commands put together."""

from __future__ import annotations

import os
from typing import Any

import click

from milvus_backup_client.cli import extensions
from milvus_backup_client.cli.commands import LazyCommand, Unsupported, usage_in_one_line
from milvus_backup_client.cli.exits import EXIT_CODES
from milvus_backup_client.cli.place import ADDRESS_VARIABLE, Place, place_options

_LAZY = {
    "Backups": {
        "create": ("create:create", "Make a backup."),
        "list": ("backups:list_backups", "List the backups."),
        "get": ("backups:get", "Show a backup."),
        "restore": ("restore:restore", "Restore a backup."),
        "verify": ("verify:verify", "Compare a backup with what was recorded of it."),
        "delete": ("backups:delete", "Remove a backup, whole or not."),
        "export": ("archives:export", "Write a backup into a tar file."),
        "import": ("archives:import_backup", "Read a backup from a tar file."),
    },
    "Operations": {
        "watch": ("operations:watch", "Follow an operation to its end."),
        "operations": (
            "operations:operations",
            "List the operations on record, those of other services and of earlier ones too.",
        ),
        "resume": (
            "operations:resume",
            "Go on with an operation that was interrupted, and follow it to its end.",
        ),
        "retry": (
            "operations:retry",
            "Do what an operation did not do, and follow that to its end.",
        ),
        "sweep": (
            "sweep:sweep",
            "Find what operations that did not come to their end left behind.",
        ),
        "cancel": (
            "operations:cancel",
            "Ask an operation to stop and to remove what it made.",
        ),
    },
    "Set-up": {
        "check": ("check:check", "Try Milvus and both stores, and tell what a restore would do."),
        "completion": ("completion:completion", "Print what makes a shell complete commands."),
    },
}
_EXTENSIONS = "Set-up"
_UNSUPPORTED = {
    "migrate": "it belongs to Zilliz Cloud",
    "l0compact": "restores of this service apply deletes without it",
}
_EPILOG = f"""\b
Examples:
  milvus-backup --config backup.yaml check
  milvus-backup create -n nightly --filter 'hello_milvus,shop.*'
  milvus-backup restore -n nightly -s _recover --rebuild_index
  milvus-backup --address 10.0.0.7:50051 create -n nightly --output json

\b
Without --address ({ADDRESS_VARIABLE}) a service is started for the one command
and stopped behind it, with the settings of --config, --set and the environment.
With --output json stdout is one object, with watch one a line; stderr has errors,
warnings and progress.

{EXIT_CODES}"""


class Commands(click.Group):
    """The commands of this package, loaded when they are run, and those of extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for rows in _LAZY.values():
            for name, (place, short_help) in rows.items():
                self.add_command(LazyCommand(name, place, short_help))
        for name, reason in _UNSUPPORTED.items():
            self.add_command(Unsupported(name, reason))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *extensions.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        return super().get_command(ctx, cmd_name) or extensions.command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their short help, by what they are about."""
        for section, rows in _LAZY.items():
            names = [*rows, *(extensions.names() if section == _EXTENSIONS else ())]
            found = ((name, self.get_command(ctx, name)) for name in names)
            with formatter.section(section):
                formatter.write_dl(
                    [(name, command.get_short_help_str(80)) for name, command in found if command]
                )

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Take the arguments before the command's name apart."""
        with usage_in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with usage_in_one_line():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # --rebuild_index, as the Go tool has it, is --rebuild-index also
        "token_normalize_func": lambda token: token.replace("-", "_"),
    },
)
@click.version_option(package_name="milvus-backup")
@place_options
@click.pass_context
def app(
    context: click.Context, address: str, config: str | None, settings: tuple[str, ...]
) -> None:
    """Back up Milvus collections into object storage, and restore them."""
    address = address or os.environ.get(ADDRESS_VARIABLE, "")
    context.obj = Place(address, config, settings)
