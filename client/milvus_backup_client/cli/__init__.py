"""The command line ``milvus-backup``, with the Go tool's commands and flags.

    app          the commands, and those of other packages (extensions)
    backups      create, restore, delete, get, list
    operations   watch, cancel, operations, check
    session      what every command has: the address, the form of output, how errors end it
    follow       an operation followed to its end
    displays     progress as lines, as JSON or not at all;  live: on a terminal
    texts, plans messages as text;  outcomes: errors and exit codes;  arguments: what flags hold

Nothing here is imported by the client itself, and only ``main`` without click and rich.
"""

from __future__ import annotations

import sys

_LIBRARIES = {"click", "rich"}


def main() -> None:
    """Run the command line and exit."""
    try:
        from milvus_backup_client.cli.app import app  # noqa: PLC0415 - click may be missing
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in _LIBRARIES:
            raise
        print(
            f"Error: the command line needs {library}: pip install 'milvus-backup[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    app(prog_name="milvus-backup")
