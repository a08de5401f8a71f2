"""What every command that calls the service has: an address, a form of output, an end."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, TypeAlias

import click
from google.protobuf.message import Message
from rich.console import Console

from milvus_backup_client.cli.displays import Display, Lines
from milvus_backup_client.cli.live import LiveDisplay
from milvus_backup_client.cli.outcomes import ExitCode, UsageFailure, error_line, exit_code
from milvus_backup_client.cli.texts import json_text
from milvus_backup_client.client import BackupClient
from milvus_backup_client.errors import BackupServiceError

ADDRESS_VARIABLE = "MILVUS_BACKUP_ADDRESS"
_NO_ADDRESS = f"no service to talk to: give --address HOST:PORT or set {ADDRESS_VARIABLE}"
# By this the service tells the command line from other callers.
_ORIGIN = [("x-milvus-backup-origin", "cli")]


@dataclass(frozen=True)
class Session:
    """One run of a command.

    Attributes:
        client: Talks to the service.
        address: Where the service is.
        json: Whether the result is to be JSON.
    """

    client: BackupClient
    address: str
    json: bool

    def say(self, text: str) -> None:
        """Write a line of the result."""
        click.echo(text)

    def note(self, text: str) -> None:
        """Write a line that is not part of the result."""
        click.echo(text, err=True)

    def say_message(self, message: Message) -> None:
        """Write a message as JSON."""
        click.echo(json_text(message))

    def display(self) -> Display:
        """Return the display that fits: for JSON none, on a terminal a live one, else lines."""
        if self.json:
            return Display()
        console = Console(stderr=True)
        if sys.stderr.isatty() and not console.is_dumb_terminal:
            return LiveDisplay(console)
        return Lines(self.note)

    def command(self, *words: str) -> str:
        """Return a command line of this program for the same service."""
        return shlex.join(["milvus-backup", "--address", self.address, *words])


Body: TypeAlias = Callable[..., Coroutine[Any, Any, ExitCode]]
_OPTIONS = (
    click.option("--address", metavar="HOST:PORT", help="Where the service is; also unix:/PATH."),
    click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Form of the result.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for each answer.",
    ),
)


def service_command(body: Body) -> Callable[..., None]:
    """Make a click callback of a coroutine function, with the options that all such have.

    Args:
        body: Gets a Session and the command's own options.
    """

    def run(
        address: str | None,
        output: str,
        timeout: float,
        **options: Any,
    ) -> None:
        context = click.get_current_context()
        where = address or context.find_object(str)
        if not where:
            raise UsageFailure(_NO_ADDRESS)

        async def with_session(client: BackupClient) -> ExitCode:
            return await body(Session(client, where, output == "json"), **options)

        context.exit(_run(where, timeout, with_session))

    update_wrapper(run, body)
    for option in reversed(_OPTIONS):
        option(run)
    return run


def _run(
    address: str,
    timeout_seconds: float,
    body: Callable[[BackupClient], Coroutine[Any, Any, ExitCode]],
) -> ExitCode:
    async def with_client() -> ExitCode:
        async with BackupClient(
            address,
            timeout_seconds=timeout_seconds,
            user_agent="milvus-backup-cli",
            metadata=_ORIGIN,
        ) as client:
            return await body(client)

    try:
        return asyncio.run(with_client())
    except BackupServiceError as error:
        click.echo(error_line(error, address), err=True)
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.LEFT
