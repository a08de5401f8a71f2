"""The messages of watched operations, made and serialized once for all who watch."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from milvus_backup_server.api.mapping_operations import operation_message
from milvus_backup_server.domain.operations import Operation


class SharedMessage:
    """The message of an operation's state that was told last."""

    def __init__(self) -> None:
        self._state: Operation | None = None
        self._data = b""

    def of(self, state: Operation) -> bytes:
        """Return the serialized message of a state; the same value twice is serialized once."""
        if state is not self._state:
            self._data = operation_message(state).SerializeToString()
            self._state = state
        return self._data


class SharedMessages:
    """The messages of all operations, each for as long as somebody watches it."""

    def __init__(self) -> None:
        self._watched: WeakValueDictionary[str, SharedMessage] = WeakValueDictionary()

    def of(self, name: str) -> SharedMessage:
        """Return where watchers of an operation get its messages; to be kept while they watch."""
        return self._watched.setdefault(name, SharedMessage())


def serialized_once(serializer: Any) -> Any:
    """Return a serializer of answers that lets those through that are bytes already."""

    def serialize(answer: Any) -> bytes:
        data: bytes = answer if isinstance(answer, bytes) else serializer(answer)
        return data

    return serialize
