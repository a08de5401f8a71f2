"""Without an address: the real service as a child process, its backups in a directory, Milvus down."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Ended, Program, is_gone
from tests.support.fixtures import metadata, unpack
from tests.support.processes import free_ports

ARCHIVE = "fx_go_0_5_16"
# The keys of a collection in BackupInfoBrief, of those that full_meta.json has.
BRIEF_KEYS = {
    *("id", "collection_id", "db_name", "collection_name", "schema", "shards_num"),
    *("backup_timestamp", "size", "has_index", "index_infos", "load_state"),
    *("backup_physical_timestamp", "channel_checkpoints", "properties"),
}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mb-"))
    (path / "tmp").mkdir()
    (path / "backups").mkdir()
    unpack(ARCHIVE, path / "backups")
    dead, dead_too = free_ports(2)
    settings = {
        "configVersion": "v2",
        "milvus": {
            "grpc": {"address": "127.0.0.1", "port": dead},
            "storage": {"address": "127.0.0.1", "port": dead_too},
        },
        "backup": {"storage": {"provider": "local", "rootPath": str(path / "backups")}},
        "service": {"checkTimeoutSeconds": 1},
    }
    (path / "backup.yaml").write_text(json.dumps(settings), encoding="utf-8")
    try:
        yield path
    finally:
        shutil.rmtree(path)


async def start(home: Path, *words: str) -> Program:
    config = ("--config", str(home / "backup.yaml"))
    return await Program.start(*config, *words, TERM="dumb", TMPDIR=str(home / "tmp"))


async def milvus_backup(home: Path, *words: str) -> Ended:
    ended = await (await start(home, *words)).end()
    assert list((home / "tmp").iterdir()) == []
    return ended


async def test_get_prints_what_the_go_tool_would(home: Path) -> None:
    ended = await milvus_backup(home, "get", "-n", ARCHIVE)
    told, made_by_go = json.loads(ended.stdout), metadata(ARCHIVE)
    assert (ended.code, ended.stderr) == (0, "")
    assert told["name"] == ARCHIVE
    assert (told["state_code"], told["state"]) == (2, "complete")
    for key in ("id", "size", "milvus_version", "database_backups"):
        assert told.get(key) == made_by_go.get(key)
    collections = [_brief(found) for found in told["collection_backups"]]
    assert len(collections) == 6
    assert collections == [_brief(found) for found in made_by_go["collection_backups"]]


def _brief(collection: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in collection.items() if key in BRIEF_KEYS}


async def test_check_tells_what_is_down(home: Path) -> None:
    ended = await milvus_backup(home, "check")
    assert (ended.code, ended.stderr) == (1, "Error: 2 of 11 checks failed\r\n")
    states = {line.split()[1]: line.split()[0] for line in ended.stdout.splitlines()}
    assert states.pop("CHECK") == "STATE"
    assert (states["milvus"], states["milvus_storage"]) == ("failed", "failed")
    assert (states["backup_storage"], states["backup_storage_write"]) == ("ok", "ok")
    assert (states["conditional_writes"], states["transfer"]) == ("ok", "skipped")


async def test_delete(home: Path) -> None:
    unpack("fx_mv_2_6_18_types", home / "backups")
    ended = await milvus_backup(home, "delete", "--name=fx_mv_2_6_18_types")
    assert (ended.code, ended.stdout) == (0, "delete backup done\n")
    assert not (home / "backups" / "fx_mv_2_6_18_types").exists()


async def test_a_create_without_milvus(home: Path) -> None:
    ended = await milvus_backup(home, "create")
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: Milvus at 127.0.0.1:")
    assert ended.stderr.endswith("(MILVUS_UNAVAILABLE)\r\n")
    assert ended.stderr.count("\n") == 1


async def test_faults_of_the_settings(home: Path) -> None:
    wrong = ("--set", "milvus.grpc.port=0", "--set", "log.level=loud")
    ended = await milvus_backup(home, *wrong, "list")
    assert (ended.code, ended.stdout) == (2, "")
    first, second = sorted(ended.stderr.splitlines())
    assert first.startswith("Error: log.level: expected ")
    assert second.startswith("Error: milvus.grpc.port: expected ")


async def test_the_service_ends_with_a_command_that_is_killed(home: Path) -> None:
    program = await start(home, "--set", "service.checkTimeoutSeconds=60", "check")
    service = await _service_below(home / "tmp")
    program.process.kill()
    await program.end()
    async with asyncio.timeout(60):
        while not is_gone(service):  # noqa: ASYNC110 - another process's end
            await asyncio.sleep(0.05)
    assert len(list((home / "tmp").iterdir())) == 1
    listed = await milvus_backup(home, "list")  # which removes what the killed one left
    assert (listed.code, listed.stdout, listed.stderr) == (0, f">> Backups:\n{ARCHIVE}\n", "")


async def _service_below(directory: Path) -> int:
    """Wait until a service listens on a socket below a directory; return its process id."""
    async with asyncio.timeout(60):
        while not (found := _services(directory)):  # noqa: ASYNC110 - another process listens
            await asyncio.sleep(0.05)
    return found[0]


def _services(directory: Path) -> list[int]:
    sockets = [str(found).encode() for found in directory.glob("*/service")]
    commands = Path("/proc").glob("[0-9]*/cmdline")
    return [
        int(command.parent.name)
        for command in commands
        if any(socket in command.read_bytes() for socket in sockets)
    ]
