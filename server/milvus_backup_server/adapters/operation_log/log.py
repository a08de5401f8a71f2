"""The operation log over an object store."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from milvus_backup_server.adapters.operation_log.archive import Archive
from milvus_backup_server.adapters.operation_log.keys import (
    LogKeys,
    name_in,
    parse_record,
    record_data,
)
from milvus_backup_server.domain.errors import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.manifest import canonical_json
from milvus_backup_server.domain.operation_record import (
    OperationDetails,
    OperationRecord,
    Owner,
)
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.ports.operation_log import Retention, Stored
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.objects import list_objects

_READ_AT_ONCE = 32
_TRIES = 5
_OWNER_FORGOTTEN = timedelta(days=1)

_log = logging.getLogger(__name__)


class StoreOperationLog:
    """Records below the root of a repository; the promises are those of the port.

    Args:
        store: The repository's store.
        root: The prefix below which the repository lies.
        retention: How long ended operations are kept.
    """

    def __init__(self, store: ObjectStore, root: str, retention: Retention | None = None) -> None:
        self._store = store
        self._keys = LogKeys(root)
        self._archive = Archive(store, self._keys, retention or Retention())
        self._read: dict[str, Stored] = {}

    # --- records

    async def create(self, record: OperationRecord) -> Stored:
        """Write a new record."""
        key, data = self._keys.operation(record.name), record_data(record)
        return Stored(record, (await self._store.put(key, data, if_absent=True)).etag)

    async def replace(self, record: OperationRecord, version: str) -> Stored:
        """Write a record in place of the known version."""
        key, data = self._keys.operation(record.name), record_data(record)
        return Stored(record, (await self._store.put(key, data, if_match=version)).etag)

    async def remove(self, name: str) -> None:
        """Remove a record."""
        await self._store.delete([self._keys.operation(name)])

    async def read(self, name: str) -> Stored | None:
        """Read a record, of the archive if it is in there."""
        try:
            for _ in range(_TRIES):
                info = await self._store.head(self._keys.operation(name))
                if info is None:
                    break
                found = await self._record(name, info.etag)
                if found is not None:
                    return found
            archived = await self._archive.find(name)
        except BucketNotFound:
            return None
        return Stored(archived, "") if archived else None

    async def versions(self) -> Mapping[str, str]:
        """List the records; one request for a thousand."""
        try:
            prefix = self._keys.operations
            return {
                name_in(item.key): item.etag async for item in list_objects(self._store, prefix)
            }
        except BucketNotFound:
            return {}

    async def recent(self) -> Sequence[Stored]:
        """Read the records that changed since the last time, and return all."""
        versions = await self.versions()
        found: dict[str, Stored] = {}

        async def read(name: str) -> None:
            record = await self._record(name, versions[name])
            # A record that changed between listing and reading is read anew, in its newest version.
            record = record or await self.read(name)
            if record is not None:
                found[name] = record

        await for_each(versions, read, concurrent=min(_READ_AT_ONCE, len(versions)))
        self._read = {name: item for name, item in self._read.items() if name in versions}
        return [found[name] for name in sorted(found)]

    async def _record(self, name: str, version: str) -> Stored | None:
        """Return one version of a record; None if it is not the newest any more, or not readable."""
        known = self._read.get(name)
        if known is not None and known.version == version:
            return known
        key = self._keys.operation(name)
        try:
            record = parse_record(await self._store.get(key, if_match=version))
        except (ObjectChanged, ObjectNotFound):
            return None
        except NotDecodable as error:
            _log.warning("operation record %s cannot be read: %s", key, error)
            return None
        self._read[name] = Stored(record, version)
        return self._read[name]

    def whole(self, record: OperationRecord) -> OperationRecord:
        """Read one of the archive from memory."""
        return self._archive.whole(record.name) or record

    async def all(self) -> Sequence[OperationRecord]:
        """Read everything, also the archive."""
        try:
            # In this order: what is archived between the two is in both, never in none.
            recent = [item.record for item in await self.recent() if item.record.accepted]
            return await self._archive.merged(await self._archive.records(), recent)
        except BucketNotFound:
            return ()

    async def tidy(self) -> None:
        """Archive and forget."""
        try:
            await self._archive.tidy(await self.recent())
            await self._forget_owners()
        except BucketNotFound:
            return

    async def write_details(self, name: str, details: OperationDetails) -> None:
        """Write one object."""
        data = canonical_json(encode(OperationDetails, details))
        await self._store.put(self._keys.details(name), data)

    async def read_details(self, name: str) -> OperationDetails | None:
        """Read one object."""
        try:
            data = await self._store.get(self._keys.details(name))
            details: OperationDetails = decode(OperationDetails, json.loads(data))
        except (ObjectNotFound, BucketNotFound, ValueError):
            return None
        return details

    # --- ids of requests

    async def operation_of(self, request_id: str) -> str:
        """Read the index."""
        try:
            return _named(await self._store.get(self._keys.request(request_id)))
        except (ObjectNotFound, BucketNotFound):
            return ""

    async def take_request_id(self, request_id: str, name: str, instead_of: str = "") -> str:
        """Write an entry of the index, on the condition that it is free."""
        key, data = self._keys.request(request_id), canonical_json({"operation": name})
        for _ in range(_TRIES):
            try:
                await self._store.put(key, data, if_absent=True)
            except ObjectAlreadyExists:
                info = await self._store.head(key)
                holder = await self.operation_of(request_id)
                if info is None or not holder:
                    continue  # removed just now
                if holder != instead_of:
                    return holder
                try:
                    await self._store.put(key, data, if_match=info.etag)
                except ObjectChanged:
                    continue
            return name
        return await self.operation_of(request_id) or name

    # --- owners

    async def beat(self, owner: Owner) -> None:
        """Write the owner's object anew."""
        data = canonical_json({"instance": owner.instance, "host": owner.host, "pid": owner.pid})
        await self._store.put(self._keys.owner(owner.instance), data)

    async def end(self, owner: Owner) -> None:
        """Remove the owner's object."""
        await self._store.delete([self._keys.owner(owner.instance)])

    async def heartbeats(self) -> Mapping[str, datetime]:
        """List the owners' objects."""
        try:
            items = [item async for item in list_objects(self._store, self._keys.owners)]
        except BucketNotFound:
            return {}
        return {name_in(item.key): item.modified for item in items if item.modified}

    async def living(self, limit: timedelta) -> frozenset[str]:
        """Compare the owners' objects with the store's clock."""
        heartbeats = await self.heartbeats()
        if not heartbeats:
            return frozenset()
        now = await self._store.now()
        return frozenset(name for name, time in heartbeats.items() if now - time < limit)

    async def _forget_owners(self) -> None:
        heartbeats = await self.heartbeats()
        if heartbeats:
            now = await self._store.now()
            gone = [it for it, time in heartbeats.items() if now - time > _OWNER_FORGOTTEN]
            await self._store.delete([self._keys.owner(instance) for instance in gone])


def _named(data: bytes) -> str:
    try:
        values = json.loads(data)
        return str(values["operation"])
    except (ValueError, KeyError, TypeError):
        return ""
