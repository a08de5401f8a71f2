"""Backups in a store whose ETags look like MD5s and are none, as with SSE-KMS."""

from dataclasses import replace

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.adapters.transfer import CopyMode, TransferSettings
from milvus_backup_server.domain.objects import ListPage, ObjectInfo, StoreLocation
from milvus_backup_server.domain.operations import OperationState, RestoreResult
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, running


class Encrypted(StoreDecorator):
    """Has other ETags than the MD5s, which are the inner store's."""

    async def head(self, key: str) -> ObjectInfo | None:
        info = await super().head(key)
        return info and _hidden(info)

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return await super().get(key, offset=offset, length=length, if_match=if_match[::-1])

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        info = await super().put(key, data, if_absent=if_absent, if_match=if_match[::-1])
        return _hidden(info)

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        return (await super().copy(source, source_key, key, if_match=if_match, size=size))[::-1]

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        page = await super().list_page(prefix, token=token, delimiter=delimiter, limit=limit)
        return replace(page, objects=tuple(_hidden(info) for info in page.objects))


def _hidden(info: ObjectInfo) -> ObjectInfo:
    return replace(info, etag=info.etag[::-1])


@pytest.mark.parametrize(
    ("mode", "has_hashes"), [(CopyMode.AUTO, False), (CopyMode.STREAMING, True)]
)
async def test_such_an_etag_counts_as_no_hash(mode: CopyMode, has_hashes: bool) -> None:
    world = World()
    await add_collection(world.milvus, "c", range(10))
    decorators = Decorators(backup_store=Encrypted)
    async with running(world, decorators, transfer=TransferSettings(mode=mode)) as service:
        await service.create("b", "c")
        restored = await service.restore("b", suffix="_r")
        assert isinstance(restored.result, RestoreResult)
        assert (restored.result.content_checked_count > 0) is has_hashes
        assert (restored.result.size_checked_count > 0) is not has_hashes
        assert (await service.verify("b")).state is OperationState.SUCCEEDED
