"""Comparing what should be in a place with what is listed there."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.service.reconcile import Pair, reconcile

DIRECTORY = "backup/b/"


async def wanted(keys: Iterable[str]) -> AsyncIterator[ManifestObject]:
    for key in keys:
        yield ManifestObject(key=key, size=len(key))


async def present(keys: Iterable[str]) -> AsyncIterator[ObjectInfo]:
    for key in keys:
        yield ObjectInfo(DIRECTORY + key, len(key), "etag")


async def paired(left: Sequence[str], right: Sequence[str]) -> list[Pair]:
    return [pair async for pair in reconcile(wanted(left), present(right), DIRECTORY)]


def keys_of(pairs: Iterable[Pair]) -> list[tuple[str | None, str | None]]:
    return [
        (
            pair.wanted.key if pair.wanted else None,
            pair.present.key.removeprefix(DIRECTORY) if pair.present else None,
        )
        for pair in pairs
    ]


keys = st.sets(st.text("0123456789/-ab", min_size=1, max_size=4))


@given(keys, keys)
def test_every_key_comes_once_with_what_is_wanted_and_what_is_there(
    left: set[str], right: set[str]
) -> None:
    pairs = asyncio.run(paired(sorted(left), sorted(right)))
    assert keys_of(pairs) == [
        (key if key in left else None, key if key in right else None)
        for key in sorted(left | right)
    ]


@given(st.lists(st.text("ab/", min_size=1, max_size=2)), st.lists(st.text("ab/", min_size=1)))
def test_what_is_out_of_order_or_twice_is_never_paired_in_silence(
    left: list[str], right: list[str]
) -> None:
    in_order = all(list(it) == sorted(set(it)) for it in (left, right))
    try:
        pairs = keys_of(asyncio.run(paired(left, right)))
    except BackupCorrupt:
        assert not in_order
    else:
        # Every entry was seen, and none twice.
        assert [key for key, _ in pairs if key is not None] == left
        assert [key for _, key in pairs if key is not None] == right
        assert in_order


@pytest.mark.parametrize(
    ("left", "right", "key"),
    [
        (["b", "a"], [], "backup/b/a"),
        ([], ["b", "a"], "backup/b/a"),
        (["a", "a"], [], "backup/b/a"),
        ([], ["a", "a"], "backup/b/a"),
        (["b", "a"], ["a", "b"], "backup/b/a"),
        (["a", "c", "b"], ["a", "b", "c"], "backup/b/b"),
    ],
)
async def test_the_key_that_is_out_of_order_is_named(
    left: list[str], right: list[str], key: str
) -> None:
    with pytest.raises(BackupCorrupt, match="not listed in the order of keys") as caught:
        await paired(left, right)
    assert caught.value.metadata["key"] == key


async def test_nothing_wanted_and_nothing_there() -> None:
    assert await paired([], []) == []


async def test_pairs_come_while_both_sides_are_read() -> None:
    read = 0

    async def counted() -> AsyncIterator[ObjectInfo]:
        nonlocal read
        async for item in present(f"{number:04}" for number in range(1000)):
            read += 1
            yield item

    pairs = reconcile(wanted([]), counted(), DIRECTORY)
    for _ in range(10):
        await anext(pairs)
    assert read <= 11
