"""A service that some program started for itself, and that must not outlive it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 4096


@contextmanager
def watching_stdin(ended: Callable[[], None]) -> Iterator[None]:
    """Call ``ended`` when standard input ends; to be used inside a running loop.

    As a pipe from the program that started this one, it ends with that program, however it ends.
    """
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, _CHUNK):
            loop.remove_reader(stdin)
            ended()

    loop.add_reader(stdin, read)
    try:
        yield
    finally:
        loop.remove_reader(stdin)
