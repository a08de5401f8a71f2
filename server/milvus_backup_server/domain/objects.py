"""Values about objects in a store, and about moving them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

_MD5_ETAG = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where a store is, without secrets.

    Attributes:
        provider: ``minio``, ``s3``, ... as configured, ``local`` or ``memory``.
        endpoint: Scheme, host and port; empty for a directory.
        bucket: The bucket, or the directory of a ``local`` store.
        region: The region, empty if none is set.
    """

    provider: str
    endpoint: str
    bucket: str
    region: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory of this machine."""
        return self.provider == "local"

    def same_endpoint(self, other: StoreLocation) -> bool:
        """Tell whether both are buckets of one store, which can copy between them by itself."""
        return (self.provider, self.endpoint, self.region) == (
            other.provider,
            other.endpoint,
            other.region,
        )


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store tells about an object.

    Attributes:
        key: The key inside the bucket.
        size: Bytes.
        etag: The ETag without quotes; for stores without ETags something that changes with the
            content.
        modified: When it was written, by the store's clock; None where the answer does not tell.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing, in the order of keys.

    Attributes:
        objects: Objects below the prefix.
        prefixes: With a delimiter, the common prefixes, each ending in ``/``.
        next_token: Where the next page begins; empty on the last page.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...] = ()
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload in progress."""

    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part of a multipart upload that the store has; numbers begin at 1."""

    number: int
    etag: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class TransferJob:
    """One object to copy. Serializable: stores are named, not held.

    Attributes:
        source_store: The profile name of the store to read.
        source_key: The key there.
        target_store: The profile name of the store to write.
        target_key: The key there.
        size: Bytes that the source was listed with.
        etag: ETag that the source was listed with; the copy is conditioned on it.
        sequence: The caller's number of the job, given back in the outcome.
    """

    source_store: str
    source_key: str
    target_store: str
    target_key: str
    size: int
    etag: str
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """What became of a job.

    Attributes:
        job: The job.
        mode: ``server`` if the store copied by itself, ``stream`` if the bytes came through us.
        etag: ETag of the copy.
        md5: MD5 of the bytes that were streamed, 32 hex digits; empty for a server-side copy.
        error: Why it failed; then the other fields but ``job`` mean nothing.
        copy_denied: The store refused to copy by itself, here or for the same two stores before.
    """

    job: TransferJob
    mode: Literal["server", "stream"] = "server"
    etag: str = ""
    md5: str = ""
    error: Exception | None = None
    copy_denied: bool = False


def md5_of_etag(etag: str) -> str:
    """Return the ETag as an MD5 in hex if it has the shape of one, else an empty string.

    An ETag is the MD5 of the content only for plain uploads and copies: multipart ETags end in
    ``-N``. Stores with SSE-KMS give 32 hex digits that are no MD5, so equality of two ETags is what
    counts, never one alone.
    """
    return etag if _MD5_ETAG.fullmatch(etag) else ""
