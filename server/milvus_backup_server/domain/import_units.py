"""Which import jobs a collection needs: every group of segments once, deletes after all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby
from typing import TypeAlias

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, ImportSource
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    FieldBinlog,
    PartitionBackupInfo,
    SegmentBackupInfo,
)

Cuts: TypeAlias = Mapping[int, int]
"""Hybrid timestamps of checkpoints by the number of a group, or of an L0 segment without one."""

_UNCUT: Cuts = {}


class ImportApi(Enum):
    """Through which API import jobs are made where Milvus has two."""

    AUTO = "auto"
    """REST; gRPC where that does not answer."""
    REST = "rest"
    GRPC = "grpc"


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
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class ImportUnit:
    """One import job.

    Attributes:
        partition: The partition that it fills, empty for deletes in all of them.
        sources: Directories of insert and delta logs relative to the backup's, ending in ``/``.
        rows: Rows in its segments: an upper bound as soon as there are deletes or a moment.
        l0: Its sources are deletes alone, for rows that are there already.
        cut: Hybrid timestamp of the checkpoint at which it is cut; None for no such cut.
    """

    partition: str
    sources: tuple[ImportSource, ...]
    bytes: int
    rows: int
    storage_version: int = 0
    l0: bool = False
    cut: int | None = None

    @property
    def has_delta(self) -> bool:
        """Whether it deletes rows."""
        return self.l0 or any(source.delta for source in self.sources)


def import_units(
    record: CollectionBackupInfo,
    rules: ImportRules,
    strays: Iterable[int] = (),
    cuts: Cuts = _UNCUT,
) -> list[ImportUnit]:
    """Return the jobs for the rows of a collection, every group in one of them.

    Args:
        record: The collection.
        rules: What a job may be like.
        strays: Partitions in whose directories other objects lie too: they are not read as a whole.
        cuts: Where groups are cut; what is cut elsewhere is in a job of its own.
    """
    found: list[ImportUnit] = []
    for partition in record.partition_backups:
        whole = partition.partition_id not in strays
        groups = groups_of(partition, cuts)
        whole = whole and len({group.cut for group in groups}) <= 1
        found += _of_partition(record.collection_id, partition, groups, rules, whole=whole)
    return found


def l0_units(
    record: CollectionBackupInfo, rules: ImportRules, cuts: Cuts = _UNCUT
) -> list[ImportUnit]:
    """Return the jobs for the deletes in L0 segments; they come when all rows are there."""
    found: list[ImportUnit] = []
    for partition in record.partition_backups:
        segments = [it for it in partition.segment_backups if it.is_l0]
        inner = f"{record.collection_id}/{partition.partition_id}/"
        found += _l0(partition.partition_name, inner, segments, rules, cuts)
    everywhere = f"{record.collection_id}/{ALL_PARTITIONS}/"
    return found + _l0("", everywhere, record.l0_segments, rules, cuts)


def groups_of(partition: PartitionBackupInfo, cuts: Cuts = _UNCUT) -> list[GroupObjects]:
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
            cut=cuts.get(group_id),
        )
        for group_id, segments in members.items()
    ]


def has_logs(logs: Sequence[FieldBinlog]) -> bool:
    """Tell whether there is any log among those of fields."""
    return any(item.binlogs for item in logs)


def _of_partition(
    collection_id: int,
    partition: PartitionBackupInfo,
    groups: Sequence[GroupObjects],
    rules: ImportRules,
    *,
    whole: bool,
) -> list[ImportUnit]:
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
    """Yield groups of one storage version and cut, so many segments at most; a larger group alone."""
    for _, alike in groupby(sorted(groups, key=_kind), key=_kind):
        some: list[GroupObjects] = []
        for group in alike:
            if some and sum(it.segments for it in some) + group.segments > most:
                yield some
                some = []
            some.append(group)
        yield some


def _kind(group: GroupObjects) -> tuple[int, int]:
    return group.storage_version, group.cut or 0


def _l0(
    partition: str,
    inner: str,
    segments: Sequence[SegmentBackupInfo],
    rules: ImportRules,
    cuts: Cuts,
) -> list[ImportUnit]:
    wanted = [segment for segment in segments if has_logs(segment.deltalogs)]
    cut: Callable[[SegmentBackupInfo], int] = lambda it: cuts.get(directory_of(it), 0)  # noqa: E731
    found = []
    for stamp, alike in groupby(sorted(wanted, key=cut), key=cut):
        some, size = list(alike), rules.l0_segments
        found += [
            replace(_l0_unit(partition, inner, some[begin : begin + size]), cut=stamp or None)
            for begin in range(0, len(some), size)
        ]
    return found


def _l0_unit(partition: str, inner: str, segments: Sequence[SegmentBackupInfo]) -> ImportUnit:
    directories = (f"binlogs/delta_log/{inner}{directory_of(it)}/" for it in segments)
    return ImportUnit(
        partition=partition,
        sources=tuple(ImportSource("", directory) for directory in directories),
        bytes=sum(it.size for it in segments),
        rows=0,
        l0=True,
    )


def directory_of(segment: SegmentBackupInfo) -> int:
    """Return the number of the directory that holds a segment below its partition's."""
    return segment.group_id or segment.segment_id


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
        cut=groups[0].cut if groups else None,
    )
