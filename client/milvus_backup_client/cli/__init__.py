"""The command line ``milvus-backup``, with the Go tool's commands and flags.

    app          the commands, and those of other packages (extensions)
    create, restore, backups (list, get, delete), archives (export, import), check,
    operations (watch, operations, cancel), completion
                 a command each, loaded when it is run
    commands, options, arguments, place, exits
                 kinds of commands, their flags, what flags hold, exit codes: without gRPC
    session      what every command that calls the service has: a service, a form of output, an end
    service, own_service, service_log, descriptors
                 a service at an address, or a child process for the one command
    follow, watching
                 an operation begun, shown to its end, cancelled by Ctrl-C
    displays     progress as lines, as JSON or not at all;  live: on a terminal
    texts, plans, views, tables, brief, outcomes
                 messages as text, as the Go tool's JSON, errors as lines

Nothing here is imported by the client itself, and only ``main`` without click and rich.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import NoReturn

_LIBRARIES = {"click", "rich"}


def main() -> None:
    """Run the command line and exit."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines on stderr are for nobody here
    try:
        from milvus_backup_client.cli.app import app  # noqa: PLC0415 - click may be missing

        try:
            app(prog_name="milvus-backup")
        finally:
            if sys.stdout:
                sys.stdout.flush()  # while a failure of it can still be told
    except OSError as error:
        _exit_with(error)
    except ModuleNotFoundError as missing:  # a command loads what it needs when it is run
        library = (missing.name or "").partition(".")[0]
        if library not in _LIBRARIES:
            raise
        print(
            f"Error: the command line needs {library}: pip install 'milvus-backup[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)


def _exit_with(error: OSError) -> NoReturn:
    """Exit after what no command has an answer to, such as a full disk below standard output."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno != errno.EPIPE:  # a reader that has seen enough is no error
        with suppress(OSError):
            print(f"Error: {where}{error.strerror or error}", file=sys.stderr)
    with suppress(OSError, AttributeError):  # else Python writes what is left, and fails again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
