"""Backups of Milvus 2.4 to 2.6, simulated: its metadata beside the Go tool's, and what it restores."""

from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.capabilities import capabilities_of
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.service.snapshot import Snapshots
from tests.support.decoded_rows import expected_rows
from tests.support.fixtures import metadata
from tests.support.newer import newer
from tests.support.rows import assert_same_rows
from tests.support.service import LIMITS
from tests.support.simulator import adopt
from tests.support.simulator.handmade import assert_alike

SOURCES = [
    ("2.4.2", "fx_go_0_5_16"),  # before databases told more than their names
    ("2.5.27", "fx_mv_2_5_27"),
    ("2.6.18", "fx_mv_2_6_18"),
    ("2.6.18", "fx_mv_2_6_18_types"),
]
OUR_KEY = "milvus_backup_service"
OF_A_FLUSH = {"backup_timestamp", "backup_physical_timestamp", "channel_checkpoints"}
DIFFERENT = {"id", *OF_A_FLUSH}
"""What each backup has of its own: its id and its flush."""


@pytest.mark.parametrize(("version", "archive"), SOURCES)
async def test_the_metadata_is_the_go_tools(version: str, archive: str) -> None:
    async with newer(version) as it:
        await adopt(it.milvus, archive)
        await it.service.create("b")
        found = await it.full_meta("b")
    ours = {item["collection_name"]: item for item in found["collection_backups"]}
    theirs = {item["collection_name"]: item for item in metadata(archive)["collection_backups"]}
    assert ours.keys() == theirs.keys()
    for name, record in theirs.items():
        # The Go tool's backup of 2.3 has no checkpoints, as 2.3 tells none.
        assert {*record} | (OF_A_FLUSH if version == "2.4.2" else set()) == {*ours[name]}, name
        assert comparable(ours[name]) == comparable(record), name
    assert {*found} - {OUR_KEY} == {*metadata(archive)} - {"rpc_channel_info"}
    assert found["database_backups"] == metadata(archive)["database_backups"]
    assert (found["size"], found["milvus_version"]) == (metadata(archive)["size"], version)


def comparable(value: Any, key: str = "") -> Any:
    """Return a value with lists in a fixed order, without what each backup has of its own."""
    if isinstance(value, dict):
        return {name: comparable(it, name) for name, it in value.items() if name not in DIFFERENT}
    if key == "log_path":
        return value.partition("/")[2]  # below Milvus's root, which the settings name
    if isinstance(value, list) and key != "fields":
        return sorted((comparable(it) for it in value), key=repr)
    return value


@pytest.mark.parametrize(("version", "archive"), SOURCES[1:])
async def test_a_backup_restores_to_its_rows_and_its_schema(version: str, archive: str) -> None:
    async with newer(version) as it:
        records = await adopt(it.milvus, archive)
        operation = await it.service.create("b")
        assert operation.warnings == ()
        restored = await it.service.restore("b", suffix="_again", restore_indexes=True)
        assert restored.warnings == ()
        for record in records:
            there = it.milvus.databases[record.db_name]
            made = there[f"{record.collection_name}_again"]
            assert_same_rows(expected_rows(archive, record), made.rows())
            assert_alike(there[record.collection_name], made)


async def test_2_4_with_l0_segments_is_backed_up_and_restored_into_2_4() -> None:
    names = ("deletes", "del_parts", "vecs")  # what 2.4 can hold of them
    async with newer("2.4.23") as it:
        records = await adopt(it.milvus, "fx_mv_2_5_27")
        assert (await it.service.create("b", *names)).warnings == ()
        restored = await it.service.restore("b", suffix="_again", restore_indexes=True)
        assert restored.warnings == ()
        there = it.milvus.databases["default"]
        for record in records:
            if record.collection_name in names:
                made = there[f"{record.collection_name}_again"]
                assert_same_rows(expected_rows("fx_mv_2_5_27", record), made.rows())
                assert_alike(there[record.collection_name], made)
        found = await it.full_meta("b")
        assert found["milvus_version"] == "2.4.23"
        jobs = it.simulator.jobs.jobs.values()
        # Two of all partitions, one of a single one, each in a job of its own.
        l0 = [(len(job.files), job.partition_id == -1) for job in jobs if job.l0]
        assert sorted(l0) == [(1, False), (1, True), (1, True)]
        assert "/v2/vectordb/jobs/import/create" in it.simulator.rest.calls


async def test_segments_that_were_replaced_since_the_flush_make_another_one() -> None:
    async with newer("2.5.27") as it:
        records = await adopt(it.milvus, "fx_mv_2_5_27")
        collection = it.milvus.databases["default"]["deletes"]
        gone = next(item for item in collection.segments if not item.l0)
        it.milvus.replace_after_flush = (collection, gone)
        await it.service.create("b", "deletes")
        assert it.milvus.flushes == 2
        found = await it.full_meta("b")
        segments = {
            segment["segment_id"]
            for partition in found["collection_backups"][0]["partition_backups"]
            for segment in partition.get("segment_backups", [])
        }
        record = next(item for item in records if item.collection_name == "deletes")
        assert segments == data_segments(record) - {gone.segment_id}


async def test_checkpoints_are_those_of_the_one_collection_that_was_flushed() -> None:
    """Of several Milvus tells those of the last one, and not whose they are."""
    async with newer("2.5.27") as it:
        await adopt(it.milvus, "fx_mv_2_5_27")
        gateway = GrpcMilvusGateway(MilvusSettings(host="127.0.0.1", port=it.simulator.port))
        names = await gateway.list_collections("default")
        snapshots = Snapshots(gateway, capabilities_of(MilvusVersion(2, 5, 27)), LIMITS)
        together = await snapshots.flush(names)
        alone = await snapshots.flush(names[:1])
        described = await snapshots.describe(names[0], alone[names[0]])
        await gateway.close()
    assert len(names) > 1
    assert [flush.channel_checkpoints for flush in together.values()] == [{}] * len(names)
    channels = {*described.description.virtual_channels}
    assert {*described.flush.channel_checkpoints} == channels
    assert {*described.flush.channel_timestamps} == channels


def data_segments(record: CollectionBackupInfo) -> set[int]:
    return {it.segment_id for part in record.partition_backups for it in part.segment_backups}


async def test_logs_that_are_no_part_of_their_segment_stay_out() -> None:
    async with newer("2.5.27") as it:
        records = await adopt(it.milvus, "fx_mv_2_5_27")
        record = next(item for item in records if item.collection_name == "deletes")
        segment = record.partition_backups[0].segment_backups[0]
        inner = f"{record.collection_id}/{segment.partition_id}/{segment.segment_id}"
        await it.milvus.store.put(f"files/insert_log/{inner}/100/7", b"left over")
        await it.service.create("b", "deletes")
        keys = await it.service.world.backups()
        assert len([key for key in keys if f"/{segment.segment_id}/100/" in key]) == 1


async def test_without_rest_the_listing_tells_the_logs() -> None:
    async with newer("2.5.27") as it:
        records = await adopt(it.milvus, "fx_mv_2_5_27")
        it.simulator.rest.down = True
        await it.service.create("b", "deletes")
        await it.service.restore("b", suffix="_again")
        record = next(item for item in records if item.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_5_27", record), it.rows("deletes_again"))


async def test_segments_of_a_storage_version_that_is_not_known_are_not_backed_up() -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, "fx_mv_2_6_18")
        segment = it.milvus.databases["default"]["vecs"].segments[0]
        segment.storage_version = 3
        error = await it.service.error(await it.service.start_create("b", "vecs"))
        assert error.reason == "MILVUS_VERSION_UNSUPPORTED"
        assert (
            f"segment {segment.segment_id} of default.vecs is of storage version 3" in error.message
        )
        assert "useLoonFFI" in error.message


async def test_a_flush_that_comes_too_soon_is_made_later() -> None:
    async with newer("2.5.27") as it:
        await adopt(it.milvus, "fx_mv_2_5_27")
        it.milvus.flushes_too_soon = 12  # more than one call is repeated
        operation = await it.service.create("b", "vecs")
        assert (it.milvus.flushes_too_soon, it.milvus.flushes) == (0, 1)
        assert operation.warnings == ()


async def test_flushes_that_always_come_too_soon_end_the_create() -> None:
    async with newer("2.5.27", limits=replace(LIMITS, flush_seconds=0.05)) as it:
        await adopt(it.milvus, "fx_mv_2_5_27")
        it.milvus.flushes_too_soon = 1_000_000
        last = await it.service.end(await it.service.start_create("b", "vecs"))
        assert last.error is not None
        assert "rate limit exceeded" in last.error.message
