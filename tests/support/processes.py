"""Child processes that cannot outlive the tests: ports, start, signals, readiness."""

import contextlib
import http.client
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
# Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes a port
# between the moment it is chosen and the moment the server binds it, or while a server restarts.
_PORT_RANGE = range(20_000, 32_000)
_POLL_SECONDS = 0.05
_LOG_TAIL = 6_000  # characters

_issued: set[int] = set()
_issued_lock = threading.Lock()


class StartError(Exception):
    """A child process ended, or did not become ready in time; the message ends with its log."""


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Choose TCP ports that nobody listens on; this process never gets one of them twice."""
    chosen: list[int] = []
    with _issued_lock:
        while len(chosen) < count:
            port = random.choice(_PORT_RANGE)
            if port not in _issued and _is_free(port):
                _issued.add(port)
                chosen.append(port)
    return chosen


def run_directory(name: str) -> Path:
    """Choose a directory for one server, below MILVUS_BACKUP_TEST_DIR or the system's place."""
    base = os.environ.get("MILVUS_BACKUP_TEST_DIR", tempfile.gettempdir())
    return Path(base) / f"milvus-backup-{name}-{secrets.token_hex(4)}"


def http_ok(url: str, *, timeout: float = 3.0) -> bool:
    """Whether a GET of an http URL on this host answers 200 within `timeout` seconds."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class ChildProcess:
    """One running command in its own session and process group, its output in a log file.

    It is killed when this process ends, even by SIGKILL; its run directory is removed then too.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        log: Path,
        ports: Iterable[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` (an absolute path and its arguments) in `directory`.

        Args:
            command: what to run.
            directory: the run directory, the command's working directory; made if need be.
            log: file that standard output and standard error are appended to.
            ports: those that the command will listen on.
            environment: the whole environment of the command; PATH and HOME only when None.

        Raises:
            StartError: one of the ports is taken. Milvus may answer as healthy in spite of it.
        """
        taken = [port for port in ports if not _is_free(port)]
        if taken:
            raise StartError(f"ports taken by somebody else: {taken}")
        directory.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.name = Path(command[0]).name
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self._guard: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARD, directory, *command],
                cwd=directory,
                env=plain_environment() if environment is None else dict(environment),
                stdin=theirs.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._link = ours
        with ours.makefile("rb") as lines:
            self.pid = int(lines.readline() or 0)

    @property
    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._guard.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group; nothing happens when it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code, 128 + N for signal N.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        code = self._guard.wait(timeout)
        self._link.close()
        return code

    def terminate(self, grace: float) -> int:
        """Send SIGTERM, after `grace` seconds SIGKILL; return the exit code."""
        self.send_signal(signal.SIGTERM)
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Send SIGKILL and wait until it is gone; return the exit code."""
        self.send_signal(signal.SIGKILL)
        return self.wait(timeout=90)

    def log_tail(self) -> str:
        """Return the end of the log; of a Go program's panic the beginning, which says why."""
        text = self.log.read_text(errors="replace")
        panic = text.rfind("\npanic:")
        return text[-_LOG_TAIL:] if panic < 0 else text[panic : panic + _LOG_TAIL]

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Poll `ready` until it is true.

        Raises:
            StartError: the command ended, or `timeout` seconds passed.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise StartError(f"{self.name} ended during its start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} not ready after {timeout} s:\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)


def plain_environment(**more: str) -> dict[str, str]:
    """Return the environment for a server: PATH, HOME and what is given, nobody's AWS settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"LANG": "C.UTF-8"} | more
