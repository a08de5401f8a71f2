"""Which import jobs a collection needs, and what stands in the way of a restore."""

from dataclasses import replace

import pytest

from milvus_backup_server.domain.import_units import (
    ImportRules,
    ImportUnit,
    groups_of,
    import_units,
)
from milvus_backup_server.domain.milvus import CollectionName, ImportSource
from milvus_backup_server.domain.operations import PlannedCollection
from milvus_backup_server.domain.records import (
    Binlog,
    CollectionBackupInfo,
    CollectionSchema,
    FieldBinlog,
    FieldSchema,
    IndexInfo,
    PartitionBackupInfo,
    SegmentBackupInfo,
)
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.domain.restore_plan import (
    expected_objects,
    has_deletes,
    name_of,
    planned,
    record_faults,
    version_fault,
)
from milvus_backup_server.domain.target_collection import target_collection
from tests.support.fixtures import WITH_DATA, backup_objects, metadata

LARGE = 1 << 40
INSERTS = (FieldBinlog(field_id=100, binlogs=(Binlog(log_size=80, log_id=1),)),)
DELTAS = (FieldBinlog(binlogs=(Binlog(log_size=20, log_id=2),)),)
NO_DELTAS = (FieldBinlog(),)
A = CollectionName("default", "a")
B = CollectionName("default", "b")


def segment(number: int, group: int, *, deltas: bool = False, rows: int = 10) -> SegmentBackupInfo:
    return SegmentBackupInfo(
        segment_id=number,
        group_id=group,
        num_of_rows=rows,
        size=100,
        binlogs=INSERTS,
        deltalogs=DELTAS if deltas else NO_DELTAS,
    )


def partition(*segments: SegmentBackupInfo) -> PartitionBackupInfo:
    return PartitionBackupInfo(partition_id=5, partition_name="p", segment_backups=segments)


def units(
    *segments: SegmentBackupInfo, whole: bool = True, job_bytes: int = LARGE
) -> list[ImportUnit]:
    record = CollectionBackupInfo(collection_id=4, partition_backups=(partition(*segments),))
    return import_units(record, ImportRules(job_bytes), () if whole else (5,))


def directories(found: list[ImportUnit]) -> list[tuple[str, str]]:
    return [(source.insert, source.delta) for unit in found for source in unit.sources]


def test_a_partition_without_segments_needs_no_job() -> None:
    assert units() == []


def test_a_partition_is_one_job_where_nothing_else_lies_in_it() -> None:
    assert units(segment(1, 1), segment(2, 2, deltas=True)) == [
        ImportUnit(
            partition="p",
            sources=(ImportSource("binlogs/insert_log/4/5/", "binlogs/delta_log/4/5/"),),
            bytes=200,
            rows=20,
        )
    ]


def test_without_delta_logs_no_delta_directory_is_named() -> None:
    assert directories(units(segment(1, 1))) == [("binlogs/insert_log/4/5/", "")]


def test_beside_strays_each_group_is_a_job() -> None:
    assert directories(units(segment(1, 1), segment(2, 2, deltas=True), whole=False)) == [
        ("binlogs/insert_log/4/5/1/", ""),
        ("binlogs/insert_log/4/5/2/", "binlogs/delta_log/4/5/2/"),
    ]


def test_a_shared_group_is_imported_exactly_once() -> None:
    found = units(
        segment(1, 1), segment(2, 1, deltas=True), segment(3, 1), segment(4, 2), whole=False
    )
    assert directories(found) == [
        ("binlogs/insert_log/4/5/1/", "binlogs/delta_log/4/5/1/"),
        ("binlogs/insert_log/4/5/2/", ""),
    ]
    assert [(unit.bytes, unit.rows) for unit in found] == [(300, 30), (100, 10)]


def test_groups_come_once_in_the_order_of_their_first_segment() -> None:
    groups = groups_of(partition(segment(1, 7), segment(2, 3), segment(3, 7, deltas=True)))
    assert [(it.group_id, it.bytes, it.rows, it.has_delta) for it in groups] == [
        (7, 200, 20, True),
        (3, 100, 10, False),
    ]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("job_bytes", [1, LARGE])
def test_without_a_group_level_only_the_whole_partition_can_be_imported(
    whole: bool, job_bytes: int
) -> None:
    found = units(segment(1, 0), segment(2, 0, deltas=True), whole=whole, job_bytes=job_bytes)
    assert directories(found) == [("binlogs/insert_log/4/5/", "binlogs/delta_log/4/5/")]


@pytest.mark.parametrize(("job_bytes", "jobs"), [(200, 1), (199, 2), (1, 2)])
def test_a_partition_larger_than_a_job_may_be_is_imported_by_groups(
    job_bytes: int, jobs: int
) -> None:
    assert len(units(segment(1, 1), segment(2, 2), job_bytes=job_bytes)) == jobs


def test_segments_without_any_logs_need_no_job() -> None:
    empty = SegmentBackupInfo(segment_id=9, group_id=9, deltalogs=NO_DELTAS)
    assert units(empty) == []
    assert directories(units(segment(1, 1), empty, whole=False)) == [
        ("binlogs/insert_log/4/5/1/", "")
    ]


@pytest.mark.parametrize("archive", ["fx_go_0_4_3_groups", "fx_go_0_5_16_groups"])
def test_the_shared_groups_of_a_real_backup(archive: str) -> None:
    (values,) = metadata(archive)["collection_backups"]
    record = CollectionBackupInfo.from_json(values)
    strays = [it.partition_id for it in record.partition_backups]
    found = import_units(record, ImportRules(LARGE), strays)
    listed = {key for key, _ in backup_objects(archive) if key.startswith("binlogs/insert_log/")}
    assert {source.insert for unit in found for source in unit.sources} == {
        "/".join(key.split("/")[:5]) + "/" for key in listed
    }
    assert len(found) == len(set(found))
    assert sum(unit.has_delta for unit in found) == 2


def test_what_a_plan_says_of_a_collection() -> None:
    record = CollectionBackupInfo(
        collection_id=4,
        collection_name="a",
        partition_backups=(
            partition(segment(1, 1), segment(2, 2)),
            partition(),
            partition(segment(3, 3)),
        ),
    )
    plan = PlannedCollection(
        source=A,
        target=B,
        partitions=("p", "p", "p"),
        partition_count=3,
        segment_count=3,
        row_count=30,
        size_bytes=300,
        import_job_count=3,
        shard_count=2,
    )
    record = replace(record, shards_num=2, index_infos=(IndexInfo(), IndexInfo()))
    made = target_collection(record, Target(B), RestoreOptions(), indexes=False)
    assert planned(record, Target(B), made, ImportRules(150)) == plan
    wider = replace(plan, shard_count=3, index_count=2)
    made = replace(made, shard_count=3, indexes=record.index_infos)
    assert planned(record, Target(B), made, ImportRules(150)) == wider


def test_deletes_are_seen_in_any_segment() -> None:
    none = CollectionBackupInfo(partition_backups=(partition(segment(1, 1)),))
    some = CollectionBackupInfo(
        partition_backups=(partition(segment(1, 1)), partition(segment(2, 2, deltas=True)))
    )
    assert not has_deletes(none)
    assert has_deletes(some)


@pytest.mark.parametrize("archive", WITH_DATA)
def test_the_metadata_names_every_data_object_of_a_backup_with_its_size(archive: str) -> None:
    expected = {
        key: len(content) for key, content in backup_objects(archive) if key.startswith("binlogs/")
    }
    named = [
        item
        for values in metadata(archive)["collection_backups"]
        for item in expected_objects(CollectionBackupInfo.from_json(values))
    ]
    assert len(named) == len(expected)
    assert dict(named) == expected


# --- what stands in the way


def record_with(**fields: object) -> CollectionBackupInfo:
    values: dict[str, object] = {"collection_name": "a", "schema": CollectionSchema()}
    return CollectionBackupInfo(**(values | fields))  # type: ignore[arg-type]


def faults_of(record: CollectionBackupInfo) -> list[str]:
    return [fault.message for fault in record_faults(record)]


def test_a_sound_record_has_no_fault() -> None:
    sound = record_with(partition_backups=(partition(segment(1, 1, deltas=True)),))
    assert faults_of(sound) == []


def test_arrays_without_an_element_type_are_named() -> None:
    fields = (
        FieldSchema(name="good", data_type=22, element_type=5),
        FieldSchema(name="bad", data_type=22),
        FieldSchema(name="worse", data_type=22),
    )
    found = list(record_faults(record_with(schema=CollectionSchema(fields=fields))))
    assert [fault.metadata["field"] for fault in found] == ["bad", "worse"]
    assert found[0].metadata["subject"] == "default.a"
    assert "default.a field 'bad' is an array" in found[0].message


def test_only_one_collection_of_0_3_3_cannot_be_made_from_its_metadata() -> None:
    faulty = {
        values["collection_name"]: [fault.metadata["field"] for fault in found]
        for values in metadata("fx_go_0_3_3")["collection_backups"]
        if (found := list(record_faults(CollectionBackupInfo.from_json(values))))
    }
    assert list(faulty) == ["all_types"]
    arrays = [
        field["name"]
        for values in metadata("fx_go_0_5_16")["collection_backups"]
        if values["collection_name"] == "all_types"
        for field in values["schema"]["fields"]
        if field["data_type"] == 22
    ]
    assert sorted(faulty["all_types"]) == sorted(arrays)


def test_segments_of_a_storage_version_that_is_not_known_are_refused() -> None:
    known, later = (replace(segment(it, it), storage_version=it) for it in (2, 3))
    (fault,) = record_faults(record_with(partition_backups=(partition(known, later),)))
    assert fault.message == (
        "default.a has segment 3 of storage version 3; this service restores up to 2"
    )


def test_a_record_without_a_schema_is_refused() -> None:
    assert faults_of(record_with(schema=None)) == ["default.a has no schema in the metadata"]


def test_rows_without_any_log_are_refused() -> None:
    lost = SegmentBackupInfo(segment_id=77, num_of_rows=5, deltalogs=NO_DELTAS)
    (message,) = faults_of(record_with(partition_backups=(partition(segment(1, 1), lost),)))
    assert message == "default.a has 5 rows in segment 77 but no log files of it in the metadata"


@pytest.mark.parametrize(
    ("backup", "target", "refused"),
    [
        ("v2.3.5", "v2.3.5-lite", False),
        ("v2.3.22", "v2.3.0", False),
        ("v2.3.5", "2.4.1", False),
        ("v2.3.5", "3.0.0", False),
        ("2.4.0", "v2.3.5", True),
        ("2.10.0", "2.9.0", True),
        ("3.0.0", "2.6.18", True),
        ("", "v2.3.5", False),
        ("2.6.18", "", False),
    ],
)
def test_binlogs_go_into_the_same_line_or_a_later_one(
    backup: str, target: str, refused: bool
) -> None:
    fault = version_fault(backup, target)
    assert (fault is not None) == refused
    if fault is not None:
        assert fault.metadata["version"] == target
        assert f"restore it into {fault.metadata['needed']} or later" in fault.message


def test_a_record_without_a_database_is_of_the_default_one() -> None:
    assert name_of(CollectionBackupInfo(collection_name="a")) == A
    assert name_of(CollectionBackupInfo(db_name="x", collection_name="a")) == CollectionName(
        "x", "a"
    )
