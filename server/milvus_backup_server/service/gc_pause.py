"""A pause of Milvus's garbage collection while a create runs: a lease that is renewed and always given back.

A backup is as good without: what vanishes is flushed and copied anew. So whatever goes wrong here is a
warning. The leases stand in the operation's record, so that whoever resumes, cancels or sweeps after a
crash ends them; else they run out by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import BackupError, LeftBehind, NotFound
from milvus_backup_server.domain.failures import leaves_open
from milvus_backup_server.domain.gc_lease import DEFAULT_LEASE_SECONDS, MOST_COLLECTIONS, GcLease
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Cluster
from milvus_backup_server.service.tracker import Tracker

_CALLS_AT_ONCE: Final = 8
_END_SECONDS: Final = 10.0
"""All leases are given back within this time, or left to run out."""

_UNHARMED: Final = "a collection whose objects vanish meanwhile is flushed and copied anew"


@dataclass(frozen=True, slots=True)
class GcPausing:
    """Whether a create pauses the garbage collection.

    Attributes:
        seconds: How long a lease lasts; 0: the default.
        everything: All collections are backed up.
    """

    seconds: int = 0
    everything: bool = False

    @property
    def lease_seconds(self) -> int:
        """How long a lease lasts."""
        return self.seconds or DEFAULT_LEASE_SECONDS


class GcPause:
    """The pause of one create.

    Args:
        cluster: What is paused.
        capabilities: Whether single collections can be.
        operation: Whose pause it is.
        tracker: Knows the leases, also those of an earlier run; gets warnings.
        pausing: How; None: there is no pause, and what an earlier run left is ended.
    """

    def __init__(
        self,
        cluster: Cluster,
        capabilities: Capabilities,
        operation: str,
        tracker: Tracker,
        pausing: GcPausing | None,
    ) -> None:
        self._cluster = cluster
        self._gateway = cluster.gateway
        self._capabilities = capabilities
        self._operation = operation
        self._tracker = tracker
        self._pausing = pausing
        self._renewal: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._warned = False

    async def begin(self, names: Sequence[CollectionName]) -> None:
        """Pause; what cannot be paused is warned of once."""
        if self._pausing is None or self._renewal is not None:
            return
        earlier = self._tracker.gc_leases
        self._cluster.gc_holders.add(self._operation)
        try:
            for collection in await self._parts(names):
                await self._pause(collection, self._pausing)
        except BackupError as error:
            paused = "may not be paused" if leaves_open(error) else "is not paused"
            self._warn(error, f"Milvus's garbage collection {paused}: {_UNHARMED}")
        else:
            await self._give_back(earlier)
        if self._tracker.gc_leases:
            self._renewal = asyncio.create_task(self._renew(self._pausing))

    async def end(self) -> None:
        """Give every lease back, those of an earlier run too; what cannot be is warned of."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
            self._renewal = None
        if self._asking is not None:
            await asyncio.gather(self._asking, return_exceptions=True)
        self._cluster.gc_holders.discard(self._operation)
        await end_gc_leases(self._cluster, self._tracker)

    async def _parts(self, names: Sequence[CollectionName]) -> list[int]:
        """Return the ids of the collections to pause; 0 stands for everything."""
        assert self._pausing is not None  # noqa: S101 asked by begin alone
        one_by_one = self._capabilities.gc_pause_by_collection and not self._pausing.everything
        if not one_by_one or len(names) > MOST_COLLECTIONS:
            return [0]
        found: dict[CollectionName, int] = {}

        async def look(name: CollectionName) -> None:
            with contextlib.suppress(NotFound):  # dropped since: it fails for itself
                found[name] = (await self._gateway.describe_collection(name)).collection_id

        await for_each(names, look, concurrent=_CALLS_AT_ONCE)
        return sorted(found.values())

    async def _pause(self, collection: int, pausing: GcPausing) -> None:
        """Ask for a lease. Who is cancelled meanwhile leaves the answer to ``end``: it may have the ticket."""
        self._asking = asyncio.create_task(self._ask(collection, pausing))
        await asyncio.shield(self._asking)

    async def _ask(self, collection: int, pausing: GcPausing) -> None:
        """Ask for a lease, and have it on record at once.

        Where leases have no tickets, it is there before: if its answer is lost it can be given back
        all the same. One with a ticket cannot be without it.
        """
        before = self._tracker.gc_leases
        until = datetime.now(UTC) + timedelta(seconds=pausing.lease_seconds)
        lease = GcLease(until, collection_id=collection)
        if not self._capabilities.gc_pause_by_collection:
            await self._hold((*before, lease))
        try:
            ticket = await self._gateway.pause_gc(pausing.lease_seconds, collection)
        except BackupError as error:
            if not leaves_open(error):
                self._tracker.set_gc_leases(before)
            raise
        held = (*before, replace(lease, ticket=ticket))
        if held != self._tracker.gc_leases:
            await self._hold(held)

    async def _hold(self, leases: tuple[GcLease, ...]) -> None:
        self._tracker.set_gc_leases(leases)
        await self._tracker.record_now()

    async def _renew(self, pausing: GcPausing) -> None:
        """Renew every lease in time; one that cannot be is tried again."""
        while True:
            await asyncio.sleep(pausing.lease_seconds / 3)
            for lease in self._tracker.gc_leases:
                try:
                    await self._pause(lease.collection_id, pausing)
                except BackupError as error:
                    text = f"the pause of Milvus's garbage collection is not renewed: {_UNHARMED}"
                    self._warn(error, text)
                    if lease.ticket or not leaves_open(error):
                        continue
                await self._give_back([lease])

    async def _give_back(self, leases: Iterable[GcLease]) -> None:
        """Give back leases, now that there is something in their place."""
        for lease in leases:
            if lease.ticket:
                with contextlib.suppress(BackupError):  # it runs out by itself
                    await self._gateway.resume_gc(lease.ticket)
            kept = tuple(it for it in self._tracker.gc_leases if it != lease)
            self._tracker.set_gc_leases(kept)

    def _warn(self, error: BackupError, what: str) -> None:
        if not self._warned:
            self._warned = True
            self._tracker.warn(type(error)(f"{what} ({error.message})", **error.metadata))


async def end_gc_leases(cluster: Cluster, tracker: Tracker, seconds: float = _END_SECONDS) -> None:
    """Give back the leases that a tracker knows; what cannot be is warned of and runs out by itself.

    Args:
        cluster: Whose they are.
        tracker: Knows them, and afterwards those that are left.
        seconds: How long it may take.
    """
    left = dict.fromkeys(tracker.gc_leases, "Milvus did not answer in time")

    async def end(lease: GcLease) -> None:
        try:
            await end_gc_lease(cluster, lease)
        except BackupError as error:
            left[lease] = error.message
        else:
            del left[lease]

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await for_each(tracker.gc_leases, end, concurrent=_CALLS_AT_ONCE)
    tracker.set_gc_leases(tuple(left))
    if left:
        last = max(left, key=lambda lease: lease.until)
        text = (
            "Milvus's garbage collection could not be resumed: the pause runs out by itself at "
            f"{last.until:%Y-%m-%d %H:%M:%S} UTC ({left[last]})"
        )
        tracker.warn(LeftBehind(text, subject="garbage collection"))


async def end_gc_lease(cluster: Cluster, lease: GcLease) -> None:
    """Give a lease back if it has not run out; without a ticket only when nobody else here has one.

    Raises:
        BackupError: Milvus does not do it.
    """
    if not lease.runs_at(datetime.now(UTC)):
        return
    if lease.ticket or not cluster.gc_holders:
        await cluster.gateway.resume_gc(lease.ticket)
