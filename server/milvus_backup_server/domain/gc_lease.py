"""A pause of Milvus's garbage collection that runs out by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

DEFAULT_LEASE_SECONDS: Final = 900
"""How long a pause lasts that nobody renews: so long one stays behind a crash."""

MOST_COLLECTIONS: Final = 50
"""So many collections are paused one by one; with more, all are at once."""


@dataclass(frozen=True, slots=True)
class GcLease:
    """A pause that an operation asked for.

    Attributes:
        until: When it runs out.
        ticket: Ends this pause and no other; empty where Milvus gives none (before 2.6.8): then its end
            is that of all pauses.
        collection_id: What it is of; 0: of everything.
    """

    until: datetime
    ticket: str = ""
    collection_id: int = 0

    def runs_at(self, now: datetime) -> bool:
        """Tell whether it has not run out."""
        return now < self.until
