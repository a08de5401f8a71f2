"""Backups of the Go tool into a simulated Milvus 2.4, 2.5 and 2.6 under each option of a restore."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.operations import Operation, RestoreResult
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
from tests.support.simulator.model import LOADED, Collection

VERSIONS = {
    "fx_go_0_5_16": "2.4.23",
    "fx_mv_2_5_27": "2.5.27",
    "fx_mv_2_6_18": "2.6.18",
    "fx_mv_2_6_18_types": "2.6.18",
}
"""What each backup is restored into."""
NEWER = ("fx_mv_2_5_27", "fx_mv_2_6_18")


SOME = {
    "fx_go_0_5_16": ("default.bin_vec",),
    "fx_mv_2_5_27": ("default.del_parts", "default.vecs", "mvdb.indb"),
    "fx_mv_2_6_18": ("default.del_parts", "default.int8v", "mvdb.indb"),
    "fx_mv_2_6_18_types": ("default.struct_arr", "default.addfield", "default.geom"),
}
"""Of each backup partitions with deletes, vectors with indexes, a property, the newest types."""


def names(archive: str) -> list[str]:
    found = metadata(archive)["collection_backups"]
    return [f"{it.get('db_name') or 'default'}.{it['collection_name']}" for it in found]


PARTS = pytest.mark.parametrize(
    ("archive", "sources"),
    [
        *(pytest.param(archive, some, id=archive) for archive, some in SOME.items()),
        *(
            pytest.param(
                archive, tuple(names(archive)), id=f"{archive} whole", marks=pytest.mark.torture
            )
            for archive in SOME
        ),
    ],
)


@dataclass(frozen=True)
class Restored:
    """What one restore made of one backup."""

    it: Newer
    archive: str
    operation: Operation

    def collection(self, source: str, database: str = "", name: str = "") -> Collection:
        """Return what a collection of the backup has become."""
        old, _, own = source.partition(".")
        return self.it.milvus.databases[database or old][name or own]


Check = Callable[[Restored, str], None]


def rows_of(archive: str, source: str, partition: str = "") -> Rows:
    record = CollectionBackupInfo.from_json(recorded(archive, source))
    return expected_rows(archive, record, partition)


def recorded(archive: str, source: str) -> Any:
    found = metadata(archive)["collection_backups"]
    return found[names(archive).index(source)]


def assert_rows(made: Collection, archive: str, source: str, partition: str = "") -> None:
    found = made.rows()
    if archive not in OF_NEWER_MILVUS:
        found = {key: with_hex(row) for key, row in found.items()}
    assert_same_rows(rows_of(archive, source, partition), found)


def under(database: str = "", prefix: str = "", suffix: str = "") -> Check:
    def check(restored: Restored, source: str) -> None:
        name = f"{prefix}{source.partition('.')[2]}{suffix}"
        made = restored.collection(source, database, name)
        assert_rows(made, restored.archive, source)

    return check


def indexes(made: Collection) -> dict[str, Mapping[str, str]]:
    return {it.field_name: {pair.key: pair.value for pair in it.params} for it in made.indexes}


def recorded_indexes(restored: Restored, source: str) -> dict[str, dict[str, str]]:
    found = recorded(restored.archive, source).get("index_infos") or []
    return {it["field_name"]: it.get("params", {}) for it in found}


def chosen_by_milvus(restored: Restored, source: str) -> None:
    under()(restored, source)
    wanted = recorded_indexes(restored, source)
    for field_name, params in wanted.items():
        if "metric_type" in params:  # it is of vectors
            chosen = {"index_type": "AUTOINDEX", "metric_type": params["metric_type"]}
            wanted[field_name] = chosen
    assert indexes(restored.collection(source)) == wanted


def indexed_as_recorded(restored: Restored, source: str) -> None:
    under()(restored, source)
    assert indexes(restored.collection(source)) == recorded_indexes(restored, source)


def without_what_is_skipped(restored: Restored, source: str) -> None:
    under()(restored, source)
    made = restored.collection(source)
    given = recorded(restored.archive, source).get("properties") or ()
    left = {it["key"] for it in given} - {"collection.ttl.seconds", "timezone"}
    assert {*made.properties} - {"timezone"} == left
    wanted = recorded_indexes(restored, source)
    for params in wanted.values():
        params.pop("M", None)
    assert indexes(made) == wanted


def empty(restored: Restored, source: str) -> None:
    made = restored.collection(source)
    assert made.rows() == {}
    wanted = [
        it["partition_name"] for it in recorded(restored.archive, source)["partition_backups"]
    ]
    assert sorted(made.partitions) == sorted(wanted)
    assert not restored.it.simulator.jobs.jobs


def as_planned(restored: Restored, source: str) -> None:
    under(prefix="planned_")(restored, source)
    made = restored.collection(source, name=f"planned_{source.partition('.')[2]}")
    assert (made.shards, made.schema.description) == (2, "as planned")


@dataclass(frozen=True)
class Case:
    """What is asked for, and what must come of it."""

    asked: Callable[[Sequence[str]], dict[str, Any]]
    check: Check = field(default_factory=under)
    same_bucket: bool = True


def case(check: Check | None = None, *, same_bucket: bool = True, **fields: Any) -> Case:
    return Case(lambda _: fields, check or under(), same_bucket)


def options(check: Check | None = None, **fields: Any) -> Case:
    return case(check, restore_indexes=True, options=RestoreOptions(**fields))


def plan(sources: Sequence[str]) -> dict[str, Any]:
    mappings = [
        CollectionMapping(source, source.replace(".", ".planned_"), 2, "as planned")
        for source in sources
    ]
    return {"mappings": tuple(mappings)}


def renamed(sources: Sequence[str]) -> dict[str, Any]:
    databases = {source.partition(".")[0] for source in sources}
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


@PARTS
@pytest.mark.parametrize("name", CASES)
async def test_a_backup_gives_its_rows_under_an_option(
    name: str, archive: str, sources: tuple[str, ...]
) -> None:
    asked = CASES[name]
    world = World() if asked.same_bucket else World(backup_bucket="b-bucket")
    async with newer(VERSIONS[archive], world) as it:
        await put_backup(world.backup_store, "backup", archive, name="b")
        fields = {"collections": sources, **asked.asked(sources)}
        operation = await it.service.restore(**fields)
        restored = Restored(it, archive, operation)
        assert operation.warnings == ()
        for source in sources:
            asked.check(restored, source)
        assert sum(map(len, it.milvus.databases.values())) == len(sources)
        assert await world.staged() == []


@PARTS
async def test_collections_that_exist_are_filled_or_replaced(
    archive: str, sources: tuple[str, ...]
) -> None:
    async with newer(VERSIONS[archive]) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        made = RestoreOptions(meta_only=True)
        await it.service.restore(collections=sources, options=made)
        filled = RestoreOptions(skip_create_collections=True)
        operation = await it.service.restore(collections=sources, options=filled)
        restored = Restored(it, archive, operation)
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
            assert restored.collection(source).collection_id != before[source]
        last = [source for source in sources if source.startswith("default.")][-1]
        assert it.milvus.aliases["default", "known_as"] is restored.collection(last)


@pytest.mark.parametrize(
    ("archive", "source"),
    [
        ("fx_go_0_5_16", "default.bin_vec"),
        ("fx_mv_2_5_27", "default.vecs"),
        ("fx_mv_2_6_18", "default.int8v"),
    ],
)
async def test_what_is_loaded_and_its_aliases_come_back(archive: str, source: str) -> None:
    name = source.partition(".")[2]
    async with newer(VERSIONS[archive]) as it:
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
        assert_rows(made, archive, source)
        assert it.milvus.aliases == {("default", "known_as"): made}
        assert made.is_loaded([])


@pytest.mark.parametrize("archive", NEWER)
async def test_one_partition_of_several(archive: str) -> None:
    async with newer(VERSIONS[archive]) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        chosen = (CollectionPartitions("default.del_parts", ("p0",)),)
        await it.service.restore(collections=("default.del_parts",), partitions=chosen)
        made = it.milvus.databases["default"]["del_parts"]
        assert_rows(made, archive, "default.del_parts", "p0")
        assert len(made.rows()) > 0


async def test_rows_are_cut_at_checkpoints_where_they_were_recorded() -> None:
    truncated = RestoreOptions(truncate_to_checkpoints=True)
    async with newer("2.6.18") as it:
        for name in ("fx_mv_2_5_27", "fx_mv_2_6_18"):
            await put_backup(it.service.world.backup_store, "backup", name)
        wanted: dict[str, Any] = {"collections": ("default.del_parts",), "options": truncated}
        succeeded(await it.service.end(await it.service.start_restore("fx_mv_2_5_27", **wanted)))
        made = it.milvus.databases["default"]["del_parts"]
        assert_rows(made, "fx_mv_2_5_27", "default.del_parts")
        cuts = {job.options["end_ts"] for job in it.simulator.jobs.jobs.values()}
        assert len(cuts) == 1
        # One flush of everything at once leaves no checkpoints.
        with pytest.raises(BackupNotRestorable, match="no checkpoints"):
            await it.service.start_restore("fx_mv_2_6_18", suffix="_again", **wanted)


@pytest.mark.parametrize("archive", NEWER)
async def test_no_more_shards_and_as_many_replicas_as_asked_for(archive: str) -> None:
    async with newer(VERSIONS[archive]) as it:
        await adopt(it.milvus, archive)
        it.milvus.databases["default"]["vecs"].shards = 3
        await it.service.create("b", "vecs")
        it.milvus.query_nodes = 2
        chosen = RestoreOptions(max_shard_count=2, load=LoadMode.ALL, replica_count=2)
        operation = await it.service.restore(suffix="_s", restore_indexes=True, options=chosen)
        assert operation.warnings == ()
        made = it.milvus.databases["default"]["vecs_s"]
        assert_rows(made, archive, "default.vecs")
        assert (made.shards, made.replicas, made.load) == (2, 2, LOADED)


@pytest.mark.parametrize("archive", NEWER)
async def test_indexes_of_a_collection_that_is_filled_give_way(archive: str) -> None:
    async with newer(VERSIONS[archive]) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        wanted: dict[str, Any] = {"collections": ("default.vecs",), "restore_indexes": True}
        await it.service.restore(options=RestoreOptions(meta_only=True), **wanted)
        there = it.milvus.databases["default"]["vecs"]
        for index in there.indexes:
            index.index_name = f"old_{index.index_name}"
            del index.params[:]
        chosen = RestoreOptions(skip_create_collections=True, drop_existing_indexes=True)
        operation = await it.service.restore(options=chosen, **wanted)
        assert operation.warnings == ()
        indexed_as_recorded(Restored(it, archive, operation), "default.vecs")


@pytest.mark.parametrize("archive", NEWER)
async def test_contents_are_not_read_where_that_is_asked_for(archive: str) -> None:
    async with newer(VERSIONS[archive]) as it:
        await adopt(it.milvus, archive)
        await it.service.create("b", "del_parts")
        for skip in (False, True):
            operation = await it.service.restore(suffix=f"_{skip}", skip_content_check=skip)
            assert isinstance(operation.result, RestoreResult)
            assert bool(operation.result.content_checked_count) is not skip
            assert bool(operation.result.size_checked_count) is skip
            made = it.milvus.databases["default"][f"del_parts_{skip}"]
            assert_rows(made, archive, "default.del_parts")
