"""Backups of the Go tool into a simulated Milvus 2.4, 2.5 and 2.6 under each option of a restore."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)
from milvus_backup_server.domain.selection import CollectionPartitions
from tests.support.decoded_rows import expected_rows, with_hex
from tests.support.fixtures import OF_NEWER_MILVUS, metadata, put_backup
from tests.support.newer import Newer, newer
from tests.support.rows import Rows, assert_same_rows
from tests.support.service import World, succeeded
from tests.support.simulator import adopt
from tests.support.simulator.model import Collection

SOURCES = {
    "2.4.23": ("fx_go_0_5_16", ("default.bin_vec",)),
    "2.5.27": ("fx_mv_2_5_27", ("default.del_parts", "default.vecs", "mvdb.indb")),
    "2.6.18": ("fx_mv_2_6_18", ("default.del_parts", "default.int8v", "mvdb.indb")),
}
"""What is restored into each version: partitions with deletes, vectors with indexes, a property."""


@dataclass(frozen=True)
class Restored:
    """What one restore made of one backup."""

    it: Newer
    version: str
    operation: Operation

    def collection(self, source: str, database: str = "", name: str = "") -> Collection:
        """Return what a collection of the backup has become."""
        old, _, own = source.partition(".")
        return self.it.milvus.databases[database or old][name or own]


Check = Callable[[Restored, str], None]


def rows_of(version: str, source: str, partition: str = "") -> Rows:
    archive, database, name = SOURCES[version][0], *source.split(".")
    records = map(CollectionBackupInfo.from_json, metadata(archive)["collection_backups"])
    record = next(it for it in records if (it.db_name, it.collection_name) == (database, name))
    return expected_rows(archive, record, partition)


def assert_rows(made: Collection, version: str, source: str, partition: str = "") -> None:
    found = made.rows()
    if SOURCES[version][0] not in OF_NEWER_MILVUS:
        found = {key: with_hex(row) for key, row in found.items()}
    assert_same_rows(rows_of(version, source, partition), found)


def under(database: str = "", prefix: str = "", suffix: str = "") -> Check:
    def check(restored: Restored, source: str) -> None:
        name = f"{prefix}{source.partition('.')[2]}{suffix}"
        made = restored.collection(source, database, name)
        assert_rows(made, restored.version, source)

    return check


def indexes(made: Collection) -> dict[str, Mapping[str, str]]:
    return {it.field_name: {pair.key: pair.value for pair in it.params} for it in made.indexes}


def chosen_by_milvus(restored: Restored, source: str) -> None:
    under()(restored, source)
    for params in indexes(restored.collection(source)).values():
        assert params["index_type"] == "AUTOINDEX"
        assert set(params) == {"index_type", "metric_type"}


def recorded(restored: Restored, source: str) -> Any:
    database, name = source.split(".")
    found = metadata(SOURCES[restored.version][0])["collection_backups"]
    return next(it for it in found if (it["db_name"], it["collection_name"]) == (database, name))


def indexed_as_recorded(restored: Restored, source: str) -> None:
    under()(restored, source)
    wanted = {
        it["field_name"]: {"index_type": it["index_type"], **it["params"]}
        for it in recorded(restored, source).get("index_infos", [])
    }
    assert indexes(restored.collection(source)) == wanted


def without_what_is_skipped(restored: Restored, source: str) -> None:
    under()(restored, source)
    made = restored.collection(source)
    left = {it["key"] for it in recorded(restored, source).get("properties", ())}
    assert {*made.properties} - {"timezone"} == left - {"collection.ttl.seconds", "timezone"}
    for params in indexes(made).values():
        assert "M" not in params
        assert "metric_type" in params


def empty(restored: Restored, source: str) -> None:
    made = restored.collection(source)
    assert made.rows() == {}
    wanted = [it["partition_name"] for it in recorded(restored, source)["partition_backups"]]
    assert sorted(made.partitions) == sorted(wanted)
    assert not restored.it.simulator.jobs.jobs


def as_planned(restored: Restored, source: str) -> None:
    under(prefix="planned_")(restored, source)
    made = restored.collection(source, name=f"planned_{source.partition('.')[2]}")
    assert (made.shards, made.schema.description) == (2, "as planned")


@dataclass(frozen=True)
class Case:
    """What is asked for, and what must come of it."""

    asked: Callable[[str], dict[str, Any]]
    check: Check = field(default_factory=under)
    same_bucket: bool = True


def case(check: Check | None = None, *, same_bucket: bool = True, **fields: Any) -> Case:
    return Case(lambda _: fields, check or under(), same_bucket)


def options(check: Check | None = None, **fields: Any) -> Case:
    return case(check, restore_indexes=True, options=RestoreOptions(**fields))


def plan(version: str) -> dict[str, Any]:
    mappings = [
        CollectionMapping(source, source.replace(".", ".planned_"), 2, "as planned")
        for source in SOURCES[version][1]
    ]
    return {"mappings": tuple(mappings)}


def renamed(version: str) -> dict[str, Any]:
    databases = {source.partition(".")[0] for source in SOURCES[version][1]}
    return {"renames": {f"{name}.*": "other.*" for name in databases}}


SKIPPED = SkipParams(collection_properties=("collection.ttl.seconds",), index_params=("M",))
CASES = {
    "suffix": case(under(suffix="_s"), suffix="_s"),
    "renames": Case(renamed, under("other")),
    "plan": Case(plan, as_planned),
    "indexes": case(indexed_as_recorded, restore_indexes=True),
    "auto index": options(chosen_by_milvus, use_auto_index=True),
    "skip params": options(without_what_is_skipped, skip_params=SKIPPED),
    "meta only": options(empty, meta_only=True),
    "staged": case(same_bucket=False),
}


@pytest.mark.parametrize("version", SOURCES)
@pytest.mark.parametrize("name", CASES)
async def test_a_backup_gives_its_rows_under_an_option(name: str, version: str) -> None:
    asked, (archive, sources) = CASES[name], SOURCES[version]
    world = World() if asked.same_bucket else World(backup_bucket="b-bucket")
    async with newer(version, world) as it:
        await put_backup(world.backup_store, "backup", archive, name="b")
        fields = {"collections": sources, **asked.asked(version)}
        restored = Restored(it, version, await it.service.restore(**fields))
        assert restored.operation.warnings == ()
        for source in sources:
            asked.check(restored, source)
        assert sum(map(len, it.milvus.databases.values())) == len(sources)
        assert await world.staged() == []


@pytest.mark.parametrize("version", SOURCES)
async def test_collections_that_exist_are_filled_or_replaced(version: str) -> None:
    archive, sources = SOURCES[version]
    async with newer(version) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        empty_ones = RestoreOptions(meta_only=True)
        await it.service.restore(collections=sources, options=empty_ones)
        filled = RestoreOptions(skip_create_collections=True)
        restored = Restored(
            it, version, await it.service.restore(collections=sources, options=filled)
        )
        for source in sources:
            under()(restored, source)
        before = {source: restored.collection(source).collection_id for source in sources}
        for source in sources:
            database = source.partition(".")[0]
            it.milvus.aliases[database, "known_as"] = restored.collection(source)
        replaced = RestoreOptions(drop_existing_collections=True)
        again = await it.service.restore(collections=sources, options=replaced)
        assert again.warnings == ()
        for source in sources:
            under()(restored, source)
            made = restored.collection(source)
            assert made.collection_id != before[source]
        carried = it.milvus.aliases["default", "known_as"]
        assert carried is restored.collection(sources[-1 if version == "2.4.23" else 1])


@pytest.mark.parametrize("version", SOURCES)
async def test_what_is_loaded_and_its_aliases_come_back(version: str) -> None:
    archive, sources = SOURCES[version]
    source = next(it for it in sources if it.endswith("vec") or "vec" in it or "int8v" in it)
    name = source.partition(".")[2]
    async with newer(version) as it:
        await adopt(it.milvus, archive)
        original = it.milvus.databases["default"][name]
        it.milvus.load(original, 1)
        it.milvus.aliases["default", "known_as"] = original
        await it.service.create("b", name)
        it.milvus.drop(original)
        chosen = RestoreOptions(aliases=AliasMode.ALL, load=LoadMode.AS_BACKED_UP)
        operation = await it.service.restore(suffix="_s", restore_indexes=True, options=chosen)
        assert operation.warnings == ()
        made = it.milvus.databases["default"][f"{name}_s"]
        assert_rows(made, version, source)
        assert it.milvus.aliases == {("default", "known_as"): made}
        assert made.is_loaded([])


@pytest.mark.parametrize("version", ["2.5.27", "2.6.18"])
async def test_one_partition_of_several(version: str) -> None:
    archive, _ = SOURCES[version]
    async with newer(version) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        chosen = (CollectionPartitions("default.del_parts", ("p0",)),)
        await it.service.restore(collections=("default.del_parts",), partitions=chosen)
        made = it.milvus.databases["default"]["del_parts"]
        assert_rows(made, version, "default.del_parts", "p0")
        assert len(made.rows()) > 0


async def test_rows_are_cut_at_checkpoints_where_they_were_recorded() -> None:
    truncated = RestoreOptions(truncate_to_checkpoints=True)
    async with newer("2.6.18") as it:
        for name in ("fx_mv_2_5_27", "fx_mv_2_6_18"):
            await put_backup(it.service.world.backup_store, "backup", name)
        wanted: dict[str, Any] = {"collections": ("default.del_parts",), "options": truncated}
        succeeded(await it.service.end(await it.service.start_restore("fx_mv_2_5_27", **wanted)))
        made = it.milvus.databases["default"]["del_parts"]
        assert_rows(made, "2.5.27", "default.del_parts")
        cuts = {job.options["end_ts"] for job in it.simulator.jobs.jobs.values()}
        assert len(cuts) == 1
        # One flush of everything at once leaves no checkpoints.
        with pytest.raises(BackupNotRestorable, match="no checkpoints"):
            await it.service.start_restore("fx_mv_2_6_18", suffix="_again", **wanted)
