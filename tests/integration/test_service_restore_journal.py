"""The journal of a restore: what it costs to write, and what is read of it again whoever wrote it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.milvus import CollectionName, ImportSource
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.restore_journal import (
    ImportEntry,
    RestoreHead,
    TargetEntry,
    import_entry,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.restore_journal import RestoreJournal

NAME = CollectionName("default", "c")
OPERATION = "20260101t000000_0123abcd"
DIRECTORY = f"root/.milvus-backup/restores/{OPERATION}/"
HEAD = RestoreHead(backup="x", place="y")
TARGET = TargetEntry(
    database="default",
    name="c",
    source_database="default",
    source_name="c",
    temporary=f"_mbtmp_{OPERATION}_0",
    built=1,
)


class Writes(StoreDecorator):
    """Counts the bytes that are written; fails the writes of some keys."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.written = 0
        self.puts: Counter[str] = Counter()
        self.failing = ""
        self.injected = 0

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        if self.failing and self.failing in key:
            self.injected += 1
            raise StorageUnavailable("away")
        self.written += len(data)
        self.puts[key.removeprefix(DIRECTORY).partition("/")[0]] += 1
        return await super().put(key, data, if_absent=if_absent, if_match=if_match)


@pytest.fixture
def store() -> Writes:
    return Writes(MemoryServer().store("b"))


def entry(number: int) -> ImportEntry:
    return import_entry(f"p{number:04d}", [ImportSource(f"a/{number}/", "")])


def journal_of(store: ObjectStore, attempt: int = 1) -> RestoreJournal:
    return RestoreJournal(Storage("backup", store, "root"), OPERATION, attempt)


async def loaded(store: ObjectStore, attempt: int = 9) -> RestoreJournal:
    journal = journal_of(store, attempt)
    await journal.load()
    return journal


async def begun(store: ObjectStore) -> RestoreJournal:
    journal = journal_of(store)
    await journal.begin(HEAD)
    await journal.begin_target(TARGET)
    await journal.note_made(NAME, 7)
    return journal


async def imported(journal: RestoreJournal, *numbers: int) -> list[ImportEntry]:
    """Note imports from their beginning to their end, and return what is known of them then."""
    ended = []
    for item in map(entry, numbers):
        await journal.note_import(NAME, item)
        await journal.note_import(NAME, item.issued(f"j{item.partition}"))
        ended.append(item.ended(f"j{item.partition}", 5))
        await journal.note_import(NAME, ended[-1])
    return ended


async def test_a_collection_of_many_partitions_costs_as_much_for_each_as_one_of_few(
    store: Writes,
) -> None:
    bytes_written = {}
    for count in (256, 512):
        store.written, store.puts = 0, Counter()
        journal = await begun(store)
        noted = await imported(journal, *range(count))
        assert store.puts == {"head.000001.json": 1, "targets": 2, "imports": 3 * count}
        bytes_written[count] = store.written
        assert (await loaded(store)).require_target(NAME).imports == tuple(noted)
        await journal.remove()
    assert bytes_written[512] < 2.1 * bytes_written[256]


async def test_what_was_not_issued_is_not_known_any_more(store: Writes) -> None:
    journal = await begun(store)
    first, _, third = await imported(journal, *range(3))
    await journal.forget_import(NAME, entry(1))
    assert (await loaded(store)).require_target(NAME).imports == (first, third)


async def test_a_collection_that_is_built_anew_has_none_of_the_imports_of_before(
    store: Writes,
) -> None:
    journal = await begun(store)
    await imported(journal, *range(40))
    await journal.begin_target(replace(TARGET, temporary=f"_mbtmp_{OPERATION}_1", built=2))
    assert (await loaded(store)).require_target(NAME).imports == ()
    noted = await imported(journal, 3)
    found = (await loaded(store)).require_target(NAME)
    assert (found.imports, found.built) == (tuple(noted), 2)


async def test_what_could_not_be_written_is_written_with_what_comes_next(store: Writes) -> None:
    journal = await begun(store)
    store.failing = "/imports/"
    with pytest.raises(StorageUnavailable):
        await journal.note_import(NAME, entry(0))
    assert store.injected == 1
    store.failing = ""
    await journal.note_imported(NAME)
    found = (await loaded(store)).require_target(NAME)
    assert (found.imports, found.imported) == ((entry(0),), True)


async def test_who_was_taken_for_dead_and_writes_on_is_not_heard(store: Writes) -> None:
    dead = await begun(store)
    noted = await imported(dead, *range(70))  # in three files
    second = await loaded(store, 2)
    noted += await imported(second, 70)
    await imported(dead, *range(70, 75))
    await dead.forget_import(NAME, entry(0))
    assert (await loaded(store)).require_target(NAME).imports == tuple(noted)


@pytest.mark.parametrize("crash", ["", "/targets/", "/imports/00000001/000001"])
async def test_the_journal_of_a_service_of_before_is_gone_on_with(
    store: Writes, crash: str
) -> None:
    noted = tuple(entry(number).ended(f"j{number}", 5) for number in range(40))
    old = {
        "head.000001.json": replace(HEAD, format_version=1),
        "targets/00000000.000001.json": replace(TARGET, collection_id=7, imports=noted),
    }
    for key, record in old.items():
        await store.put(DIRECTORY + key, canonical_json(record.to_json()))
    second = await loaded(store, 2)
    assert second.require_target(NAME).imports == noted
    store.failing = crash
    if crash:
        with pytest.raises(StorageUnavailable):
            await second.note_import(NAME, entry(40))
    else:
        await second.note_import(NAME, entry(40))
    assert store.injected == (1 if crash else 0)
    expected = noted if crash else (*noted, entry(40))
    assert (await loaded(store)).require_target(NAME).imports == expected
    if not crash:
        target = await store.get(f"{DIRECTORY}targets/00000000.000002.json")
        assert "imports" not in load_json(target, "target")


class HalfRemoved(StoreDecorator):
    """Removes every second object of the first request, and then does not answer any more."""

    async def delete(self, keys: Sequence[str]) -> None:
        await super().delete(keys[1::2] or keys)
        raise StorageUnavailable("away")


async def test_what_is_left_of_one_that_is_half_removed_tells_of_nothing(store: Writes) -> None:
    journal = journal_of(store)
    await journal.begin(HEAD)
    for name in "abcd":
        await journal.begin_target(replace(TARGET, name=name))
    before = len((await store.list_page(DIRECTORY)).objects)
    with pytest.raises(StorageUnavailable):
        await journal_of(HalfRemoved(store)).remove()
    assert 0 < len((await store.list_page(DIRECTORY)).objects) < before
    again = await loaded(store)
    assert not again.begun
    assert list(again.targets()) == []
