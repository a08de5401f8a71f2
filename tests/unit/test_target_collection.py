"""What a collection becomes under the options of a restore."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
    IndexInfo,
    KeyValue,
    PartitionBackupInfo,
    StructArrayFieldSchema,
)
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.restore_mapping import without_data
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)
from milvus_backup_server.domain.target_collection import (
    TargetCollection,
    not_indexed,
    shard_count,
    target_collection,
)
from milvus_backup_server.domain.targets import Loading


def pairs(**values: str) -> tuple[KeyValue, ...]:
    return tuple(KeyValue(key=key, value=value) for key, value in values.items())


PK = FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5)
VECTOR = FieldSchema(
    field_id=101,
    name="v",
    data_type=101,
    type_params=pairs(dim="8", mmap="true"),
    index_params=pairs(a="1", b="2"),
)
TENANT = FieldSchema(field_id=102, name="tenant", data_type=5, is_partition_key=True)
INNER = StructArrayFieldSchema(field_id=103, name="s", fields=(replace(VECTOR, name="sv"),))
HNSW = {"index_type": "HNSW", "metric_type": "COSINE", "M": "16"}
INDEXES = (
    IndexInfo(field_name="v", index_name="by_v", index_type="HNSW", params=HNSW, index_id=7),
    IndexInfo(field_name="pk", index_name="by_pk", params={"index_type": "STL_SORT"}),
)
RECORD = CollectionBackupInfo(
    collection_name="c",
    schema=CollectionSchema(
        description="old", fields=(PK, VECTOR), properties=pairs(x="1", ttl="2")
    ),
    shards_num=3,
    consistency_level=2,
    properties=pairs(ttl="60", mmap="on"),
    partition_backups=(
        PartitionBackupInfo(partition_id=1, partition_name="_default"),
        PartitionBackupInfo(partition_id=2, partition_name="p", size=3),
    ),
    index_infos=INDEXES,
    aliases=("first", "second"),
)
KEYED = replace(RECORD, schema=CollectionSchema(fields=(PK, VECTOR, TENANT)))
C = Target(CollectionName("default", "c"))
OTHER = Target(CollectionName("default", "d"))


def become(
    record: CollectionBackupInfo = RECORD,
    target: Target = C,
    *,
    indexes: bool = True,
    **options: Any,
) -> TargetCollection:
    return target_collection(record, target, RestoreOptions(**options), indexes=indexes)


def test_without_options_it_is_as_it_was() -> None:
    assert become() == TargetCollection(
        schema=RECORD.schema or CollectionSchema(),
        shard_count=3,
        consistency_level=2,
        properties=RECORD.properties,
        partition_count=0,
        partitions=("_default", "p"),
        indexes=INDEXES,
        aliases=("first", "second"),
    )
    assert become(indexes=False).indexes == ()


def test_with_a_partition_key_milvus_makes_the_partitions() -> None:
    made = become(KEYED)
    assert (made.partition_count, made.partitions) == (2, ())


@pytest.mark.parametrize(
    ("override", "bound", "shards"),
    [(0, 0, 3), (0, 2, 2), (0, 3, 3), (0, 4, 3), (5, 0, 5), (5, 2, 5), (1, 2, 1)],
)
def test_an_override_of_shards_wins_over_the_bound(override: int, bound: int, shards: int) -> None:
    target = replace(C, shard_count=override)
    assert shard_count(RECORD, target, RestoreOptions(max_shard_count=bound)) == shards


@pytest.mark.parametrize(("given", "told"), [(None, "old"), ("", ""), ("new", "new")])
def test_a_description_may_be_another(given: str | None, told: str) -> None:
    assert become(target=replace(C, description=given)).schema.description == told


def test_skipped_properties_are_in_neither_place() -> None:
    made = become(skip_params=SkipParams(collection_properties=("ttl", "none")))
    assert made.properties == pairs(mmap="on")
    assert made.schema.properties == pairs(x="1")


def test_skipped_parameters_of_fields_are_left_out_of_inner_fields_too() -> None:
    record = replace(
        RECORD, schema=CollectionSchema(fields=(PK, VECTOR), struct_array_fields=(INNER,))
    )
    skipped = SkipParams(field_type_params=("mmap",), field_index_params=("a",))
    schema = become(record, skip_params=skipped).schema
    for field in (schema.fields[1], schema.struct_array_fields[0].fields[0]):
        assert (field.type_params, field.index_params) == (pairs(dim="8"), pairs(b="2"))
    assert schema.fields[0] == PK


@pytest.mark.parametrize(
    ("options", "kinds", "params"),
    [
        ({}, ["HNSW", ""], [HNSW, {"index_type": "STL_SORT"}]),
        # only the metric of a vector's index stays; scalar ones stay as they are
        (
            {"use_auto_index": True},
            ["AUTOINDEX", ""],
            [
                {"index_type": "AUTOINDEX", "metric_type": "COSINE"},
                {"index_type": "STL_SORT"},
            ],
        ),
        (
            {"skip_params": SkipParams(index_params=("M",))},
            ["HNSW", ""],
            [{"index_type": "HNSW", "metric_type": "COSINE"}, {"index_type": "STL_SORT"}],
        ),
        # without its type an index is Milvus's choice
        (
            {"skip_params": SkipParams(index_params=("index_type", "M"))},
            ["", ""],
            [{"metric_type": "COSINE"}, {}],
        ),
        (
            {"use_auto_index": True, "skip_params": SkipParams(index_params=("metric_type",))},
            ["AUTOINDEX", ""],
            [{"index_type": "AUTOINDEX"}, {"index_type": "STL_SORT"}],
        ),
    ],
)
def test_indexes(options: dict[str, Any], kinds: list[str], params: list[dict[str, str]]) -> None:
    made = become(**options).indexes
    assert [(it.field_name, it.index_name) for it in made] == [("v", "by_v"), ("pk", "by_pk")]
    assert [it.index_type for it in made] == kinds
    assert [dict(it.params) for it in made] == params


@pytest.mark.parametrize(
    ("data_type", "is_vector"),
    [(5, False), (22, False), (100, True), (101, True), (104, True), (105, True), (106, True)],
)
def test_which_fields_are_vectors(data_type: int, *, is_vector: bool) -> None:
    schema = CollectionSchema(fields=(PK, replace(VECTOR, data_type=data_type)))
    index = become(replace(RECORD, schema=schema), use_auto_index=True).indexes[0]
    assert index.index_type == ("AUTOINDEX" if is_vector else "HNSW")


@pytest.mark.parametrize(
    ("mode", "target", "kept"),
    [
        (AliasMode.KEPT_NAMES, C, True),
        (AliasMode.KEPT_NAMES, Target(CollectionName("elsewhere", "c")), True),
        (AliasMode.KEPT_NAMES, OTHER, False),
        (AliasMode.ALL, C, True),
        (AliasMode.ALL, OTHER, True),
        (AliasMode.NONE, C, False),
    ],
)
def test_who_gets_the_aliases(mode: AliasMode, target: Target, *, kept: bool) -> None:
    found = become(target=target, aliases=mode).aliases
    assert found == (("first", "second") if kept else ())


LOADED, NOT = "Loaded", "NotLoad"


@pytest.mark.parametrize(
    ("mode", "state", "partitions", "expected"),
    [
        (LoadMode.NONE, LOADED, (LOADED, LOADED), None),
        (LoadMode.AS_BACKED_UP, LOADED, (LOADED, LOADED), Loading(replicas=2)),
        (LoadMode.AS_BACKED_UP, "Loading", ("Loading", "Loading"), Loading(replicas=2)),
        (LoadMode.AS_BACKED_UP, LOADED, (NOT, LOADED), Loading(("p",), 2)),
        (LoadMode.AS_BACKED_UP, LOADED, (NOT, NOT), Loading(replicas=2)),
        (LoadMode.AS_BACKED_UP, NOT, (NOT, NOT), None),
        (LoadMode.AS_BACKED_UP, "", ("", ""), None),
        (LoadMode.ALL, NOT, (NOT, NOT), Loading(replicas=2)),
    ],
)
def test_what_is_loaded(
    mode: LoadMode, state: str, partitions: tuple[str, str], expected: Loading | None
) -> None:
    parts = zip(RECORD.partition_backups, partitions, strict=True)
    record = replace(
        RECORD,
        load_state=state,
        partition_backups=tuple(replace(it, load_state=told) for it, told in parts),
    )
    count = 2 if mode is not LoadMode.NONE else 0
    assert become(record, load=mode, replica_count=count).loading == expected


def test_partitions_of_a_key_are_loaded_together() -> None:
    first, second = KEYED.partition_backups
    parts = (replace(first, load_state=LOADED), second)
    record = replace(KEYED, load_state=LOADED, partition_backups=parts)
    assert become(record, load=LoadMode.AS_BACKED_UP).loading == Loading()


def test_vectors_without_an_index_are_named() -> None:
    assert not_indexed(become()) == []
    assert not_indexed(become(indexes=False)) == ["v"]
    schema = CollectionSchema(fields=(PK, VECTOR, replace(VECTOR, name="w")))
    assert not_indexed(become(replace(RECORD, schema=schema))) == ["w"]


NAMES = st.sampled_from(("ttl", "mmap", "x", "a", "b", "M", "metric_type", "index_type"))
LISTS = st.lists(NAMES, max_size=4).map(tuple)


@given(
    st.builds(
        SkipParams,
        collection_properties=LISTS,
        field_type_params=LISTS,
        field_index_params=LISTS,
        index_params=LISTS,
    ),
    st.booleans(),
)
def test_nothing_that_is_skipped_is_sent(skipped: SkipParams, auto: bool) -> None:
    made = become(skip_params=skipped, use_auto_index=auto)
    properties = {pair.key for pair in (*made.properties, *made.schema.properties)}
    assert not properties & set(skipped.collection_properties)
    for field in made.schema.fields:
        assert not {pair.key for pair in field.type_params} & set(skipped.field_type_params)
        assert not {pair.key for pair in field.index_params} & set(skipped.field_index_params)
    for index in made.indexes:
        assert not set(index.params) & set(skipped.index_params)
        assert not (index.index_type and "index_type" in skipped.index_params)


def test_a_collection_without_its_data_keeps_its_partitions() -> None:
    bare = without_data(replace(RECORD, size=3))
    assert [it.partition_name for it in bare.partition_backups] == ["_default", "p"]
    assert (bare.size, [it.size for it in bare.partition_backups]) == (0, [0, 0])
    assert bare.schema == RECORD.schema
