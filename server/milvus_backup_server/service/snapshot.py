"""Taking a collection's moment, and reading everything that Milvus tells about it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import (
    MilvusRefused,
    MilvusUnavailable,
    OperationStalled,
    PartitionNotFound,
    SourceInconsistent,
)
from milvus_backup_server.domain.failures import is_too_much
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Flush,
    Partition,
    SegmentInfo,
    SegmentLevel,
    SegmentLogIds,
    backup_moment,
    physical_milliseconds,
)
from milvus_backup_server.domain.names import is_temporary_name
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.collection_plan import CollectionSnapshot
from milvus_backup_server.service.concurrency import for_each, task_group
from milvus_backup_server.service.context import WorkLimits

_CALLS_AT_ONCE = 16
_SEGMENT_GONE = "600"  # Milvus's code for a segment that is not there
_CLOCK_POLL_SECONDS = 0.01
_POLLS_TOO_SOON = 5
_FORGOTTEN_SECONDS = 30.0
"""A flush that takes longer may be forgotten: a part of Milvus that others hide may have restarted."""
_NOT_LOADED = "NotLoad"


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection means in one Milvus: databases and collections by name."""

    databases: tuple[str, ...]
    collections: tuple[CollectionName, ...]


async def select(gateway: MilvusGateway, selection: Selection, faults: Faults) -> Selected:
    """Look up a selection, and note what it names and is not there.

    Collections that restores of this service are building do not count as there.
    """
    databases = await gateway.list_databases()
    asked = databases if selection.everything else selection.named_databases() & {*databases}
    wanted = sorted(asked)
    lists = [await gateway.list_collections(database) for database in wanted]
    every = itertools.chain.from_iterable(lists)
    present = [name for name in every if not is_temporary_name(name.name)]
    faults.add_all(selection.faults(present, databases))
    selected = Selected(tuple(wanted), tuple(sorted(name for name in present if name in selection)))
    await _check_partitions(gateway, selection, selected, faults)
    return selected


async def _check_partitions(
    gateway: MilvusGateway, selection: Selection, selected: Selected, faults: Faults
) -> None:
    """Note chosen partitions that are not there, and those that cannot be chosen."""
    partitions: dict[CollectionName, frozenset[str]] = {}
    keyed: list[CollectionName] = []

    async def look(name: CollectionName) -> None:
        fields = (await gateway.describe_collection(name)).schema.fields
        if any(field.is_partition_key for field in fields):
            keyed.append(name)
        else:
            found = await gateway.list_partitions(name)
            partitions[name] = frozenset(partition.name for partition in found)

    chosen = [name for name in selected.collections if name in selection.partitions]
    await for_each(chosen, look, concurrent=_CALLS_AT_ONCE)
    faults.add_all(selection.partition_faults(partitions))
    faults.add_all(selection.keyed_faults(keyed))


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

    @property
    def flushes_each(self) -> bool:
        """Whether each collection is flushed by a call of its own: only then Milvus tells its checkpoints."""
        return self._capabilities.flush_checkpoints

    async def flush(self, collections: Iterable[CollectionName]) -> dict[CollectionName, Flush]:
        """Flush collections, one call per database and all at the same time; does not wait for the writing.

        Where ``flushes_each`` says so, there should be one.
        """
        by_database: dict[str, list[str]] = {}
        for name in collections:
            by_database.setdefault(name.database, []).append(name.name)
        async with task_group() as group:
            tasks = {
                database: group.create_task(self._flush(database, names))
                for database, names in by_database.items()
            }
        flushes: dict[CollectionName, Flush] = {}
        for database, names in by_database.items():
            flushes.update(_named(database, names, tasks[database].result()))
        return flushes

    async def _flush(self, database: str, names: Sequence[str]) -> dict[str, Flush]:
        """Flush collections of one database; again and again while Milvus says that it is too soon."""
        end = time.monotonic() + self._limits.flush_seconds
        while True:
            try:
                return await self._gateway.flush(database, names)
            except MilvusUnavailable as error:
                if not is_too_much(error) or time.monotonic() > end:
                    raise
            await asyncio.sleep(self._limits.poll_seconds * _POLLS_TOO_SOON)

    async def wait_flushed(self, name: CollectionName, flush: Flush) -> bool:
        """Wait until everything of a flush is written; False if Milvus may never say so.

        A Milvus that was killed behind a flush writes the segments when it is back, but does not count
        the flush as done before there is another one (seen on 2.3.5).

        Raises:
            OperationStalled: It takes longer than the limit.
        """
        forgotten = time.monotonic() + _FORGOTTEN_SECONDS
        silent = False
        try:
            async with asyncio.timeout(self._limits.flush_seconds):
                while True:
                    flushed = await self._is_flushed(name, flush)
                    if flushed:
                        return True
                    if flushed is not None and (silent or time.monotonic() > forgotten):
                        return False
                    silent = silent or flushed is None
                    await asyncio.sleep(self._limits.poll_seconds)
        except TimeoutError:
            raise OperationStalled(
                f"Milvus did not finish the flush of {name} within {self._limits.flush_seconds:g} s",
                collection=str(name),
            ) from None

    async def describe(
        self, name: CollectionName, flush: Flush, chosen: Sequence[str] | None = None
    ) -> CollectionSnapshot:
        """Read everything but the objects of a flushed collection.

        Args:
            name: The collection.
            flush: Its flush.
            chosen: The partitions that are wanted; None: all.

        Raises:
            PartitionNotFound: A chosen one is not there any more.
        """
        description = await self._gateway.describe_collection(name)
        every = await self._gateway.list_partitions(name)
        partitions = _chosen_of(name, every, chosen)
        wanted_ids = {it.partition_id for it in partitions}
        left_out = frozenset(it.partition_id for it in every) - wanted_ids
        load_state = await self._gateway.load_state(name)
        segments = await self._gateway.list_segments(name)
        flush, stale = self._with_l0(flush, segments, left_out)
        wanted = {it.segment_id: it for it in segments if it.segment_id in flush.segment_ids}
        logs = {} if stale else await self._logs(description, wanted)
        return CollectionSnapshot(
            name=name,
            description=description,
            partitions=tuple(partitions),
            indexes=tuple(await self._gateway.list_indexes(name)),
            load_state=load_state,
            partition_load_states=await self._partition_states(description, load_state, partitions),
            flush=flush,
            moment=backup_moment(flush.moment, hybrid_end=self._capabilities.hybrid_end_ts),
            segments=wanted,
            left_out=left_out,
            logs=logs or {},
            stale=stale or logs is None,
            replicas=await self._replicas(name, load_state),
        )

    def _with_l0(
        self, flush: Flush, segments: Sequence[SegmentInfo], left_out: frozenset[int]
    ) -> tuple[Flush, bool]:
        """Return a flush without partitions that are left out, with the L0 segments of the others.

        A flush does not name L0 segments. Each delete is in one of them or in a segment that is
        listed with them; so none of the flush's may have been replaced by then. Whether that
        happened is the second value.
        """
        listed = {it.segment_id for it in segments}
        others = {it.segment_id for it in segments if it.partition_id in left_out}
        wanted = flush.segment_ids - others
        if not self._capabilities.l0_segments:
            return replace(flush, segment_ids=wanted), False
        l0 = {it.segment_id for it in segments if it.level is SegmentLevel.L0} - others
        return replace(flush, segment_ids=wanted | l0), bool(wanted - listed)

    async def _logs(
        self, description: CollectionDescription, segments: Iterable[int]
    ) -> dict[int, SegmentLogIds] | None:
        """Return of which logs segments consist; None if one of them is not there any more.

        Where Milvus cannot be asked for it, the listing of its objects has to tell.
        """
        if not self._capabilities.segment_descriptions:
            return {}
        wanted = sorted(segments)
        try:
            return await self._gateway.segment_logs(
                description.name, description.collection_id, wanted
            )
        except (MilvusUnavailable, MilvusRefused) as error:
            return None if error.metadata.get("code") == _SEGMENT_GONE else {}

    async def _replicas(self, name: CollectionName, state: str) -> int:
        return 0 if state == _NOT_LOADED else await self._gateway.replica_count(name)

    async def _is_flushed(self, name: CollectionName, flush: Flush) -> bool | None:
        """Ask Milvus; None if it does not answer: one that restarts is waited for."""
        try:
            return await self._gateway.is_flushed(name, flush)
        except MilvusUnavailable:
            return None

    async def _milliseconds(self) -> int:
        return physical_milliseconds(await self._gateway.allocate_timestamp())

    async def _partition_states(
        self, described: CollectionDescription, state: str, partitions: Sequence[Partition]
    ) -> dict[int, str]:
        """Return the load states by partition id; a loaded collection may have unloaded partitions."""
        keyed = any(field.is_partition_key for field in described.schema.fields)
        if state == _NOT_LOADED or keyed or len(partitions) == 1:
            return {partition.partition_id: state for partition in partitions}
        return {
            partition.partition_id: await self._gateway.load_state(described.name, partition.name)
            for partition in partitions
        }


def _chosen_of(
    name: CollectionName, partitions: Sequence[Partition], chosen: Sequence[str] | None
) -> list[Partition]:
    if chosen is None:
        return list(partitions)
    wanted = dict.fromkeys(chosen)
    found = [partition for partition in partitions if partition.name in wanted]
    missing = wanted.keys() - {partition.name for partition in found}
    if missing:
        raise PartitionNotFound(f"{name}/{min(missing)}")
    return found


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
