"""The command `completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import UsageFailure

# What click looks for in the environment when a shell asks.
_VARIABLE = "_MILVUS_BACKUP_COMPLETE"
_PROGRAM = "milvus-backup"


@click.command(
    cls=Command,
    examples=(
        "milvus-backup completion bash > ~/.local/share/bash-completion/completions/milvus-backup",
        "milvus-backup completion zsh > ~/.zfunc/_milvus-backup",
        "milvus-backup completion fish > ~/.config/fish/completions/milvus-backup.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageFailure(f"there is no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
