"""The command `check` against a scripted service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import pytest

from milvus_backup.v1 import server_service_pb2 as server
from tests.support.command_line import run
from tests.support.scripted_service import (
    ScriptedService,
    serving,
    status,
)


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


async def test_check(service: ScriptedService, address: str) -> None:
    service.on(
        "Check",
        server.CheckResponse(
            ok=False,
            items=[
                server.CheckItem(
                    name="milvus", state=server.CHECK_STATE_OK, message="Milvus 2.3.5 answers"
                ),
                server.CheckItem(
                    name="backup_storage",
                    state=server.CHECK_STATE_FAILED,
                    message="no bucket 'b'",
                    error=status(
                        grpc.StatusCode.FAILED_PRECONDITION, "BUCKET_NOT_FOUND", "no bucket 'b'"
                    ),
                ),
                server.CheckItem(name="transfer", state=server.CHECK_STATE_SKIPPED),
            ],
        ),
    )
    done = await run(address, "check")
    assert done.stdout == (
        "STATE    CHECK           FOUND\n"
        "ok       milvus          Milvus 2.3.5 answers\n"
        "failed   backup_storage  no bucket 'b' (BUCKET_NOT_FOUND)\n"
        "skipped  transfer\n"
    )
    assert (done.stderr, done.exit_code) == ("Error: 1 of 3 checks failed\n", 1)
    as_json = await run(address, "check", "--output", "json")
    assert json.loads(as_json.stdout)["ok"] is False
    assert as_json.exit_code == 1


async def test_check_of_a_service_that_is_well(service: ScriptedService, address: str) -> None:
    well = server.CheckItem(name="milvus", state=server.CHECK_STATE_OK, message="it answers")
    service.on("Check", server.CheckResponse(ok=True, items=[well]))
    done = await run(address, "check")
    assert (done.stderr, done.exit_code) == ("", 0)
    assert done.stdout == "STATE  CHECK   FOUND\nok     milvus  it answers\nSuccess!\n"


async def test_check_config_is_a_word_that_stayed() -> None:
    done = await run("127.0.0.1:1", "check", "config")
    assert (done.stdout, done.stderr, done.exit_code) == (
        "",
        "Warning: check config is deprecated, use config show\n",
        0,
    )
