"""The commands put together."""

from __future__ import annotations

import click

from milvus_backup_client.cli import backups, extensions, operations
from milvus_backup_client.cli.outcomes import EXIT_CODES
from milvus_backup_client.cli.session import ADDRESS_VARIABLE


class Commands(click.Group):
    """The commands of this package, and those that extensions bring."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *extensions.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        return super().get_command(ctx, cmd_name) or extensions.command(cmd_name)


@click.group(
    cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="milvus-backup")
@click.option(
    "--address",
    envvar=ADDRESS_VARIABLE,
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where the service is; also unix:/PATH.",
)
@click.pass_context
def app(context: click.Context, address: str | None) -> None:
    """Back up Milvus collections and restore them, with a running backup service."""
    context.obj = address


for _command in (
    backups.create,
    backups.restore,
    backups.delete,
    backups.get,
    backups.list_backups,
    operations.watch,
    operations.cancel,
    operations.operations,
    operations.check,
):
    app.add_command(_command)
