"""A service that some program started for itself, and that must not outlive it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings

_CHUNK: Final = 4096


@contextmanager
def watching_stdin(ended: Callable[[], None]) -> Iterator[None]:
    """Call ``ended`` when standard input ends; to be used inside a running loop.

    As a pipe from the program that started this one, it ends with that program, however it ends.

    Raises:
        InvalidSettings: It is a file or closed, whose end tells nothing.
    """
    loop = asyncio.get_running_loop()
    stdin = _stdin()

    def read() -> None:
        if not os.read(stdin, _CHUNK):
            loop.remove_reader(stdin)
            ended()

    try:
        loop.add_reader(stdin, read)
    except PermissionError:  # so says the kernel of files and /dev/null
        raise _not_a_pipe() from None
    try:
        yield
    finally:
        loop.remove_reader(stdin)


def _stdin() -> int:
    if sys.stdin is None:  # it was closed when this program started
        raise _not_a_pipe()
    return sys.stdin.fileno()


def _not_a_pipe() -> InvalidSettings:
    fault = "expected standard input to be a pipe from the program that starts the service"
    return InvalidSettings(FieldViolation("--stop-with-stdin", fault))
