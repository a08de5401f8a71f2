"""The rows of every backup of the Go tool, decoded from its logs."""

from contextlib import aclosing

import pytest

from milvus_backup_server.adapters.binlog import ArrowBinlogReader
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.service.rows import BackupRows
from tests.support.decoded_rows import expected_rows, with_hex
from tests.support.fixtures import OF_NEWER_MILVUS, WITH_DATA, metadata, put_backup
from tests.support.rows import Key, Row, Rows, assert_same_rows


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
