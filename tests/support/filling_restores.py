"""A restore into two collections that exist, with rows, an index and copies for Milvus to import."""

from dataclasses import replace
from typing import Any

from milvus_backup_server.domain.milvus import ImportState
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.domain.restore_options import LoadMode, RestoreOptions
from tests.support.fake_milvus_state import Key
from tests.support.service import (
    INDEX,
    Service,
    World,
    add_collection,
    flushed,
    named,
    running,
)

OLD: list[Key] = [900]
"""What is in each before."""
PARTS: dict[str, list[list[Key]]] = {"one": [[0, 1, 2], [10, 11]], "two": [[5, 6]]}
"""The rows of the backup, by collection and import."""
_FILLING: dict[str, Any] = {
    "renames": {name: f"{name}_there" for name in PARTS},
    "restore_indexes": True,
    "options": RestoreOptions(
        skip_create_collections=True, drop_existing_indexes=True, load=LoadMode.ALL
    ),
}


async def with_targets() -> World:
    """Back up two collections, and make two of the same fields with rows."""
    world = World(backup_bucket="b-bucket")
    milvus = world.milvus
    for name, (first, *others) in PARTS.items():
        await add_collection(milvus, name, first, partitions=["p"])
        for keys in others:
            milvus.insert(named(name), keys, "p")
        await milvus.create_index(named(name), INDEX)
        await flushed(milvus, named(name))
    async with running(world) as service:
        await service.create("b")
    for name in PARTS:
        target = await add_collection(milvus, f"{name}_there", OLD)
        await milvus.create_index(target, replace(INDEX, index_name="old"))
    return world


async def filling(service: Service) -> Operation:
    """Begin the restore."""
    return await service.start_restore("b", **_FILLING)


def assert_nothing_lost(world: World) -> None:
    """Assert that the collections have what they had, and each import as a whole or not at all."""
    for name, parts in PARTS.items():
        keys = world.milvus.keys(named(f"{name}_there"))
        found = set(keys)
        assert len(found) == len(keys), "rows are doubled"
        assert found >= set(OLD)
        for part in parts:
            assert found.isdisjoint(part) or found.issuperset(part)


def assert_imports_ended(world: World) -> None:
    """Assert that each import that was issued is over, and found what it reads."""
    jobs = world.milvus.imports.jobs.values()
    assert [job.state for job in jobs] == [ImportState.COMPLETED] * len(jobs)
    there = sum(len(world.milvus.keys(named(f"{name}_there"))) for name in PARTS)
    assert there == sum(job.rows for job in jobs) + len(OLD) * len(PARTS)
    assert all(job.rows for job in jobs)
