"""Multipart uploads to a bucket directory: parts in a hidden directory. Blocking."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from milvus_backup_server.adapters.local.files import Files, pieces_of
from milvus_backup_server.adapters.local.paths import HIDDEN, path_of
from milvus_backup_server.domain.errors import StorageRefused, UploadNotFound
from milvus_backup_server.domain.objects import Upload, UploadedPart

_UPLOADS = "uploads"
_KEY_FILE = "key"
_LISTED = 1000


class Uploads:
    """The uploads in progress of a directory."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def start(self, key: str) -> Upload:
        """Make a directory for the parts."""
        path_of(self._files.root, key)
        upload = Upload(key, secrets.token_hex(16))
        path = self._files.hidden() / _UPLOADS / upload.upload_id
        path.mkdir(parents=True)
        (path / _KEY_FILE).write_text(key, encoding="utf-8")
        return upload

    def write(self, upload: Upload, number: int, pieces: Iterable[bytes]) -> UploadedPart:
        """Write a part."""
        path = self._directory(upload) / str(number)
        with path.open("wb") as file:
            file.writelines(pieces)
        return _described(path)

    def complete(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Join the parts in a file."""
        directory = self._directory(upload)
        for part in parts:
            path = directory / str(part.number)
            if not path.is_file() or _described(path) != part:
                raise StorageRefused(f"a part of {upload.key} is not there", code="InvalidPart")
        etag = self._files.write(upload.key, _joined(directory, parts)).etag
        shutil.rmtree(directory)
        return etag

    def abort(self, upload: Upload) -> None:
        """Remove the parts."""
        with suppress(UploadNotFound):
            shutil.rmtree(self._directory(upload))

    def below(self, prefix: str) -> list[Upload]:
        """List uploads in the order of keys."""
        found = [upload for upload in self._all() if upload.key.startswith(prefix)]
        return sorted(found, key=lambda upload: upload.key)[:_LISTED]

    def _all(self) -> Iterator[Upload]:
        for path in (self._files.root / HIDDEN / _UPLOADS).glob(f"*/{_KEY_FILE}"):
            with suppress(FileNotFoundError):  # ended meanwhile
                yield Upload(path.read_text(encoding="utf-8"), path.parent.name)

    def _directory(self, upload: Upload) -> Path:
        path = self._files.root / HIDDEN / _UPLOADS / upload.upload_id
        named = path / _KEY_FILE
        # Ids come from outside; what is not plain could point anywhere.
        if not upload.upload_id.isalnum() or not named.is_file():
            raise UploadNotFound(f"no such upload to {upload.key}", key=upload.key)
        return path


def _joined(directory: Path, parts: Sequence[UploadedPart]) -> Iterator[bytes]:
    for part in parts:
        with (directory / str(part.number)).open("rb") as file:
            yield from pieces_of(file)


def _described(path: Path) -> UploadedPart:
    found = os.stat(path)  # noqa: PTH116
    return UploadedPart(int(path.name), f"{found.st_mtime_ns:x}-{found.st_size:x}", found.st_size)
