"""The command ``milvus-backup server``, also as ``python -m milvus_backup_server``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from milvus_backup_server.app import serve
from milvus_backup_server.command_line import (
    ExitCode,
    add_settings_options,
    complain,
    settings_lines,
)
from milvus_backup_server.domain.errors import BackupError, InvalidSettings
from milvus_backup_server.settings import Given, assignments, load
from milvus_backup_server.telemetry import configure_logging
from milvus_backup_server.wiring import log_file

_COMMAND = "server"

_OPTIONS = {
    "host": ("--host", "service.grpc.host", "service.http.host"),
    "port": ("--port", "service.http.port"),
    "grpc_port": ("--grpc-port", "service.grpc.port"),
    "grpc_socket": ("--grpc-socket", "service.grpc.socket"),
}


def server_command(argv: Sequence[str]) -> int:
    """Run the service until it is asked to stop; return the exit code.

    Args:
        argv: The arguments behind ``server``.
    """
    options = _parser().parse_args(argv)
    try:
        read = partial(load, options.config, assignments(options.set) | _overrides(options))
        loaded = read()
        log = loaded.settings.log
        configure_logging(log.level, console=log.console, file=log_file(log))
        with asyncio.Runner() as runner:
            runner.run(serve(loaded, read, stop_with_stdin=options.stop_with_stdin))
    except InvalidSettings as error:
        return complain(_COMMAND, ExitCode.WRONG_USE, settings_lines(error))
    except BackupError as error:
        return complain(_COMMAND, ExitCode.WRONG_USE, [error.message])
    except OSError as error:
        return complain(_COMMAND, ExitCode.FAILED, [str(error)])
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="milvus-backup server", description="Serve backups of a Milvus over gRPC and HTTP."
    )
    add_settings_options(parser)
    parser.add_argument(
        "--host",
        help="address to listen on for both, 0.0.0.0 for all: there is no authentication "
        "(service.grpc.host, service.http.host)",
    )
    parser.add_argument(
        "-p",
        "--port",
        help="port of HTTP, 0 for any; default $SERVER_PORT, then 8080 (service.http.port)",
    )
    parser.add_argument(
        "--grpc-port", metavar="PORT", help="port of gRPC, 0 for any (service.grpc.port)"
    )
    parser.add_argument(
        "--grpc-socket",
        metavar="PATH",
        help="a unix socket for gRPC instead of host and port (service.grpc.socket)",
    )
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop at once when standard input ends: for programs that start a service for themselves",
    )
    return parser


def _overrides(options: argparse.Namespace) -> dict[str, Given]:
    chosen = {name: getattr(options, name) for name in _OPTIONS}
    return {
        key.lower(): Given(flag, chosen[name], "command line")
        for name, (flag, *keys) in _OPTIONS.items()
        for key in keys
        if chosen[name] is not None
    }


if __name__ == "__main__":
    sys.exit(server_command(sys.argv[1:]))
