"""Which import jobs a collection needs: every group of segments once, deletes after all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, ImportSource
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    FieldBinlog,
    PartitionBackupInfo,
    SegmentBackupInfo,
)


@dataclass(frozen=True, slots=True)
class ImportRules:
    """What import jobs of the target may be like.

    Attributes:
        job_bytes: The most that a job reads, where a job is a whole directory.
        segments: Segments in a job that lists them; 0 where a job is one directory.
        l0_segments: The same for L0 segments, of which older versions take one a job.
    """

    job_bytes: int
    segments: int = 0
    l0_segments: int = 1


def import_rules(
    capabilities: Capabilities, *, job_bytes: int, segments: int, rest: bool
) -> ImportRules:
    """Return the rules of a version.

    Args:
        capabilities: What the target can do.
        job_bytes: The most that a job of a whole directory reads.
        segments: The most segments in a job.
        rest: Whether jobs go through the REST API; gRPC takes one pair of directories a job.
    """
    if not capabilities.rest_import:
        return ImportRules(job_bytes)
    together = segments if rest else 1
    several_l0 = capabilities.several_l0_per_job
    return ImportRules(job_bytes, together, together if several_l0 else 1)


@dataclass(frozen=True, slots=True)
class GroupObjects:
    """A directory of a partition that is imported once: its segments and what they hold."""

    group_id: int
    bytes: int
    rows: int
    has_delta: bool
    segments: int = 1
    storage_version: int = 0


@dataclass(frozen=True, slots=True)
class ImportUnit:
    """One import job.

    Attributes:
        partition: The partition that it fills, empty for deletes in all of them.
        sources: Directories of insert and delta logs relative to the backup's, ending in ``/``.
        rows: Rows in its segments: an upper bound as soon as there are deletes or a moment.
        l0: Its sources are deletes alone, for rows that are there already.
    """

    partition: str
    sources: tuple[ImportSource, ...]
    bytes: int
    rows: int
    storage_version: int = 0
    l0: bool = False

    @property
    def has_delta(self) -> bool:
        """Whether it deletes rows."""
        return self.l0 or any(source.delta for source in self.sources)


def import_units(
    record: CollectionBackupInfo, rules: ImportRules, strays: Iterable[int] = ()
) -> list[ImportUnit]:
    """Return the jobs for the rows of a collection, every group in one of them.

    Args:
        record: The collection.
        rules: What a job may be like.
        strays: Partitions in whose directories other objects lie too: they are not read as a whole.
    """
    found: list[ImportUnit] = []
    for partition in record.partition_backups:
        whole = partition.partition_id not in strays
        found += _of_partition(record.collection_id, partition, rules, whole=whole)
    return found


def l0_units(record: CollectionBackupInfo, rules: ImportRules) -> list[ImportUnit]:
    """Return the jobs for the deletes in L0 segments; they come when all rows are there."""
    found: list[ImportUnit] = []
    for partition in record.partition_backups:
        segments = [it for it in partition.segment_backups if it.is_l0]
        inner = f"{record.collection_id}/{partition.partition_id}/"
        found += _l0(partition.partition_name, inner, segments, rules)
    everywhere = f"{record.collection_id}/{ALL_PARTITIONS}/"
    return found + _l0("", everywhere, record.l0_segments, rules)


def groups_of(partition: PartitionBackupInfo) -> list[GroupObjects]:
    """Return the groups of a partition, each once, however many segments share it.

    Segments without insert logs have no directory that Milvus could import.
    """
    members: dict[int, list[SegmentBackupInfo]] = {}
    for segment in partition.segment_backups:
        if has_logs(segment.binlogs):
            members.setdefault(segment.group_id, []).append(segment)
    return [
        GroupObjects(
            group_id=group_id,
            bytes=sum(segment.size for segment in segments),
            rows=sum(segment.num_of_rows for segment in segments),
            has_delta=any(has_logs(segment.deltalogs) for segment in segments),
            segments=len(segments),
            storage_version=max(segment.storage_version for segment in segments),
        )
        for group_id, segments in members.items()
    ]


def has_logs(logs: Sequence[FieldBinlog]) -> bool:
    """Tell whether there is any log among those of fields."""
    return any(item.binlogs for item in logs)


def _of_partition(
    collection_id: int, partition: PartitionBackupInfo, rules: ImportRules, *, whole: bool
) -> list[ImportUnit]:
    groups = groups_of(partition)
    inner = f"{collection_id}/{partition.partition_id}/"
    if any(group.group_id == 0 for group in groups):
        return [_unit(partition, [_source(inner, "", groups)], groups)]
    if rules.segments:
        return [
            _unit(partition, [_source(inner, f"{it.group_id}/", [it]) for it in some], some)
            for some in _chunks(groups, rules.segments)
        ]
    if groups and whole and sum(group.bytes for group in groups) <= rules.job_bytes:
        return [_unit(partition, [_source(inner, "", groups)], groups)]
    return [_unit(partition, [_source(inner, f"{it.group_id}/", [it])], [it]) for it in groups]


def _chunks(groups: Sequence[GroupObjects], most: int) -> Iterator[list[GroupObjects]]:
    """Yield groups of one storage version each, so many segments at most; a larger group alone."""
    version: Callable[[GroupObjects], int] = lambda group: group.storage_version  # noqa: E731
    for _, alike in groupby(sorted(groups, key=version), key=version):
        some: list[GroupObjects] = []
        for group in alike:
            if some and sum(it.segments for it in some) + group.segments > most:
                yield some
                some = []
            some.append(group)
        yield some


def _l0(
    partition: str, inner: str, segments: Sequence[SegmentBackupInfo], rules: ImportRules
) -> list[ImportUnit]:
    wanted = [segment for segment in segments if has_logs(segment.deltalogs)]
    size = rules.l0_segments
    return [
        ImportUnit(
            partition=partition,
            sources=tuple(
                ImportSource("", f"binlogs/delta_log/{inner}{it.group_id or it.segment_id}/")
                for it in wanted[begin : begin + size]
            ),
            bytes=sum(it.size for it in wanted[begin : begin + size]),
            rows=0,
            l0=True,
        )
        for begin in range(0, len(wanted), size)
    ]


def _source(inner: str, group: str, groups: Sequence[GroupObjects]) -> ImportSource:
    has_delta = any(item.has_delta for item in groups)
    delta = f"binlogs/delta_log/{inner}{group}" if has_delta else ""
    return ImportSource(f"binlogs/insert_log/{inner}{group}", delta)


def _unit(
    partition: PartitionBackupInfo,
    sources: Sequence[ImportSource],
    groups: Sequence[GroupObjects],
) -> ImportUnit:
    return ImportUnit(
        partition=partition.partition_name,
        sources=tuple(sources),
        bytes=sum(item.bytes for item in groups),
        rows=sum(item.rows for item in groups),
        storage_version=max(item.storage_version for item in groups),
    )
