"""The operations that one service remembers: found, listed, watched. Ended ones up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from milvus_backup_server.domain.backups import Page
from milvus_backup_server.domain.errors import OperationNotFound
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    Operation,
    OperationKind,
    OperationState,
)
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.service.running import Broadcast, Running
from milvus_backup_server.service.watching import watch, watch_many


class KnownOperations:
    """What runs here, and what has ended here lately.

    Args:
        remembered: Ended operations that are kept.
        remembered_collections: Collections that these have together; the newest is kept whatever it has.

    Attributes:
        any_change: Told of every change of any operation.
        any_end: Told of every end.
        stopping: Set when no more operations are accepted.
    """

    def __init__(self, remembered: int, remembered_collections: int) -> None:
        self._remembered = remembered
        self._remembered_collections = remembered_collections
        self._known: dict[str, Running] = {}
        self._by_request: dict[str, Running] = {}
        self._ended: dict[str, Running] = {}
        self.any_change = Broadcast()
        self.any_end = Broadcast()
        self.stopping = asyncio.Event()

    # --- remember

    def _register(self, running: Running) -> None:
        self._known[running.name] = running
        if running.request.request_id:
            self._by_request[running.request.request_id] = running

    def _unregister(self, running: Running) -> None:
        self._known.pop(running.name, None)
        self._by_request.pop(running.request.request_id, None)
        running.accepted.set()

    def _note_change(self, running: Running) -> None:
        self.any_change.notify()
        if running.state.ends_watch:
            self._ended.setdefault(running.name, running)
            self.any_end.notify()

    def _forget_old(self) -> None:
        """Forget those that ended first, beyond the bounds: what is on record is told from there."""
        while len(self._ended) > self._remembered or self._holds_too_much():
            item = self._ended.pop(next(iter(self._ended)))
            self._known.pop(item.name, None)
            self._by_request.pop(item.request.request_id, None)

    def _holds_too_much(self) -> bool:
        collections = sum(item.tracker.count() for item in self._ended.values())
        return collections > self._remembered_collections and len(self._ended) > 1

    # --- look

    def get(self, name: str) -> Operation:
        """Return an operation; OperationNotFound if it is not known."""
        return self._find(name).snapshot()

    def find(self, id_: str, kinds: frozenset[OperationKind] = frozenset()) -> Operation:
        """Return the operation of that name, or the newest that the caller gave that ``task_id``.

        Raises:
            OperationNotFound: There is none, or none of these kinds.
        """
        named = self._known.get(id_)
        given = (item for item in reversed(self._known.values()) if item.request.task_id == id_)
        for item in (*([named] if named else []), *(given if id_ else [])):
            if not kinds or item.request.footprint.kind in kinds:
                return item.snapshot()
        raise OperationNotFound(id_)

    @property
    def known(self) -> Mapping[str, Running]:
        """The operations that this service remembers, in the order in which they began."""
        return self._known

    @property
    def ending(self) -> bool:
        """Whether none is at work and none will begin."""
        return self.stopping.is_set() and not self._active()

    async def end_of(self, name: str) -> Operation:
        """Wait until an operation has ended, in whatever way, and return it; errors as in ``get``."""
        running = self._find(name)
        await running.ended.wait()
        return running.snapshot()

    def list(
        self,
        after: str,
        limit: int,
        backup_name: str = "",
        kinds: frozenset[OperationKind] = frozenset(),
        states: frozenset[OperationState] = frozenset(),
    ) -> Page[Operation]:
        """Return a page of operations, newest first, beginning behind the one named ``after``."""
        found: list[Operation] = []
        for item in self._behind(after):
            if not _matches(item, backup_name, kinds, states):
                continue
            if len(found) == limit:
                return Page(tuple(found), found[-1].name)
            found.append(item.snapshot())
        return Page(tuple(found))

    def _behind(self, after: str) -> Sequence[Running]:
        """Return the operations older than the one named, newest first; all without a name."""
        names = list(reversed(self._known))
        if after in self._known:
            names = names[names.index(after) + 1 :]
        elif after:  # forgotten meanwhile; names begin with the second in which they were made
            names = [
                name for name in names if name.split("_")[0] <= after.split("_", maxsplit=1)[0]
            ]
        return [self._known[name] for name in names]

    def collections(self, name: str, offset: int, limit: int) -> Page[CollectionProgress]:
        """Return a page of an operation's collections in its own order."""
        tracker = self._find(name).tracker
        items = tracker.collections(offset, limit)
        behind = offset + len(items)
        return Page(items, str(behind) if behind < tracker.count() else "")

    def count(self, state: OperationState) -> int:
        """Return how many operations are in a state."""
        return sum(item.state is state for item in self._known.values())

    def active_backups(self, place: Place = HOME) -> dict[str, OperationKind]:
        """Return the backups of a place that operations change now, with what they do."""
        footprints = (item.request.footprint for item in self._active())
        return {it.backup_name: it.kind for it in footprints if it.changes(place)}

    def _active(self) -> Sequence[Running]:
        return [item for item in self._known.values() if not item.state.ends_watch]

    def _find(self, name: str) -> Running:
        try:
            return self._known[name]
        except KeyError:
            raise OperationNotFound(name) from None

    # --- watch

    async def watch(self, name: str, min_interval: float) -> AsyncGenerator[Operation, None]:
        """Yield an operation now and after changes, at most one per ``min_interval`` seconds, up to its last state.

        Raises:
            OperationNotFound: It is not known.
        """
        async for snapshot in watch(self._find(name), min_interval):
            yield snapshot

    async def watch_many(
        self, names: Sequence[str], min_interval: float
    ) -> AsyncGenerator[Operation, None]:
        """Yield each of many operations as ``watch`` does; without names all, until the service stops.

        Raises:
            OperationNotFound: One of the names is not known.
            ServerStopping: The service stops and nothing is left to follow.
        """
        wanted = {name: self._find(name) for name in names}
        async for snapshot in watch_many(wanted, self, min_interval):
            yield snapshot


def _matches(
    item: Running,
    backup_name: str,
    kinds: frozenset[OperationKind],
    states: frozenset[OperationState],
) -> bool:
    footprint = item.request.footprint
    return (
        (not backup_name or footprint.backup_name == backup_name)
        and (not kinds or footprint.kind in kinds)
        and (not states or item.state in states)
    )
