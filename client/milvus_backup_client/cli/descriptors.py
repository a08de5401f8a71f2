"""Settings files that are open files of this process, such as a shell's `<(...)`, for a child process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_OPEN_FILE = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)|/dev/std(in)")


@contextmanager
def handed_on(path: str | None) -> Iterator[tuple[str | None, tuple[int, ...]]]:
    """Make an open file of this process one that a child process can be given.

    A child has no other open files than those that it is given, and its standard input is its own.

    Args:
        path: A path as the user gave it; None for none.

    Yields:
        The path for the child, and the descriptors to be given to it.
    """
    own = _descriptor(path or "")
    if own is None:
        yield path, ()
        return
    try:
        given = os.dup(own)
    except OSError:  # it is not open: the child tells
        yield path, ()
        return
    try:
        yield f"/dev/fd/{given}", (given,)
    finally:
        os.close(given)


def _descriptor(path: str) -> int | None:
    found = _OPEN_FILE.fullmatch(path)
    if found is None:
        return None
    return 0 if found[3] else int(found[1] or found[2])
