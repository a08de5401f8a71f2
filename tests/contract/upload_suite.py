"""What every ObjectStore promises of multipart uploads; part of `object_store_suite.py`."""

import secrets

import pytest

from milvus_backup_server.domain.errors import (
    ObjectChanged,
    ObjectNotFound,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import Upload
from tests.contract.buckets import (
    PART,
    Buckets,
    all_pages,
    keys_of,
)


class UploadSuite:
    """Subclasses give the fixture `buckets`."""

    async def test_parts_make_an_object(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "big"
        source = await store.put(buckets.prefix + "source", b"0123456789")
        upload = await store.start_upload(key)
        first = secrets.token_bytes(PART)
        parts = [
            await store.upload_part(upload, 1, first),
            await store.copy_part(
                upload,
                2,
                store.location,
                source.key,
                offset=2,
                length=5,
                if_match=source.etag,
            ),
        ]
        assert await store.head(key) is None
        etag = await store.complete_upload(upload, parts)
        info = await store.head(key)
        assert info is not None
        assert (info.size, info.etag) == (PART + 5, etag)
        assert await store.get(key) == first + b"23456"
        assert await store.list_uploads(buckets.prefix) == []

    async def test_a_part_written_again_replaces_the_first(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "big"
        upload = await store.start_upload(key)
        await store.upload_part(upload, 1, b"first try")
        part = await store.upload_part(upload, 1, b"again")
        await store.complete_upload(upload, [part])
        assert await store.get(key) == b"again"

    async def test_parts_of_vanished_and_changed_sources(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "source"
        old = await store.put(key, b"0123456789")
        await store.put(key, b"9876543210")
        upload = await store.start_upload(buckets.prefix + "big")
        for source_key, error in ((key, ObjectChanged), (key + "-absent", ObjectNotFound)):
            with pytest.raises(error):
                await store.copy_part(
                    upload, 1, store.location, source_key, offset=0, length=5, if_match=old.etag
                )
        await store.abort_upload(upload)

    async def test_an_aborted_upload_is_gone(self, buckets: Buckets) -> None:
        store, key = buckets.store, buckets.prefix + "big"
        upload = await store.start_upload(key)
        part = await store.upload_part(upload, 1, b"x")
        assert await store.list_uploads(buckets.prefix) == [upload]
        await store.abort_upload(upload)
        await store.abort_upload(upload)
        assert await store.list_uploads(buckets.prefix) == []
        assert await store.head(key) is None
        with pytest.raises(UploadNotFound):
            await store.upload_part(upload, 2, b"y")
        with pytest.raises(UploadNotFound):
            await store.complete_upload(upload, [part])

    async def test_uploads_never_began_are_not_known(self, buckets: Buckets) -> None:
        upload = Upload(buckets.prefix + "x", "0123456789abcdef0123456789abcdef")
        with pytest.raises(UploadNotFound):
            await buckets.store.upload_part(upload, 1, b"y")
        await buckets.store.abort_upload(upload)

    async def test_uploads_are_listed_by_prefix(self, buckets: Buckets) -> None:
        store = buckets.store
        uploads = [await store.start_upload(buckets.prefix + name) for name in ("a/1", "a/2", "b")]
        found = await store.list_uploads(buckets.prefix + "a/")
        assert sorted(found, key=lambda upload: upload.key) == uploads[:2]
        assert keys_of(await all_pages(store, buckets.prefix, limit=10)) == []
        for upload in uploads:
            await store.abort_upload(upload)
