"""The exit codes, the same for every command; nothing here loads gRPC."""

from __future__ import annotations

from enum import IntEnum
from typing import IO

import click


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    UNREACHABLE = 4
    INTERRUPTED = 5
    PARTIAL = 6
    LEFT = 130


class UsageFailure(click.ClickException):
    """Something is wrong or missing before the command can begin; told in one line."""

    exit_code = ExitCode.USAGE


class StartFailure(click.ClickException):
    """The service of a command could not be started; told in one line a fault.

    Args:
        lines: What is wrong.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))

    def show(self, file: IO[str] | None = None) -> None:
        """Write the faults."""
        for line in self.message.splitlines():
            click.echo(f"Error: {line}", file=file, err=True)


class SettingsFailure(StartFailure):
    """The service did not start because of its settings, or because something is not installed."""

    exit_code = ExitCode.USAGE


EXIT_CODES = """\b
Exit codes:
    0  done
    1  refused or failed
    2  the command line, the request or the settings are wrong, or something is not installed
    3  the operation was cancelled
    4  the service cannot be reached, does not start or does not answer
    5  the operation was interrupted before its end
    6  the operation ended, some collections failed
  130  left by Ctrl-C; an operation of a service at --address goes on
"""
