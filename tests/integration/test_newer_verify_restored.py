"""Backups of real servers, verified by restoring them into simulated ones: every type of value, every row."""

import struct
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.verification import ProblemKind, RowDifference
from tests.support.decoded_rows import expected_rows
from tests.support.fixtures import metadata, put_backup
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.newer import Newer, newer
from tests.support.service import succeeded
from tests.support.simulator.handmade import Column, made, put_rows, schema_of
from tests.support.verifications import RESTORED, result_of

GEOMETRY = "of default.geom not compared, as Milvus does not give them back: g"


def row_counts(archive: str, chosen: Sequence[str]) -> list[int]:
    """Return the rows that the chosen collections must have, by the files that tell them."""
    found = metadata(archive)["collection_backups"]
    records = [CollectionBackupInfo.from_json(item) for item in found]
    return [
        len(expected_rows(archive, record))
        for record in records
        if not chosen or f"{record.db_name}.{record.collection_name}" in chosen
    ]


@pytest.mark.parametrize(
    ("version", "archive", "chosen", "left_out"),
    [
        ("2.4.23", "fx_go_0_5_16", ("default.all_types", "default.bin_vec", "shop.orders"), []),
        ("2.5.27", "fx_go_0_4_3_groups", (), []),
        ("2.5.27", "fx_mv_2_5_27", ("default.vecs", "default.del_parts"), []),
        ("2.6.18", "fx_mv_2_6_18", (), []),
        ("2.6.18", "fx_mv_2_6_18_types", (), [GEOMETRY]),
    ],
)
async def test_a_backup_restores_to_its_rows(
    version: str, archive: str, chosen: tuple[str, ...], left_out: list[str]
) -> None:
    async with newer(version) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        operation = await it.service.verify(level=RESTORED, collections=chosen)
        result = result_of(succeeded(operation))
        assert [name for names in it.milvus.databases.values() for name in names] == []
    counts = row_counts(archive, chosen)
    assert sum(counts) > 0
    assert result.counts.restored_collections == len(counts)
    assert result.counts.compared_rows == sum(counts)
    assert [note for note in result.notes if "not compared" in note] == left_out


async def alter(it: Newer) -> None:
    """Change each field of one row of `vecs`, one after another, in rows of their own."""
    (name,) = it.milvus.databases["default"]
    found = it.milvus.collection("default", name)
    for number, field in enumerate(["sparse", "f16", "bf16", "bin"]):
        row = found.stored[number]
        row.row = {**row.row, field: found.stored[number + 10].row[field]}


async def test_a_vector_of_any_kind_that_is_another_is_found() -> None:
    meddling: list[Newer] = []

    async def meddle() -> None:
        await alter(meddling[0])

    meanwhile = Meanwhile(GATEWAY, "query_rows", meddle)
    async with newer("2.6.18", around=meanwhile.decorators.gateway) as it:
        meddling.append(it)
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        last = await it.service.verify(level=RESTORED, collections=("vecs",))
    assert last.state is OperationState.FAILED
    (problem,) = result_of(last).problems
    assert problem.collection == CollectionName("default", "vecs")
    assert isinstance(problem.rows, RowDifference)
    assert (problem.rows.missing, problem.rows.extra, problem.rows.different) == (0, 0, 4)


INT64, VARCHAR, JSON, FLOAT_VECTOR = 5, 21, 23, 101
COLUMNS: Mapping[str, Column] = {
    "id": (pa.int64(), [1, 2, 3]),
    "text": (pa.string(), ["a", None, "c"]),
    "json": (pa.binary(), [b"{}", b"[1]", b'{"a":']),
    "v": (pa.binary(), [struct.pack("<2f", 1, at) for at in range(3)]),
}


async def test_logs_with_values_that_no_row_can_have_are_damage() -> None:
    schema = schema_of(
        "odd",
        {"name": "id", "is_primary_key": True, "data_type": INT64},
        {"name": "text", "data_type": VARCHAR, "type_params": {"max_length": "64"}},
        {"name": "json", "data_type": JSON},
        {"name": "v", "data_type": FLOAT_VECTOR, "type_params": {"dim": "2"}},
    )
    async with newer("2.6.18") as it:
        await put_rows(it.milvus, made(it.milvus, schema), COLUMNS)
        await it.service.create("b")
        last = await it.service.verify(level=RESTORED)
        assert list(it.milvus.databases["default"]) == ["odd"]
    assert last.error is not None
    assert last.error.reason == "BACKUP_CORRUPT"
    (problem,) = result_of(last).problems
    assert (problem.kind, problem.collection) == (
        ProblemKind.UNREADABLE,
        CollectionName("default", "odd"),
    )
    # Milvus gives an empty text for the null; what it gives for the broken JSON is as broken.
    assert problem.rows == RowDifference(
        partition="_default",
        different=1,
        different_keys=("2",),
        unfit=2,
        unfit_keys=("2", "3"),
        unfit_fields=("json", "text"),
    )
