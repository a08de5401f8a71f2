"""The commands ``milvus-backup config show`` and ``milvus-backup config migrate``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from milvus_backup_server.command_line import (
    ExitCode,
    add_settings_options,
    complain,
    fault_lines,
    settings_lines,
)
from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import assignments, load
from milvus_backup_server.settings.loading import Loaded
from milvus_backup_server.settings.migration import Migration, migrate
from milvus_backup_server.settings.showing import entries, table

_COMMAND = "config"
_PRIVATE = 0o600


def config_command(argv: Sequence[str]) -> int:
    """Show the settings, or write a file of v1 anew as v2; return the exit code.

    Args:
        argv: The arguments behind ``config``.
    """
    options = _parser().parse_args(argv)
    try:
        code: ExitCode = options.run(options)
    except InvalidSettings as error:
        return complain(_COMMAND, ExitCode.WRONG_USE, settings_lines(error))
    except BrokenPipeError:  # a reader that has seen enough is no error to tell of
        return ExitCode.FAILED
    except OSError as error:
        return complain(_COMMAND, ExitCode.FAILED, [str(error)])
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"milvus-backup {_COMMAND}", description="Look at the settings, or renew their file."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    show = commands.add_parser(
        "show",
        help="show every setting and where it comes from",
        description="Show every setting, its value and where that comes from; secrets are masked.",
    )
    show.set_defaults(run=_show)
    show.add_argument("--output", choices=["table", "json"], default="table")
    add_settings_options(show)
    renew = commands.add_parser(
        "migrate",
        help="turn a file of configVersion v1 into v2",
        description="Write a settings file of configVersion v1 anew as v2. What is to be known of "
        "the result goes to stderr.",
    )
    renew.set_defaults(run=_migrate)
    renew.add_argument("-o", "--output", metavar="PATH", help="the new file; default stdout")
    renew.add_argument("--force", action="store_true", help="replace a file that is there")
    renew.add_argument(
        "--strict", action="store_true", help="write nothing if the result could not be used"
    )
    add_settings_options(renew)
    return parser


def _show(options: argparse.Namespace) -> ExitCode:
    loaded = load(options.config, assignments(options.set))
    print(_as_json(loaded) if options.output == "json" else table(list(entries(loaded))))  # noqa: T201
    return complain(_COMMAND, ExitCode.OK, loaded.warnings)


def _as_json(loaded: Loaded) -> str:
    shown = {
        "file": str(loaded.file or ""),
        "parameters": [asdict(entry) for entry in entries(loaded)],
        "warnings": list(loaded.warnings),
    }
    return json.dumps(shown, indent=2)


def _migrate(options: argparse.Namespace) -> ExitCode:
    made = migrate(options.config, assignments(options.set), os.environ)
    complain(_COMMAND, ExitCode.OK, made.report)
    complain(_COMMAND, ExitCode.OK, [f"not valid: {line}" for line in fault_lines(made.faults)])
    if made.faults and options.strict:
        return complain(_COMMAND, ExitCode.FAILED, ["nothing was written"])
    return _write(made, options)


def _write(made: Migration, options: argparse.Namespace) -> ExitCode:
    if not options.output:
        sys.stdout.write(made.text)
        return ExitCode.OK
    path = Path(options.output)
    try:
        _write_private(path, made.text, replace=options.force)
    except FileExistsError:
        return complain(_COMMAND, ExitCode.FAILED, [f"{path} exists; --force replaces it"])
    return complain(_COMMAND, ExitCode.OK, [f"written to {path}"])


def _write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file that only its owner may read, or none."""
    place = path.with_name(f"{path.name}.{os.getpid()}.tmp") if replace else path
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if replace:
            place.replace(path)
    except OSError:
        place.unlink(missing_ok=True)
        raise
