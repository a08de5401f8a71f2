"""How restored collections are served: what else they are called, and being loaded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from milvus_backup_server.domain.errors import (
    MilvusUnavailable,
    OperationStalled,
    RowCountMismatch,
    TargetUnfit,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.restore_plan import RowCount
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.domain.targets import Loading
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.tracker import Tracker

_LOADED = "Loaded"
_TTL = "collection.ttl.seconds"


@dataclass(frozen=True, slots=True)
class Served:
    """How one collection is served.

    Attributes:
        rows: What it must have; None for a collection that had rows before.
    """

    aliases: tuple[str, ...]
    loading: Loading | None
    rows: RowCount | None

    @classmethod
    def of(cls, made: TargetCollection, rows: RowCount, *, replicas: int) -> Served:
        """Return what a collection wants.

        Args:
            made: The collection.
            rows: What it gets; where rows expire it may have less of them by then.
            replicas: What it had.
        """
        expires = any(pair.key == _TTL for pair in made.properties)
        loading = made.loading and replace(
            made.loading, replicas=made.loading.replicas or replicas or 1
        )
        return cls(made.aliases, loading, replace(rows, exact=rows.exact and not expires))


class TargetServing:
    """Gives whole collections their aliases, and loads them.

    Args:
        gateway: Where they are.
        tracker: Where warnings go, and what is waited for.
        limits: How long Milvus may take.
    """

    def __init__(self, gateway: MilvusGateway, tracker: Tracker, limits: WorkLimits) -> None:
        self._gateway = gateway
        self._tracker = tracker
        self._limits = limits

    async def serve(self, target: CollectionName, served: Served) -> None:
        """Give a collection its aliases, and load it until it answers queries, if that is wanted.

        Raises:
            OperationStalled: Loading takes longer than the limit.
            RowCountMismatch: It finds another number of rows than it can have.
        """
        for alias in served.aliases:
            await self._gateway.create_alias(target, alias)
        if served.loading is not None:
            await self._load(target, served.loading, served.rows)

    async def _load(self, target: CollectionName, loading: Loading, rows: RowCount | None) -> None:
        replicas = await self._replicas(target, loading.replicas)
        await self._gateway.load_collection(target, loading.partitions, replicas=replicas)
        self._tracker.wait_for(f"Milvus to load {target}")
        try:
            async with asyncio.timeout(self._limits.load_seconds):
                found = await self._count(target)
        except TimeoutError:
            raise OperationStalled(
                f"Milvus did not load {target} within {self._limits.load_seconds:g} s",
                target=str(target),
            ) from None
        finally:
            self._tracker.wait_for("")
        if rows is not None and not loading.partitions and not rows.fits(found):
            raise RowCountMismatch(
                f"{target} finds {found} rows now that it is loaded; the backup holds {rows}",
                subject=str(target),
                found=found,
                recorded=rows.most,
            )

    async def _replicas(self, target: CollectionName, wanted: int) -> int:
        """Return how many replicas there may be, with a warning when they are less than wanted."""
        if wanted <= 1:
            return 1
        nodes = max(await self._gateway.query_node_count(), 1)
        if wanted > nodes:
            text = f"{target} is loaded with {nodes} replicas, not {wanted}: there are no more query nodes"
            self._tracker.warn(TargetUnfit(text, subject=str(target)))
        return min(wanted, nodes)

    async def _count(self, target: CollectionName) -> int:
        """Return the rows of a collection, once it is loaded and answers."""
        while True:
            try:
                found = await self._gateway.count_rows(target)
                if found is not None and await self._gateway.load_state(target) == _LOADED:
                    return found
            except MilvusUnavailable:
                pass  # it may come back within the time
            await asyncio.sleep(self._limits.poll_seconds)
