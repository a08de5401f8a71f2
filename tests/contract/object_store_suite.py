"""What every ObjectStore promises. One class; `test_object_stores.py` runs it over each store."""

import asyncio
import secrets
from datetime import timedelta

import pytest

from milvus_backup_server.domain.errors import (
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.objects import ListPage, ObjectInfo
from tests.contract.buckets import (
    PART,
    Buckets,
    all_pages,
    attempt,
    keys_of,
    listed,
    write_all,
)
from tests.contract.upload_suite import UploadSuite


class ObjectStoreSuite(UploadSuite):
    """Subclasses give the fixture `buckets`, and say where a real server falls short."""

    in_byte_order = True
    forgets_empty_prefixes = True

    # One object

    async def test_what_was_put_is_got(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "a/b.json"
        written = await store.put(key, b"hello")
        assert (written.key, written.size) == (key, 5)
        assert await store.get(key) == b"hello"
        assert listed(await store.head(key)) == listed(written)

    @pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1])
    async def test_sizes_around_a_part_come_back(self, buckets: Buckets, size: int) -> None:
        data = secrets.token_bytes(size)
        await buckets.store.put(buckets.prefix + "x", data)
        assert await buckets.store.get(buckets.prefix + "x") == data

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (0, 3, b"012"),
            (3, 4, b"3456"),
            (7, None, b"789"),
            (8, 100, b"89"),
            (10, 1, b""),
            (99, None, b""),
            (0, 0, b""),
            (0, None, b"0123456789"),
        ],
    )
    async def test_ranges_end_where_the_object_ends(
        self, buckets: Buckets, offset: int, length: int | None, expected: bytes
    ) -> None:
        key = buckets.prefix + "x"
        await buckets.store.put(key, b"0123456789")
        assert await buckets.store.get(key, offset=offset, length=length) == expected

    async def test_a_range_of_an_empty_object_is_empty(self, buckets: Buckets) -> None:
        await buckets.store.put(buckets.prefix + "x", b"")
        assert await buckets.store.get(buckets.prefix + "x", offset=0, length=10) == b""

    async def test_an_absent_key_is_told(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "absent"
        assert await store.head(key) is None
        with pytest.raises(ObjectNotFound):
            await store.get(key)
        with pytest.raises(ObjectNotFound):
            await store.get(key, offset=1, length=1, if_match="0" * 32)

    async def test_a_directory_is_no_object(self, buckets: Buckets) -> None:
        await buckets.store.put(buckets.prefix + "dir/x", b"1")
        assert await buckets.store.head(buckets.prefix + "dir") is None
        with pytest.raises(ObjectNotFound):
            await buckets.store.get(buckets.prefix + "dir")

    async def test_overwriting_replaces_content_and_etag(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "x"
        first = await store.put(key, b"one")
        second = await store.put(key, b"two")
        assert await store.get(key) == b"two"
        assert first.etag != second.etag
        assert await store.get(key, if_match=second.etag) == b"two"
        with pytest.raises(ObjectChanged):
            await store.get(key, if_match=first.etag)
        with pytest.raises(ObjectChanged):
            await store.get(key, offset=1, length=1, if_match=first.etag)

    async def test_modified_is_a_moment_with_a_time_zone(self, buckets: Buckets) -> None:
        await buckets.store.put(buckets.prefix + "x", b"1")
        info = await buckets.store.head(buckets.prefix + "x")
        assert info is not None
        assert info.modified is not None
        assert info.modified.utcoffset() is not None

    # Creating

    async def test_create_if_absent_refuses_the_second(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "claim"
        await store.put(key, b"first", if_absent=True)
        with pytest.raises(ObjectAlreadyExists):
            await store.put(key, b"second", if_absent=True)
        assert await store.get(key) == b"first"

    async def test_of_twenty_creators_one_wins(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "race"
        bodies = [f"writer {number}".encode() for number in range(20)]
        won = await asyncio.gather(*(attempt(store, key, body) for body in bodies))
        assert won.count(True) == 1
        assert await store.get(key) == bodies[won.index(True)]

    # Replacing

    async def test_only_the_known_object_is_replaced(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "record"
        first = await store.put(key, b"first")
        second = await store.put(key, b"second", if_match=first.etag)
        assert listed(await store.head(key)) == listed(second)
        with pytest.raises(ObjectChanged):
            await store.put(key, b"third", if_match=first.etag)
        assert await store.get(key) == b"second"

    async def test_what_is_not_there_is_not_replaced(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "record"
        first = await store.put(key, b"first")
        await store.delete([key])
        with pytest.raises(ObjectChanged):
            await store.put(key, b"second", if_match=first.etag)
        assert await store.head(key) is None

    async def test_of_twenty_replacers_one_wins(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "race"
        known = (await store.put(key, b"first")).etag
        bodies = [f"writer {number}".encode() for number in range(20)]
        tries = [store.put(key, body, if_match=known) for body in bodies]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        won = [body for body, end in zip(bodies, ended, strict=True) if isinstance(end, ObjectInfo)]
        assert [await store.get(key)] == won
        assert sum(isinstance(end, ObjectChanged) for end in ended) == len(bodies) - 1

    async def test_the_clock_is_that_of_the_objects(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "clock"
        before = await store.now()
        await store.put(key, b"1")
        written, after = await store.head(key), await store.now()
        assert written is not None
        assert written.modified is not None
        second = timedelta(seconds=1)  # what HTTP dates are rounded to
        assert before - second <= written.modified <= after + second

    # Deleting

    async def test_deleting_twice_is_no_error(self, buckets: Buckets) -> None:
        store, keys = buckets.store, [buckets.prefix + name for name in ("a", "b/c", "absent")]
        await write_all(store, keys[:2])
        await store.delete(keys)
        await store.delete(keys)
        await store.delete([])
        assert keys_of(await all_pages(store, buckets.prefix, limit=10)) == []
        if self.forgets_empty_prefixes:
            assert (await store.list_page(buckets.prefix, delimiter=True)).prefixes == ()

    async def test_deleting_one_leaves_its_neighbours(self, buckets: Buckets) -> None:
        store, keys = buckets.store, [buckets.prefix + name for name in ("d/a", "d/ab", "d.a")]
        await write_all(store, keys)
        await store.delete([keys[0]])
        found = keys_of(await all_pages(store, buckets.prefix, limit=10))
        assert sorted(found) == sorted(keys[1:])

    # Listing

    async def test_keys_come_in_byte_order(self, buckets: Buckets) -> None:
        names = ["a-b", "a.b", "a0", "a/b0", "B", "a/b/c", "a/b-c", "ab", "ä", "a/ä"]
        keys = [buckets.prefix + name for name in names]
        await write_all(buckets.store, keys)
        expected = ["B", "a-b", "a.b", "a/b-c", "a/b/c", "a/b0", "a/ä", "a0", "ab", "ä"]
        for limit in (1, 3, 1000):
            pages = await all_pages(buckets.store, buckets.prefix, limit=limit)
            found = keys_of(pages) if self.in_byte_order else sorted(keys_of(pages))
            assert found == [buckets.prefix + name for name in expected]
            assert all(len(page.objects) <= limit for page in pages)

    async def test_a_prefix_need_not_end_at_a_slash(self, buckets: Buckets) -> None:
        await write_all(buckets.store, [buckets.prefix + name for name in ("ab/1", "ac", "b")])
        pages = await all_pages(buckets.store, buckets.prefix + "a", limit=10)
        assert keys_of(pages) == [buckets.prefix + "ab/1", buckets.prefix + "ac"]

    async def test_nothing_below_a_prefix_is_an_empty_page(self, buckets: Buckets) -> None:
        page = await buckets.store.list_page(buckets.prefix + "nothing/")
        assert page == ListPage(())

    async def test_a_listing_tells_what_head_tells(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "a/x"
        await store.put(key, b"12345")
        [info] = (await store.list_page(buckets.prefix)).objects
        assert listed(info) == listed(await store.head(key))
        assert info.size == len(b"12345")

    async def test_a_delimiter_shows_one_level(self, buckets: Buckets) -> None:
        names = ["a/1", "a/2/3", "a-b", "b/1", "c", "d/e/f"]
        await write_all(buckets.store, [buckets.prefix + name for name in names])
        for limit in (1, 2, 1000):
            pages = await all_pages(buckets.store, buckets.prefix, limit=limit, delimiter=True)
            prefixes = [name for page in pages for name in page.prefixes]
            assert prefixes == [buckets.prefix + name for name in ("a/", "b/", "d/")]
            assert keys_of(pages) == [buckets.prefix + name for name in ("a-b", "c")]

    async def test_an_emptied_directory_holds_no_object(self, buckets: Buckets) -> None:
        key = buckets.prefix + "a/x"
        await buckets.store.put(key, b"1")
        await buckets.store.delete([key])
        assert (await buckets.store.list_page(buckets.prefix + "a/", delimiter=True)).objects == ()

    async def test_more_than_a_thousand_keys_are_all_listed_once(self, buckets: Buckets) -> None:
        names = [f"{number % 7}/{number:05}" for number in range(1105)]
        keys = [buckets.prefix + name for name in names]
        await write_all(buckets.store, keys)
        pages = await all_pages(buckets.store, buckets.prefix, limit=1000)
        assert [len(page.objects) for page in pages] == [1000, 105]
        assert keys_of(pages) == sorted(keys)

    @pytest.mark.parametrize(
        "name",
        [
            "with space",
            "ä/ö ü",
            "日本/語",
            "a+b",
            "q?x=1&y=2",
            "per%20cent",
            "hash#1",
            "quote'\"",
            "a:b;c=d,e@f!~()",
            "star*",
            "[x]{y}^`|",
            "<x>&amp;",
            "trailing.",
            ".hidden",
        ],
    )
    async def test_odd_keys_are_keys(self, buckets: Buckets, name: str) -> None:
        store, key = buckets.store, buckets.prefix + name
        await store.put(key, b"odd")
        assert await store.get(key) == b"odd"
        assert keys_of(await all_pages(store, buckets.prefix, limit=10)) == [key]
        await buckets.other.copy(store.location, key, key, if_match="")
        assert await buckets.other.get(key) == b"odd"
        await store.delete([key])
        assert await store.head(key) is None

    # Copying

    async def test_a_copy_is_made_between_buckets(self, buckets: Buckets) -> None:
        store, key, target = buckets.store, buckets.prefix + "x", buckets.prefix + "y/z"
        source = await store.put(key, b"content")
        etag = await buckets.other.copy(store.location, key, target, if_match=source.etag)
        copied = await buckets.other.head(target)
        assert copied is not None
        assert (copied.size, copied.etag) == (7, etag)
        assert await buckets.other.get(target) == b"content"
        assert await buckets.other.head(key) is None

    async def test_a_copy_of_a_changed_source_is_refused(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "x"
        old = await store.put(key, b"one")
        await store.put(key, b"two")
        with pytest.raises(ObjectChanged):
            await store.copy(store.location, key, key + "2", if_match=old.etag)
        assert await store.head(key + "2") is None

    async def test_a_copy_of_nothing_is_refused(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "x"
        with pytest.raises(ObjectNotFound):
            await store.copy(store.location, key, key + "2", if_match="0" * 32)

    # The bucket

    async def test_making_a_bucket_again_is_no_error(self, buckets: Buckets) -> None:
        assert await buckets.store.bucket_exists()
        await buckets.store.create_bucket()
        assert await buckets.store.bucket_exists()
