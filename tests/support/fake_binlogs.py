"""Rows of a `FakeMilvus`: what its objects hold, and what it answers to queries.

Its rows are primary keys; the values of other fields follow from them.
"""

import zlib
from collections.abc import AsyncGenerator, Collection, Sequence

from milvus_backup_server.domain.binlogs import Delete, Key, RowBatch, SegmentLogs
from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus_state import ROW_ID_FIELD, Stamped, read_stamped

_FLOAT_VECTOR = 101


def fake_rows(
    schema: CollectionSchema,
    fields: Sequence[str],
    keys: Sequence[Key],
    altered: Collection[Key] = (),
) -> RowBatch:
    """Return rows with the values that belong to their keys, but for those that were altered."""
    named = {field.name: field for field in schema.fields}
    columns = {name: [_value(named[name], key, key in altered) for key in keys] for name in fields}
    return RowBatch([0] * len(keys), list(keys), columns)


def _value(field: FieldSchema, key: Key, altered: bool) -> object:
    if field.is_primary_key:
        return key
    number = zlib.crc32(f"{field.name} {key}".encode()) % 1000 + altered
    if field.data_type == _FLOAT_VECTOR:
        dim = next(int(pair.value) for pair in field.type_params if pair.key == "dim")
        return [float(number + at) for at in range(dim)]
    return number


class FakeBinlogReader:
    """`ports.binlogs.BinlogReader` of the objects of a `FakeMilvus`."""

    async def rows(
        self,
        store: ObjectStore,
        logs: SegmentLogs,
        schema: CollectionSchema,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[RowBatch, None]:
        names = [field.name for field in schema.fields] if fields is None else fields
        for log in logs.columns[ROW_ID_FIELD]:
            stamped = await _read(store, log, "rows")
            batch = fake_rows(schema, names, [key for key, _ in stamped])
            yield RowBatch([stamp for _, stamp in stamped], batch.keys, batch.columns)

    async def deletes(
        self, store: ObjectStore, keys: Sequence[str]
    ) -> AsyncGenerator[Sequence[Delete], None]:
        for log in keys:
            yield [Delete(key, stamp) for key, stamp in await _read(store, log, "deletes")]


async def _read(store: ObjectStore, key: str, name: str) -> list[Stamped]:
    found = read_stamped(await store.get(key), name)
    if found is None:
        raise BackupCorrupt(f"the log {key} cannot be read", key=key)
    return found
