"""The port to object stores: a bucket of an S3 API, or a directory.

Each method is one request: small enough to be retried whole by a decorator. Whatever spans several
requests (reading in pieces, listing all pages, multipart copies) is written once above the port, in
``service.objects`` and in the transfer engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
)


class ObjectStore(Protocol):
    """A bucket. Keys are whole keys inside it, without a leading ``/``.

    Every method raises StorageUnavailable for what may pass (time-outs, 5xx, throttling),
    StorageDenied for refused credentials or rights, BucketNotFound if the bucket is not there,
    StorageRefused for any other answer that will not pass by itself.
    """

    @property
    def location(self) -> StoreLocation:
        """Where the store is, without secrets."""
        ...

    async def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        ...

    async def create_bucket(self) -> None:
        """Make the bucket; no error if it is there and ours."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """Describe an object; None if it does not exist."""
        ...

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Read ``length`` bytes from ``offset``, or to the end.

        There are fewer bytes, or none, only where the object ends.

        Raises:
            ObjectNotFound: It does not exist.
            ObjectChanged: ``if_match`` is set and is not its ETag.
        """
        ...

    async def now(self) -> datetime:
        """Return the time by the store's own clock, which its ``modified`` times are of.

        Two machines agree on it as far as they agree on the store. For a directory it is the clock
        of this machine. BucketNotFound where there is nothing to ask.
        """
        ...

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Write an object whole; readers see the old one or the new one, never a part.

        Args:
            key: Where to.
            data: All of it.
            if_absent: Only where nothing is. Of several such writers one wins.
            if_match: Only in place of the object that has this ETag. Of several such writers one
                wins, as long as all writers of the key write on this condition.

        Raises:
            ObjectAlreadyExists: ``if_absent`` is set and the key is taken.
            ObjectChanged: ``if_match`` is set and is not its ETag, or nothing is there.
        """
        ...

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        """Copy an object of a bucket of the same endpoint without reading it, up to 5 GiB.

        An empty ``if_match`` copies whatever is there. ``size`` is what the source was listed with, by
        which the request may take longer and counts in limits. Returns the copy's ETag.

        Raises:
            ObjectNotFound: The source does not exist.
            ObjectChanged: The source's ETag is not ``if_match``.
            CopyDenied: The store refuses to read the source for us.
        """
        ...

    async def start_upload(self, key: str) -> Upload:
        """Begin a multipart upload."""
        ...

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        """Write a part; parts but the last have at least 5 MiB.

        Raises:
            UploadNotFound: The upload is not known.
        """
        ...

    async def copy_part(
        self,
        upload: Upload,
        number: int,
        source: StoreLocation,
        source_key: str,
        *,
        offset: int,
        length: int,
        if_match: str,
    ) -> UploadedPart:
        """Make a part from a range of an object of the same endpoint; errors as in ``copy``."""
        ...

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Make the object of its parts, in the order of their numbers; return its ETag.

        Raises:
            UploadNotFound: The upload is not known.
        """
        ...

    async def abort_upload(self, upload: Upload) -> None:
        """Forget an upload and its parts; no error if it is not known."""
        ...

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """List the multipart uploads in progress below a prefix, at most 1,000."""
        ...

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        """List keys that begin with ``prefix``; with ``delimiter`` those one level below it.

        Every key that is there all the while is in one page, once. Pages follow the byte order of
        whole keys, but SeaweedFS has ``a/b`` before ``a-b``, and it shows a prefix for some time
        after its last object is gone: rely on neither.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove at most 1,000 objects; keys that do not exist are no error."""
        ...
