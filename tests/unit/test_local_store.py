"""What is special about directories: paths that must not be reached, files that must be whole."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.domain.errors import ObjectNotFound, StorageDenied, StorageRefused
from milvus_backup_server.domain.objects import ListPage, Upload, md5_of_etag


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    (tmp_path / "secret").write_text("outside")
    return path


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


BAD_KEYS = [
    "",
    "/etc/passwd",
    "../secret",
    "a/../../secret",
    "a/./b",
    "a//b",
    "a/",
    ".",
    "nul\0",
    ".object-store-tmp/x",
]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_keys_that_are_no_plain_path_are_refused(root: Path, key: str) -> None:
    store = LocalStore(root)
    upload = Upload(key, "0" * 32)
    for request in (
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.put(key, b"1"),
        lambda: store.delete([key]),
        lambda: store.start_upload(key),
        lambda: store.copy(store.location, key, "x", if_match=""),
    ):
        with pytest.raises(StorageRefused):
            await request()
    await store.abort_upload(upload)
    assert os.listdir(root) == []  # noqa: PTH208 - not even a hidden directory


@pytest.mark.parametrize("prefix", ["../", "/", "a/../../", ".object-store-tmp/", "//"])
async def test_prefixes_lead_nowhere_else(root: Path, prefix: str) -> None:
    store = LocalStore(root)
    await store.start_upload("x")
    assert await store.list_page(prefix) == ListPage(())
    assert await store.list_page(prefix, delimiter=True) == ListPage(())


async def test_links_are_neither_followed_nor_listed(root: Path) -> None:
    store = LocalStore(root)
    (root / "file").symlink_to(root.parent / "secret")
    (root / "directory").symlink_to(root.parent)
    for key in ("file", "directory/secret"):
        with pytest.raises(StorageRefused):
            await store.get(key)
        with pytest.raises(StorageRefused):
            await store.put(key, b"overwritten")
    assert await store.list_page("") == ListPage(())
    assert (root.parent / "secret").read_text() == "outside"


async def test_the_root_itself_may_be_a_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    await LocalStore(link).put("a/b", b"1")
    assert await LocalStore(root).get("a/b") == b"1"
    await LocalStore(link).delete(["a/b"])
    assert os.listdir(root) == [".object-store-tmp"]  # noqa: PTH208


async def test_an_upload_id_cannot_point_outside(root: Path) -> None:
    store = LocalStore(root)
    (root.parent / "key").write_text("x")
    await store.abort_upload(Upload("x", "../../.."))
    assert files_below(root.parent) == ["key", "secret"]


async def test_etags_are_no_md5_and_change_even_with_the_same_size(root: Path) -> None:
    store = LocalStore(root)
    etags = {(await store.put("x", b"%03d" % number)).etag for number in range(50)}
    assert len(etags) == 50
    assert not any(md5_of_etag(etag) for etag in etags)


async def test_a_write_tells_of_its_own_file_also_when_another_comes_right_behind_it(
    root: Path,
) -> None:
    store, over = LocalStore(root), threading.Event()
    await store.put("x", b"first")

    def interfere() -> None:
        while not over.is_set():
            (root.parent / "other").write_bytes(b"of another writer")
            (root.parent / "other").replace(root / "x")

    interfering = asyncio.create_task(asyncio.to_thread(interfere))
    try:
        told = [await store.put("x", b"ours") for _ in range(100)]
    finally:
        over.set()
        await interfering
    assert {info.size for info in told} == {len(b"ours")}


async def test_nothing_temporary_is_left(root: Path) -> None:
    store = LocalStore(root)
    await store.put("a/b", b"1")
    await store.put("a/b", b"2", if_absent=False)
    upload = await store.start_upload("c")
    await store.complete_upload(upload, [await store.upload_part(upload, 1, b"x")])
    assert files_below(root) == ["a/b", "c"]


async def test_signs_of_life_do_not_queue_behind_copies(root: Path) -> None:
    """The records of operations have a store of their own in the same directory."""
    os.mkfifo(root / "slow")
    copies, records = LocalStore(root), LocalStore(root)
    waiting = [asyncio.create_task(copies.get("slow")) for _ in range(64)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(60):
            await records.put("heartbeat", b"1")
        assert not any(task.done() for task in waiting)
    finally:
        writer = os.open(root / "slow", os.O_RDWR)  # lets all who wait go on
        found = await asyncio.gather(*waiting, return_exceptions=True)
        os.close(writer)
    assert {type(error) for error in found} == {ObjectNotFound}


async def test_what_killed_processes_were_writing_goes_when_it_is_old(root: Path) -> None:
    hidden = root / ".object-store-tmp"
    hidden.mkdir()
    for name, age_hours in (("old", 25), ("young", 23), ("exchange.lock", 25)):
        (hidden / name).write_bytes(b"x")
        written = (hidden / name).stat().st_mtime - age_hours * 3600
        os.utime(hidden / name, (written, written))
    store = LocalStore(root)
    upload = await store.start_upload("y")
    await store.put("x", b"1")
    uploaded = f".object-store-tmp/uploads/{upload.upload_id}/key"
    assert files_below(root) == [
        ".object-store-tmp/exchange.lock",
        uploaded,
        ".object-store-tmp/young",
        "x",
    ]


async def test_a_reader_keeps_the_object_that_it_opened(root: Path) -> None:
    store = LocalStore(root)
    await store.put("x", b"old")
    with (root / "x").open("rb") as reader:
        await store.put("x", b"new")
        assert reader.read() == b"old"
    assert await store.get("x") == b"new"


async def test_writing_and_deleting_in_one_directory_do_not_disturb_each_other(root: Path) -> None:
    store = LocalStore(root)

    async def come_and_go(name: str) -> None:
        for _ in range(30):
            await store.put(f"d/e/{name}", b"1")
            await store.delete([f"d/e/{name}"])

    await asyncio.gather(*(come_and_go(str(number)) for number in range(4)))
    assert (await store.list_page("")).objects == ()


async def test_a_key_cannot_be_the_directory_of_another(root: Path) -> None:
    store = LocalStore(root)
    await store.put("a", b"1")
    with pytest.raises(StorageRefused):
        await store.put("a/b", b"2")
    with pytest.raises(ObjectNotFound):
        await store.get("a/b")
    await store.put("c/d", b"3")
    with pytest.raises(StorageRefused):
        await store.put("c", b"4")


async def test_an_empty_directory_is_no_prefix(root: Path) -> None:
    (root / "empty/inside").mkdir(parents=True)
    assert await LocalStore(root).list_page("", delimiter=True) == ListPage(())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_missing_rights_are_told(root: Path) -> None:
    store = LocalStore(root)
    await store.put("x", b"1")
    (root / "x").chmod(0)
    with pytest.raises(StorageDenied):
        await store.get("x")
