"""Damage to the files of a backup, as disks, networks, tools and people do it; and a backup to damage."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from milvus_backup_server.domain.errors import BackupError, BackupNotRestorable
from milvus_backup_server.domain.operations import CollectionState, Operation, OperationState
from milvus_backup_server.domain.verification import ProblemKind, VerifyLevel, VerifyResult
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_objects
from tests.support.running_service import Decorators
from tests.support.service import Service, World, add_collection, flushed, named, running

_DIRECTORY = "backup/b/"
_OTHER = "backup/other/"
_FULL_META = "meta/full_meta.json"


@dataclass(frozen=True)
class Mutation:
    """One way to damage a file.

    Attributes:
        change: gives the new bytes; None removes the file.
        size: whether the size changes, or the file goes.
    """

    name: str
    change: Callable[[bytes, bytes], bytes | None]
    size: bool

    async def apply(
        self, store: ObjectStore, key: str, other: bytes
    ) -> Callable[[], Awaitable[object]]:
        """Damage a file, and return what puts it back.

        Args:
            store: where it is.
            key: its key.
            other: a valid file that is none of these bytes.
        """
        original = await store.get(key)
        changed = self.change(original, other)
        assert changed != original
        if changed is None:
            await store.delete([key])
        else:
            await store.put(key, changed)
        return lambda: store.put(key, original)


def flipped(at: float) -> Callable[[bytes, bytes], bytes]:
    """Change one bit at a share of the length."""

    def change(data: bytes, _: bytes) -> bytes:
        place = min(int(len(data) * at), len(data) - 1)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return change


MUTATIONS: Sequence[Mutation] = (
    Mutation("removed", lambda _data, _other: None, size=True),
    Mutation("first bit", flipped(0), size=False),
    Mutation("middle bit", flipped(0.5), size=False),
    Mutation("last bit", flipped(1), size=False),
    Mutation("zeroed", lambda data, _: data[:-9] + bytes(9), size=False),
    Mutation("truncated", lambda data, _: data[:-1], size=True),
    Mutation("halved", lambda data, _: data[: len(data) // 2], size=True),
    Mutation("emptied", lambda _data, _other: b"", size=True),
    Mutation("appended", lambda data, _: data + b"\n", size=True),
    Mutation("another file", lambda _, other: other, size=False),
)


@dataclass
class SmallBackup:
    """The backup `b` of two collections, with deletes and two partitions, and another one, `other`.

    Attributes:
        store: where it is.
        decorators: for `running`, so that the service uses that store.
        keys: its files but the claim, which nothing reads once it is complete.
        rows: the keys of the rows that a restore gives, by collection.
    """

    world: World
    store: ObjectStore
    decorators: Decorators
    keys: Sequence[str]
    rows: dict[str, list[object]]

    @classmethod
    async def make(cls, store: ObjectStore | None = None) -> "SmallBackup":
        """Make it in a store, without one in that of a new world."""
        world = World()
        where: ObjectStore = store or world.backup_store
        decorators = Decorators(backup_store=lambda _: where)
        c = await add_collection(world.milvus, "c", range(5), partitions=["p"])
        d = await add_collection(world.milvus, "shop.d", range(3))
        await flushed(world.milvus, c)
        world.milvus.delete(c, [3])
        world.milvus.insert(c, range(50, 53), "p")
        async with running(world, decorators) as service:
            await service.create("b")
            world.milvus.insert(d, range(70, 73))
            await service.create("other")
        keys = [item.key.removeprefix(_DIRECTORY) async for item in list_objects(where, _DIRECTORY)]
        return cls(
            world,
            where,
            decorators,
            sorted(key for key in keys if not key.endswith("claim.json")),
            {"c": [0, 1, 2, 4, 50, 51, 52], "shop.d": [0, 1, 2]},
        )

    async def damage(self, key: str, mutation: Mutation) -> Callable[[], Awaitable[object]]:
        """Damage one of its files, and return what puts it back."""
        return await mutation.apply(self.store, _DIRECTORY + key, await self._other_file(key))

    async def found(self, service: Service, level: VerifyLevel) -> set[str] | None:
        """Verify it and return the keys that are named; None if it is refused as incomplete."""
        if await self.store.head(_DIRECTORY + _FULL_META) is not None:
            return set(problems_of(await service.verify(level=level)))
        with pytest.raises(BackupNotRestorable, match=r"full_meta\.json is not there"):
            await service.verify(level=level)
        return None

    async def require_refused_or_exact(self, service: Service) -> None:
        """Restore it: each collection comes back with exactly its rows, or fails and leaves nothing."""
        milvus = self.world.milvus
        before = self.world.collections()
        with contextlib.suppress(BackupError):
            last = await service.end(await service.start_restore(suffix="_r"))
            whole = [it.target for it in last.collections if it.state is CollectionState.SUCCEEDED]
            assert len(whole) == last.succeeded_count
            for name, keys in self.rows.items():
                if (target := named(f"{name}_r")) in whole:
                    assert milvus.keys(target) == keys
                    await milvus.drop_collection(target)
        assert self.world.collections() == before

    async def _other_file(self, key: str) -> bytes:
        """Return another valid file, of the same size if there is one."""
        original = await self.store.get(_DIRECTORY + key)
        if key.startswith("meta/"):
            candidates = [_OTHER + key, _OTHER + "meta/backup_meta.json"]
        else:
            candidates = [_DIRECTORY + other for other in self.keys if "binlogs/" in other]
        others = [await self.store.get(candidate) for candidate in candidates]
        others.sort(key=lambda data: abs(len(data) - len(original)))
        return next(data for data in others if data != original)


def problems_of(operation: Operation) -> dict[str, ProblemKind]:
    """Return what a verification that ended in damage names, by key."""
    assert operation.state is OperationState.FAILED, operation
    assert operation.error is not None
    assert operation.error.reason == "BACKUP_CORRUPT"
    result = operation.result
    assert isinstance(result, VerifyResult)
    assert result.problem_count == len(result.problems) > 0
    return {problem.key: problem.kind for problem in result.problems}
