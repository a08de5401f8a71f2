"""What a restore finds under its targets' names, does with it, and how it serves what it made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TargetAction(Enum):
    """What becomes of a target."""

    CREATE = "create"
    """There is nothing of its name."""
    REPLACE = "replace"
    """The collection that has its name is dropped when the new one is whole."""
    FILL = "fill"
    """Rows are imported into the collection that has its name."""


@dataclass(frozen=True, slots=True)
class PresentTarget:
    """A collection that has a target's name.

    Attributes:
        collection_id: Milvus's id; another one under the same name is another collection.
        aliases: What else it is called.
    """

    collection_id: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loading:
    """How a collection is loaded.

    Attributes:
        partitions: Those alone; none: the whole collection.
        replicas: 0 for as many as it had.
    """

    partitions: tuple[str, ...] = ()
    replicas: int = 0
