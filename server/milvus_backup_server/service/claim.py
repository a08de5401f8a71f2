"""The claim: the first object of a backup, which makes its name ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from milvus_backup_server.domain.errors import (
    BackupAlreadyExists,
    BackupNameLost,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageUnavailable,
)
from milvus_backup_server.domain.layout import CLAIM, FULL_META, BackupLayout, heartbeat_key
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.operation_record import NOBODY, Owner
from milvus_backup_server.domain.record_codec import Record, json_key
from milvus_backup_server.ports.object_store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Record):
    """Who writes, or wrote, a backup. Times are RFC 3339 in UTC.

    Attributes:
        owner: The service, as people read it.
        heartbeat: The object below the root whose age, by the store's clock, tells whether that service
            is alive: one for all that it writes. Empty where it records no operations.
    """

    operation: str = json_key("operation", "")
    generation: int = json_key("generation", 0)
    create_time: str = json_key("create_time", "")
    owner: str = json_key("owner", "")
    heartbeat: str = json_key("heartbeat", "")

    @property
    def data(self) -> bytes:
        """The claim as it stands in the store."""
        return canonical_json(self.to_json())


async def refuse_taken_name(store: ObjectStore, layout: BackupLayout) -> None:
    """Raise BackupAlreadyExists if anything lies in a backup's directory."""
    page = await store.list_page(layout.directory, limit=1)
    if page.objects:
        raise taken(layout)


async def is_left_by(store: ObjectStore, layout: BackupLayout, operation: str) -> bool:
    """Tell whether a name is an operation's, which can go on with what it left there.

    Raises:
        BackupAlreadyExists: It left a complete backup, which stays as it is.
        BackupCorrupt: The claim cannot be read.
    """
    standing = await read_claim(store, layout)
    if standing is None or parse_claim(standing).operation != operation:
        return False
    if await store.head(layout.meta(FULL_META)) is not None:
        raise BackupAlreadyExists(
            layout.name,
            f"backup {layout.name!r} is complete without the collections that failed, and is not "
            "changed any more; back these up under another name",
        )
    return True


def new_claim(operation: str, generation: int, owner: Owner = NOBODY) -> Claim:
    """Return a claim of now that is not written yet.

    Args:
        operation: Who takes a name.
        generation: Part of the keys of the manifest; no two writers of a name have the same.
        owner: Which service.
    """
    return Claim(
        operation=operation,
        generation=generation,
        create_time=datetime.now(UTC).isoformat(),
        owner=str(owner),
        heartbeat=heartbeat_key("", owner.instance) if owner.instance else "",
    )


async def claim(store: ObjectStore, layout: BackupLayout, ours: Claim) -> None:
    """Take a free name.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        ours: What to write.

    Raises:
        BackupAlreadyExists: Something lies in the directory, or another writer was faster.
    """
    await refuse_taken_name(store, layout)
    try:
        await store.put(layout.meta(CLAIM), ours.data, if_absent=True)
    except ObjectAlreadyExists:
        raise taken(layout) from None
    except StorageUnavailable:
        if await read_claim(store, layout) != ours.data:  # else only the answer was lost
            raise
    # A backup of the Go tool that another writer has finished since the first look has no claim.
    if len((await store.list_page(layout.directory, limit=2)).objects) > 1:
        await store.delete([layout.meta(CLAIM)])
        raise taken(layout)


async def take_over(
    store: ObjectStore,
    layout: BackupLayout,
    operation: str,
    generation: int,
    owner: Owner = NOBODY,
) -> Claim | None:
    """Take a name again that an earlier run of the same operation had; of several one gets it.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        operation: Whose claim may be replaced.
        generation: The new one; a higher one is taken where the claim that stands has it already.
        owner: Which service takes it.

    Returns:
        The new claim; None if there is none to replace.

    Raises:
        BackupNameLost: The claim is another operation's, or somebody else is taking it.
        BackupCorrupt: It cannot be read.
    """
    key = layout.meta(CLAIM)
    info = await store.head(key)
    if info is None:
        return None
    try:
        standing = parse_claim(await store.get(key, if_match=info.etag))
        if standing.operation != operation:
            raise lost(layout)
        ours = new_claim(operation, max(generation, standing.generation + 1), owner)
        await store.put(key, ours.data, if_match=info.etag)
    except (ObjectChanged, ObjectNotFound):
        raise lost(layout) from None
    return ours


def parse_claim(data: bytes) -> Claim:
    """Read a claim; BackupCorrupt if it is not one."""
    return Claim.from_json(load_json(data, CLAIM), CLAIM)


async def read_claim(store: ObjectStore, layout: BackupLayout) -> bytes | None:
    """Return the claim that stands, as it is; None if there is none, as in backups of the Go tool."""
    try:
        return await store.get(layout.meta(CLAIM))
    except ObjectNotFound:
        return None


async def require_claim(store: ObjectStore, layout: BackupLayout, ours: bytes | None) -> None:
    """Raise BackupNameLost unless the claim that stands is still the one given."""
    if await read_claim(store, layout) != ours:
        raise lost(layout)


def lost(layout: BackupLayout) -> BackupNameLost:
    """Return the error for a name that is another's now."""
    return BackupNameLost(f"another writer has taken the name {layout.name!r}", subject=layout.name)


def taken(layout: BackupLayout) -> BackupAlreadyExists:
    """Return the error for a name that is not free."""
    return BackupAlreadyExists(
        layout.name,
        f"backup {layout.name!r} already exists, whole or in part; delete it or take another name",
    )
