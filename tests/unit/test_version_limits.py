"""What a version of Milvus cannot hold is told with the version that could."""

import pytest

from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
)
from milvus_backup_server.domain.version_limits import version_limits
from tests.support.fixtures import metadata


def limits_of(archive: str, version: str) -> set[str]:
    return {
        fault.message.removeprefix("default.").removesuffix(f"; the target is {version}")
        for values in metadata(archive)["collection_backups"]
        for fault in version_limits(
            CollectionBackupInfo.from_json(values), MilvusVersion.parse(version)
        )
    }


@pytest.mark.parametrize(
    ("archive", "version"),
    [
        ("fx_go_0_5_16", "2.3.5"),
        ("fx_mv_2_5_27", "2.5.27"),
        ("fx_mv_2_5_27", "2.6.18"),
        ("fx_mv_2_6_18", "2.6.18"),
        ("fx_mv_2_6_18_types", "2.6.18"),
    ],
)
def test_a_version_holds_what_it_and_older_ones_had(archive: str, version: str) -> None:
    assert limits_of(archive, version) == set()


def test_new_types_are_named_with_the_version_that_has_them() -> None:
    groups = "has segments of storage version 2 (column groups), which needs Milvus 2.6.0 or later"
    assert limits_of("fx_mv_2_6_18_types", "2.5.27") == {
        *(f"{name} {groups}" for name in ("tstz", "textm", "struct_arr", "addfield", "geom")),
        "tstz field 'ts' is of type Timestamptz, which needs Milvus 2.6.6 or later",
        "geom field 'g' is of type Geometry, which needs Milvus 2.6.4 or later",
        "struct_arr field 'items' is an array of structs, which needs Milvus 2.6.4 or later",
    }


def test_what_2_5_brought_does_not_go_into_2_4() -> None:
    found = limits_of("fx_mv_2_5_27", "2.4.23")
    assert "nullable field 'i8' may be null, which needs Milvus 2.5.0 or later" in found
    assert "defaults field 'n' has a default value, which needs Milvus 2.5.0 or later" in found
    assert not [text for text in found if text.startswith(("deletes", "vecs"))]


def test_text_that_is_matched_does_not_go_into_2_4() -> None:
    matched = "textm field 't' is analyzed or matched as text, which needs Milvus 2.5.0 or later"
    assert matched in limits_of("fx_mv_2_6_18_types", "2.4.23")
    assert matched not in limits_of("fx_mv_2_6_18_types", "2.5.0")


def test_l0_segments_and_vectors_of_2_4_do_not_go_into_2_3() -> None:
    found = limits_of("fx_mv_2_5_27", "2.3.5")
    assert "deletes has L0 segments, which needs Milvus 2.4.5 or later" in found
    assert "del_parts has L0 segments, which needs Milvus 2.4.5 or later" in found
    assert "vecs field 'f16' is of type Float16Vector, which needs Milvus 2.4.0 or later" in found


@pytest.mark.parametrize(
    ("kind", "word", "without", "first"),
    [
        (1, "BM25", "2.4.23", "2.5.0"),
        (2, "text embedding", "2.5.27", "2.6.0"),
        (3, "rerank", "2.5.27", "2.6.0"),
        (4, "MinHash", "2.6.18", "3.0.0"),
        (9, "FunctionType(9)", "2.6.18", "3.0.0"),
    ],
)
def test_each_type_of_functions_has_its_first_version(
    kind: int, word: str, without: str, first: str
) -> None:
    function = FunctionSchema(name="f", type=kind, output_field_names=("made",))
    record = CollectionBackupInfo(
        collection_name="c", schema=CollectionSchema(functions=(function,))
    )
    (fault,) = version_limits(record, MilvusVersion.parse(without))
    assert fault.message == (
        f"default.c field 'made' is made by the {word} function 'f', which needs Milvus {first} or "
        f"later; the target is {without}"
    )
    assert (fault.metadata["field"], fault.metadata["needed"]) == ("made", first)
    assert not list(version_limits(record, MilvusVersion.parse(first)))


def test_fields_behind_milvus_s_own_need_a_version_that_adds_fields() -> None:
    fields = (
        FieldSchema(name="pk", field_id=100),
        FieldSchema(name="later", field_id=102, nullable=True),
    )
    schema = CollectionSchema(fields=fields, enable_dynamic_field=True)
    record = CollectionBackupInfo(collection_name="c", schema=schema)
    (fault,) = version_limits(record, MilvusVersion.parse("2.5.27"))
    assert fault.message == (
        "default.c field 'later' was added after the dynamic field or an array of structs, which "
        "needs Milvus 2.6.0 or later; the target is 2.5.27"
    )


def test_l0_segments_are_not_imported_by_the_first_2_4() -> None:
    needed = "del_parts has L0 segments, which needs Milvus 2.4.5 or later"
    assert needed in limits_of("fx_mv_2_5_27", "2.4.4")
    assert needed not in limits_of("fx_mv_2_5_27", "2.4.5")


def test_nothing_is_said_of_an_unknown_version() -> None:
    (values, *_) = metadata("fx_mv_2_6_18_types")["collection_backups"]
    assert list(version_limits(CollectionBackupInfo.from_json(values), None)) == []
