"""Looks at the pauses of Milvus's garbage collection that hold while a create works."""

from collections.abc import Awaitable, Callable

from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.gateways import GatewayDecorator
from tests.support.newer import Newer


class Spy(GatewayDecorator):
    """Notes the leases that Milvus holds when a backup's objects are listed, and acts then."""

    def __init__(self, inner: MilvusGateway) -> None:
        super().__init__(inner)
        self.seen: list[dict[str, tuple[int, int]]] = []
        self.act: Callable[[], Awaitable[object]] | None = None
        self.it: Newer | None = None

    async def load_state(self, collection: object, partition: str = "") -> str:
        if self.it is not None:
            self.seen.append(dict(self.it.simulator.management.paused))
        act, self.act = self.act, None
        if act is not None:
            await act()
        return await self._inner.load_state(collection, partition)  # type: ignore[arg-type]


def spied(spies: list[Spy], inner: MilvusGateway) -> Spy:
    """Return the spy around a gateway, and note it as the first of those that there are."""
    spies.append(Spy(inner))
    return spies[0]
