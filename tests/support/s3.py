"""Blocking access to an S3 server, beside and independent of the service's own adapter."""

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Protocol, TypedDict, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError


class _Object(TypedDict):
    Key: str


class _Page(TypedDict, total=False):
    Contents: list[_Object]


class _Content(TypedDict):
    Body: IO[bytes]


class _Pages(Protocol):
    def paginate(self, *, Bucket: str, Prefix: str) -> Iterable[_Page]: ...  # noqa: N803


class _Client(Protocol):
    # botocore makes the methods at run time; these are the ones used here.
    def create_bucket(self, *, Bucket: str) -> object: ...  # noqa: N803
    def get_paginator(self, operation_name: str) -> _Pages: ...
    def get_object(self, *, Bucket: str, Key: str) -> _Content: ...  # noqa: N803
    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object: ...  # noqa: N803
    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, object]: ...  # noqa: N803
    def delete_object(self, *, Bucket: str, Key: str) -> object: ...  # noqa: N803
    def close(self) -> None: ...


class S3Objects:
    """The buckets of one S3 server. Errors are botocore's ClientError."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str) -> None:
        """Make the client; nothing is sent yet."""
        client = botocore.session.Session().create_client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        self._client = cast("_Client", client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket; one that is there already is fine."""
        try:
            self._client.create_bucket(Bucket=bucket)
        except ClientError as error:
            reason = str(error.response["Error"]["Code"])
            if reason not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                raise

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """List the keys below a prefix, in order."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"]

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        with self._client.get_object(Bucket=bucket, Key=key)["Body"] as body:
            return body.read()

    def write(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object, over an earlier one if there is one."""
        self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def describe(self, bucket: str, key: str) -> Mapping[str, object]:
        """Return what the server tells of an object, by the names of its API."""
        return self._client.head_object(Bucket=bucket, Key=key)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is fine."""
        self._client.delete_object(Bucket=bucket, Key=key)
