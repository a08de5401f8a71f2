"""A store that takes no journal of a restore, and a restore that takes the place of others on it all the same."""

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import StorageDenied
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.crash_checks import temporary
from tests.support.fake_milvus_state import Key
from tests.support.replacing_restores import BACKED_UP, LATER, NAMES, with_backup
from tests.support.service import World, named

ALIAS = "to_it"


class NoJournals(StoreDecorator):
    """Refuses to take journals of restores.

    Attributes:
        refused: how often it did.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.refused = 0

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        if "/restores/" in key:
            self.refused += 1
            raise StorageDenied(f"the store refuses to write {key}")
        return await super().put(key, data, if_absent=if_absent, if_match=if_match)


async def unwritten() -> World:
    """Make the world of a restore of which nothing can be written down; an alias leads to the second collection."""
    world = await with_backup()
    world.milvus.point_alias(named(NAMES[1]), ALIAS)
    world.backup_store = NoJournals(world.backup_store)
    return world


def assert_all_is_somewhere(world: World) -> list[str]:
    """Assert that each collection is whole under its name, or under a temporary one; return the latter.

    What led to it leads to one of them.
    """
    assert isinstance(world.backup_store, NoJournals)
    assert world.backup_store.refused > 0 or temporary(world) == [], "it died before"
    there = [name for name in NAMES if f"default.{name}" in world.collections()]
    assert all(_rows(world, name) in (LATER, BACKED_UP) for name in there)
    copies = [name for name in temporary(world) if _rows(world, name) == BACKED_UP]
    assert len(there) + len(copies) >= len(NAMES), "the only copy of a collection is gone"
    assert _rows(world, leads_to(world)) in (LATER, BACKED_UP)
    return copies


def leads_to(world: World) -> str:
    """Return to which collection the alias leads."""
    ((alias, name),) = world.milvus.aliases.items()
    assert alias.name == ALIAS
    return name


def _rows(world: World, name: str) -> list[Key]:
    return world.milvus.keys(named(name))
