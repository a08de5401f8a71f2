"""A service that lives for one command: a child process that listens on a unix socket.

Its socket and its log lie in a directory that only this user can enter. Its standard input is a pipe
from this process: however this process ends, the pipe ends with it, and then the service stops.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from milvus_backup_client.cli.exits import StartFailure
from milvus_backup_client.cli.service_log import ServiceLog

_PREFIX = "milvus-backup-cli-"
_SOCKET = "service"
_LOG = "log"
_LONGEST_SOCKET_PATH = 100  # bytes; the kernel's bound is 108 on Linux and 104 elsewhere
_POLL_SECONDS = 0.02
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
# As `milvus-backup server`, which says in one line when its libraries are missing. -P: modules in
# the working directory are not ours.
_PROGRAM = (sys.executable, "-P", "-m", "milvus_backup_client.cli", "server")
# Last, so that they win over what the user gives.
_FACES = ("--set", "service.http.enabled=false", "--stop-with-stdin", "--grpc-socket")


@dataclass(frozen=True)
class OwnService:
    """A running service of our own.

    Attributes:
        address: Where it listens.
        log: What it wrote.
    """

    address: str
    log: ServiceLog
    _process: subprocess.Popen[bytes]

    def has_ended(self) -> bool:
        """Tell whether it is gone, though nobody stopped it."""
        return self._process.poll() is not None


@contextmanager
def own_service(arguments: Sequence[str], descriptors: Sequence[int] = ()) -> Iterator[OwnService]:
    """Run a service for the time of a block.

    Ctrl-C does not reach it: leaving the block by KeyboardInterrupt kills it, any other way
    lets it stop by itself.

    Args:
        arguments: Behind `milvus-backup server`.
        descriptors: Open files that it gets.

    Raises:
        StartFailure: It does not start.
    """
    with _directory() as directory, _locked_log(directory) as output:
        listen = directory / _SOCKET
        log = ServiceLog(directory / _LOG)
        command = [*_PROGRAM, *arguments, *_FACES, str(listen)]
        environment = _environment(directory)
        with _process(command, output, environment, descriptors) as process:
            _wait_until_it_listens(process, listen, log)
            yield OwnService(f"unix:{listen}", log, process)


@contextmanager
def _process(
    command: Sequence[str],
    output: IO[bytes],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - this program's own
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        pass_fds=descriptors,
        start_new_session=True,  # the terminal's Ctrl-C is ours
    )
    try:
        yield process
        _close_input(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    finally:
        _close_input(process)
        process.kill()  # nothing happens if it has ended
        process.wait()


def _environment(directory: Path) -> dict[str, str]:
    """Let the service put its temporary files where they go with it, however it ends."""
    if directory.parent != Path(tempfile.gettempdir()):  # they may be large: the user says where
        return dict(os.environ)
    return {**os.environ, "TMPDIR": str(directory)}


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _wait_until_it_listens(process: subprocess.Popen[bytes], listen: Path, log: ServiceLog) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _listens(listen):
        if process.poll() is not None:
            raise log.start_failure(process.returncode)
        if time.monotonic() > end:
            raise StartFailure(f"the service did not start in {_START_SECONDS:.0f} s: {log.last()}")
        time.sleep(_POLL_SECONDS)


def _listens(listen: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(listen))
        except OSError:
            return False
    return True


@contextmanager
def _directory() -> Iterator[Path]:
    """Make a directory that only this user can enter, and remove it behind the block."""
    base = Path(tempfile.gettempdir())
    longest = base / f"{_PREFIX}12345678" / _SOCKET
    if len(os.fsencode(longest)) > _LONGEST_SOCKET_PATH:
        base = Path("/tmp")  # noqa: S108 - what is made there is ours alone
    _remove_abandoned(base)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked_log(directory: Path) -> Iterator[IO[bytes]]:
    """Open the log. This process and the service hold its lock together while either lives."""
    new = directory / "new"
    with new.open("ab") as output:
        fcntl.flock(output, fcntl.LOCK_EX)
        new.rename(directory / _LOG)  # the others see it only when it is locked
        yield output


def _remove_abandoned(base: Path) -> None:
    """Remove what commands left that were killed: nobody holds the lock of their log."""
    for log in base.glob(f"{_PREFIX}*/{_LOG}"):
        try:
            with log.open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # in use, another user's, or just removed
            continue
        shutil.rmtree(log.parent, ignore_errors=True)
