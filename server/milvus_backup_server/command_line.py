"""What the commands of the server package share: options for the settings, and how they complain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from enum import IntEnum

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings


class ExitCode(IntEnum):
    """How a command ended; the numbers are those of the whole command line."""

    OK = 0
    FAILED = 1
    WRONG_USE = 2


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options ``--config`` and ``--set``."""
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="settings file; default backup.yaml, there, in $MILVUSCONF or in ./configs; '' for none",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that wins over file and environment, such as milvus.grpc.port=19531; "
        "may be repeated",
    )


def complain(command: str, code: ExitCode, lines: Iterable[str]) -> ExitCode:
    """Write lines to stderr, each with the name of the command before it, and return the code."""
    for line in lines:
        print(f"milvus-backup {command}: {line}", file=sys.stderr)  # noqa: T201 - it is a command
    return code


def settings_lines(error: InvalidSettings) -> Iterable[str]:
    """Return what is wrong with settings as lines, and behind it what may be the cause."""
    return (*fault_lines(error.violations), *error.hints)


def fault_lines(faults: Iterable[FieldViolation]) -> Iterable[str]:
    """Return faults of settings as lines."""
    return (f"{fault.field}: {fault.description}" for fault in faults)
