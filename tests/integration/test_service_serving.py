"""Restored collections are called and loaded as they were."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import (
    AliasAlreadyExists,
    BackupError,
    InvalidRequest,
    RowCountMismatch,
    TargetUnfit,
)
from milvus_backup_server.domain.operations import OperationState, RestorePlan
from milvus_backup_server.domain.records import KeyValue
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.restore_options import AliasMode, LoadMode, RestoreOptions
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.gateways import GatewayDecorator
from tests.support.running_service import Decorators
from tests.support.service import (
    INDEX,
    LIMITS,
    Service,
    World,
    add_collection,
    flushed,
    named,
    running,
)

ONE, TWO = named("one"), named("two")


async def backed_up(service: Service, *, drop: bool = False, **fields: Any) -> None:
    """Back up `one`, with two aliases and partition `p` loaded, and `two`, which is not loaded."""
    milvus = service.world.milvus
    await add_collection(milvus, "one", range(5), partitions=["p", "q"], **fields)
    milvus.insert(ONE, range(10, 13), "p")
    await add_collection(milvus, "two", range(3))
    for name in (ONE, TWO):
        await milvus.create_index(name, INDEX)
        await flushed(milvus, name)
    for alias in ("first", "second"):
        milvus.point_alias(ONE, alias)
    milvus.load(ONE, "Loaded", "p")
    await service.create()
    if drop:
        for alias in ("first", "second"):
            await milvus.drop_alias("default", alias)
        for name in (ONE, TWO):
            await milvus.drop_collection(name)


def asked(**fields: Any) -> dict[str, Any]:
    return {"restore_indexes": True, "options": RestoreOptions(**fields)}


def aliases(world: World) -> dict[str, str]:
    return {f"{alias.database}.{alias.name}": it for alias, it in world.milvus.aliases.items()}


# --- aliases


async def test_a_collection_that_keeps_its_name_gets_its_aliases() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service, drop=True)
        planned = await service.start_restore(validate_only=True)
        await service.restore()
    assert aliases(world) == {"default.first": "one", "default.second": "one"}
    assert isinstance(planned.result, RestorePlan)
    assert [it.aliases for it in planned.result.collections] == [("first", "second"), ()]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"suffix": "_r"}, {}),
        ({"suffix": "_r", "options": RestoreOptions(aliases=AliasMode.ALL)}, {"default.": "one_r"}),
        ({"renames": {"default.*": "new.*"}}, {"new.": "one"}),
        ({"options": RestoreOptions(aliases=AliasMode.NONE)}, {}),
    ],
)
async def test_who_gets_them(fields: dict[str, Any], expected: dict[str, str]) -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service, drop=True)
        await service.restore(**fields)
    every = {f"{at}{name}": it for at, it in expected.items() for name in ("first", "second")}
    assert aliases(world) == every


async def refused(service: Service, **fields: Any) -> BackupError:
    before = await service.world.traces()
    with pytest.raises(BackupError) as caught:
        await service.start_restore(**fields)
    assert await service.world.traces() == before
    return caught.value


async def test_aliases_that_lead_elsewhere_are_in_the_way() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service, drop=True)
        other = await add_collection(world.milvus, "other")
        world.milvus.point_alias(other, "first")
        await add_collection(world.milvus, "second")
        error = await refused(service)
    assert isinstance(error, AliasAlreadyExists)
    assert [(it.field, it.reason, it.subject) for it in error.obstacles] == [
        ("aliases", "ALIAS_ALREADY_EXISTS", "default.first"),
        ("aliases", "ALIAS_ALREADY_EXISTS", "default.second"),
    ]
    assert [it.description for it in error.obstacles] == [
        "default.first, an alias of default.one in the backup, is one of default.other",
        "default.second, an alias of default.one in the backup, is a collection",
    ]


async def test_aliases_that_meet_within_the_restore_are_in_the_way() -> None:
    world = World()
    mappings = tuple(CollectionMapping("one", name) for name in ("uno", "first"))
    async with running(world) as service:
        await backed_up(service, drop=True)
        error = await refused(
            service, mappings=mappings, options=RestoreOptions(aliases=AliasMode.ALL)
        )
    told = {it.description for it in error.obstacles}
    assert told == {
        "default.first, an alias of default.first in the backup, is restored as a collection",
        "default.first, an alias of default.uno in the backup, is restored as a collection",
        "default.first and default.uno would both get the alias default.second",
    }


async def test_an_alias_of_another_old_collection_is_in_the_way() -> None:
    world = World()
    options = RestoreOptions(drop_existing_collections=True)
    async with running(world) as service:
        await backed_up(service)
        world.milvus.point_alias(TWO, "first")
        error = await refused(service, options=options)
    assert {it.description for it in error.obstacles} == {
        "default.two and default.one would both get the alias default.first"
    }


async def test_a_cancel_in_the_end_leaves_no_alias() -> None:
    world = World()

    class Cancelling(GatewayDecorator):
        async def create_alias(self, collection: Any, alias: str) -> None:
            await super().create_alias(collection, alias)
            if alias == "second":
                service.operations.cancel(operation.name)

    async with running(world, Decorators(gateway=Cancelling)) as service:
        await backed_up(service, drop=True)
        before = await world.traces()
        operation = await service.start_restore()
        ended = await service.end(operation)
    assert ended.state is OperationState.CANCELLED
    assert aliases(world) == {}
    assert (await world.traces())[1:] == before[1:]


# --- load


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (LoadMode.NONE, [("NotLoad", []), ("NotLoad", [])]),
        (LoadMode.AS_BACKED_UP, [("Loaded", ["p"]), ("NotLoad", [])]),
        (LoadMode.ALL, [("Loaded", ["_default", "p", "q"]), ("Loaded", ["_default"])]),
    ],
)
async def test_what_is_loaded(load: LoadMode, expected: Sequence[tuple[str, list[str]]]) -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        planned = await service.start_restore(suffix="_r", validate_only=True, **asked(load=load))
        await service.restore(suffix="_r", **asked(load=load))
    made = [world.milvus.collection(named(name)) for name in ("one_r", "two_r")]
    assert [(it.load_state, it.loaded) for it in made] == expected
    assert isinstance(planned.result, RestorePlan)
    assert [it.loaded for it in planned.result.collections] == [bool(it) for _, it in expected]


@pytest.mark.parametrize(
    ("had", "wanted", "nodes", "replicas", "warned"),
    [(1, 0, 1, 1, False), (2, 0, 3, 2, False), (1, 3, 3, 3, False), (3, 0, 2, 2, True)],
)
async def test_the_number_of_replicas(
    had: int, wanted: int, nodes: int, replicas: int, *, warned: bool
) -> None:
    world = World()
    async with running(world) as service:
        world.milvus.query_nodes = nodes
        await add_collection(world.milvus, "one", range(5))
        await world.milvus.create_index(ONE, INDEX)
        world.milvus.load(ONE)
        world.milvus.collection(ONE).replicas = had
        await service.create()
        options = asked(load=LoadMode.AS_BACKED_UP, replica_count=wanted)
        operation = await service.restore(suffix="_r", **options)
    assert world.milvus.collection(named("one_r")).replicas == replicas
    told = "default.one_r is loaded with 2 replicas, not 3: there are no more query nodes"
    assert [it.message for it in operation.warnings] == ([told] if warned else [])


async def test_more_replicas_than_nodes_are_refused_before() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        error = await refused(service, suffix="_r", **asked(load=LoadMode.ALL, replica_count=2))
    assert isinstance(error, InvalidRequest)
    assert error.message == ("replica_count: 2 replicas need as many query nodes; Milvus has 1")


async def test_what_cannot_be_loaded_is_told_before() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        error = await refused(service, suffix="_r", options=RestoreOptions(load=LoadMode.ALL))
    assert isinstance(error, TargetUnfit)
    assert [(it.field, it.subject) for it in error.obstacles] == [
        ("load", "default.one_r"),
        ("load", "default.two_r"),
    ]


async def test_a_load_that_does_not_end_interrupts_the_restore_and_the_collection_stays() -> None:
    world = World()
    async with running(world, limits=replace(LIMITS, load_seconds=0.05)) as service:
        await backed_up(service)
        world.milvus.load_polls = 1 << 30
        last = await service.end(
            await service.start_restore(
                renames={"two": "uno"}, collections=("two",), **asked(load=LoadMode.ALL)
            )
        )
    assert last.state is OperationState.INTERRUPTED
    assert last.error is not None
    assert last.error.metadata["cause"] == "OPERATION_STALLED"
    assert last.error.message.startswith("Milvus did not load default.uno within 0.05 s")
    assert world.milvus.keys(named("uno")) == [0, 1, 2]


@pytest.mark.parametrize("ttl", [False, True])
async def test_rows_that_a_loaded_collection_does_not_find_are_an_error(*, ttl: bool) -> None:
    world = World()

    class Losing(GatewayDecorator):
        async def count_rows(self, collection: Any) -> int | None:
            found = await super().count_rows(collection)
            return None if found is None else found - 1

    properties = (KeyValue(key="collection.ttl.seconds", value="60"),) if ttl else ()
    async with running(world, Decorators(gateway=Losing)) as service:
        await add_collection(world.milvus, "one", range(5), properties=properties)
        await world.milvus.create_index(ONE, INDEX)
        await service.create()
        # Without a moment the number of rows is exact.
        await _forget_the_moment(world)
        started = await service.start_restore(suffix="_r", **asked(load=LoadMode.ALL))
        ended = await service.end(started)
    if ttl:  # rows may have expired by then
        assert ended.state is OperationState.SUCCEEDED
    else:
        assert isinstance(ended.error, RowCountMismatch)
        assert "finds 4 rows now that it is loaded; the backup holds 5" in ended.error.message


async def _forget_the_moment(world: World) -> None:
    """Make the backup one of the Go tool: nothing of ours is left in it."""
    for key in await world.backups():
        if "/meta/manifest" in key or key.endswith("/claim.json"):
            await world.backup_store.delete([key])
    full = "backup/b/meta/full_meta.json"
    text = (await world.backup_store.get(full)).decode()
    await world.backup_store.put(full, (text.split(',"milvus_backup_service"')[0] + "}").encode())


async def test_more_rows_than_there_can_be_are_an_error_too() -> None:
    world = World()

    class Doubling(GatewayDecorator):
        async def count_rows(self, collection: Any) -> int | None:
            found = await super().count_rows(collection)
            return None if found is None else 2 * found

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return Doubling(inner)

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        error = await service.error(
            await service.start_restore(
                suffix="_r", collections=("two",), **asked(load=LoadMode.ALL)
            )
        )
    assert isinstance(error, RowCountMismatch)
