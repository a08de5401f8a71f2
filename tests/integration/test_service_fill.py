"""Rows of a backup go into collections that exist."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotRestorable,
    CollectionNotFound,
    MilvusRefused,
)
from milvus_backup_server.domain.operations import OperationState, RestorePlan
from milvus_backup_server.domain.restore_options import LoadMode, RestoreOptions
from milvus_backup_server.domain.targets import TargetAction
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.gateways import FailingGateway, HookedGateway
from tests.support.running_service import Decorators
from tests.support.service import (
    INDEX,
    KEYED,
    SCHEMA,
    VECTOR,
    Service,
    World,
    add_collection,
    flushed,
    named,
    running,
)

ONE, TWIN = named("one"), named("twin")
ROWS = [*range(5), *range(10, 13)]
OTHER = replace(INDEX, index_name="other")


async def backed_up(service: Service) -> None:
    """Back up `one`, with an index and partition `p`, and make `twin` of the same fields with a row."""
    milvus = service.world.milvus
    await add_collection(milvus, "one", range(5), partitions=["p"])
    milvus.insert(ONE, range(10, 13), "p")
    await milvus.create_index(ONE, INDEX)
    await flushed(milvus, ONE)
    await service.create()
    await add_collection(milvus, "twin", [900])


def fill(*, indexes: bool = False, **fields: Any) -> dict[str, Any]:
    return {
        "renames": {"one": "twin"},
        "restore_indexes": indexes,
        "options": RestoreOptions(skip_create_collections=True, **fields),
    }


async def test_rows_are_imported_beside_those_that_are_there() -> None:
    world = World(backup_bucket="b-bucket")
    async with running(world) as service:
        await backed_up(service)
        twin, before = world.milvus.collection(TWIN).collection_id, world.collections()
        planned = await service.start_restore(**fill(), validate_only=True)
        operation = await service.restore(**fill())
    assert isinstance(planned.result, RestorePlan)
    assert [it.action for it in planned.result.collections] == [TargetAction.FILL]
    assert planned.result.dropped == ()
    (note,) = planned.result.notes
    assert "what was imported before a cancel or a failure stays in them" in note
    assert operation.warnings == ()
    assert world.milvus.keys(TWIN) == [*ROWS, 900]
    assert world.milvus.collection(TWIN).collection_id == twin
    assert [it.name for it in world.milvus.collection(TWIN).partitions] == ["_default", "p"]
    assert world.milvus.collection(TWIN).indexes == []
    assert world.collections() == before


@pytest.mark.parametrize(
    ("drop", "indexes", "expected"),
    [(False, False, ["other"]), (True, False, []), (True, True, ["by_v"])],
)
async def test_indexes_of_the_one_that_is_there(
    *, drop: bool, indexes: bool, expected: list[str]
) -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        await world.milvus.create_index(TWIN, OTHER)
        await service.restore(**fill(indexes=indexes, drop_existing_indexes=drop))
    assert [it.index_name for it in world.milvus.collection(TWIN).indexes] == expected
    assert world.milvus.keys(TWIN) == [*ROWS, 900]


async def test_it_is_loaded_with_the_indexes_that_it_has() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        await world.milvus.create_index(TWIN, OTHER)
        await service.restore(**fill(load=LoadMode.ALL))
    assert world.milvus.collection(TWIN).load_state == "Loaded"


async def refused(service: Service, **fields: Any) -> BackupError:
    before = await service.world.traces()
    with pytest.raises(BackupError) as caught:
        await service.start_restore(**fields)
    assert await service.world.traces() == before
    return caught.value


async def test_everything_that_does_not_fit_is_told_before() -> None:
    world = World()
    wider = replace(VECTOR, type_params=(replace(VECTOR.type_params[0], value="16"),))
    async with running(world) as service:
        await backed_up(service)
        await world.milvus.drop_collection(TWIN)
        schema = replace(SCHEMA, fields=(SCHEMA.fields[0], wider), enable_dynamic_field=True)
        await add_collection(world.milvus, "twin", schema=schema)
        await world.milvus.create_index(TWIN, OTHER)
        world.milvus.load(TWIN)
        error = await refused(service, **fill(indexes=True))
    assert {(it.field, it.reason, it.subject) for it in error.obstacles} == {
        ("renames['one']", "TARGET_UNFIT", "default.twin")
    }
    assert [
        it.description.removeprefix("default.twin cannot be filled: ") for it in error.obstacles
    ] == [
        "it has a dynamic field",
        "its field 'v' has dim 16, not 8",
        "its field 'v' has another index, 'other'; drop_existing_indexes removes it",
        "it is loaded, and Milvus imports into released collections only",
    ]


async def test_partitions_of_a_key_must_be_as_many() -> None:
    world = World()
    async with running(world) as service:
        await add_collection(world.milvus, "keyed", range(4), schema=KEYED)
        await service.create()
        await world.milvus.create_collection(
            TWIN, KEYED, shards=1, consistency_level=2, properties=(), partition_count=8
        )
        error = await refused(
            service,
            renames={"keyed": "twin"},
            options=RestoreOptions(skip_create_collections=True),
        )
    assert error.message == (
        "default.twin cannot be filled: its key has 8 partitions, that of the backup 4"
    )


@pytest.mark.parametrize("target", ["gone", "nowhere.gone"])
async def test_a_target_that_is_not_there_is_told_before(target: str) -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        error = await refused(service, **{**fill(), "renames": {"one": target}})
    assert isinstance(error, CollectionNotFound)
    assert error.resource_name == str(named(target))


async def test_what_a_failure_leaves_is_told() -> None:
    world = World()
    failing: list[FailingGateway] = []

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        error = MilvusRefused("Milvus refuses", subject="twin", call="x")
        failing.append(FailingGateway(inner, "submit_import", error, first=2))
        return failing[0]

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        operation = await service.end(await service.start_restore(**fill()))
    assert failing[0].injected == 1
    assert operation.state is OperationState.FAILED
    assert world.milvus.keys(TWIN) == [*range(5), 900]
    assert [it.message for it in operation.warnings] == [
        "default.twin existed before: what was made in it or imported into it by then stays"
    ]


async def test_a_cancel_leaves_the_collection_and_what_was_imported() -> None:
    world = World()

    async def cancel(_: str) -> None:
        service.operations.cancel(operation.name)

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return HookedGateway(inner, {"submit_import": cancel})

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        before = world.collections()
        operation = await service.start_restore(**fill())
        ended = await service.end(operation)
    assert ended.state is OperationState.CANCELLED
    assert world.collections() == before
    assert 900 in world.milvus.keys(TWIN)
    (warning,) = ended.warnings
    assert warning.metadata["subject"] == "default.twin"


async def test_another_collection_of_the_name_is_not_filled() -> None:
    world = World()

    async def replace_it(_: str) -> None:
        await world.milvus.drop_collection(TWIN)
        await add_collection(world.milvus, "twin", [7])

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return HookedGateway(inner, {"describe_collection": first_of(replace_it)})

    def first_of(act: Any) -> Any:
        calls: list[str] = []

        async def run(subject: str) -> None:
            calls.append(subject)
            if calls.count("default.twin") == 2 and subject == "default.twin":
                await act(subject)

        return run

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        error = await service.error(await service.start_restore(**fill()))
    assert error.reason == "TARGET_UNFIT"
    assert world.milvus.keys(TWIN) == [7]


# --- checkpoints


async def without_a_moment(world: World, **keys: Any) -> None:
    """Make the backup one of the Go tool, its collection with further keys."""
    for key in await world.backups():
        if "/meta/manifest" in key or key.endswith("/claim.json"):
            await world.backup_store.delete([key])
    full = "backup/b/meta/full_meta.json"
    values = json.loads(await world.backup_store.get(full))
    values.pop("milvus_backup_service")
    values["collection_backups"][0] |= keys
    await world.backup_store.put(full, json.dumps(values).encode())


CUT: dict[str, Any] = {
    "suffix": "_r",
    "options": RestoreOptions(truncate_to_checkpoints=True),
}


async def test_a_backup_is_cut_at_its_checkpoints() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        early, late = world.milvus.collection(ONE).segments
        stamp = early.rows[0][1]
        assert stamp < late.rows[0][1]
        world.milvus.clock.advance(1)
        position = b"\x21" + bytes(8) + b"\x20" + varint(stamp)
        points = {"a": base64.b64encode(position).decode()}
        await without_a_moment(world, channel_checkpoints=points)
        await service.restore(**CUT)
        await service.restore(suffix="_whole")
    moments = {job.options.moment for job in world.milvus.imports.jobs.values()}
    assert moments == {stamp, None}
    assert world.milvus.keys(named("one_whole")) == ROWS


def varint(number: int) -> bytes:
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])


async def test_checkpoints_that_were_not_recorded_are_told_before() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        await without_a_moment(world)
        error = await refused(service, **CUT)
    assert isinstance(error, BackupNotRestorable)
    assert (error.obstacles[0].field, error.obstacles[0].subject) == (
        "truncate_to_checkpoints",
        "default.one",
    )


async def test_a_stated_moment_needs_no_checkpoints() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        await service.restore(**CUT)
    assert world.milvus.keys(named("one_r")) == ROWS
