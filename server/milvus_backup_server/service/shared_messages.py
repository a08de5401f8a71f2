"""The messages of watched operations, made and serialized once for all who watch."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from milvus_backup_server.domain.operations import Operation

Serialize = Callable[[Operation], bytes]


class SharedMessage:
    """The message of an operation's state that was told last.

    Args:
        serialize: Makes it.
    """

    def __init__(self, serialize: Serialize) -> None:
        self._serialize = serialize
        self._state: Operation | None = None
        self._data = b""

    def of(self, state: Operation) -> bytes:
        """Return the message of a state; that of the same value is made once."""
        if state is not self._state:
            self._data = self._serialize(state)
            self._state = state
        return self._data


class SharedMessages:
    """The messages of all operations, each for as long as somebody watches it.

    Args:
        serialize: Makes them.
    """

    def __init__(self, serialize: Serialize) -> None:
        self._serialize = serialize
        self._watched: WeakValueDictionary[str, SharedMessage] = WeakValueDictionary()

    def of(self, name: str) -> SharedMessage:
        """Return where watchers of an operation get its messages; to be kept while they watch."""
        return self._watched.setdefault(name, SharedMessage(self._serialize))
