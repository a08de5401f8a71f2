"""The plan of a create, kept in the store so that an interrupted one goes on with it.

Below ``{root}/.milvus-backup/plans/{operation}/`` lie, each written once and whole:

- ``{generation}/{number}.{version}.jsonl``: a collection by its place in the selection. A line with the
  hash of the next one; a line with everything but the objects; then a line per object, delta logs
  first. A collection that is planned anew gets a new version.
- ``{generation}/plan.json``: the selection. Written when every collection of it is there, and before
  the first object is copied.

The generation is that of the claim under which a file was written, so that a writer that sleeps and
wakes up writes over nothing of its successor's.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.layout import plan_directory
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.milvus import CollectionName, FlushAll
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode
from milvus_backup_server.service.collection_plan import CollectionPlan, CollectionSnapshot
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Storage, WorkLimits
from milvus_backup_server.service.objects import (
    delete_prefix,
    list_objects,
    read_chunks,
    write_chunks,
)
from milvus_backup_server.service.snapshot import Selected
from milvus_backup_server.service.spool import Spool, SpoolDirectory

_FORMAT_VERSION = 1
_SELECTION = "plan.json"
_FILE = re.compile(rf"(\d+)/(?:(\d+)\.(\d+)\.jsonl|{re.escape(_SELECTION)})")


@dataclass(frozen=True, slots=True)
class _Selection:
    """The content of ``plan.json``."""

    format_version: int
    selected: Selected
    flush_all: FlushAll | None = None


@dataclass(frozen=True, slots=True)
class _Head:
    """The second line of a collection's file."""

    format_version: int
    snapshot: CollectionSnapshot
    rows: Mapping[int, int]
    partition_bytes: Mapping[int, int]
    amount: Amount
    delta_size: int
    delta_sha256: str
    insert_size: int
    insert_sha256: str


@dataclass(frozen=True, slots=True)
class RecalledPlan:
    """What an earlier run had planned; a collection whose file is damaged has no plan."""

    selected: Selected
    plans: Mapping[CollectionName, CollectionPlan]
    flush_all: FlushAll | None = None


class PlanJournal:
    """The plan of one operation.

    Args:
        storage: The repository's storage.
        operation: Who copies.
        limits: How many files are read or written at one time, and in what pieces.
    """

    def __init__(self, storage: Storage, operation: str, limits: WorkLimits) -> None:
        self._store = storage.store
        self._directory = plan_directory(storage.root, operation)
        self._limits = limits
        self._numbers: dict[CollectionName, int] = {}
        self._versions: Counter[int] = Counter()

    async def write(
        self,
        generation: int,
        selected: Selected,
        plans: Mapping[CollectionName, CollectionPlan],
        flush_all: FlushAll | None = None,
    ) -> None:
        """Write a plan; what has no plan because it failed is planned when it is tried again."""
        self._number(selected)
        await for_each(
            plans.values(),
            lambda plan: self.write_one(generation, plan),
            concurrent=self._limits.collections,
        )
        content = encode(_Selection, _Selection(_FORMAT_VERSION, selected, flush_all))
        key = f"{self._directory}{generation}/{_SELECTION}"
        await self._store.put(key, canonical_json(content))

    async def write_one(self, generation: int, plan: CollectionPlan) -> None:
        """Write the plan of a collection of the selection in the place of an earlier one."""
        number = self._numbers[plan.snapshot.name]
        self._versions[number] += 1
        key = f"{self._directory}{generation}/{number}.{self._versions[number]}.jsonl"
        await write_chunks(self._store, key, _content(plan), self._limits.part_bytes)

    async def recall(self, spools: SpoolDirectory) -> RecalledPlan | None:
        """Return what was planned last; None if no plan was finished.

        Raises:
            StorageUnavailable: The store does not answer.
        """
        files = await self._files()
        generation = max((it.generation for it in files if it.number is None), default=None)
        if generation is None:
            return None
        selection = await self._selection(f"{generation}/{_SELECTION}")
        if selection is None:
            return None
        selected = selection.selected
        self._number(selected)
        plans: dict[CollectionName, CollectionPlan] = {}

        async def read(number: int) -> None:
            file = newest.get(number)
            plan = None if file is None else await self._plan(file.name, spools)
            if plan is not None and plan.snapshot.name == selected.collections[number]:
                plans[plan.snapshot.name] = plan

        newest = _newest(it for it in files if it.generation >= generation)
        numbers = range(len(selected.collections))
        await for_each(numbers, read, concurrent=self._limits.collections)
        return RecalledPlan(
            selected,
            {name: plans[name] for name in selected.collections if name in plans},
            selection.flush_all,
        )

    async def remove(self) -> None:
        """Forget the plan; no error if there is none."""
        await delete_prefix(self._store, self._directory)

    def _number(self, selected: Selected) -> None:
        self._numbers = {name: number for number, name in enumerate(selected.collections)}

    async def _files(self) -> list[_File]:
        found: list[_File] = []
        async for item in list_objects(self._store, self._directory):
            name = item.key.removeprefix(self._directory)
            parts = _FILE.fullmatch(name)
            if parts is not None:
                number = None if parts[2] is None else int(parts[2])
                found.append(_File(name, int(parts[1]), number, int(parts[3] or 0)))
        return found

    async def _selection(self, name: str) -> _Selection | None:
        try:
            data = load_json(await self._store.get(self._directory + name), name)
            found: _Selection = decode(_Selection, data)
        except (BackupCorrupt, NotDecodable, ObjectNotFound):
            return None
        return found if found.format_version == _FORMAT_VERSION else None

    async def _plan(self, name: str, spools: SpoolDirectory) -> CollectionPlan | None:
        chunks = read_chunks(self._store, self._directory + name, self._limits.part_bytes)
        try:
            return await _parsed(_Cut(chunks), name, spools)
        except (BackupCorrupt, NotDecodable, ObjectNotFound, ObjectChanged):
            return None


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the journal; ``number`` is None for the selection."""

    name: str
    generation: int
    number: int | None
    version: int


def _newest(files: Iterable[_File]) -> dict[int, _File]:
    """Return the latest file of each collection by its number."""
    ordered = sorted(files, key=lambda it: (it.generation, it.version))
    return {it.number: it for it in ordered if it.number is not None}


async def _content(plan: CollectionPlan) -> AsyncIterator[bytes]:
    await plan.delta.flush()
    await plan.insert.flush()
    head = _Head(
        format_version=_FORMAT_VERSION,
        snapshot=plan.snapshot,
        rows=plan.rows,
        partition_bytes=plan.partition_bytes,
        amount=plan.amount,
        delta_size=plan.delta.size,
        delta_sha256=plan.delta.sha256,
        insert_size=plan.insert.size,
        insert_sha256=plan.insert.sha256,
    )
    line = canonical_json(encode(_Head, head))
    yield hashlib.sha256(line).hexdigest().encode() + b"\n" + line + b"\n"
    for spool in (plan.delta, plan.insert):
        async for chunk in spool.chunks():
            yield chunk


async def _parsed(cut: _Cut, name: str, spools: SpoolDirectory) -> CollectionPlan:
    digest, line = await cut.line(), await cut.line()
    if hashlib.sha256(line).hexdigest().encode() != digest:
        raise BackupCorrupt(f"{name} is damaged", file=name)
    head = decode(_Head, load_json(line, name))
    if head.format_version != _FORMAT_VERSION:
        raise BackupCorrupt(f"{name} is of another version", file=name)
    delta, insert = spools.spool(), spools.spool()
    await cut.move(head.delta_size, delta)
    await cut.move(head.insert_size, insert)
    if (delta.sha256, insert.sha256) != (head.delta_sha256, head.insert_sha256):
        raise BackupCorrupt(f"{name} is damaged", file=name)
    return CollectionPlan(
        snapshot=head.snapshot,
        delta=delta,
        insert=insert,
        rows=dict(head.rows),
        partition_bytes=head.partition_bytes,
        amount=head.amount,
    )


class _Cut:
    """Takes lines and runs of bytes off a stream."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    async def line(self) -> bytes:
        """Return what comes before the next line end; everything if there is none."""
        while b"\n" not in self._rest:
            more = await anext(self._chunks, b"")
            if not more:
                break
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def move(self, size: int, spool: Spool) -> None:
        """Move so many bytes into a spool; fewer where the stream ends."""
        while size > 0:
            if not self._rest:
                self._rest = await anext(self._chunks, b"")
            if not self._rest:
                break
            piece, self._rest = self._rest[:size], self._rest[size:]
            await spool.append(piece)
            size -= len(piece)
        await spool.flush()
