"""The room of one message: lists and texts are taken while they fit, and it is known when something did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from milvus_backup_server.api.texts import MAX_TEXT_BYTES, fit

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_OVERHEAD = 8
"""Tag and length of an item of a list, at most."""


class Room:
    """What a message may still hold.

    Args:
        size: Bytes for all lists together.

    Attributes:
        cut: True as soon as something was left out or shortened.
    """

    def __init__(self, size: int) -> None:
        self.cut = False
        self._left = size

    def text(self, text: str, limit: int = MAX_TEXT_BYTES) -> str:
        """Return a text, shortened to ``limit`` bytes; its bytes are not counted."""
        shown = fit(text, limit)
        self.cut = self.cut or shown != text
        return shown

    def texts(self, texts: Iterable[str]) -> list[str]:
        """Return the first texts that fit."""
        shown: list[str] = []
        for text in map(self.text, texts):
            if not self._take(len(text.encode()) + _OVERHEAD):
                break
            shown.append(text)
        return shown

    def messages(self, values: Iterable[T], convert: Callable[[T], M]) -> list[M]:
        """Return the messages of the first values that fit."""
        shown: list[M] = []
        for message in map(convert, values):
            if not self._take(message.ByteSize() + _OVERHEAD):
                break
            shown.append(message)
        return shown

    def pairs(self, pairs: Mapping[str, str], limit: int) -> dict[str, str]:
        """Return the first entries of a map that fit; values shortened to ``limit`` bytes."""
        shown: dict[str, str] = {}
        for name, value in pairs.items():
            key, text = self.text(name), self.text(value, limit)
            if not self._take(len(key.encode()) + len(text.encode()) + 3 * _OVERHEAD):
                break
            shown[key] = text
        return shown

    def _take(self, size: int) -> bool:
        if size > self._left:
            self.cut = True
            return False
        self._left -= size
        return True
