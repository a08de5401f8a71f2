"""The rows of every backup of the Go tool, decoded from its logs."""

from collections import Counter
from contextlib import aclosing

import pytest

from milvus_backup_server.adapters.binlog import ArrowBinlogReader
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.service.rows import BackupRows
from tests.support.decoded_rows import expected_rows, with_hex
from tests.support.fixtures import OF_NEWER_MILVUS, WITH_DATA, metadata, put_backup
from tests.support.recorded_requests import RecordingStore, Requests
from tests.support.rows import Key, Row, Rows, assert_same_rows
from tests.support.stores import OtherEtags


def records(archive: str) -> list[CollectionBackupInfo]:
    found = metadata(archive)["collection_backups"]
    return [CollectionBackupInfo.from_json(item, "full_meta.json") for item in found]


@pytest.mark.parametrize("archive", WITH_DATA)
async def test_every_backup_gives_its_rows(archive: str) -> None:
    store = MemoryServer().store("bucket")
    await put_backup(store, "backup", archive)
    rows = BackupRows(reader=ArrowBinlogReader(), store=store, directory=f"backup/{archive}/")
    for record in records(archive):
        expected = expected_rows(archive, record)
        found = await _all(rows, record)
        assert_same_rows(expected, found if archive in OF_NEWER_MILVUS else _hex(found))


@pytest.mark.parametrize("archive", ["fx_go_0_5_16", "fx_mv_2_6_18"])
async def test_logs_that_are_damaged_on_their_way_are_read_again(archive: str) -> None:
    server = MemoryServer()
    await put_backup(server.store("bucket"), "backup", archive)
    requests = Requests()
    store = RecordingStore(server.store("bucket"), requests)
    rows = BackupRows(reader=ArrowBinlogReader(), store=store, directory=f"backup/{archive}/")
    (record, *_) = records(archive)
    expected = await _all(rows, record)
    read = set(requests.of("get"))
    for key in read:
        requests.damage(key, 2)
    assert await _all(rows, record) == expected
    assert requests.damaged == 2 * len(read)


async def test_where_etags_are_no_hashes_one_log_of_a_segment_is_read_twice() -> None:
    server = MemoryServer()
    await put_backup(server.store("bucket"), "backup", "fx_go_0_5_16")
    (record, *_) = records("fx_go_0_5_16")
    readings: list[Counter[str]] = []
    found: list[Rows] = []
    for around in (lambda inner: inner, OtherEtags):
        requests = Requests()
        store = around(RecordingStore(server.store("bucket"), requests))
        rows = BackupRows(reader=ArrowBinlogReader(), store=store, directory="backup/fx_go_0_5_16/")
        found.append(await _all(rows, record))
        readings.append(Counter(requests.of("get")))
    assert found[0] == found[1]
    again = readings[1] - readings[0]
    assert set(again.values()) == {1}
    segments = {key.rsplit("/", 2)[0] for key in again}
    assert len(segments) == len(again) == len({key.rsplit("/", 2)[0] for key in readings[0]})


def _hex(rows: Rows) -> Rows:
    return {key: with_hex(row) for key, row in rows.items()}


async def _all(rows: BackupRows, record: CollectionBackupInfo) -> Rows:
    found: list[tuple[Key, Row]] = []
    async with aclosing(rows.of_collection(record)) as batches:
        async for batch in batches:
            found += zip(batch.keys, batch.rows(), strict=True)
    by_key = dict(found)
    assert len(by_key) == len(found)
    return by_key
