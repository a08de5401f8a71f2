"""The command ``milvus-backup server``, also as ``python -m milvus_backup_server``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from milvus_backup_server.app import serve
from milvus_backup_server.domain.errors import BackupError, InvalidSettings
from milvus_backup_server.settings import load
from milvus_backup_server.settings_sources import Given
from milvus_backup_server.telemetry import configure_logging

FAILED = 1
WRONG_USE = 2

_OPTIONS = {
    "host": ("--host", "service.grpc.host"),
    "grpc_port": ("--grpc-port", "service.grpc.port"),
    "grpc_socket": ("--grpc-socket", "service.grpc.socket"),
}


def server_command(argv: Sequence[str]) -> int:
    """Run the service until it is asked to stop; return the exit code.

    Args:
        argv: The arguments behind ``server``.
    """
    options = _parser().parse_args(argv)
    if options.port is not None:
        return _complain(WRONG_USE, "--port is for HTTP, which comes with a later release")
    try:
        loaded = load(options.config, _overrides(options))
        configure_logging(loaded.settings.log.level)
        with asyncio.Runner() as runner:
            runner.run(serve(loaded))
    except InvalidSettings as error:
        faults = (f"{fault.field}: {fault.description}" for fault in error.violations)
        return _complain(WRONG_USE, *faults)
    except BackupError as error:
        return _complain(WRONG_USE, error.message)
    except OSError as error:
        return _complain(FAILED, str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="milvus-backup server", description="Serve backups of a Milvus over gRPC."
    )
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="settings file; default backup.yaml, then $MILVUSCONF and ./configs; '' for none",
    )
    parser.add_argument("--host", help="address to listen on (service.grpc.host)")
    parser.add_argument(
        "--grpc-port", metavar="PORT", help="port to listen on, 0 for any (service.grpc.port)"
    )
    parser.add_argument(
        "--grpc-socket", metavar="PATH", help="listen on a unix socket only (service.grpc.socket)"
    )
    parser.add_argument("-p", "--port", help="reserved for HTTP, which comes later")
    return parser


def _overrides(options: argparse.Namespace) -> dict[str, Given]:
    chosen = {name: getattr(options, name) for name in _OPTIONS}
    return {
        key.lower(): Given(flag, chosen[name], "command line")
        for name, (flag, key) in _OPTIONS.items()
        if chosen[name] is not None
    }


def _complain(code: int, *lines: str) -> int:
    for line in lines:
        print(f"milvus-backup server: {line}", file=sys.stderr)  # noqa: T201 - before there is a log
    return code


if __name__ == "__main__":
    sys.exit(server_command(sys.argv[1:]))
