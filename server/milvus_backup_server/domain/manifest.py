"""Our addition to the Go tool's format: the manifest, which makes a backup verifiable and exact.

Three kinds of files in ``meta/``, all ignored by the Go tool:

- ``manifest.<generation>.json``: the head. Small; lists of backups read only this.
- ``manifest.<generation>.collections.jsonl``: a line per collection, with its moment and the hash
  of the next file.
- ``manifest.<generation>/<collection id>.jsonl``: a line per object.

The head holds the hashes of the collections file, of the four level files and of ``full_meta.json``
as it is without our key; ``full_meta.json`` holds the head's name and hash in that key. So a change
of any byte of any of them is found. Hashes of files are SHA-256 in hex; hashes of objects are MD5,
which is what stores tell as ETag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from milvus_backup_server.domain.errors import BackupCorrupt, BackupNotRestorable
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.record_codec import Record, json_key
from milvus_backup_server.domain.records import DatabaseBackupInfo

FORMAT_VERSION = 1
FULL_META_KEY = "milvus_backup_service"
"""Our one key in ``full_meta.json``, always its last."""

HERE = "."
"""Location of an object that lies in its own backup's directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestObject(Record):
    """A line of an objects file.

    Attributes:
        key: Relative to the backup's directory.
        location: ``.``: in this backup. Other values are reserved.
        source_key: The key in Milvus's bucket that it was copied from.
        source_etag: The ETag there.
        size: Bytes.
        etag: The ETag of the copy.
        hash: Hash of the content in hex; empty if it is not known.
        algorithm: ``md5`` with a hash.
    """

    key: str = json_key("key", "")
    location: str = json_key("location", HERE)
    source_key: str = json_key("source_key", "")
    source_etag: str = json_key("source_etag", "")
    size: int = json_key("size", 0, always=True)
    etag: str = json_key("etag", "")
    hash: str = json_key("hash", "")
    algorithm: str = json_key("algorithm", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestCollection(Record):
    """A line of the collections file.

    Attributes:
        moment: Hybrid timestamp to which the collection is exact; 0 if there is none.
        objects_file: Name of its objects file in ``meta/``.
        objects_sha256: Hash of that file.
        replica_count: How many times it was loaded; the Go tool's records do not tell.
        record: The JSON of the collection's record without segments, so that
            ``ListBackupCollections`` needs no other file. Decoded only where it is shown.
    """

    collection_id: int = json_key("collection_id", 0)
    db_name: str = json_key("db_name", "")
    collection_name: str = json_key("collection_name", "")
    moment: int = json_key("moment", 0)
    objects_file: str = json_key("objects_file", "")
    objects_sha256: str = json_key("objects_sha256", "")
    object_count: int = json_key("object_count", 0, always=True)
    size: int = json_key("size", 0, always=True)
    row_count: int = json_key("row_count", 0, always=True)
    segment_count: int = json_key("segment_count", 0, always=True)
    replica_count: int = json_key("replica_count", 0)
    record: Mapping[str, Any] = json_key("record", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSource(Record):
    """Where a backup was taken from."""

    cluster: str = json_key("cluster", "")
    endpoint: str = json_key("endpoint", "")
    bucket: str = json_key("bucket", "")
    root_path: str = json_key("root_path", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestMissing(Record):
    """A collection that was to be in the backup, and why it is not."""

    db_name: str = json_key("db_name", "")
    collection_name: str = json_key("collection_name", "")
    reason: str = json_key("reason", "")
    message: str = json_key("message", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestHead(Record):
    """The head of a manifest. Times are RFC 3339 in UTC.

    Attributes:
        files: SHA-256 of other metadata files by name; of ``full_meta.json`` without our key.
        row_count: An upper bound as soon as rows were deleted.
        exact: Whether every collection has a moment.
        missing: Collections that failed, where the backup is complete without them.
        strategy: How the create came to what it copied; empty in the oldest ones, which were flushed.
        rbac: How many users and so on ``full_meta.json`` tells of; None if they were not asked for.
    """

    format_version: int = json_key("format_version", FORMAT_VERSION)
    writer: str = json_key("writer", "")
    operation: str = json_key("operation", "")
    generation: int = json_key("generation", 0)
    create_time: str = json_key("create_time", "")
    end_time: str = json_key("end_time", "")
    milvus_version: str = json_key("milvus_version", "")
    source: ManifestSource | None = json_key("source")
    labels: Mapping[str, str] = json_key("labels", {})
    databases: tuple[DatabaseBackupInfo, ...] = json_key("databases", ())
    collection_count: int = json_key("collection_count", 0, always=True)
    object_count: int = json_key("object_count", 0, always=True)
    size: int = json_key("size", 0, always=True)
    row_count: int = json_key("row_count", 0, always=True)
    exact: bool = json_key("exact", default=False, always=True)
    strategy: str = json_key("strategy", "")
    missing: tuple[ManifestMissing, ...] = json_key("missing", ())
    rbac: RbacCounts | None = json_key("rbac")
    collections_file: str = json_key("collections_file", "")
    files: Mapping[str, str] = json_key("files", {})


def dump_line(record: Record) -> bytes:
    """Return a record as one line of canonical JSON."""
    return canonical_json(record.to_json()) + b"\n"


def canonical_json(value: Any) -> bytes:
    """Return JSON without spaces, UTF-8, keys in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parse_head(data: bytes, name: str) -> ManifestHead:
    """Read a manifest's head.

    Args:
        data: The file.
        name: Its name, for messages.

    Raises:
        BackupNotRestorable: It is of a newer format version.
        BackupCorrupt: It cannot be read.
    """
    head = ManifestHead.from_json(load_json(data, name), name)
    if head.format_version > FORMAT_VERSION:
        raise BackupNotRestorable(
            f"{name} has format version {head.format_version}; this service reads up to "
            f"{FORMAT_VERSION}: use a newer one",
            subject=name,
            format_version=head.format_version,
        )
    return head


def load_json(data: bytes, name: str) -> Any:
    """Parse a metadata file.

    Raises:
        BackupCorrupt: It is no JSON.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise BackupCorrupt(f"{name} is not JSON: {error}", file=name) from error


def full_meta_suffix(manifest: str, sha256: str) -> bytes:
    """Return our key as it ends ``full_meta.json``, in place of its last ``}``."""
    value = canonical_json({"manifest": manifest, "sha256": sha256})
    return b',"' + FULL_META_KEY.encode() + b'":' + value + b"}"


def parse_link(values: Any) -> tuple[str, str]:
    """Read our key of ``full_meta.json``: the manifest's name and hash.

    Raises:
        BackupCorrupt: It is not as we write it.
    """
    if isinstance(values, Mapping):
        manifest, sha256 = values.get("manifest"), values.get("sha256")
        if isinstance(manifest, str) and isinstance(sha256, str):
            return manifest, sha256
    raise BackupCorrupt(f"full_meta.json: the key {FULL_META_KEY} is damaged", key=FULL_META_KEY)
