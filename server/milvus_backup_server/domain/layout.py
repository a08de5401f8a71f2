"""Where things lie: keys of a backup, and of binlogs in Milvus's own store.

Source: section 4.1 of the Go tool's layout. A backup is the directory ``{root}/{name}/``; group ids
equal segment ids in what this service writes, and are absent (0) or shared in what early Go
tools wrote.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from milvus_backup_server.domain.milvus import ALL_PARTITIONS

SERVICE_DIRECTORY = ".milvus-backup"
"""Below the repository's root: what is ours and belongs to no backup. Not a legal backup name."""

CONTENT_DIRECTORIES = ("meta/", "binlogs/", "bundle/")
"""What a backup's directory may hold: metadata, logs, the bundle of a snapshot."""

BACKUP_META = "backup_meta.json"
COLLECTION_META = "collection_meta.json"
PARTITION_META = "partition_meta.json"
SEGMENT_META = "segment_meta.json"
FULL_META = "full_meta.json"
CLAIM = "claim.json"
LEVEL_FILES = (COLLECTION_META, PARTITION_META, SEGMENT_META, BACKUP_META)
"""In the order of writing."""

_MANIFEST = re.compile(r"manifest\.(\d+)\.json")
_LOG_KEY = re.compile(
    r"(?P<kind>insert_log|delta_log)/(?P<collection>\d+)/(?P<partition>-?\d+)/(?P<segment>\d+)"
    r"(?:/(?P<field>\d+))?/(?P<log>\d+)"
)


_BACKUP_KEY = re.compile(
    r"binlogs/(?:insert_log/(?P<ic>\d+)/(?P<ip>\d+)(?:/\d+)?/(?P<is>\d+)/(?P<f>\d+)/(?P<il>\d+)"
    r"|delta_log/(?P<dc>\d+)/(?P<dp>-?\d+)(?:/\d+)?/(?P<ds>\d+)/(?P<dl>\d+))"
)


def join(*parts: str) -> str:
    """Join parts of a key, leaving out empty ones; no ``/`` at the ends."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


@dataclass(frozen=True, slots=True)
class LogKey:
    """A binlog or delta log of Milvus by its ids; ``field_id`` is None for delta logs."""

    collection_id: int
    partition_id: int
    segment_id: int
    field_id: int | None
    log_id: int

    @property
    def is_delta(self) -> bool:
        """True for a delta log."""
        return self.field_id is None

    def source_key(self, root: str) -> str:
        """Return the key in Milvus's store."""
        kind = "delta_log" if self.is_delta else "insert_log"
        field = () if self.field_id is None else (str(self.field_id),)
        return join(
            root,
            kind,
            str(self.collection_id),
            str(self.partition_id),
            str(self.segment_id),
            *field,
            str(self.log_id),
        )

    def backup_key(self) -> str:
        """Return the key inside a backup's directory, as this service writes it."""
        kind = "delta_log" if self.is_delta else "insert_log"
        group = () if self.partition_id == ALL_PARTITIONS else (str(self.segment_id),)
        field = () if self.field_id is None else (str(self.field_id),)
        return join(
            "binlogs",
            kind,
            str(self.collection_id),
            str(self.partition_id),
            *group,
            str(self.segment_id),
            *field,
            str(self.log_id),
        )


def parse_source_key(key: str, root: str) -> LogKey | None:
    """Read a key of Milvus's store; None if it is no binlog or delta log."""
    prefix = join(root) + "/" if join(root) else ""
    if not key.startswith(prefix):
        return None
    found = _LOG_KEY.fullmatch(key.removeprefix(prefix))
    if found is None or (found["kind"] == "insert_log") != (found["field"] is not None):
        return None
    field = None if found["field"] is None else int(found["field"])
    return LogKey(
        int(found["collection"]),
        int(found["partition"]),
        int(found["segment"]),
        field,
        int(found["log"]),
    )


def parse_backup_key(key: str) -> LogKey | None:
    """Read a key relative to a backup's directory, with or without a group; None if it is no log."""
    found = _BACKUP_KEY.fullmatch(key)
    if found is None:
        return None
    if found["ic"]:
        return LogKey(
            int(found["ic"]), int(found["ip"]), int(found["is"]), int(found["f"]), int(found["il"])
        )
    return LogKey(int(found["dc"]), int(found["dp"]), int(found["ds"]), None, int(found["dl"]))


def source_directories(root: str, collection_id: int) -> tuple[str, str]:
    """Return the prefixes of a collection's insert and delta logs in Milvus's store."""
    insert = join(root, "insert_log", str(collection_id)) + "/"
    delta = join(root, "delta_log", str(collection_id)) + "/"
    return insert, delta


@dataclass(frozen=True, slots=True)
class BackupLayout:
    """Keys of one backup.

    Attributes:
        root: The repository's root inside its bucket, may be empty.
        name: The backup's name, checked by ``names.is_backup_name``.
    """

    root: str
    name: str

    @property
    def directory(self) -> str:
        """The prefix of everything of this backup, ending in ``/``."""
        return join(self.root, self.name) + "/"

    @property
    def meta_directory(self) -> str:
        """The prefix of the metadata, ending in ``/``."""
        return self.directory + "meta/"

    @property
    def data_directory(self) -> str:
        """The prefix of the data objects, ending in ``/``."""
        return self.directory + "binlogs/"

    def meta(self, file: str) -> str:
        """Return the key of a metadata file."""
        return self.meta_directory + file

    def key(self, relative: str) -> str:
        """Return the key of something given relative to the backup's directory."""
        return self.directory + relative

    def collection_data(self, collection_id: int) -> tuple[str, str]:
        """Return the prefixes of a collection's insert and delta logs."""
        insert = f"{self.data_directory}insert_log/{collection_id}/"
        delta = f"{self.data_directory}delta_log/{collection_id}/"
        return insert, delta


def heartbeat_key(root: str, instance: str) -> str:
    """Return the key of the sign of life of a running service."""
    return join(root, SERVICE_DIRECTORY, "owners", f"{instance}.json")


def verifications_key(root: str, name: str, place: str = "") -> str:
    """Return the key of what is remembered of a backup's verifications; not in the backup itself.

    Args:
        root: Of the repository of the settings.
        name: The backup's name.
        place: Where it lies, empty for that repository; of any characters.
    """
    apart = hashlib.sha256(place.encode()).hexdigest()[:32] if place else ""
    return join(root, SERVICE_DIRECTORY, "verifications", apart, f"{name}.json")


def plan_directory(root: str, operation: str) -> str:
    """Return the prefix of what a create plans to copy, ending in ``/``; not in the backup itself."""
    return join(root, SERVICE_DIRECTORY, "plans", operation) + "/"


def restore_journal_directory(root: str, operation: str) -> str:
    """Return the prefix of what is written down of a restore while it works, ending in ``/``."""
    return join(root, SERVICE_DIRECTORY, "restores", operation) + "/"


def finished_restores_directory(root: str) -> str:
    """Return the prefix below which it is written down for a while which restores have finished."""
    return join(root, SERVICE_DIRECTORY, "finished-restores") + "/"


def manifest_file(generation: int) -> str:
    """Return the name of a manifest's head."""
    return f"manifest.{generation}.json"


def manifest_collections_file(generation: int) -> str:
    """Return the name of the file with a line for each collection."""
    return f"manifest.{generation}.collections.jsonl"


def manifest_objects_file(generation: int, collection_id: int) -> str:
    """Return the name of the file with a line for each object of a collection.

    These lie in a directory of their own: a listing of ``meta/`` stays short however many there are.
    """
    return f"{manifest_directory(generation)}{collection_id}.jsonl"


def manifest_directory(generation: int) -> str:
    """Return the directory of those files, ending in ``/``."""
    return f"manifest.{generation}/"


def manifest_generation(file: str) -> int | None:
    """Return the generation if a file is a manifest's head, else None."""
    found = _MANIFEST.fullmatch(file)
    return int(found[1]) if found else None
