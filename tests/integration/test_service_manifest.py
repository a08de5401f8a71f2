"""The manifest of a backup that was made: what it holds, and that a change of any byte is found."""

import hashlib
import json
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupCorrupt, BackupError
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.milvus import physical_milliseconds
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.meta_files import StoredMeta
from tests.support.fixtures import metadata
from tests.support.service import INDEX, World, add_collection, flushed, running

META = "backup/b/meta/"
LEVELS = ("collection_meta", "partition_meta", "segment_meta", "backup_meta")


async def with_backup() -> World:
    world = World()
    name = await add_collection(world.milvus, "c", range(10), partitions=["p"])
    await world.milvus.create_index(name, INDEX)
    await flushed(world.milvus, name)
    world.milvus.delete(name, [3])
    world.milvus.insert(name, range(20, 25), "p")
    await add_collection(world.milvus, "shop.d")
    async with running(world) as service:
        await service.create("b", labels={"who": "me"})
    return world


@pytest.fixture(scope="module")
async def backup() -> World:
    """One backup for all tests here: who changes it puts it back."""
    return await with_backup()


async def file(world: World, name: str) -> bytes:
    return await world.backup_store.get(META + name)


async def values(world: World, name: str) -> Any:
    return json.loads(await file(world, name))


async def lines(world: World, name: str) -> list[Any]:
    return [json.loads(line) for line in (await file(world, name)).splitlines()]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read_all(world: World) -> int:
    """Read everything that a restore reads of the metadata, and return the number of objects."""
    reader = BackupReader(StoredMeta(world.backup_store, BackupLayout("backup", "b"), 1000))
    files = await reader.files()
    await reader.info(files)
    head = await reader.head(files)
    assert head is not None
    await reader.check_level_files(head)
    objects = 0
    async for collection in reader.manifest_collections(head):
        async for _ in reader.manifest_objects(collection):
            objects += 1
    async for _ in reader.collections(files):
        pass
    return objects


async def test_the_head_holds_where_it_came_from_and_the_hashes_of_all_files(
    backup: World,
) -> None:
    head = await values(backup, "manifest.1.json")
    collections = await lines(backup, "manifest.1.collections.jsonl")
    assert head["format_version"] == 1
    assert head["writer"] == "milvus-backup 1.2.3"
    assert head["generation"] == 1
    assert head["milvus_version"] == "v2.3.5-lite"
    assert head["source"] == {
        "cluster": "default",
        "endpoint": "memory://main",
        "bucket": "a-bucket",
        "root_path": "files",
    }
    assert head["labels"] == {"who": "me"}
    assert head["exact"] is True
    assert head["collection_count"] == 2
    assert head["row_count"] == 15
    assert head["object_count"] == sum(it["object_count"] for it in collections)
    assert head["size"] == sum(it["size"] for it in collections)
    assert head["collections_file"] == "manifest.1.collections.jsonl"
    full = await file(backup, "full_meta.json")
    bare = full[: full.index(b',"milvus_backup_service":')] + b"}"
    assert head["files"] == {
        **{f"{name}.json": sha256(await file(backup, f"{name}.json")) for name in LEVELS},
        "manifest.1.collections.jsonl": sha256(await file(backup, "manifest.1.collections.jsonl")),
        "full_meta.json": sha256(bare),
    }
    assert json.loads(bare)["name"] == "b"


async def test_our_one_key_in_the_full_file_is_its_last_and_links_to_the_head(
    backup: World,
) -> None:
    full = await values(backup, "full_meta.json")
    assert list(full)[-1] == "milvus_backup_service"
    assert full["milvus_backup_service"] == {
        "manifest": "manifest.1.json",
        "sha256": sha256(await file(backup, "manifest.1.json")),
    }


async def test_each_collection_has_its_moment_and_the_hash_of_its_objects(backup: World) -> None:
    one, two = await lines(backup, "manifest.1.collections.jsonl")
    for line in (one, two):
        objects = await file(backup, line["objects_file"])
        assert line["objects_file"] == f"manifest.1/{line['collection_id']}.jsonl"
        assert line["objects_sha256"] == sha256(objects)
        assert line["object_count"] == len(objects.splitlines())
        assert line["moment"] % (1 << 18) == 0  # Milvus 2.3 cuts at milliseconds
        assert physical_milliseconds(line["moment"]) > 0
    assert (one["collection_name"], one["row_count"], one["segment_count"]) == ("c", 15, 2)
    assert (two["db_name"], two["row_count"], two["object_count"]) == ("shop", 0, 0)


async def test_every_object_stands_in_the_manifest_with_its_hash(backup: World) -> None:
    found: dict[str, Any] = {}
    for collection in await lines(backup, "manifest.1.collections.jsonl"):
        objects = await lines(backup, collection["objects_file"])
        keys = [item["key"] for item in objects]
        assert keys == sorted(keys)
        found |= {item["key"]: item for item in objects}
    data = [key for key in await backup.backups() if "/binlogs/" in key]
    assert sorted(found) == sorted(key.removeprefix("backup/b/") for key in data)
    for key, item in found.items():
        content = await backup.backup_store.get(f"backup/b/{key}")
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert item == {
            "key": key,
            "location": ".",
            "source_key": item["source_key"],
            "source_etag": md5,
            "size": len(content),
            "etag": md5,
            "hash": md5,
            "algorithm": "md5",
        }
        assert await backup.milvus_store.get(item["source_key"]) == content


async def test_what_was_written_reads_back(backup: World) -> None:
    assert await read_all(backup) == 2 * 4 + 1


NAMES = [f"{name}.json" for name in LEVELS] + ["full_meta.json", "manifest.1.json"]


@pytest.mark.parametrize("name", [*NAMES, "manifest.1.collections.jsonl", "objects"])
async def test_a_change_of_any_byte_is_found(backup: World, name: str) -> None:
    if name == "objects":
        name = (await lines(backup, "manifest.1.collections.jsonl"))[0]["objects_file"]
    original = await file(backup, name)
    step = max(len(original) // 60, 1)
    places = {*range(0, len(original), step), *range(max(len(original) - 40, 0), len(original))}
    missed = []
    for place in sorted(places):
        changed = bytearray(original)
        changed[place] ^= 1 + place % 255
        await backup.backup_store.put(META + name, bytes(changed))
        try:
            await read_all(backup)
        except BackupError:
            continue
        missed.append(place)
    await backup.backup_store.put(META + name, original)
    assert missed == []
    assert await read_all(backup)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["shorter", "longer", "gone", "other"])
async def test_a_file_cut_lengthened_removed_or_replaced_is_found(
    backup: World, name: str, change: str
) -> None:
    original = await file(backup, name)
    if change == "gone":
        await backup.backup_store.delete([META + name])
    else:
        data = {"shorter": original[:-1], "longer": original + b" ", "other": b"{}"}[change]
        await backup.backup_store.put(META + name, data)
    if (name, change) == ("full_meta.json", "gone"):
        files = await BackupReader(
            StoredMeta(backup.backup_store, BackupLayout("backup", "b"), 99)
        ).files()
        assert "full_meta.json" not in files
    else:
        with pytest.raises(BackupError):
            await read_all(backup)
    await backup.backup_store.put(META + name, original)
    assert await read_all(backup)


async def test_our_key_taken_out_is_found(backup: World) -> None:
    original = await file(backup, "full_meta.json")
    bare = original[: original.index(b',"milvus_backup_service":')] + b"}"
    await backup.backup_store.put(META + "full_meta.json", bare)
    with pytest.raises(BackupCorrupt, match="milvus_backup_service is damaged"):
        await read_all(backup)
    await backup.backup_store.put(META + "full_meta.json", original)


# --- the Go tool's records


def keys_and_types(record: dict[str, Any]) -> dict[str, str]:
    return {key: type(value).__name__ for key, value in record.items()}


async def test_records_have_the_keys_types_and_omitted_zeros_of_the_go_tool(
    backup: World,
) -> None:
    theirs = metadata("fx_go_0_5_16_groups")
    ours = await values(backup, "full_meta.json")
    link = ours.pop("milvus_backup_service")
    assert link
    assert keys_and_types(ours) == keys_and_types(theirs)
    mine, reference = ours["collection_backups"][0], theirs["collection_backups"][0]
    assert mine.pop("aliases", None) is None
    assert keys_and_types(mine) == keys_and_types(reference)
    assert keys_and_types(mine["schema"]) == keys_and_types(reference["schema"])
    for ours_, theirs_ in zip(mine["schema"]["fields"], reference["schema"]["fields"], strict=True):
        assert keys_and_types(ours_) == keys_and_types(theirs_)
    assert keys_and_types(mine["index_infos"][0]) == keys_and_types(reference["index_infos"][0])
    partition, partition_ = mine["partition_backups"][0], reference["partition_backups"][0]
    assert keys_and_types(partition) == keys_and_types(partition_)
    segment, segment_ = partition["segment_backups"][0], partition_["segment_backups"][0]
    assert keys_and_types(segment) == keys_and_types(segment_)
    for kind in ("binlogs", "deltalogs"):
        for logs, logs_ in zip(segment[kind], segment_[kind], strict=True):
            assert keys_and_types(logs) == keys_and_types(logs_)
            assert keys_and_types(logs["binlogs"][0]) == keys_and_types(logs_["binlogs"][0])


async def test_level_files_hold_what_the_go_tool_puts_there(backup: World) -> None:
    full = await values(backup, "full_meta.json")
    for name in LEVELS:
        ours, theirs = await values(backup, f"{name}.json"), metadata("fx_go_0_5_16_groups", name)
        assert keys_and_types(ours) == keys_and_types(theirs)
    collections = (await values(backup, "collection_meta.json"))["infos"]
    partitions = (await values(backup, "partition_meta.json"))["infos"]
    segments = (await values(backup, "segment_meta.json"))["infos"]
    tree = full["collection_backups"]
    for whole, bare in zip(tree, collections, strict=True):
        own = [it | {"segment_backups": []} for it in whole["partition_backups"]]
        stripped = [{k: v for k, v in it.items() if k != "segment_backups"} for it in own]
        assert bare == whole | {"partition_backups": stripped}
    assert partitions == [it for one in collections for it in one["partition_backups"]]
    assert segments == [
        segment
        for one in tree
        for partition in one["partition_backups"]
        for segment in partition.get("segment_backups", [])
    ]
    assert [it["segment_id"] for it in segments] == sorted(it["segment_id"] for it in segments)
    assert {it["group_id"] for it in segments} == {it["segment_id"] for it in segments}


async def test_sizes_add_up_at_every_level(backup: World) -> None:
    full = await values(backup, "full_meta.json")
    assert full["size"] == sum(it["size"] for it in full["collection_backups"])
    for collection in full["collection_backups"]:
        partitions = collection["partition_backups"]
        assert collection["size"] == sum(it["size"] for it in partitions)
        for partition in partitions:
            segments = partition.get("segment_backups", [])
            assert partition["size"] == sum(it["size"] for it in segments)
            for segment in segments:
                logs = [it for kind in ("binlogs", "deltalogs") for it in segment[kind]]
                sizes = [log["log_size"] for it in logs for log in it.get("binlogs", [])]
                assert segment["size"] == sum(sizes)
