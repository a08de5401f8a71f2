"""What Milvus answers, as values of the domain; the answers are those of a real 2.3.5."""

import base64

import pytest

from milvus_backup_server.adapters.milvus import imports, mapping
from milvus_backup_server.adapters.milvus.stubs import (
    Message,
    common_pb2,
    milvus_pb2,
    schema_pb2,
)
from milvus_backup_server.domain.milvus import (
    CollectionName,
    Flush,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
    Partition,
    SegmentInfo,
    SegmentLevel,
)
from milvus_backup_server.domain.records import IndexInfo, KeyValue

MOMENT = 470641203803062275
C1 = CollectionName("shop", "c1")


def pairs(**values: str) -> list[Message]:
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in values.items()]


def test_an_alias_is_described_as_its_collection() -> None:
    answer = milvus_pb2.DescribeCollectionResponse(
        schema=schema_pb2.CollectionSchema(name="c1", description="a descr"),
        collectionID=470641144325735071,
        virtual_channel_names=["dml_0v0", "dml_1v1"],
        physical_channel_names=["dml_0", "dml_1"],
        created_timestamp=470641177863913476,
        shards_num=2,
        consistency_level=common_pb2.Session,
        collection_name="an_alias",
        properties=pairs(**{"collection.ttl.seconds": "86400"}),
        aliases=["b", "an_alias"],
        db_name="shop",
        num_partitions=1,
    )
    found = mapping.description(CollectionName("shop", "an_alias"), answer)
    assert found.name == C1
    assert found.collection_id == 470641144325735071
    assert (found.shards, found.consistency_level, found.partition_count) == (2, 1, 1)
    assert found.properties == (KeyValue(key="collection.ttl.seconds", value="86400"),)
    assert found.aliases == ("an_alias", "b")
    assert found.virtual_channels == ("dml_0v0", "dml_1v1")
    assert found.schema.description == "a descr"


def test_partitions_come_in_the_order_of_creation() -> None:
    answer = milvus_pb2.ShowPartitionsResponse(
        partition_names=["p2", "_default", "p1"], partitionIDs=[30, 10, 20]
    )
    expected = [Partition(10, "_default"), Partition(20, "p1"), Partition(30, "p2")]
    assert mapping.partitions(answer) == expected


def test_indexes_have_type_and_metric_among_their_parameters() -> None:
    vector = milvus_pb2.IndexDescription(
        index_name="vidx",
        indexID=470638483125331029,
        params=pairs(M="16", efConstruction="100", index_type="HNSW", metric_type="COSINE"),
        field_name="v",
    )
    scalar = milvus_pb2.IndexDescription(
        index_name="sidx", indexID=470638483125331032, field_name="f_int64"
    )
    found = mapping.indexes(milvus_pb2.DescribeIndexResponse(index_descriptions=[scalar, vector]))
    # As in the Go tool's metadata.
    assert [index.to_json() for index in found] == [
        {
            "field_name": "v",
            "index_name": "vidx",
            "index_type": "HNSW",
            "params": {
                "M": "16",
                "efConstruction": "100",
                "index_type": "HNSW",
                "metric_type": "COSINE",
            },
            "index_id": 470638483125331029,
        },
        {"field_name": "f_int64", "index_name": "sidx", "index_id": 470638483125331032},
    ]


@pytest.mark.parametrize(
    ("index", "sent"),
    [
        (
            IndexInfo(
                index_type="HNSW", params={"metric_type": "L2", "M": "8", "index_type": "HNSW"}
            ),
            [("M", "8"), ("index_type", "HNSW"), ("metric_type", "L2")],
        ),
        (IndexInfo(index_type="Trie"), [("index_type", "Trie")]),
        (IndexInfo(params={"index_type": ""}), []),
        (IndexInfo(), []),
    ],
    ids=["vector", "type only", "empty type of an old release", "default of a scalar field"],
)
def test_indexes_are_made_with_their_parameters(
    index: IndexInfo, sent: list[tuple[str, str]]
) -> None:
    assert [(pair.key, pair.value) for pair in mapping.index_params(index)] == sent


@pytest.mark.parametrize(
    ("progress", "state"),
    [(0, "NotLoad"), (1, "Loading"), (99, "Loading"), (100, "Loaded")],
)
def test_load_states(progress: int, state: str) -> None:
    assert mapping.load_state(progress) == state


def test_segments_are_those_written_or_being_written() -> None:
    states = ("Growing", "Sealed", "Flushing", "Flushed", "Dropped", "Importing")
    infos = [
        milvus_pb2.PersistentSegmentInfo(
            segmentID=number,
            partitionID=7,
            num_rows=number,
            state=common_pb2.SegmentState.Value(state),
        )
        for number, state in enumerate(states)
    ]
    infos.append(
        milvus_pb2.PersistentSegmentInfo(
            segmentID=9,
            partitionID=-1,
            state=common_pb2.Flushed,
            level=common_pb2.SegmentLevel.L0,
            storage_version=2,
            insert_channel="dml_0v0",
        )
    )
    assert mapping.segments(milvus_pb2.GetPersistentSegmentInfoResponse(infos=infos)) == [
        SegmentInfo(1, 7, 1, flushed=False),
        SegmentInfo(2, 7, 2, flushed=False),
        SegmentInfo(3, 7, 3),
        SegmentInfo(9, -1, 0, SegmentLevel.L0, 2, "dml_0v0"),
    ]


def test_a_flush_holds_what_it_sealed_and_what_was_flushed_before() -> None:
    answer = milvus_pb2.FlushResponse(
        coll_segIDs={"c1": schema_pb2.LongArray(data=[3, 4]), "c2": schema_pb2.LongArray()},
        flush_coll_segIDs={"c1": schema_pb2.LongArray(data=[1, 2])},
        coll_seal_times={"c1": 1795353714, "c2": 1795353714},
        coll_flush_ts={"c1": MOMENT, "c2": MOMENT + 1},
    )
    assert mapping.flushes(["c1", "c2"], answer) == {
        "c1": Flush(MOMENT, frozenset({1, 2, 3, 4}), frozenset({3, 4}), 1795353714),
        "c2": Flush(MOMENT + 1, frozenset(), frozenset(), 1795353714),
    }


def test_a_flush_without_a_moment_is_none() -> None:
    answer = milvus_pb2.FlushResponse(coll_segIDs={"c1": schema_pb2.LongArray(data=[3])})
    assert mapping.flushes(["c1"], answer) == {}


def test_channel_checkpoints_are_those_of_the_go_tool() -> None:
    # From a backup that its release 0.5.16 made of Milvus 2.5.27.
    channel = "by-dev-rootcoord-dml_4_470639445398158117v0"
    checkpoint = (
        "CitieS1kZXYtcm9vdGNvb3JkLWRtbF80XzQ3MDYzOTQ0NTM5ODE1ODExN3YwEghXAzjlGgyIBhosYnktZGV2LXJvb3Rj"
        "b29yZC1kbWxfNC0xLTE3OTUzNDcxMDI4MTYwMTAyNzcggoCg79KEg8QG"
    )
    answer = milvus_pb2.FlushResponse()
    answer.coll_flush_ts["c1"] = MOMENT
    answer.channel_cps[channel].ParseFromString(base64.b64decode(checkpoint))
    assert answer.channel_cps[channel].channel_name == channel
    (flush,) = mapping.flushes(["c1"], answer).values()
    assert flush.channel_checkpoints == {channel: checkpoint}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (ImportOptions(), {"backup": "true", "skip_disk_quota_check": "true"}),
        (
            ImportOptions(moment=MOMENT),
            {"backup": "true", "skip_disk_quota_check": "true", "end_ts": "1795353713238"},
        ),
        (
            ImportOptions(moment=MOMENT, storage_version=2, hybrid_end_ts=True),
            {
                "backup": "true",
                "skip_disk_quota_check": "true",
                "end_ts": "470641203803062275",
                "storage_version": "2",
            },
        ),
        (
            ImportOptions(l0=True),
            {"l0_import": "true", "skip_disk_quota_check": "true"},
        ),
    ],
)
def test_import_options(options: ImportOptions, sent: dict[str, str]) -> None:
    assert imports.import_options(options) == sent


@pytest.mark.parametrize(
    ("source", "files"),
    [
        (
            ImportSource("a/insert_log/1/2/", "a/delta_log/1/2/"),
            ["a/insert_log/1/2/", "a/delta_log/1/2/"],
        ),
        (ImportSource("a/insert_log/1/2/"), ["a/insert_log/1/2/", ""]),
    ],
)
def test_an_import_has_two_directories(source: ImportSource, files: list[str]) -> None:
    request = imports.import_request(C1, "p1", [source], ImportOptions())
    assert list(request.files) == files
    assert (request.db_name, request.collection_name) == ("shop", "c1")
    assert request.partition_name == "p1"


def test_an_import_takes_one_source() -> None:
    sources = [ImportSource("a/"), ImportSource("b/")]
    with pytest.raises(ValueError, match="too many values"):
        imports.import_request(C1, "p1", sources, ImportOptions())


def test_an_import_job_as_milvus_tells_it() -> None:
    answer = milvus_pb2.GetImportStateResponse(
        state=common_pb2.ImportCompleted,
        row_count=1495,
        infos=pairs(
            files="st/insert_log/1/1/,st/delta_log/1/1/",
            collection="c1",
            partition="_default",
            failed_reason="",
            progress_percent="100",
            persist_cost="0.26",
        ),
        id=470641144326135708,
        collection_id=470641144326135705,
    )
    assert imports.import_job("470641144326135708", answer) == ImportJob(
        job_id="470641144326135708",
        state=ImportState.COMPLETED,
        rows=1495,
        progress=100,
        files=("st/insert_log/1/1/", "st/delta_log/1/1/"),
        collection_id=470641144326135705,
        partition="_default",
    )


@pytest.mark.parametrize(
    ("state", "meant"),
    [
        ("ImportPending", ImportState.PENDING),
        ("ImportStarted", ImportState.RUNNING),
        ("ImportPersisted", ImportState.RUNNING),
        ("ImportFlushed", ImportState.RUNNING),
        ("ImportCompleted", ImportState.COMPLETED),
        ("ImportFailed", ImportState.FAILED),
        ("ImportFailedAndCleaned", ImportState.FAILED),
    ],
)
def test_import_states(state: str, meant: ImportState) -> None:
    answer = milvus_pb2.GetImportStateResponse(state=common_pb2.ImportState.Value(state))
    assert imports.import_job("1", answer).state is meant


def test_a_failed_import_has_its_reason() -> None:
    answer = milvus_pb2.GetImportStateResponse(
        state=common_pb2.ImportFailed,
        infos=pairs(files="a/,", failed_reason="the field 102 has no binlog file"),
    )
    found = imports.import_job("1", answer)
    assert (found.reason, found.files) == ("the field 102 has no binlog file", ("a/",))


def test_an_unknown_job_is_not_pending() -> None:
    answer = milvus_pb2.GetImportStateResponse(
        status=common_pb2.Status(
            error_code=common_pb2.UnexpectedError,
            reason="key not found[key=by-dev/meta/importtask/123]",
            code=1000,
        )
    )
    assert answer.state == common_pb2.ImportPending
    assert imports.import_job("123", answer) == ImportJob("123", ImportState.UNKNOWN)
