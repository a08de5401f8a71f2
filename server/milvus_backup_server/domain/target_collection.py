"""What a collection of a backup becomes under a restore's options, as a pure function."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from milvus_backup_server.domain.milvus_types import is_vector
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
    IndexInfo,
    KeyValue,
)
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)
from milvus_backup_server.domain.targets import Loading

_AUTO_INDEX = "AUTOINDEX"
_NOT_LOADED = ("", "NotLoad")
_INDEX_TYPE, _METRIC_TYPE = "index_type", "metric_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCollection:
    """A collection as a restore makes it.

    Attributes:
        partition_count: With a partition key, else 0.
        partitions: Names of the partitions; none with a partition key, where Milvus makes them.
        indexes: Those to make; none unless asked for.
        aliases: What else it is called, when it has its name.
        loading: How it is loaded then; None: not.
    """

    schema: CollectionSchema
    shard_count: int
    consistency_level: int
    properties: tuple[KeyValue, ...]
    partition_count: int
    partitions: tuple[str, ...]
    indexes: tuple[IndexInfo, ...]
    aliases: tuple[str, ...] = ()
    loading: Loading | None = None


def target_collection(
    record: CollectionBackupInfo, target: Target, options: RestoreOptions, *, indexes: bool
) -> TargetCollection:
    """Return what a collection becomes.

    Args:
        record: The collection; one without a schema is refused before.
        target: Where it goes.
        options: What is asked for.
        indexes: Whether its indexes are made again.
    """
    schema = record.schema or CollectionSchema()
    keyed = has_partition_key(schema)
    names = tuple(partition.partition_name for partition in record.partition_backups)
    return TargetCollection(
        schema=_schema(schema, target, options.skip_params),
        shard_count=shard_count(record, target, options),
        consistency_level=record.consistency_level,
        properties=_without(record.properties, options.skip_params.collection_properties),
        partition_count=len(names) if keyed else 0,
        partitions=() if keyed else names,
        indexes=tuple(_indexes(record, schema, options)) if indexes else (),
        aliases=_aliases(record, target, options),
        loading=_loading(record, options, keyed=keyed),
    )


def has_partition_key(schema: CollectionSchema | None) -> bool:
    """Tell whether rows go to partitions by a key."""
    return schema is not None and any(field.is_partition_key for field in schema.fields)


def shard_count(record: CollectionBackupInfo, target: Target, options: RestoreOptions) -> int:
    """Return the number of shards: what the target is given, else the backup's up to the bound."""
    if target.shard_count:
        return target.shard_count
    if options.max_shard_count:
        return min(record.shards_num, options.max_shard_count)
    return record.shards_num


def not_indexed(made: TargetCollection) -> list[str]:
    """Return the fields of vectors without an index, because of which Milvus would not load it."""
    indexed = {index.field_name for index in made.indexes}
    return sorted(_vectors(made.schema) - indexed)


def _aliases(
    record: CollectionBackupInfo, target: Target, options: RestoreOptions
) -> tuple[str, ...]:
    kept = target.name.name == record.collection_name
    wanted = options.aliases is AliasMode.ALL or (options.aliases is AliasMode.KEPT_NAMES and kept)
    return record.aliases if wanted else ()


def _schema(schema: CollectionSchema, target: Target, skipped: SkipParams) -> CollectionSchema:
    return replace(
        schema,
        description=schema.description if target.description is None else target.description,
        properties=_without(schema.properties, skipped.collection_properties),
        fields=tuple(_field(field, skipped) for field in schema.fields),
        struct_array_fields=tuple(
            replace(item, fields=tuple(_field(field, skipped) for field in item.fields))
            for item in schema.struct_array_fields
        ),
    )


def _field(field: FieldSchema, skipped: SkipParams) -> FieldSchema:
    return replace(
        field,
        type_params=_without(field.type_params, skipped.field_type_params),
        index_params=_without(field.index_params, skipped.field_index_params),
    )


def _indexes(
    record: CollectionBackupInfo, schema: CollectionSchema, options: RestoreOptions
) -> Iterable[IndexInfo]:
    vectors = _vectors(schema)
    for index in record.index_infos:
        auto = options.use_auto_index and index.field_name in vectors
        yield _reduced(_automatic(index) if auto else index, options.skip_params.index_params)


def _vectors(schema: CollectionSchema) -> set[str]:
    fields = [
        *schema.fields,
        *(it for struct in schema.struct_array_fields for it in struct.fields),
    ]
    return {field.name for field in fields if is_vector(field.data_type)}


def _loading(
    record: CollectionBackupInfo, options: RestoreOptions, *, keyed: bool
) -> Loading | None:
    """Return how a collection is loaded; one that was being loaded counts as loaded."""
    if options.load is LoadMode.NONE:
        return None
    if options.load is LoadMode.ALL:
        return Loading(replicas=options.replica_count)
    if record.load_state in _NOT_LOADED:
        return None
    parts = record.partition_backups
    loaded = tuple(it.partition_name for it in parts if it.load_state not in _NOT_LOADED)
    some = () if keyed or len(loaded) in (0, len(parts)) else loaded
    return Loading(some, options.replica_count)


def _automatic(index: IndexInfo) -> IndexInfo:
    """Return an index whose type and parameters Milvus chooses; only the metric stays."""
    params = {_INDEX_TYPE: _AUTO_INDEX}
    if metric := _metric(index.params):
        params[_METRIC_TYPE] = metric
    return replace(index, index_type=_AUTO_INDEX, params=params)


def _metric(params: Mapping[str, str]) -> str:
    return params.get(_METRIC_TYPE, "")


def _reduced(index: IndexInfo, skipped: Collection[str]) -> IndexInfo:
    params = {key: value for key, value in index.params.items() if key not in skipped}
    kind = "" if _INDEX_TYPE in skipped else index.index_type
    return replace(index, index_type=kind, params=params)


def _without(pairs: Iterable[KeyValue], skipped: Collection[str]) -> tuple[KeyValue, ...]:
    return tuple(pair for pair in pairs if pair.key not in skipped)
