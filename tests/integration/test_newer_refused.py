"""Backups of a newer line of Milvus into an older one: all that stands in the way is told at once."""

import pytest

from milvus_backup.v1.operation_pb2 import OPERATION_STATE_FAILED
from milvus_backup_client import BackupClient
from milvus_backup_client import BackupNotRestorable as BackupNotRestorableOverGrpc
from milvus_backup_server.app import running_app
from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.operations import RestorePlan
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus
from tests.support.fixtures import put_backup
from tests.support.http_service import serving
from tests.support.running_service import FAST, settings_of
from tests.support.service import BACKUPS, ROOT, World, running

ARCHIVE = "fx_mv_2_6_18_types"
LINE = (
    "the backup is of Milvus 2.6.18, which is newer than the target's 2.5.27; restore it into 2.6 "
    "or later"
)
TYPES = [
    ("default.geom", "g", "is of type Geometry, which needs Milvus 2.6.4 or later"),
    ("default.struct_arr", "items", "is an array of structs, which needs Milvus 2.6.4 or later"),
    ("default.tstz", "ts", "is of type Timestamptz, which needs Milvus 2.6.6 or later"),
]
GROUPS = ("addfield", "geom", "struct_arr", "textm", "tstz")


def in_the_way() -> set[tuple[str, str]]:
    """Return subject and description of everything that 2.5.27 cannot hold of the backup."""
    groups = "has segments of storage version 2 (column groups), which needs Milvus 2.6.0 or later"
    into = "; the target is 2.5.27"
    return {
        ("milvus", LINE),
        *((f"default.{name}", f"default.{name} {groups}{into}") for name in GROUPS),
        *((name, f"{name} field {field!r} {what}{into}") for name, field, what in TYPES),
    }


async def world() -> World:
    made = World()
    made.milvus = FakeMilvus(made.milvus_store, ROOT, version="2.5.27")
    await put_backup(made.backup_store, BACKUPS, ARCHIVE, name="b")
    return made


async def test_an_error_names_each_collection_field_and_version() -> None:
    made = await world()
    before = await made.traces()
    async with running(made) as service:
        with pytest.raises(BackupNotRestorable) as caught:
            await service.start_restore()
    error = caught.value
    assert {(it.subject, it.description) for it in error.obstacles} == in_the_way()
    assert error.message.startswith(LINE)
    assert [what in error.message for _, _, what in TYPES] == [True] * 3
    assert (error.metadata["needed"], error.metadata["version"]) == ("2.6", "2.5.27")
    assert error.metadata["subject"] == "milvus"
    assert await made.traces() == before


async def test_a_plan_shows_all_of_it() -> None:
    async with running(await world()) as service:
        operation = await service.start_restore(validate_only=True)
    assert isinstance(operation.result, RestorePlan)
    plan = operation.result
    assert {(it.subject, it.description) for it in plan.obstacles} == in_the_way()
    fields = {(it.subject == "milvus", it.field) for it in plan.obstacles}
    assert fields == {(True, "backup_name"), (False, "collections")}
    assert [it.source.name for it in plan.collections] == sorted(GROUPS)
    assert isinstance(operation.error, BackupNotRestorable)


async def test_http_tells_all_of_it() -> None:
    async with serving(await world()) as service:
        answer = await service.json("POST", "/restore", json={"backup_name": "b"})
    assert answer["code"] != 0
    for _, description in in_the_way():
        assert description in answer["msg"]


async def test_grpc_shows_all_of_it_in_the_plan() -> None:
    made = await world()
    adapters = Adapters(made.milvus, made.milvus_store, made.backup_store)
    settings = settings_of({"configVersion": "v2", "service": FAST})
    async with running_app(settings, adapters) as app, BackupClient(app.address) as client:
        planned = await client.restore_backup("b", validate_only=True)
        with pytest.raises(BackupNotRestorableOverGrpc) as caught:
            await client.restore_backup("b")
    told = {(it.subject, it.description) for it in planned.restore_plan.obstacles}
    assert (planned.state, told) == (OPERATION_STATE_FAILED, in_the_way())
    assert planned.restore_plan.collection_count == len(GROUPS)
    assert caught.value.metadata["needed"] == "2.6"
    first = [fault.description for fault in caught.value.violations]
    assert first[0] == LINE
    assert {*first} < {text for _, text in in_the_way()}  # a status has room for a few
