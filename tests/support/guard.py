"""Run one command and end it together with the process that asked for it.

A program of its own (standard library only, started by `processes.py`), because the kernel's
parent-death signal follows the thread that started a child, and test servers are started from
threads that end early. Standard input is a socket to the owner: the child's process id goes out on
it, and its end means that the owner is gone, in whatever way it died.

Usage: guard.py RUN_DIRECTORY COMMAND [ARGUMENT ...]
The exit code is the command's, 128 + N when signal N ended it.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1
_EXEC_FAILED = 127
_OWNER = 0


def _become(command: list[str], guard: int) -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:  # it died before the signal was asked for
        os._exit(_EXEC_FAILED)
    no_input = os.open(os.devnull, os.O_RDONLY)
    os.dup2(no_input, 0)
    try:
        os.execv(command[0], command)  # noqa: S606 - the caller's own command
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(_EXEC_FAILED)


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _wait(child: int, directory: str) -> int:
    poller = select.poll()
    poller.register(_OWNER, select.POLLIN)
    ended = os.pidfd_open(child)
    poller.register(ended, select.POLLIN)
    ready = {descriptor for descriptor, _ in poller.poll()}
    if ended not in ready:
        _kill_group(child)
    _, status = os.waitpid(child, 0)
    _kill_group(child)  # what the child itself had started
    if ended not in ready:
        shutil.rmtree(directory, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> int:
    """Start the command, report its process id, and stay until it or the owner ends."""
    directory, *command = sys.argv[1:]
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, guard)
    with contextlib.suppress(PermissionError):  # the child has done it itself and runs its command
        os.setpgid(child, child)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        os.write(_OWNER, f"{child}\n".encode())
    return _wait(child, directory)


if __name__ == "__main__":
    sys.exit(main())
