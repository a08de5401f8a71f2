"""The command `list` against a scripted service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1 import backup_pb2, backup_service_pb2
from tests.support.command_line import run
from tests.support.scripted_service import (
    ScriptedService,
    serving,
)


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


COMPLETE = backup_pb2.Backup(
    name="monday",
    state=backup_pb2.BACKUP_STATE_COMPLETE,
    size_bytes=176_600,
    collection_count=2,
    create_time=Timestamp(seconds=1_700_000_000),
    milvus_version="2.3.5",
    exact=True,
)
HALF_MADE = backup_pb2.Backup(name="sunday", state=backup_pb2.BACKUP_STATE_INCOMPLETE)
LEGACY = backup_pb2.Backup(name="tuesday", state=backup_pb2.BACKUP_STATE_LEGACY)


@pytest.fixture
def three_backups(service: ScriptedService) -> None:
    service.on(
        "ListBackups",
        backup_service_pb2.ListBackupsResponse(backups=[COMPLETE, HALF_MADE], next_page_token="x"),
    )
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse(backups=[LEGACY]))


@pytest.mark.usefixtures("three_backups")
async def test_list_names_what_can_be_restored(address: str) -> None:
    done = await run(address, "list")
    assert (done.stdout, done.exit_code) == (">> Backups:\nmonday\ntuesday\n", 0)
    assert (
        done.stderr
        == f"1 not complete; see: milvus-backup --address {address} list --output wide\n"
    )


@pytest.mark.usefixtures("three_backups")
async def test_list_as_a_table_has_all(address: str) -> None:
    done = await run(address, "list", "--output", "wide")
    assert (done.stderr, done.exit_code) == ("", 0)
    assert done.stdout == (
        "NAME     STATE       COLLECTIONS  SIZE      CREATED               MILVUS  EXACT\n"
        "monday   complete    2            176.6 kB  2023-11-14 22:13:20Z  2.3.5   yes\n"
        "sunday   incomplete  ?            ?         ?                     ?       no\n"
        "tuesday  legacy      ?            ?         ?                     ?       no\n"
    )


@pytest.mark.parametrize(
    ("output", "nothing"),
    [
        ("text", ">> Backups:\n"),
        ("wide", "NAME  STATE  COLLECTIONS  SIZE  CREATED  MILVUS  EXACT\n"),
    ],
)
async def test_list_of_nothing(
    service: ScriptedService, address: str, output: str, nothing: str
) -> None:
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse())
    done = await run(address, "list", "--output", output)
    assert (done.stdout, done.stderr) == (nothing, "")


async def test_list_as_json(service: ScriptedService, address: str) -> None:
    service.on(
        "ListBackups",
        backup_service_pb2.ListBackupsResponse(
            backups=[
                backup_pb2.Backup(
                    name="monday", state=backup_pb2.BACKUP_STATE_COMPLETE, size_bytes=7
                )
            ]
        ),
    )
    done = await run(address, "list", "--output", "json")
    (found,) = json.loads(done.stdout)["backups"]
    assert found["name"] == "monday"
    assert found["state"] == "BACKUP_STATE_COMPLETE"
    assert found["size_bytes"] == "7"
    assert found["exact"] is False
