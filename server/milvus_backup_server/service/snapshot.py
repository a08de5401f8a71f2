"""Taking a collection's moment, and reading everything that Milvus tells about it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import (
    CollectionNotFound,
    DatabaseNotFound,
    MilvusUnavailable,
    OperationStalled,
    SourceInconsistent,
)
from milvus_backup_server.domain.milvus import (
    CollectionName,
    Flush,
    Partition,
    backup_moment,
    physical_milliseconds,
)
from milvus_backup_server.domain.names import is_temporary_name
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.collection_plan import CollectionSnapshot
from milvus_backup_server.service.concurrency import task_group
from milvus_backup_server.service.context import WorkLimits

_CLOCK_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection means in one Milvus: databases and collections by name."""

    databases: tuple[str, ...]
    collections: tuple[CollectionName, ...]


async def select(gateway: MilvusGateway, selection: Selection) -> Selected:
    """Look up a selection.

    Collections that restores of this service are building do not count as there.

    Raises:
        DatabaseNotFound: A named database does not exist.
        CollectionNotFound: A named collection does not exist.
    """
    databases = await gateway.list_databases()
    missing = selection.missing_databases(databases)
    if missing:
        raise DatabaseNotFound(missing[0])
    wanted = sorted(databases if selection.everything else selection.named_databases())
    lists = [await gateway.list_collections(database) for database in wanted]
    every = itertools.chain.from_iterable(lists)
    present = [name for name in every if not is_temporary_name(name.name)]
    absent = selection.missing_collections(present)
    if absent:
        raise CollectionNotFound(str(absent[0]))
    return Selected(tuple(wanted), tuple(sorted(name for name in present if name in selection)))


class Snapshots:
    """Takes snapshots of collections of one Milvus.

    Args:
        gateway: The Milvus.
        capabilities: What it can do.
        limits: Waits.
    """

    def __init__(
        self, gateway: MilvusGateway, capabilities: Capabilities, limits: WorkLimits
    ) -> None:
        self._gateway = gateway
        self._capabilities = capabilities
        self._limits = limits

    async def wait_past(self, accepted: int) -> None:
        """Wait until Milvus's clock shows a later millisecond than ``accepted``.

        A flush then has a moment behind everything that was acknowledged before the create call.
        """
        try:
            async with asyncio.timeout(self._limits.check_seconds):
                while await self._milliseconds() <= physical_milliseconds(accepted):  # noqa: ASYNC110 Milvus is asked
                    await asyncio.sleep(_CLOCK_POLL_SECONDS)
        except TimeoutError:
            raise OperationStalled("Milvus's clock stands still") from None

    async def flush(self, collections: Iterable[CollectionName]) -> dict[CollectionName, Flush]:
        """Flush collections, one call per database and all at the same time; does not wait for the writing."""
        by_database: dict[str, list[str]] = {}
        for name in collections:
            by_database.setdefault(name.database, []).append(name.name)
        async with task_group() as group:
            tasks = {
                database: group.create_task(self._gateway.flush(database, names))
                for database, names in by_database.items()
            }
        flushes: dict[CollectionName, Flush] = {}
        for database, names in by_database.items():
            flushes.update(_named(database, names, tasks[database].result()))
        return flushes

    async def wait_flushed(self, name: CollectionName, flush: Flush) -> None:
        """Wait until everything of a flush is written.

        Raises:
            OperationStalled: It takes longer than the limit.
        """
        try:
            async with asyncio.timeout(self._limits.flush_seconds):
                while not await self._is_flushed(name, flush):  # noqa: ASYNC110 Milvus is asked
                    await asyncio.sleep(self._limits.poll_seconds)
        except TimeoutError:
            raise OperationStalled(
                f"Milvus did not finish the flush of {name} within {self._limits.flush_seconds:g} s",
                collection=str(name),
            ) from None

    async def describe(self, name: CollectionName, flush: Flush) -> CollectionSnapshot:
        """Read everything but the objects of a flushed collection."""
        description = await self._gateway.describe_collection(name)
        partitions = await self._gateway.list_partitions(name)
        load_state = await self._gateway.load_state(name)
        segments = await self._gateway.list_segments(name)
        return CollectionSnapshot(
            name=name,
            description=description,
            partitions=tuple(partitions),
            indexes=tuple(await self._gateway.list_indexes(name)),
            load_state=load_state,
            partition_load_states=await self._partition_states(name, load_state, partitions),
            flush=flush,
            moment=backup_moment(flush.moment, hybrid_end=self._capabilities.hybrid_end_ts),
            segments={it.segment_id: it for it in segments if it.segment_id in flush.segment_ids},
        )

    async def _is_flushed(self, name: CollectionName, flush: Flush) -> bool:
        """Ask Milvus; one that restarts goes on with the flush, so silence only means not yet."""
        try:
            return await self._gateway.is_flushed(name, flush)
        except MilvusUnavailable:
            return False

    async def _milliseconds(self) -> int:
        return physical_milliseconds(await self._gateway.allocate_timestamp())

    async def _partition_states(
        self, name: CollectionName, state: str, partitions: Sequence[Partition]
    ) -> dict[int, str]:
        if state != "Loading":
            return {partition.partition_id: state for partition in partitions}
        return {
            partition.partition_id: await self._gateway.load_state(name, partition.name)
            for partition in partitions
        }


def _named(
    database: str, names: Sequence[str], flushes: dict[str, Flush]
) -> dict[CollectionName, Flush]:
    missing = [name for name in names if name not in flushes]
    if missing:
        raise SourceInconsistent(
            f"Milvus's flush of {database!r} did not answer for {missing[0]!r}",
            subject=f"{database}.{missing[0]}",
        )
    return {CollectionName(database, name): flushes[name] for name in names}
