"""The claim of a backup's name: who holds it, and how to find out whether that one is alive."""

import json

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import BackupAlreadyExists
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.operation_record import Owner
from milvus_backup_server.service.claim import claim, new_claim
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile

LAYOUT = BackupLayout("root", "b")


def test_it_names_its_owner_and_where_that_gives_signs_of_life() -> None:
    values = json.loads(new_claim("op", 7, Owner("0123", "host", 5)).data)
    del values["create_time"]
    assert values == {
        "operation": "op",
        "generation": 7,
        "owner": "host/5/0123",
        "heartbeat": ".milvus-backup/owners/0123.json",
    }


async def test_a_name_that_was_used_since_the_first_look_is_not_taken() -> None:
    inner = MemoryServer().store("bucket")

    async def another_finishes() -> None:
        await inner.put("root/b/meta/full_meta.json", b"{}")

    meanwhile = Meanwhile(BACKUP_STORE, "put", another_finishes)
    store = meanwhile.decorators.backup_store(inner)
    with pytest.raises(BackupAlreadyExists):
        await claim(store, LAYOUT, new_claim("op", 1))
    assert meanwhile.fired == 1
    left = [item.key for item in (await inner.list_page("")).objects]
    assert left == ["root/b/meta/full_meta.json"]
