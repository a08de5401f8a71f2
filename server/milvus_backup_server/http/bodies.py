"""The bodies of the Go tool's routes, key by key.

Source: ``backup.proto`` of zilliztech/milvus-backup and the handlers of its HTTP server.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.config import JsonDict

from milvus_backup_server.http.binding import Body, Collections, Int32, Many, Names

DEPRECATED: JsonDict = {"deprecated": True}
"""Said in the API document alone: who sends such a field gets no warning, as its use is fine."""

BUCKET: Final = "The bucket of the backup, where `service.storage.allowedPlaces` allows it; empty: as in the settings."
PATH: Final = (
    "The path below which the backup lies, where `service.storage.allowedPlaces` allows it; empty: as in "
    "the settings."
)

PARTITIONS: Final = (
    "Partitions by collection, as `collection` or `database.collection`: of these only the partitions named. "
    "They are selected by that. The Go tool has no such key."
)


def _later(alias: str | None = None, *, default: Any) -> Any:
    """Declare a field whose meaning is not carried out yet."""
    text = "Not supported yet: a value that asks for something is refused."
    return Field(default=default, alias=alias, description=text)


class CollFilter(Body):
    """Which collections of a database."""

    colls: Names = Field(
        default=[], description="Names; `*` for all. An empty list: the database alone."
    )


class CreateBody(Body):
    """What to back up. Precedence: `filter`, `db_collections`, `collection_names`; none: all."""

    request_id: str = Field(
        default="",
        alias="requestId",
        description="The backup's id, and a name by which to find its operation. The header "
        "`request_id` wins over it; without both one is made. Not an idempotency key.",
    )
    backup_name: str = Field(
        default="",
        description="At most 128 letters, digits and `_`, no digit first. Empty: one is made.",
    )
    collection_names: Names = Field(
        default=[],
        description="`collection` or `database.collection` each.",
        json_schema_extra=DEPRECATED,
    )
    run_async: bool = Field(
        default=False, alias="async", description="Answer at once; else when the backup is made."
    )
    db_collections: Collections = Field(
        default={},
        description="Collections by database; an empty list for all of the database.",
        json_schema_extra=DEPRECATED,
    )
    force: bool = Field(
        default=False,
        description="As `strategy` `skip_flush`, which wins over it.",
        json_schema_extra=DEPRECATED,
    )
    meta_only: bool = Field(
        default=False,
        description="As `strategy` `meta_only`; `strategy` and `force` win over it.",
        json_schema_extra=DEPRECATED,
    )
    gc_pause_enable: bool = Field(
        default=False,
        description="Pause Milvus's garbage collection meanwhile, also where `backup.pauseGC` of the settings "
        "is false. Where that cannot be done, a warning of the operation says so.",
    )
    gc_pause_seconds: Int32 = Field(
        default=0,
        description="So long a pause stays when the service crashes; else it ends with the backup. 0: 900.",
    )
    gc_pause_address: str = Field(
        default="", description="`milvus.management.endpoint` of the settings; no other is asked."
    )
    rbac: bool = Field(
        default=False,
        description="Also users with the hashes of their passwords, roles, grants and privilege groups. Needs "
        "Milvus 2.4.9 or later; refused with others.",
    )
    backup_root_path: str = Field(default="", description=PATH)
    bucket_name: str = Field(default="", description=f"{BUCKET} The Go tool has no such key here.")
    partitions: dict[str, Names] = Field(default={}, description=PARTITIONS)
    allow_partial: bool = Field(
        default=False,
        description="Complete without the collections that fail, which the backup names then. Not of the "
        "Go tool.",
    )
    filter: dict[str, CollFilter] | None = Field(
        default=None, description="Collections by database. An empty object is refused."
    )
    strategy: str = Field(
        default="",
        description="`auto` or empty: all collections are flushed at once, by `bulk_flush` where Milvus "
        "can. `serial_flush`: one after another. `skip_flush`: nothing is flushed, and the backup has no "
        "stated moment. `meta_only`: no rows. `bulk_flush`: one call flushes everything in Milvus; needs "
        "2.6.11 or later and is refused with others.",
    )
    with_index_extra: bool = Field(
        default=False,
        description="Refused: only restores into a secondary cluster need it, which are not made here.",
    )
    format: str = Field(
        default="",
        description="`auto`, `binlog` or empty. `snapshot` is not supported yet.",
    )


class SkipParams(Body):
    """Properties and parameters that a restore leaves out."""

    collection_properties: Names = Field(
        default=[], alias="collectionProperties", description="Properties of collections."
    )
    field_index_params: Names = Field(
        default=[], alias="fieldIndexParams", description="Index parameters that fields carry."
    )
    field_type_params: Names = Field(
        default=[],
        alias="fieldTypeParams",
        description="Type parameters of fields; not `dim`, `max_length` or `max_capacity`.",
    )
    index_params: Names = Field(
        default=[], alias="indexParams", description="Parameters of indexes."
    )


class Override(Body):
    """What a restored collection gets instead of what the backup has."""

    shard_num: Int32 = Field(
        default=0, alias="shardNum", description="Number of shards; 0 as in the backup."
    )
    description: str = Field(default="", description="Description; empty as in the backup.")


class PlannedCollection(Body):
    """One collection of a plan."""

    source: str = Field(default="", description="Its name in the backup.")
    target: str = Field(default="", description="Its name once it is restored.")
    override: Override = Override()


class PlannedDatabase(Body):
    """A database of a plan, with some of its collections or all."""

    source: str = Field(default="", description="The database in the backup.")
    target: str = Field(default="", description="The database to restore into.")
    with_prop: bool = Field(
        default=False,
        alias="withProp",
        description="Without effect: databases keep their properties where Milvus has such.",
    )
    colls: Annotated[list[PlannedCollection], Many] = Field(
        default=[], description="Collections; none: all of the database."
    )


class PlanBody(Body):
    """Where collections go; one may go to several targets. Without `filter` exactly what is mapped is restored."""

    mapping: Annotated[list[PlannedDatabase], Many] = Field(
        default=[], description="Databases with their collections."
    )
    filter: dict[str, CollFilter] | None = Field(
        default=None,
        description="What of the backup is restored, by the names once restored; what no mapping "
        "names keeps its name.",
    )


class RestoreBody(Body):
    """What to restore, under which names."""

    request_id: str = Field(
        default="", alias="requestId", description="Given back; without it one is made."
    )
    id: str = Field(
        default="",
        description="A name by which `get_restore` finds the restore; without it one is made. Not an "
        "idempotency key: the newest restore of an id counts.",
    )
    backup_name: str = Field(default="", description="Required.")
    collection_names: Names = Field(
        default=[],
        description="`collection` or `database.collection` each, by their names in the backup. None: "
        "all.",
    )
    collection_suffix: str = Field(
        default="", description="Appended to the names: letters, digits and `_`."
    )
    collection_renames: dict[str, str] = Field(
        default={},
        description="New names by old ones: `db1.c1` to `db2.c2`, `c1` to `c2`, `db1.*` to `db2.*`, `db1.` to "
        "`db2.` (the database alone). Wins over the suffix.",
    )
    run_async: bool = Field(
        default=False, alias="async", description="Answer at once; else when it has ended."
    )
    bucket_name: str = Field(default="", description=BUCKET)
    path: str = Field(default="", description=PATH)
    db_collections: Collections = Field(
        default={},
        description="Collections by database, by their names in the backup; an empty list for all of "
        "the database. Wins over `collection_names`.",
    )
    meta_only: bool = Field(
        default=False,
        alias="metaOnly",
        description="Make collections, partitions and indexes, but import no rows.",
    )
    restore_index: bool = Field(
        default=False, alias="restoreIndex", description="Make the indexes again."
    )
    use_auto_index: bool = Field(
        default=False,
        alias="useAutoIndex",
        description="Let Milvus choose the indexes of vectors; the metric stays. Counts with "
        "`restoreIndex`.",
    )
    drop_exist_collection: bool = Field(
        default=False,
        alias="dropExistCollection",
        description="Replace collections that are there, each when the new one is whole. Not with "
        "`skipCreateCollection`.",
    )
    drop_exist_index: bool = Field(
        default=False,
        alias="dropExistIndex",
        description="Drop all indexes of collections that exist. Counts with `skipCreateCollection`.",
    )
    skip_create_collection: bool = Field(
        default=False,
        alias="skipCreateCollection",
        description="Import into collections that exist; they must have the backup's fields and not be "
        "loaded. What was imported before a cancel or a failure stays.",
    )
    skip_import_disk_quota_check: bool = Field(
        default=False,
        alias="skipImportDiskQuotaCheck",
        description="Without effect, as in the Go tool: the check is always skipped.",
        json_schema_extra=DEPRECATED,
    )
    rbac: bool = Field(
        default=False,
        description="Add the users, roles, grants and privilege groups that the target lacks; what is there stays "
        "as it is. Needs Milvus 2.4.9 or later; refused with others.",
    )
    max_shard_num: Int32 = Field(
        default=0,
        alias="maxShardNum",
        description="The most shards that a collection gets; 0: as in the backup.",
    )
    skip_params: SkipParams = Field(SkipParams(), alias="skipParams")
    aliases: str = Field(
        default="kept_names",
        description="Which collections get the aliases that they had: `kept_names` (those whose names "
        "stay), `all` or `none`. The Go tool has no such key.",
    )
    load: str = Field(
        default="none",
        description="Which collections are loaded, and waited for: `none`, `as_backed_up` or `all`. The Go "
        "tool has no such key.",
    )
    replica_num: Int32 = Field(
        default=0,
        alias="replicaNum",
        description="How many times they are loaded; 0: as when they were backed up. The Go tool has no "
        "such key.",
    )
    use_v2_restore: bool = Field(
        default=False,
        alias="useV2Restore",
        description="Without effect: many segments always share an import job where Milvus can do "
        "that.",
    )
    truncate_binlog_by_ts: bool = Field(
        default=False,
        alias="truncateBinlogByTs",
        description="Leave out what is behind the checkpoints of a backup without a stated moment; an "
        "error where none were recorded.",
    )
    partitions: dict[str, Names] = Field(default={}, description=PARTITIONS)
    db_collections_after_rename: Collections = Field(
        default={}, description="Collections by database, by their names once they are restored."
    )
    restore_plan: PlanBody | None = Field(default=None, alias="restorePlan")
    ezk_mapping: dict[str, str] = _later("ezkMapping", default={})


class RestoreSecondaryBody(Body):
    """What the Go tool restores into a secondary cluster. Not supported."""

    request_id: str = Field(default="", alias="requestId")
    backup_name: str = ""
    source_cluster_id: str = Field(default="", alias="sourceClusterID")
    target_cluster_id: str = Field(default="", alias="targetClusterID")
    run_async: bool = Field(default=False, alias="async")
    path: str = ""
