"""The claim: the first object of a backup, which makes its name ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from milvus_backup_server.domain.errors import BackupAlreadyExists, ObjectAlreadyExists
from milvus_backup_server.domain.layout import CLAIM, BackupLayout
from milvus_backup_server.domain.manifest import canonical_json
from milvus_backup_server.domain.record_codec import Record, json_key
from milvus_backup_server.ports.object_store import ObjectStore

FIRST_GENERATION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Record):
    """Who writes, or wrote, a backup. Times are RFC 3339 in UTC."""

    operation: str = json_key("operation", "")
    generation: int = json_key("generation", 0)
    create_time: str = json_key("create_time", "")


async def refuse_taken_name(store: ObjectStore, layout: BackupLayout) -> None:
    """Raise BackupAlreadyExists if anything lies in a backup's directory."""
    page = await store.list_page(layout.directory, limit=1)
    if page.objects:
        raise taken(layout)


async def claim(store: ObjectStore, layout: BackupLayout, operation: str) -> Claim:
    """Take a free name.

    Raises:
        BackupAlreadyExists: Something lies in the directory, or another writer was faster.
    """
    await refuse_taken_name(store, layout)
    ours = Claim(
        operation=operation,
        generation=FIRST_GENERATION,
        create_time=datetime.now(UTC).isoformat(),
    )
    data = canonical_json(ours.to_json())
    try:
        await store.put(layout.meta(CLAIM), data, if_absent=True)
    except ObjectAlreadyExists:
        raise taken(layout) from None
    return ours


def parse_claim(data: bytes) -> Claim:
    """Read a claim."""
    return Claim.from_json(json.loads(data), CLAIM)


def taken(layout: BackupLayout) -> BackupAlreadyExists:
    """Return the error for a name that is not free."""
    return BackupAlreadyExists(
        layout.name,
        f"backup {layout.name!r} already exists, whole or in part; delete it or take another name",
    )
