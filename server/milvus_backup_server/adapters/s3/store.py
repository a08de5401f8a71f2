"""The ``ObjectStore`` of a bucket of an S3 API."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from milvus_backup_server.adapters.s3.answers import bare, below, date_of, page_of, utc
from milvus_backup_server.adapters.s3.errors import Asked, damaged, from_answer, translated
from milvus_backup_server.adapters.s3.writing import PLAIN, S3Writing
from milvus_backup_server.domain.errors import (
    BackupError,
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
    md5_of_etag,
)

if TYPE_CHECKING:  # the stubs are a tool of development
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import (
        CopySourceTypeDef,
        GetObjectRequestTypeDef,
        ListObjectsV2RequestTypeDef,
    )

# Above this hashing leaves the event loop: 1 MiB takes about 2 ms.
_THREAD_BYTES = 1 << 20
_FORBIDDEN = 403


class _PutCondition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


class _CopyCondition(TypedDict, total=False):
    CopySourceIfMatch: str


class S3Store:
    """A bucket. Made by ``S3Clients``, which owns the client; promises are those of the port."""

    def __init__(
        self,
        client: S3Client,
        location: StoreLocation,
        writing: S3Writing = PLAIN,
        login: str = "",
    ) -> None:
        self._client = client
        self._login = login
        self._options = writing.options()
        self._location = location
        self._bucket = location.bucket

    @property
    def location(self) -> StoreLocation:
        """Where the store is, without secrets."""
        return self._location

    async def bucket_exists(self) -> bool:
        """Ask for the bucket alone."""
        try:
            await self._look_up()
        except BucketNotFound:
            return False
        return True

    async def _look_up(self) -> Mapping[str, object]:
        """Return an answer about the bucket; some stores want more rights for the plain question."""
        with translated(self._asked("look up")):
            try:
                return await self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != _FORBIDDEN:
                    raise
            return await self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)

    async def create_bucket(self) -> None:
        """Make the bucket in the client's region."""
        try:
            with translated(self._asked("create")):
                await self._create_bucket()
        except BackupError as error:
            # Two answers mean "it is there", and some stores give the second for our own buckets.
            taken = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
            if error.metadata.get("code") not in taken or not await self.bucket_exists():
                raise

    async def _create_bucket(self) -> None:
        region = self._location.region
        if region in ("", "us-east-1"):  # the one region that must not be named
            await self._client.create_bucket(Bucket=self._bucket)
            return
        await self._client.create_bucket(
            Bucket=self._bucket,
            CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
        )

    async def head(self, key: str) -> ObjectInfo | None:
        """Ask for an object; a 404 costs a second request, as it does not say what is missing."""
        try:
            with translated(self._asked("look up", key)):
                answer = await self._client.head_object(Bucket=self._bucket, Key=key)
                modified = utc(answer.get("LastModified"))
                return ObjectInfo(key, answer["ContentLength"], bare(answer["ETag"]), modified)
        except ObjectNotFound as error:
            if await self.bucket_exists():
                return None
            raise BucketNotFound(error.message, **error.metadata) from error

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Read a range in one request, a whole object again where its ETag denies the bytes."""
        asked = self._asked("read", key)
        request = self._range_of(key, offset, length, if_match)
        data, etag = await self._read(request, asked)
        if offset or length is not None or await _agrees(etag, data):
            return data if length is None else data[:length]
        # The ETag may be no MD5 although it looks like one, and the object may be damaged where it
        # lies: then all reads are alike. Bytes that are damaged on their way are not.
        if (data, etag) != await self._read(request, asked):
            raise damaged(asked)
        return data

    def _range_of(
        self, key: str, offset: int, length: int | None, if_match: str
    ) -> GetObjectRequestTypeDef:
        request: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": key}
        if offset or length is not None:
            # A range of nothing cannot be asked for, and the object must be there all the same.
            end = "" if length is None else offset + max(length, 1) - 1
            request["Range"] = f"bytes={offset}-{end}"
        if if_match:
            request["IfMatch"] = _quoted(if_match)
        return request

    async def _read(self, request: GetObjectRequestTypeDef, asked: Asked) -> tuple[bytes, str]:
        try:
            with translated(asked):
                answer = await self._client.get_object(**request)
                async with answer["Body"] as body:
                    return await body.read(), bare(answer.get("ETag", ""))
        except BackupError as error:
            if error.metadata.get("code") == "InvalidRange":  # the object ends before the offset
                return b"", ""
            raise

    async def now(self) -> datetime:
        """Return the date of an answer about the bucket."""
        return date_of(await self._look_up()) or datetime.now(
            UTC
        )  # no HTTP server of ours lacks the header

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Write an object; the store compares the MD5 before the object is there."""
        failed = ObjectChanged if if_match else ObjectAlreadyExists
        digest = await _content_md5(data)
        try:
            with translated(self._asked("write", key, condition_failed=failed)):
                answer = await self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ContentMD5=digest,
                    **_put_condition(if_match, if_absent=if_absent),
                    **self._options,
                )
        except ObjectNotFound as error:  # how some stores say that nothing is there to match
            raise ObjectChanged(f"{key} is not {if_match} any more", key=key) from error
        return ObjectInfo(key, len(data), bare(answer.get("ETag", "")), date_of(answer))

    async def copy(
        self,
        source: StoreLocation,
        source_key: str,
        key: str,
        *,
        if_match: str,
        size: int = 0,  # noqa: ARG002 - for decorators
    ) -> str:
        """Copy with the store's own means; the condition is on the source."""
        with translated(self._asked_copy(source, source_key, key)):
            answer = await self._client.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource=_source(source, source_key),
                **_copy_condition(if_match),
                **self._options,
            )
            return bare(answer["CopyObjectResult"]["ETag"])

    async def start_upload(self, key: str) -> Upload:
        """Begin a multipart upload."""
        with translated(self._asked("begin an upload to", key)):
            answer = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, **self._options
            )
            return Upload(key, answer["UploadId"])

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        """Write a part; the store compares the MD5."""
        digest = await _content_md5(data)
        with translated(self._asked("write a part of", upload.key)):
            answer = await self._client.upload_part(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=data,
                ContentMD5=digest,
            )
            return UploadedPart(number, bare(answer["ETag"]), len(data))

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
        """Copy a range with the store's own means."""
        with translated(self._asked_copy(source, source_key, upload.key)):
            answer = await self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                CopySource=_source(source, source_key),
                CopySourceRange=f"bytes={offset}-{offset + length - 1}",
                **_copy_condition(if_match),
            )
            return UploadedPart(number, bare(answer["CopyPartResult"]["ETag"]), length)

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Make the object of its parts."""
        listed = [{"PartNumber": part.number, "ETag": _quoted(part.etag)} for part in parts]
        with translated(self._asked("complete the upload to", upload.key)):
            answer = await self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": listed},  # type: ignore[typeddict-item]
            )
            return bare(answer["ETag"])

    async def abort_upload(self, upload: Upload) -> None:
        """Forget an upload."""
        try:
            with translated(self._asked("abort the upload to", upload.key)):
                await self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
                )
        except (UploadNotFound, ObjectNotFound):
            return

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """List uploads in one request."""
        with translated(self._asked("list the uploads of")):
            answer = await self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, MaxUploads=1000
            )
            return [Upload(row["Key"], row["UploadId"]) for row in answer.get("Uploads", [])]

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        """List one page with ListObjectsV2."""
        request: ListObjectsV2RequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": prefix,
            "MaxKeys": limit,
        }
        if token:
            request["ContinuationToken"] = token
        if delimiter:
            request["Delimiter"] = "/"
        with translated(self._asked("list")):
            page = page_of(await self._client.list_objects_v2(**request))
        return below(page, prefix) if delimiter else page

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects in one request; the first refused key decides on the error."""
        if not keys:
            return
        with translated(self._asked("delete from")):
            answer = await self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
        for failed in answer.get("Errors", []):
            if failed.get("Code") != "NoSuchKey":
                raise from_answer({"Error": failed}, self._asked("delete", failed.get("Key", "")))

    def _asked(
        self,
        action: str,
        key: str = "",
        *,
        condition_failed: type[BackupError] = ObjectChanged,
    ) -> Asked:
        endpoint = self._location.endpoint
        return Asked(action, endpoint, self._bucket, key, condition_failed, login=self._login)

    def _asked_copy(self, source: StoreLocation, source_key: str, key: str) -> Asked:
        action = f"copy {source.bucket}/{source_key} to"
        return Asked(action, self._location.endpoint, self._bucket, key, copies=True)


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _put_condition(if_match: str, *, if_absent: bool) -> _PutCondition:
    if if_match:
        return _PutCondition(IfMatch=_quoted(if_match))
    return _PutCondition(IfNoneMatch="*") if if_absent else _PutCondition()


def _copy_condition(etag: str) -> _CopyCondition:
    return _CopyCondition(CopySourceIfMatch=_quoted(etag)) if etag else _CopyCondition()


def _source(location: StoreLocation, key: str) -> CopySourceTypeDef:
    return {"Bucket": location.bucket, "Key": key}


async def _content_md5(data: bytes) -> str:
    return base64.b64encode(await _md5(data)).decode()


async def _agrees(etag: str, data: bytes) -> bool:
    """Tell whether bytes can be those of an ETag."""
    md5 = md5_of_etag(etag)
    return not md5 or (await _md5(data)).hex() == md5


async def _md5(data: bytes) -> bytes:
    if len(data) < _THREAD_BYTES:
        return _digest(data)
    return await asyncio.to_thread(_digest, data)


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
