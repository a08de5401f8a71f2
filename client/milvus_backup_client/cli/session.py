"""What every command that calls the service has: a service, a form of output, an end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, TypeAlias

import click
from google.protobuf.message import Message

from milvus_backup_client.cli.displays import Display, JsonLines, Lines
from milvus_backup_client.cli.exits import ExitCode, UsageFailure
from milvus_backup_client.cli.outcomes import exit_code
from milvus_backup_client.cli.place import ADDRESS_VARIABLE, Place, place_options
from milvus_backup_client.cli.service import Service, service_at
from milvus_backup_client.cli.texts import json_text, printable
from milvus_backup_client.client import BackupClient
from milvus_backup_client.errors import BackupServiceError

# By this the service tells the command line from other callers.
_ORIGIN = [("x-milvus-backup-origin", "cli")]
# A service at an address may be restarted; a child of ours that is gone does not come back.
_RECONNECT_SECONDS = 60.0
_OWN_RECONNECT_SECONDS = 1.0
_DUMB_TERMINALS = {"dumb", "unknown"}


@dataclass(frozen=True)
class Session:
    """One run of a command.

    Attributes:
        client: Talks to the service.
        service: The service.
        output: The form of the result, one that the command has.
    """

    client: BackupClient
    service: Service
    output: str

    @property
    def json(self) -> bool:
        """Whether the result is to be JSON."""
        return self.output == "json"

    def say(self, text: str) -> None:
        """Write a line of the result."""
        click.echo(text if self.json else printable(text))

    def note(self, text: str) -> None:
        """Write a line that is not part of the result."""
        click.echo(printable(text), err=True)

    def say_message(self, message: Message) -> None:
        """Write a message as JSON."""
        click.echo(json_text(message))

    def display(self, *, json_lines: bool = False) -> Display:
        """Return the display that fits: on a terminal a live one, else lines.

        Args:
            json_lines: With JSON, a line of it for each state, instead of nothing.
        """
        if self.json:
            return JsonLines(self.say) if json_lines else Display()
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb").lower() not in _DUMB_TERMINALS:
            # It takes a while to load, and scripts do not need it.
            from milvus_backup_client.cli.live import LiveDisplay  # noqa: PLC0415

            return LiveDisplay()
        return Lines(self.note)

    def command(self, *words: str) -> str:
        """Return a command line of this program for the same service."""
        return self.service.place.command(*words)


Body: TypeAlias = Callable[..., Coroutine[Any, Any, ExitCode]]
_TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for each answer.",
)


def calling_service(
    *, outputs: tuple[str, ...] = ("text", "json"), running_only: bool = False
) -> Callable[[Body], Callable[..., None]]:
    """Make a click callback of a coroutine function, with the options that all such have.

    Args:
        outputs: The forms of its result, the default first.
        running_only: It is about what a running service does, so none can be started for it.

    Returns:
        A decorator; the function gets a Session and the command's own options.
    """

    def decorate(body: Body) -> Callable[..., None]:
        def run(**options: Any) -> None:
            context = click.get_current_context()
            place = _place(options)
            detached = " --detach" if options.get("detach") else ""
            if running_only or detached:
                _must_run(place, f"{context.command_path}{detached}")
            output, timeout = options.pop("output"), options.pop("timeout")

            async def with_client(session: Session) -> ExitCode:
                return await body(session, **options)

            context.exit(_run(place, timeout, output, with_client))

        update_wrapper(run, body)
        for option in (_TIMEOUT, _output(outputs), place_options):
            option(run)
        return run

    return decorate


service_command = calling_service()


def _output(outputs: tuple[str, ...]) -> Callable[[Callable[..., None]], object]:
    return click.option(
        "--output",
        type=click.Choice(outputs),
        default=outputs[0],
        show_default=True,
        help="Form of the result.",
    )


def _place(options: dict[str, Any]) -> Place:
    said = Place(options.pop("address"), options.pop("config"), options.pop("settings"))
    before = click.get_current_context().find_object(Place) or Place()
    return before.then(said).checked()


def _must_run(place: Place, command: str) -> None:
    if not place.address:
        raise UsageFailure(
            f"{command} needs a running service: give --address HOST:PORT or set {ADDRESS_VARIABLE}"
        )


_Run: TypeAlias = Callable[[Session], Coroutine[Any, Any, ExitCode]]


def _run(place: Place, timeout_seconds: float, output: str, body: _Run) -> ExitCode:
    try:
        own = not place.address
        with _stop_signals_interrupt() if own else nullcontext(), service_at(place) as service:
            try:
                return asyncio.run(_with_client(service, timeout_seconds, output, body))
            except BackupServiceError as error:
                for line in service.failure_lines(error):
                    click.echo(printable(line), err=True)
                return exit_code(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.LEFT


async def _with_client(
    service: Service, timeout_seconds: float, output: str, body: _Run
) -> ExitCode:
    own = service.own is not None
    with _stop_signals_cancel() if own else nullcontext():
        async with BackupClient(
            service.address,
            timeout_seconds=timeout_seconds,
            reconnect_seconds=_OWN_RECONNECT_SECONDS if own else _RECONNECT_SECONDS,
            user_agent="milvus-backup-cli",
            metadata=_ORIGIN,
        ) as client:
            return await body(Session(client, service, output))


@contextmanager
def _stop_signals_interrupt() -> Iterator[None]:
    """Let a termination, too, end a service of our own: it starts, or it stops."""
    before = {
        number: signal.signal(number, signal.default_int_handler) for number in _stop_signals()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stop_signals_cancel() -> Iterator[None]:
    """Let a termination, too, cancel what was begun: the service would only be interrupted."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    numbers = _stop_signals()
    if task is not None:
        for number in numbers:
            loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)  # which makes it end the program
            signal.signal(number, signal.default_int_handler)


def _stop_signals() -> list[signal.Signals]:
    """Return the signals besides Ctrl-C that end a command and can be heard here."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup means what it says
    ]
