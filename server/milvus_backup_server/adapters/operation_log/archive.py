"""Ended records, many in one object: a long history is read with few requests."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from milvus_backup_server.adapters.operation_log.keys import (
    LogKeys,
    pack_data,
    parse_pack,
    parse_record,
)
from milvus_backup_server.domain.errors import ObjectNotFound
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.ports.operation_log import Retention, Stored
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.objects import list_objects

PACKED_AT: Final = 64
"""Ended records outside the archive from which on they are moved into it."""

_READ_AT_ONCE = 8
_CLOCK_SECONDS = 60.0
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Packed:
    """A record in brief, and the line that holds all of it."""

    record: OperationRecord
    line: bytes


_Pack = dict[str, _Packed]


class Archive:
    """The packs of a log. Each is written once; what two services pack at once is in both.

    Most of a long history is never shown: its records are read in brief, and whole when one is wanted.
    """

    def __init__(self, store: ObjectStore, keys: LogKeys, retention: Retention) -> None:
        self._store = store
        self._keys = keys
        self._retention = retention
        self._packs: dict[str, _Pack] = {}
        self._clock: tuple[float, datetime] | None = None

    async def find(self, name: str) -> OperationRecord | None:
        """Return an archived record, whole."""
        await self._all()
        return self.whole(name)

    def whole(self, name: str) -> OperationRecord | None:
        """Return a record of the packs that were read last, whole; None if it is in none of them."""
        for pack in self._packs.values():
            if name in pack:
                return parse_record(pack[name].line)
        return None

    async def records(self) -> Sequence[OperationRecord]:
        """Return all that is in the archive, in brief."""
        return [item.record for pack in (await self._all()).values() for item in pack.values()]

    async def merged(
        self, archived: Iterable[OperationRecord], recent: Iterable[OperationRecord]
    ) -> Sequence[OperationRecord]:
        """Return all records by name, without what is not to be kept."""
        known = {record.name: record for record in (*archived, *recent)}
        kept = self._kept(known.values(), await self._now())
        return [known[name] for name in sorted(known) if name in kept]

    async def tidy(self, recent: Sequence[Stored]) -> None:
        """Pack what has ended, if it is worth it, and drop what is not to be kept."""
        ended = [item.record for item in recent if item.record.operation.state.final]
        if len(ended) < PACKED_AT:
            return
        name = f"{ended[0].name}-{ended[-1].name}-{secrets.token_hex(4)}.jsonl"
        await self._store.put(self._keys.history + name, pack_data(ended), if_absent=True)
        await self._delete(self._keys.operation(record.name) for record in ended)
        recent = [item for item in recent if not item.record.operation.state.final]
        await self._drop([item.record for item in recent])

    async def _drop(self, recent: Sequence[OperationRecord]) -> None:
        packs = await self._all()
        known = [item.record for pack in packs.values() for item in pack.values()]
        kept = self._kept([*known, *recent], await self._now())
        for key, pack in packs.items():
            if kept.isdisjoint(pack):
                await self._delete(_belongings(self._keys, (it.record for it in pack.values())))
                await self._delete([key])
                del self._packs[key]
        old = [record for record in recent if record.name not in kept]
        await self._delete(_belongings(self._keys, old))
        await self._delete(self._keys.operation(record.name) for record in old)

    def _kept(self, records: Iterable[OperationRecord], now: datetime) -> frozenset[str]:
        """Return which records are to be kept: what is active, and the newest of the others."""
        active = {record.name for record in records if record.active}
        youngest = now - self._retention.age
        ended = sorted(
            {record.name for record in records if not record.active and _end(record) > youngest}
        )
        return frozenset({*active, *ended[-self._retention.number :]})

    async def _now(self) -> datetime:
        """Return the time of the store, asked for once a minute: what is kept is kept for days."""
        here = time.monotonic()
        if self._clock is None or here - self._clock[0] > _CLOCK_SECONDS:
            self._clock = here, await self._store.now()
        return self._clock[1]

    async def _all(self) -> dict[str, _Pack]:
        """Return all packs by key; those that are not known yet are read."""
        keys = [item.key async for item in list_objects(self._store, self._keys.history)]

        async def read(key: str) -> None:
            try:
                data = await self._store.get(key)
            except ObjectNotFound:
                return
            self._packs[key] = await asyncio.to_thread(_read_pack, data)

        unknown = [key for key in keys if key not in self._packs]
        await for_each(unknown, read, concurrent=min(_READ_AT_ONCE, len(unknown)))
        self._packs = {key: self._packs[key] for key in keys if key in self._packs}
        return dict(self._packs)

    async def _delete(self, keys: Iterable[str]) -> None:
        left = list(keys)
        while left:
            await self._store.delete(left[:_DELETED_AT_ONCE])
            del left[:_DELETED_AT_ONCE]


def _read_pack(data: bytes) -> _Pack:
    return {record.name: _Packed(record, line) for record, line in parse_pack(data)}


def _belongings(keys: LogKeys, records: Iterable[OperationRecord]) -> list[str]:
    """Return the keys of what is kept beside records."""
    found: list[str] = []
    for record in records:
        found.append(keys.details(record.name))
        if record.operation.request_id:
            found.append(keys.request(record.operation.request_id))
    return found


def _end(record: OperationRecord) -> datetime:
    operation = record.operation
    return operation.end_time or operation.start_time or operation.create_time
