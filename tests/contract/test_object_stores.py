"""The suite over every store: real S3, a directory, memory, and the decorators."""

import uuid
from pathlib import Path

import pytest

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.s3 import S3Clients, S3ClientSettings
from milvus_backup_server.adapters.store_wrappers import RequestLimiter, RetryPolicy, reliable
from milvus_backup_server.domain.errors import (
    BucketNotFound,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.contract.buckets import Buckets, unique_prefix
from tests.contract.object_store_suite import ObjectStoreSuite
from tests.contract.s3_profiles import profile
from tests.support.seaweedfs import SeaweedFS


async def assert_missing(store: ObjectStore) -> None:
    """Every way to use a bucket that is not there says so."""
    assert not await store.bucket_exists()
    for request in (
        store.now(),
        store.head("x"),
        store.get("x"),
        store.list_page(""),
        store.delete(["x"]),
        store.list_uploads(""),
        store.copy(store.location, "x", "y", if_match=""),
    ):
        with pytest.raises(BucketNotFound):
            await request


async def assert_not_made(store: ObjectStore) -> None:
    """Writing makes no bucket."""
    with pytest.raises(BucketNotFound):
        await store.put("x", b"1")
    with pytest.raises(BucketNotFound):
        await store.start_upload("x")
    assert not await store.bucket_exists()


def wrapped(store: ObjectStore) -> ObjectStore:
    return reliable(store, RequestLimiter(4), RetryPolicy(), deadline_seconds=30)


@pytest.mark.s3
@pytest.mark.xdist_group("seaweedfs-contract")
class TestS3(ObjectStoreSuite):
    # SeaweedFS 4.48 sorts a directory among the names beside it without its slash, and shows it for
    # a while after its last object is gone.
    in_byte_order = False
    forgets_empty_prefixes = False

    @pytest.fixture
    async def buckets(self, seaweed: SeaweedFS, clients: S3Clients) -> Buckets:
        one = await clients.store(profile(seaweed, "suite-one"))
        two = await clients.store(profile(seaweed, "suite-two"))
        return Buckets(one, two, unique_prefix())

    async def test_a_missing_bucket_is_told(self, seaweed: SeaweedFS, clients: S3Clients) -> None:
        store = await clients.store(profile(seaweed, "no-such-bucket"))
        await assert_missing(store)

    async def test_a_bucket_is_made(self, seaweed: SeaweedFS, clients: S3Clients) -> None:
        store = await clients.store(profile(seaweed, f"made-{uuid.uuid4().hex[:8]}"))
        assert not await store.bucket_exists()
        await store.create_bucket()
        assert await store.bucket_exists()

    async def test_wrong_credentials_are_told(self, seaweed: SeaweedFS, clients: S3Clients) -> None:
        store = await clients.store(profile(seaweed, "suite-one", secret="wrong"))
        for request in (
            store.bucket_exists(),
            store.create_bucket(),
            store.head("x"),
            store.get("x"),
            store.put("x", b""),
            store.list_page(""),
            store.delete(["x"]),
            store.start_upload("x"),
        ):
            with pytest.raises(StorageDenied):
                await request

    async def test_a_store_that_is_not_there_is_told(
        self, seaweed: SeaweedFS, clients: S3Clients
    ) -> None:
        for endpoint in ("http://127.0.0.1:1", "https://127.0.0.1:1", "http://no.such.invalid"):
            store = await clients.store(profile(seaweed, "suite-one", endpoint=endpoint))
            with pytest.raises(StorageUnavailable) as raised:
                await store.list_page("")
            assert raised.value.metadata["endpoint"] == endpoint

    async def test_a_client_serves_all_buckets_of_an_endpoint(self, seaweed: SeaweedFS) -> None:
        async with S3Clients(S3ClientSettings()) as own:
            await own.store(profile(seaweed, "suite-one"))
            await own.store(profile(seaweed, "suite-two"))
            assert len(own) == 1
            await own.store(profile(seaweed, "suite-one", secret="another"))
            assert len(own) == 2


class TestLocal(ObjectStoreSuite):
    @pytest.fixture
    async def buckets(self, tmp_path: Path) -> Buckets:
        one, two = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "two")
        await one.create_bucket()
        await two.create_bucket()
        return Buckets(one, two, unique_prefix())

    async def test_a_missing_directory_is_told(self, tmp_path: Path) -> None:
        await assert_missing(LocalStore(tmp_path / "missing"))
        await assert_not_made(LocalStore(tmp_path / "missing"))
        assert not (tmp_path / "missing").exists()


class TestMemory(ObjectStoreSuite):
    @pytest.fixture
    def buckets(self) -> Buckets:
        server = MemoryServer()
        return Buckets(server.store("one"), server.store("two"), unique_prefix())

    async def test_a_missing_bucket_is_told(self) -> None:
        await assert_missing(MemoryServer().store("missing", create=False))
        await assert_not_made(MemoryServer().store("missing", create=False))


class TestDecoratedMemory(ObjectStoreSuite):
    @pytest.fixture
    def buckets(self) -> Buckets:
        server = MemoryServer()
        one, two = server.store("one"), server.store("two")
        return Buckets(wrapped(one), wrapped(two), unique_prefix())
