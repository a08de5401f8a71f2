"""What `get` prints: the Go tool's `BackupInfoBrief`, every key of it, and the view for people."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from milvus_backup.v1 import backup_pb2 as pb
from milvus_backup.v1.backup_service_pb2 import ListBackupCollectionsResponse
from tests.support.command_line import run
from tests.support.scripted_service import ScriptedService, serving
from tests.support.shown_backup import EXPECTED, NIGHTLY


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


@pytest.mark.parametrize("output", [[], ["--output", "json"]])
async def test_every_key(service: ScriptedService, address: str, output: list[str]) -> None:
    service.on("GetBackup", NIGHTLY)
    done = await run(address, "get", "-n", "nightly", *output)
    assert (done.stderr, done.exit_code) == ("", 0)
    assert done.stdout == EXPECTED
    (request,) = service.requests["GetBackup"]
    assert (request.backup_name, request.view) == ("nightly", pb.BACKUP_VIEW_FULL)


async def test_what_is_zero_is_left_out(service: ScriptedService, address: str) -> None:
    service.on(
        "GetBackup",
        pb.Backup(
            name="empty",
            state=pb.BACKUP_STATE_LEGACY,
            format=pb.BACKUP_FORMAT_BINLOG,
            collections=[pb.BackupCollection(name="c", fields=[pb.BackupField(name="f")])],
            collection_count=1,
        ),
    )
    done = await run(address, "get", "-n", "empty")
    assert json.loads(done.stdout) == {
        "state_code": 2,
        "progress": 100,
        "name": "empty",
        "collection_backups": [
            {
                "collection_name": "c",
                "schema": {"name": "c", "fields": [{"name": "f"}]},
                "size": 0,
                "has_index": False,
            }
        ],
        "size": 0,
        "meta_size": 0,
        "state": "legacy",
    }


@pytest.mark.parametrize(
    ("backup", "code", "message"),
    [
        (pb.Backup(state=pb.BACKUP_STATE_CREATING, notes=["a note"]), 1, None),
        (pb.Backup(state=pb.BACKUP_STATE_INCOMPLETE, notes=["no a", "no b"]), 3, "no a; no b"),
        (pb.Backup(state=pb.BACKUP_STATE_INCOMPLETE), 3, "the backup is incomplete"),
        (pb.Backup(state=pb.BACKUP_STATE_DELETING), 3, "the backup is being deleted"),
    ],
    ids=["creating", "incomplete", "silent", "deleting"],
)
async def test_a_backup_that_is_not_whole(
    service: ScriptedService, address: str, backup: pb.Backup, code: int, message: str | None
) -> None:
    service.on("GetBackup", backup)
    told = json.loads((await run(address, "get", "-n", "b")).stdout)
    assert (told["state_code"], told["progress"]) == (code, 0)
    assert told.get("errorMessage") == message


async def test_all_collections_are_asked_for_when_one_answer_has_not_all(
    service: ScriptedService, address: str
) -> None:
    first, second = pb.BackupCollection(name="a"), pb.BackupCollection(name="b")
    service.on("GetBackup", pb.Backup(name="b", collection_count=2, collections=[first]))
    service.on(
        "ListBackupCollections",
        ListBackupCollectionsResponse(collections=[first], next_page_token="x"),
    )
    service.on("ListBackupCollections", ListBackupCollectionsResponse(collections=[second]))
    told = json.loads((await run(address, "get", "-n", "b")).stdout)
    assert [found["collection_name"] for found in told["collection_backups"]] == ["a", "b"]


async def test_what_is_cut_is_told(service: ScriptedService, address: str) -> None:
    cut = pb.BackupCollection(database="shop", name="orders", truncated=True)
    service.on("GetBackup", pb.Backup(name="b", collection_count=1, collections=[cut]))
    done = await run(address, "get", "-n", "b")
    assert done.stderr == "Warning: shop.orders is too large to be shown whole\n"
    assert done.exit_code == 0


async def test_the_view_for_people(service: ScriptedService, address: str) -> None:
    service.on("GetBackup", NIGHTLY)
    done = await run(address, "get", "-n", "nightly", "--output", "text")
    assert done.stdout == (
        "name:         nightly\n"
        "state:        complete\n"
        "id:           op_1\n"
        "created:      2023-11-14 22:13:20Z\n"
        "complete:     2023-11-14 22:13:32Z\n"
        "milvus:       2.5.12\n"
        "collections:  1\n"
        "rows:         3,000\n"
        "size:         135.7 kB\n"
        "exact:        yes, to the moment of each collection\n"
        "labels:       env=prod, team=search\n"
        "note:         beware of the dog\n"
        "\n"
        "COLLECTION   ROWS   SIZE      SEGMENTS  MOMENT                INDEXES\n"
        "shop.orders  3,000  135.7 kB  4         2023-11-14 22:13:21Z  by_vector\n"
    )


async def test_the_view_of_a_backup_that_cannot_be_read(
    service: ScriptedService, address: str
) -> None:
    service.on("GetBackup", pb.Backup(name="b", state=pb.BACKUP_STATE_INCOMPLETE))
    done = await run(address, "get", "-n", "b", "--output", "text")
    assert done.stdout == "name:   b\nstate:  incomplete\nexact:  no\n"
