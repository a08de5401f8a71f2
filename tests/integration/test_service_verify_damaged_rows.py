"""Level RESTORED where logs hold what no row can have, or a collection cannot be compared."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from milvus_backup.v1 import verification_pb2
from milvus_backup_server.api.mapping_verifications import problem_message
from milvus_backup_server.domain.binlogs import UNFIT, Key, RowBatch, SegmentLogs
from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupError,
    MilvusRefused,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.operations import CollectionState, Operation, OperationState
from milvus_backup_server.domain.records import CollectionSchema
from milvus_backup_server.domain.verification import Problem, ProblemKind, RowDifference
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_binlogs import FakeBinlogReader
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.service import World, running, succeeded
from tests.support.verifications import (
    RESTORED,
    C,
    collection_id,
    left,
    result_of,
    staged_world,
)

VALUES: Mapping[str, object] = {
    "undecodable": UNFIT,
    "null": None,
    "text": "1",
    "nested too deep": [[[]]],
    "beyond a float": [1e300, "x"],
    "too many dimensions": [0.5] * 9,
    "none at all": [],
}


class OddReader(FakeBinlogReader):
    """Reads vectors of some rows of `c` as something else, or fails when it reads `c`."""

    def __init__(
        self, odd: Mapping[Key, object] | None = None, error: BackupError | None = None
    ) -> None:
        self._odd = odd or {}
        self._error = error
        self.read = 0

    async def rows(
        self,
        store: ObjectStore,
        logs: SegmentLogs,
        schema: CollectionSchema,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[RowBatch, None]:
        async with aclosing(super().rows(store, logs, schema, fields=fields)) as batches:
            async for batch in batches:
                yield self._altered(batch) if schema.name == "c" else batch

    def _altered(self, batch: RowBatch) -> RowBatch:
        self.read += 1
        if self._error is not None:
            raise self._error
        vectors = [
            self._odd.get(key, value)
            for key, value in zip(batch.keys, batch.columns["v"], strict=True)
        ]
        return replace(batch, columns={**batch.columns, "v": vectors})


async def read_by(reader: OddReader, world: World) -> Operation:
    async with running(world, binlogs=lambda: reader) as service:
        last = await service.verify(level=RESTORED)
    assert reader.read
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.reason == "BACKUP_CORRUPT"
    states = {str(it.source): it.state for it in last.collections}
    assert states == {"default.c": CollectionState.FAILED, "shop.d": CollectionState.SUCCEEDED}
    assert result_of(last).counts.restored_collections >= 1
    return last


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_a_value_that_does_not_fit_its_field_is_found_with_field_and_key(
    value: object,
) -> None:
    world = await staged_world()
    before = await world.traces()
    last = await read_by(OddReader({2: value, 50: value}), world)
    result = result_of(last)
    number = await collection_id(world, C)
    partitions = world.milvus.collection(C).partitions
    assert result.problems == tuple(
        Problem(
            f"binlogs/insert_log/{number}/{partition.partition_id}/",
            ProblemKind.UNREADABLE,
            f"partition '{partition.name}' of default.c has 1 row in its logs with values that do "
            "not fit: of v; it is restored to other rows than its logs hold: 1 different",
            C,
            RowDifference(
                partition=partition.name,
                different=1,
                different_keys=(key,),
                unfit=1,
                unfit_keys=(key,),
                unfit_fields=("v",),
            ),
        )
        for partition, key in zip(partitions, ("2", "50"), strict=True)
    )
    assert problem_message(result.problems[0]).rows == verification_pb2.RowDifference(
        partition="_default",
        different_count=1,
        different_keys=["2"],
        unfit_count=1,
        unfit_keys=["2"],
        unfit_fields=["v"],
    )
    assert result.counts.compared_rows == 10
    assert await left(world, before) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BackupCorrupt("the log {key} cannot be read: it is cut off"), ProblemKind.UNREADABLE),
        (ObjectNotFound("{key} does not exist"), ProblemKind.MISSING),
        (ObjectChanged("{key} was overwritten"), ProblemKind.ETAG),
    ],
    ids=lambda it: type(it).__name__,
)
async def test_a_log_that_cannot_be_read_is_found_and_the_others_are_compared(
    error: BackupError, kind: ProblemKind
) -> None:
    world = await staged_world()
    before = await world.traces()
    error.metadata["key"] = "backup/b/binlogs/insert_log/1/2/3/0/4"
    last = await read_by(OddReader(error=error), world)
    assert result_of(last).problems == (
        Problem("binlogs/insert_log/1/2/3/0/4", kind, f"of default.c: {error.message}", C),
    )
    assert await left(world, before) == []


@pytest.mark.parametrize("method", ["load_collection", "count_rows", "query_rows"])
async def test_what_cannot_be_compared_is_dropped_before_the_next_is_built(method: str) -> None:
    world = await staged_world()
    before = await world.traces()
    refused = MilvusRefused("Milvus refused it: insufficient memory", call=method)
    refusing = Meanwhile(GATEWAY, method, failing(refused))
    async with running(world, refusing.decorators) as service:
        last = await service.verify(level=RESTORED)
        again = await service.verify(level=RESTORED)
    assert refusing.fired == 1
    assert last.error is not None
    assert last.error.reason == "MILVUS_REFUSED"
    states = {str(it.source): it.state for it in last.collections}
    assert states == {"default.c": CollectionState.FAILED, "shop.d": CollectionState.SUCCEEDED}
    made = [
        call for _, call, _ in refusing.calls if call in ("create_collection", "drop_collection")
    ]
    assert made == ["create_collection", "drop_collection"] * 4
    assert await left(world, before) == []
    succeeded(again)
