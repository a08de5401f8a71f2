"""Users, roles, grants and privilege groups: backed up as the Go tool does, and added where they lack."""

import io
import json
import logging
import tarfile
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from milvus_backup_server.adapters.milvus.rbac import rbac_message, rbac_meta
from milvus_backup_server.adapters.milvus.stubs import Message
from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusDenied,
    MilvusRefused,
    MilvusVersionUnsupported,
)
from milvus_backup_server.domain.operations import (
    CreatePlan,
    CreateResult,
    OperationState,
    RestorePlan,
    RestoreResult,
)
from milvus_backup_server.domain.rbac import RbacCounts, RbacPart, RbacPlan
from milvus_backup_server.domain.records import RbacMeta
from milvus_backup_server.domain.restore_options import RestoreOptions
from tests.support.fixtures import METADATA_ONLY, backup_file, metadata
from tests.support.gateways import FailingGateway
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.newer import Newer, newer
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, keys_below, running

HASH = "$2a$04$vaAib7RNwH1HF.9GWxQy5OUmZjOGbfmFpUDjn/4KePKEgqqsqYH5q"
OTHER_HASH = "$2a$04$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0"
SECRETS = (HASH, OTHER_HASH, "vaAib7RNwH1HF", "abcdefghijklmnop")

SEARCH = {
    "role": {"name": "reader"},
    "object": {"name": "Collection"},
    "object_name": "orders",
    "grantor": {"user": {"name": "root"}, "privilege": {"name": "Search"}},
    "db_name": "shop",
}
EVERYTHING = {
    "role": {"name": "reader"},
    "object": {"name": "Global"},
    "object_name": "*",
    "grantor": {"user": {"name": "root"}, "privilege": {"name": "*"}},
    "db_name": "default",
}
ACCESS: Mapping[str, Any] = {
    "users": [
        {"user": "ann", "password": HASH, "roles": [{"name": "reader"}, {"name": "admin"}]},
        {"user": "bob", "password": OTHER_HASH},
    ],
    "roles": [{"name": "reader"}, {"name": "writer"}],
    "grants": [SEARCH, EVERYTHING],
    "privilege_groups": [{"group_name": "looking", "privileges": [{"name": "Query"}]}],
}
"""As the Go tool writes it."""


def given(access: Mapping[str, Any] = ACCESS) -> Message:
    return rbac_message(RbacMeta.from_json(access))


async def backed_up(it: Newer) -> None:
    it.milvus.access.CopyFrom(given())
    await it.service.create(rbac=True)


@pytest.mark.parametrize("version", ["2.4.9", "2.5.27", "2.6.18"])
async def test_the_metadata_is_the_go_tools(version: str) -> None:
    async with newer(version) as it:
        it.milvus.access.CopyFrom(given())
        operation = await it.service.create(rbac=True)
        full = await it.full_meta("b")
        store = it.service.world.backup_store
        head = json.loads(await store.get("backup/b/meta/backup_meta.json"))
        shown = await it.service.catalog.get("b")
        checked = await it.service.verify()
    assert full["rbac_meta"] == ACCESS
    assert "rbac_meta" not in head
    assert isinstance(operation.result, CreateResult)
    counts = RbacCounts(users=2, roles=2, grants=2, privilege_groups=1)
    assert (operation.result.rbac, shown.rbac) == (counts, counts)
    assert checked.state is OperationState.SUCCEEDED


async def test_nothing_is_read_unless_asked_for() -> None:
    async with newer("2.6.18") as it:
        it.milvus.access.CopyFrom(given())
        operation = await it.service.create()
        assert "BackupRBAC" not in it.simulator.grpc.calls
        assert "rbac_meta" not in await it.full_meta("b")
        assert isinstance(operation.result, CreateResult)
        assert operation.result.rbac is None


async def test_all_of_it_is_added_to_an_empty_milvus() -> None:
    world = World()
    async with newer("2.5.27", world) as it:
        await backed_up(it)
    async with newer("2.6.18", world) as it:
        operation = await it.service.restore(**rights())
        assert it.milvus.access == given()
        again = await it.service.restore(**rights())
        assert it.milvus.access == given()
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.rbac == RbacCounts(users=2, roles=2, grants=2, privilege_groups=1)
    assert isinstance(again.result, RestoreResult)
    assert again.result.rbac == RbacCounts()
    assert (operation.warnings, again.warnings) == ((), ())


def rights(**more: Any) -> dict[str, Any]:
    return {"options": RestoreOptions(rbac=True), **more}


THERE: Mapping[str, Any] = {
    "users": [{"user": "bob", "password": HASH, "roles": [{"name": "writer"}]}],
    "roles": [{"name": "writer"}],
    "grants": [{**SEARCH, "db_name": "other"}, EVERYTHING],
    "privilege_groups": [{"group_name": "looking", "privileges": [{"name": "Insert"}]}],
}


async def test_what_is_there_stays_as_it_is() -> None:
    world = World()
    async with newer("2.6.18", world) as it:
        await backed_up(it)
    async with newer("2.6.18", world) as it:
        it.milvus.access.CopyFrom(given(THERE))
        planned = await it.service.start_restore(**rights(validate_only=True))
        assert it.milvus.access == given(THERE)
        operation = await it.service.restore(**rights())
        merged = rbac_meta(it.milvus.access).to_json()
    assert isinstance(planned.result, RestorePlan)
    assert planned.result.rbac == RbacPlan(
        users=RbacPart(new=("ann",), present=("bob",)),
        roles=RbacPart(new=("reader",), present=("writer",)),
        grants=RbacPart(
            new=("reader: Search on Collection shop.orders",),
            present=("reader: * on Global default.*",),
        ),
        privilege_groups=RbacPart(present=("looking",)),
    )
    assert merged == {
        "users": [*THERE["users"], ACCESS["users"][0]],
        "roles": [*THERE["roles"], ACCESS["roles"][0]],
        "grants": [*THERE["grants"], SEARCH],
        "privilege_groups": THERE["privilege_groups"],
    }
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.rbac == RbacCounts(users=1, roles=1, grants=1)


async def test_milvuss_own_user_and_roles_are_not_added() -> None:
    own = {"users": [{"user": "root", "password": HASH}], "roles": [{"name": "public"}]}
    world = World()
    async with newer("2.4.9", world) as it:
        it.milvus.access.CopyFrom(given(own))  # as an early Milvus may tell
        await it.service.create(rbac=True)
    async with newer("2.6.18", world) as it:
        await it.service.restore(**rights())
        assert rbac_meta(it.milvus.access) == RbacMeta()
        assert "RestoreRBAC" not in it.simulator.grpc.calls


async def test_a_plan_of_a_create_counts_them() -> None:
    async with newer("2.6.18") as it:
        it.milvus.access.CopyFrom(given())
        planned = await it.service.start_create(rbac=True, validate_only=True)
    assert isinstance(planned.result, CreatePlan)
    assert planned.result.rbac == RbacCounts(users=2, roles=2, grants=2, privilege_groups=1)


async def test_a_backup_without_users_makes_a_warning() -> None:
    async with newer("2.6.18") as it:
        await it.service.create()
        planned = await it.service.start_restore(**rights(validate_only=True))
        operation = await it.service.restore(**rights())
    text = "the backup holds no users, roles or grants: it was made without them"
    assert isinstance(planned.result, RestorePlan)
    assert planned.result.notes == (text,)
    assert [warning.message for warning in operation.warnings] == [text]


@pytest.mark.parametrize("archive", METADATA_ONLY)
async def test_an_imported_backup_of_the_go_tool_gives_its_users(archive: str) -> None:
    async with newer("2.6.18") as it:
        await it.service.import_(packed(archive), "b")
        planned = await it.service.start_restore(**rights(validate_only=True))
        await it.service.restore(**rights())
        assert it.milvus.access == given(metadata(archive)["rbac_meta"])
        assert isinstance(planned.result, RestorePlan)
        assert planned.result.rbac is not None
        assert planned.result.rbac.users == RbacPart(new=("bob",))
        assert planned.result.rbac.roles == RbacPart(new=("rdr",))


async def packed(archive: str) -> AsyncIterator[bytes]:
    """Yield a backup that is known by its metadata alone, as if its collections had no rows."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archived:
        for file in ("backup", "collection", "partition", "segment", "full"):
            values = json.loads(backup_file(archive, f"meta/{file}_meta.json"))
            content = json.dumps(without_segments(values, file)).encode()
            member = tarfile.TarInfo(f"{archive}/meta/{file}_meta.json")
            member.size = len(content)
            archived.addfile(member, io.BytesIO(content))
    yield data.getvalue()


def without_segments(values: Any, file: str) -> Any:
    if file == "segment":
        return {"infos": []}
    for collection in values.get("collection_backups", []):
        for partition in collection["partition_backups"]:
            del partition["segment_backups"]
    return values


async def test_no_hash_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    async with newer("2.6.18", world, records=world.backup_store) as it:
        it.milvus.access.CopyFrom(given())
        told: list[object] = [await it.service.create(rbac=True)]
        it.milvus.access.Clear()
        told.append(await it.service.start_restore(**rights(validate_only=True)))
        told.append(await it.service.restore(**rights()))
        told.append(await it.service.catalog.get("b"))
        assert it.milvus.access == given()
    keys = await keys_below(world.backup_store)
    records = [key for key in keys if "/meta/full_meta.json" not in key]
    assert any("operations/" in key for key in records)
    stored = [(await world.backup_store.get(key)).decode(errors="replace") for key in records]
    everything = "\n".join([*map(repr, told), *stored, caplog.text])
    assert [secret for secret in SECRETS if secret in everything] == []


async def test_what_milvus_says_against_a_user_is_told_without_the_hash() -> None:
    world = World()
    async with newer("2.6.18", world) as it:
        await backed_up(it)
        it.milvus.access.Clear()
        it.milvus.refuse_access = f"invalid password: {HASH}"
        error = await it.service.error(await it.service.start_restore(**rights()))
    assert error.message.endswith("refuses RestoreRBAC: invalid password: ***")
    assert HASH not in repr(error.metadata)


@pytest.mark.parametrize("before", [230, 250, 280])
async def test_no_part_of_a_hash_is_told_where_what_milvus_says_is_cut(before: int) -> None:
    world = World()
    async with newer("2.6.18", world) as it:
        await backed_up(it)
        it.milvus.access.Clear()
        it.milvus.refuse_access = f"{'a' * before} {HASH} and {OTHER_HASH}"
        error = await it.service.error(await it.service.start_restore(**rights()))
    assert f"{'a' * before} ***" in error.message
    assert "$2a" not in error.message


async def test_users_that_are_refused_leave_no_collection_behind() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    await add_collection(world.milvus, "one", range(5))
    world.milvus.access = RbacMeta.from_json(ACCESS)
    refusal = MilvusRefused("Milvus refuses RestoreRBAC", subject="fake", call="RestoreRBAC")
    refusing: list[FailingGateway] = []

    def fail(inner: Any) -> FailingGateway:
        refusing.append(FailingGateway(inner, "restore_rbac", refusal, times=9))
        return refusing[0]

    async with running(world, Decorators(gateway=fail)) as service:
        await service.create(rbac=True)
        world.milvus.access = RbacMeta()
        last = await service.end(await service.start_restore(**rights(suffix="_r")))
    assert refusing[0].injected == 1
    assert last.error is not None
    assert last.error.message == "Milvus refuses RestoreRBAC"
    assert last.warnings == ()  # none of them stay
    assert world.collections() == ["default.", "default.one"]


async def test_no_users_are_added_when_no_collection_is_whole() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    await add_collection(world.milvus, "one", range(5))
    world.milvus.access = RbacMeta.from_json(ACCESS)
    refusal = MilvusRefused("no", subject="fake", call="CreateCollection")
    meanwhile = Meanwhile(GATEWAY, "create_collection", failing(refusal))
    async with running(world, meanwhile.decorators) as service:
        await service.create(rbac=True)
        world.milvus.access = RbacMeta()
        error = await service.error(await service.start_restore(**rights(suffix="_r")))
    assert meanwhile.fired == 1
    assert error.message == "no"
    assert world.milvus.access == RbacMeta()


async def test_users_that_were_added_before_a_failure_stay_and_that_is_said() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    await add_collection(world.milvus, "one", range(5))
    world.milvus.access = RbacMeta.from_json(ACCESS)
    refusal = MilvusRefused("Milvus refuses RenameCollection", subject="fake", call="x")
    around = Decorators(
        gateway=lambda inner: FailingGateway(inner, "rename_collection", refusal, times=9)
    )
    async with running(world, around) as service:
        await service.create(rbac=True)
        world.milvus.access = RbacMeta()
        last = await service.end(await service.start_restore(**rights(suffix="_r")))
    assert last.state is OperationState.FAILED
    assert [warning.message for warning in last.warnings] == [
        "the users, roles and grants that were added to Milvus stay"
    ]
    assert world.milvus.access == RbacMeta.from_json(ACCESS)
    assert world.collections() == ["default.", "default.one"]


async def test_who_may_not_read_a_database_gets_its_name_and_a_warning() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    denial = MilvusDenied("Milvus refuses DescribeDatabase", subject="fake", call="x")
    around = Decorators(gateway=lambda inner: FailingGateway(inner, "describe_database", denial))
    async with running(world, around) as service:
        operation = await service.create()
    full = json.loads(await world.backup_store.get("backup/b/meta/full_meta.json"))
    assert full["database_backups"] == [{"db_name": "default"}]
    (warning,) = operation.warnings
    assert warning.message == (
        "the properties of database 'default' are not in the backup: Milvus refuses DescribeDatabase"
    )


async def test_an_answer_that_was_lost_is_no_failure() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    world.milvus.access = RbacMeta.from_json(ACCESS)
    taken = MilvusRefused("user [ann] already exists", subject="fake", call="RestoreRBAC")
    refusing: list[FailingGateway] = []

    def lose(inner: Any) -> FailingGateway:
        refusing.append(FailingGateway(inner, "restore_rbac", taken, after=True))
        return refusing[0]

    async with running(world, Decorators(gateway=lose)) as service:
        await service.create(rbac=True)
        world.milvus.access = RbacMeta()
        operation = await service.restore(**rights())
    assert refusing[0].injected == 1
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.rbac == RbacCounts(users=2, roles=2, grants=2, privilege_groups=1)
    assert world.milvus.access == RbacMeta.from_json(ACCESS)


async def test_who_may_not_read_users_is_told_before_anything_is_touched() -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version="2.6.18")
    denial = MilvusDenied("Milvus refuses BackupRBAC", subject="fake", call="BackupRBAC")
    around = Decorators(gateway=lambda inner: FailingGateway(inner, "rbac", denial))
    async with running(world, around) as service:
        with pytest.raises(MilvusDenied):
            await service.start_create(rbac=True)
        assert service.operations.list("", 10).items == ()
    assert await world.backups() == []


@pytest.mark.parametrize("version", ["2.4.8", "2.3.5"])
async def test_earlier_versions_are_refused(version: str) -> None:
    world = World()
    world.milvus = type(world.milvus)(world.milvus_store, "files", version=version)
    async with running(world) as service:
        await service.create()
        for start in (service.start_create("c", rbac=True), service.start_restore(**rights())):
            with pytest.raises(MilvusVersionUnsupported) as caught:
                await start
            assert told(caught.value) == ("rbac", "2.4.9")


def told(error: BackupError) -> tuple[str, str]:
    return error.metadata["field"], error.metadata["needed"]
