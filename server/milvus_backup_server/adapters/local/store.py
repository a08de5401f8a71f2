"""A directory as a bucket: its files are the objects, their paths the keys."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from milvus_backup_server.adapters.local.files import Files, pieces_of
from milvus_backup_server.adapters.local.uploads import Uploads
from milvus_backup_server.domain.errors import (
    BackupError,
    BucketNotFound,
    CopyDenied,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)
from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
)

T = TypeVar("T")

_THREADS = 32

_KINDS: Mapping[int, type[BackupError]] = {
    errno.EACCES: StorageDenied,
    errno.EPERM: StorageDenied,
    errno.EAGAIN: StorageUnavailable,
    errno.EBUSY: StorageUnavailable,
    errno.EIO: StorageUnavailable,
    errno.EMFILE: StorageUnavailable,
    errno.ENFILE: StorageUnavailable,
    errno.ESTALE: StorageUnavailable,
    errno.ETIMEDOUT: StorageUnavailable,
}


class LocalStore:
    """A directory; the promises are those of the port.

    ETags change with the content and tell nothing about it. Files that are being written and
    multipart uploads lie in a hidden directory that no listing shows and no key reaches. Unlike in
    a bucket, no key can be the directory of another, and a key has one spelling only: ``a//b`` and
    ``../a`` are refused. Work is done in threads of its own: one store of a directory does not wait for
    the copies of another, nor for what else the process does in threads.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory.absolute()
        self._files = Files(self._root)
        self._uploads = Uploads(self._files)
        self._location = StoreLocation("local", "", str(self._root))
        self._threads = ThreadPoolExecutor(_THREADS, "directory")  # started as they are needed

    @property
    def location(self) -> StoreLocation:
        """Where the directory is."""
        return self._location

    async def bucket_exists(self) -> bool:
        """Tell whether the directory is there."""
        return await self._in_thread(self._root.is_dir)

    async def create_bucket(self) -> None:
        """Make the directory and those above it."""

        def make() -> None:
            self._root.mkdir(parents=True, exist_ok=True)

        await self._in_thread(lambda: self._translated("", make))

    async def head(self, key: str) -> ObjectInfo | None:
        """Describe a file."""
        try:
            return await self._read(key, lambda: self._files.describe(key))
        except ObjectNotFound:
            return None

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Read a range."""
        return await self._read(key, lambda: self._files.read(key, offset, length, if_match))

    async def now(self) -> datetime:
        """Return the time of this machine, which the files are written with."""
        await self._write("", lambda: None)
        return datetime.now(UTC)

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Write a file."""
        if if_match:
            return await self._write(key, lambda: self._files.exchange(key, data, if_match))
        return await self._write(key, lambda: self._files.write(key, [data], if_absent=if_absent))

    async def copy(
        self,
        source: StoreLocation,
        source_key: str,
        key: str,
        *,
        if_match: str,
        size: int = 0,  # noqa: ARG002 - for decorators
    ) -> str:
        """Copy from another directory of this machine."""
        other = self._other(source)

        def work() -> str:
            _check_directory(other.root)
            with other.opened(source_key, if_match) as file:
                return self._in_bucket(key, lambda: self._files.write(key, pieces_of(file)).etag)

        return await self._read(source_key, work)

    async def start_upload(self, key: str) -> Upload:
        """Begin an upload."""
        return await self._write(key, lambda: self._uploads.start(key))

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        """Write a part."""
        return await self._write(upload.key, lambda: self._uploads.write(upload, number, [data]))

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
        """Copy a range into a part."""
        other = self._other(source)

        def work() -> UploadedPart:
            _check_directory(other.root)
            with other.opened(source_key, if_match) as file:
                file.seek(offset)
                pieces = pieces_of(file, length)
                return self._in_bucket(
                    upload.key, lambda: self._uploads.write(upload, number, pieces)
                )

        return await self._read(source_key, work)

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Join the parts."""
        return await self._write(upload.key, lambda: self._uploads.complete(upload, parts))

    async def abort_upload(self, upload: Upload) -> None:
        """Remove the parts."""
        await self._write(upload.key, lambda: self._uploads.abort(upload))

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """List uploads."""
        return await self._write("", lambda: self._uploads.below(prefix))

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        """List one page; reads only the directories that it needs."""
        return await self._write(
            "", lambda: self._files.page(prefix, token, delimiter=delimiter, limit=limit)
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove files, and the directories that are empty then."""
        await self._write("", lambda: self._files.delete(keys))

    def _other(self, source: StoreLocation) -> Files:
        if not self._location.same_endpoint(source):
            raise CopyDenied(f"{source.endpoint} is no directory", bucket=source.bucket)
        return Files(Path(source.bucket))

    async def _read(self, key: str, work: Callable[[], T]) -> T:
        """Run in a thread what fails if the key is not there."""

        def read() -> T:
            try:
                return work()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                raise ObjectNotFound(f"{key} does not exist", key=key) from error

        return await self._write(key, read)

    async def _write(self, key: str, work: Callable[[], T]) -> T:
        return await self._in_thread(lambda: self._in_bucket(key, work))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _in_bucket(self, key: str, work: Callable[[], T]) -> T:
        _check_directory(self._root)
        return self._translated(key, work)

    def _translated(self, key: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except OSError as error:
            kind = _KINDS.get(error.errno or 0, StorageRefused)
            code, root = errno.errorcode.get(error.errno or 0, "EIO"), str(self._root)
            raise kind(
                f"cannot use {root}/{key}: {code}", subject=root, key=key, code=code
            ) from error


def _check_directory(root: Path) -> None:
    if not root.is_dir():
        raise BucketNotFound(f"directory {root} does not exist", subject=str(root))
