"""Buckets to test stores with, and what tests of stores do all the time."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from milvus_backup_server.domain.errors import (
    ObjectAlreadyExists,
)
from milvus_backup_server.domain.objects import ListPage, ObjectInfo
from milvus_backup_server.ports.object_store import ObjectStore

MIB = 1 << 20
PART = 5 * MIB  # the least that S3 takes for a part that is not the last


class Buckets(NamedTuple):
    """Two buckets of one endpoint, and a key prefix that nobody else uses."""

    store: ObjectStore
    other: ObjectStore
    prefix: str


def unique_prefix() -> str:
    """Return a prefix for the keys of one test."""
    return f"t-{secrets.token_hex(6)}/"


async def all_pages(
    store: ObjectStore, prefix: str, *, limit: int, delimiter: bool = False
) -> list[ListPage]:
    """List everything below a prefix."""
    pages = [await store.list_page(prefix, limit=limit, delimiter=delimiter)]
    while pages[-1].next_token:
        token = pages[-1].next_token
        pages.append(await store.list_page(prefix, token=token, limit=limit, delimiter=delimiter))
    return pages


def keys_of(pages: Sequence[ListPage]) -> list[str]:
    """Return the keys of all pages in their order."""
    return [info.key for page in pages for info in page.objects]


async def write_all(store: ObjectStore, keys: Sequence[str]) -> None:
    """Write small objects, twenty at a time."""
    for start in range(0, len(keys), 20):
        await asyncio.gather(*(store.put(key, key.encode()) for key in keys[start : start + 20]))


async def attempt(store: ObjectStore, key: str, data: bytes) -> bool:
    """Create an object if it is not there; tell whether it was us."""
    try:
        await store.put(key, data, if_absent=True)
    except ObjectAlreadyExists:
        return False
    return True


def listed(info: ObjectInfo | None) -> tuple[str, int, str] | None:
    """Return what a head and a listing must agree on."""
    return (info.key, info.size, info.etag) if info else None
