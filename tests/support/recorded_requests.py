"""An ObjectStore that notes every request, and may damage the bodies of chosen ones on their way."""

from collections.abc import Sequence

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.objects import ListPage, ObjectInfo, Upload
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.running_service import Decorators


class Requests:
    """What was asked of the store of the backups.

    Attributes:
        calls: method and key (or prefix) of every request.
        damaged: how many bodies were damaged.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.damaged = 0
        self._damage: dict[str, int] = {}
        self._at = 0

    @property
    def decorators(self) -> Decorators:
        """For `running`."""
        return Decorators(backup_store=lambda inner: RecordingStore(inner, self))

    def of(self, *methods: str, part: str = "") -> list[str]:
        """Return the subjects of the requests of some methods."""
        return [subject for method, subject in self.calls if method in methods and part in subject]

    def damage(self, key: str, times: int, *, at: int = 0) -> None:
        """Change a bit of that byte of the bodies of the next reads of an object, another one each time."""
        self._damage[key] = times
        self._at = at

    def body(self, key: str, data: bytes) -> bytes:
        """Return a body as it arrives."""
        if not self._damage.get(key) or not data:
            return data
        self._damage[key] -= 1
        self.damaged += 1
        changed = bytearray(data)
        changed[self._at] ^= 1 << self.damaged % 8
        return bytes(changed)


class RecordingStore(StoreDecorator):
    """Passes every request on and notes it."""

    def __init__(self, inner: ObjectStore, requests: Requests) -> None:
        super().__init__(inner)
        self._requests = requests

    def _note(self, method: str, subject: str) -> None:
        self._requests.calls.append((method, subject))

    async def head(self, key: str) -> ObjectInfo | None:
        self._note("head", key)
        return await super().head(key)

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        self._note("get", key)
        data = await super().get(key, offset=offset, length=length, if_match=if_match)
        return self._requests.body(key, data)

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        self._note("put", key)
        return await super().put(key, data, if_absent=if_absent, if_match=if_match)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._note("delete", key)
        await super().delete(keys)

    async def start_upload(self, key: str) -> Upload:
        self._note("start_upload", key)
        return await super().start_upload(key)

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        self._note("list_page", prefix)
        return await super().list_page(prefix, token=token, delimiter=delimiter, limit=limit)
