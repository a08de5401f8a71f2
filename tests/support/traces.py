"""Everything that an operation could leave behind in the object store and in a Milvus."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypedDict, cast

import botocore.session
from botocore.config import Config

from tests.support.clients import connected
from tests.support.milvus import MilvusStandalone
from tests.support.seaweedfs import SeaweedFS

# Where Milvus itself writes, below its root: segments, statistics, indexes. It changes them on its
# own, and keeps the segments of dropped collections until its garbage collection.
_MILVUS_OWN = ("insert_log/", "delta_log/", "stats_log/", "index_files/")
# What the service keeps of operations that have ended, for those who ask later.
_RECORDS = "/.milvus-backup/"


class _Named(TypedDict):
    Name: str


class _Buckets(TypedDict):
    Buckets: list[_Named]


class _Upload(TypedDict):
    Key: str


class _Uploads(TypedDict, total=False):
    Uploads: list[_Upload]


class _Client(Protocol):
    # botocore makes the methods at run time; these are the ones used here.
    def list_buckets(self) -> _Buckets: ...
    def list_multipart_uploads(self, *, Bucket: str) -> _Uploads: ...  # noqa: N803
    def close(self) -> None: ...


@dataclass(frozen=True)
class Traces:
    """What there is.

    Attributes:
        buckets: all buckets of the store.
        keys: `bucket/key` of all objects but those that Milvus keeps below its root, and the records
            of operations.
        uploads: `bucket/key` of the multipart uploads in progress.
        collections: `database.collection`; a database without any as `database.`.
    """

    buckets: frozenset[str]
    keys: frozenset[str]
    uploads: frozenset[str]
    collections: frozenset[str]


class Inspector:
    """Looks at a store and at a Milvus in it. A context manager that closes its connection.

    Without a Milvus there are no collections.
    """

    def __init__(self, seaweed: SeaweedFS, milvus: MilvusStandalone | None = None) -> None:
        self._seaweed = seaweed
        self._milvus = milvus
        client = botocore.session.Session().create_client(
            "s3",
            endpoint_url=seaweed.endpoint,
            region_name=seaweed.region,
            aws_access_key_id=seaweed.access_key,
            aws_secret_access_key=seaweed.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        self._client = cast("_Client", client)

    def traces(self) -> Traces:
        """Look at everything."""
        buckets = frozenset(bucket["Name"] for bucket in self._client.list_buckets()["Buckets"])
        return Traces(
            buckets=buckets,
            keys=frozenset(self._keys(buckets)),
            uploads=frozenset(self._uploads(buckets)),
            collections=frozenset(_collections(self._milvus) if self._milvus else ()),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def _keys(self, buckets: Iterable[str]) -> Iterator[str]:
        for bucket in buckets:
            for key in self._seaweed.objects.keys(bucket):
                _, _, below_root = key.partition("/")
                if not below_root.startswith(_MILVUS_OWN) and _RECORDS not in key:
                    yield f"{bucket}/{key}"

    def _uploads(self, buckets: Iterable[str]) -> Iterator[str]:
        for bucket in buckets:
            for upload in self._client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                yield f"{bucket}/{upload['Key']}"


def _collections(milvus: MilvusStandalone) -> Iterator[str]:
    with connected(milvus.uri, token=milvus.token) as client:
        databases = client.list_databases()
    for database in databases:
        yield f"{database}."
        with connected(milvus.uri, database, token=milvus.token) as client:
            for collection in client.list_collections():
                yield f"{database}.{collection}"
