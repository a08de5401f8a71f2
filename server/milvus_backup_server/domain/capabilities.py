"""What a version of Milvus can do, and which was the first that could.

The only place that names versions. Beside it only what a backup needs, and what it is of, is compared with
the version that it is to go into (``version_limits``, ``restore_plan.version_fault``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from milvus_backup_server.domain.milvus import MilvusVersion

# 2.3.0 does not tell the moment of a flush.
TESTED_FROM = MilvusVersion(2, 3, 1)
TESTED_BEFORE = MilvusVersion(2, 7, 0)
TESTED_RANGE = f">= {TESTED_FROM}, < {TESTED_BEFORE}"
"""Versions with which this service makes and restores backups, for messages."""

DATABASE_PROPERTIES_FROM = MilvusVersion(2, 4, 3)
GC_PAUSE_FROM = MilvusVersion(2, 4, 0)
GC_TICKETS_FROM = MilvusVersion(2, 6, 8)
RBAC_FROM = MilvusVersion(2, 4, 9)
BULK_FLUSH_FROM = MilvusVersion(2, 6, 11)
L0_FROM = MilvusVersion(2, 4, 0)
L0_IMPORT_FROM = MilvusVersion(2, 4, 5)
NULLABLE_FROM = MilvusVersion(2, 5, 0)
ANALYZERS_FROM = MilvusVersion(2, 5, 0)
COLUMN_GROUPS_FROM = MilvusVersion(2, 6, 0)
STRUCTS_FROM = MilvusVersion(2, 6, 4)
ADDED_FIELDS_FROM = MilvusVersion(2, 6, 0)

_NEWEST = MilvusVersion(99, 0, 0)

TYPES_FROM: Mapping[int, MilvusVersion] = {
    24: MilvusVersion(2, 6, 4),  # Geometry
    25: MilvusVersion(2, 6, 0),  # Text
    26: MilvusVersion(2, 6, 6),  # Timestamptz
    102: MilvusVersion(2, 4, 0),  # Float16Vector
    103: MilvusVersion(2, 4, 0),  # BFloat16Vector
    104: MilvusVersion(2, 4, 0),  # SparseFloatVector
    105: MilvusVersion(2, 6, 0),  # Int8Vector
}
"""The first version that has a data type, of those that not every supported version has."""

FUNCTIONS_FROM: Mapping[int, MilvusVersion] = {
    1: MilvusVersion(2, 5, 0),  # BM25
    2: MilvusVersion(2, 6, 0),  # text embedding
    3: MilvusVersion(2, 6, 0),  # rerank
}
"""The first version that has a type of functions."""

LATER_FUNCTIONS_FROM = MilvusVersion(3, 0, 0)
"""The same of MinHash, and of types that are not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one version can do.

    Attributes:
        tested: Backups are made and restored with this version in our tests; from 2.4 on with a
            simulated Milvus.
        hybrid_end_ts: Import cuts at a hybrid timestamp; without it at physical milliseconds.
        parallel_import: Import jobs run beside each other; without it one after another.
        rest_import: Import jobs are made through the REST API, with lists of directory pairs.
        gc_pause: The management API can pause the garbage collection.
        gc_pause_by_collection: It can pause that of one collection, and each pause has a ticket.
        rbac: Users, roles, grants and privilege groups can be read and added as a whole.
        database_properties: Databases have properties, and DescribeDatabase tells them.
        segment_descriptions: The REST API names the log objects of a segment.
        l0_segments: Deletes are written to L0 segments, which a flush does not name, and imported
            from them.
        several_l0_per_job: An import job takes several L0 segments.
        flush_checkpoints: A flush tells the positions of a collection's channels: of several collections
            those of the last one, so each is flushed by a call of its own.
        flush_all: One call flushes everything, and tells how far each channel is.
        column_groups: Segments may be of storage version 2.
        added_fields: Fields can be added to a collection.
        function_checks: Milvus tries the functions of a new collection unless it is told not to.
    """

    tested: bool = False
    hybrid_end_ts: bool = False
    parallel_import: bool = False
    rest_import: bool = False
    gc_pause: bool = False
    gc_pause_by_collection: bool = False
    rbac: bool = False
    database_properties: bool = False
    segment_descriptions: bool = False
    l0_segments: bool = False
    several_l0_per_job: bool = False
    flush_checkpoints: bool = False
    flush_all: bool = False
    column_groups: bool = False
    added_fields: bool = False
    function_checks: bool = False

    def names(self) -> tuple[str, ...]:
        """Return the names of what this version can do; whether it is tested is no ability."""
        names = (item.name for item in fields(self) if item.name != "tested")
        return tuple(name for name in names if getattr(self, name))


def capabilities_of(version: MilvusVersion | None) -> Capabilities:
    """Return what a version can do; a build without a number counts as newer than all that are known."""
    if version is None:
        version = _NEWEST
    return Capabilities(
        tested=TESTED_FROM <= version < TESTED_BEFORE,
        hybrid_end_ts=version >= MilvusVersion(2, 4, 0),
        parallel_import=version >= MilvusVersion(2, 4, 0),
        rest_import=version >= MilvusVersion(2, 4, 0),
        gc_pause=version >= GC_PAUSE_FROM,
        gc_pause_by_collection=version >= GC_TICKETS_FROM,
        rbac=version >= RBAC_FROM,
        database_properties=version >= DATABASE_PROPERTIES_FROM,
        segment_descriptions=version >= MilvusVersion(2, 5, 8),
        l0_segments=version >= L0_FROM,
        several_l0_per_job=version >= MilvusVersion(2, 6, 5),
        flush_checkpoints=version >= MilvusVersion(2, 4, 0),
        flush_all=version >= BULK_FLUSH_FROM,
        column_groups=version >= COLUMN_GROUPS_FROM,
        added_fields=version >= ADDED_FIELDS_FROM,
        function_checks=version >= MilvusVersion(2, 6, 8),
    )
