"""Limits of what one message may carry, and how values are made to fit them."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 1024 * 1024
"""No answer and no message of a stream is larger."""

MAX_BODY_BYTES = MAX_MESSAGE_BYTES - 128 * 1024
"""What the repeated part of a message may fill; the rest is for everything around it."""

MAX_TEXT_BYTES = 1024

MAX_NAME_BYTES = 255
"""A name of a partition that Milvus accepts is no longer."""

_ELLIPSIS = "..."


def fit(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """Return a text that UTF-8 can carry in ``limit`` bytes; what was cut ends in ``...``."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    return data[: limit - len(_ELLIPSIS)].decode("utf-8", "ignore") + _ELLIPSIS


def fit_int(value: int, bits: int = 64, *, signed: bool = True) -> int:
    """Return the nearest value that an integer field of the contract can carry.

    Numbers come from files that others wrote; one out of range must not make a whole list
    unreadable.
    """
    top = (1 << (bits - signed)) - 1
    return max(-top - 1 if signed else 0, min(value, top))
