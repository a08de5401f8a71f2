"""`export` and `import` of the command line, against a real service."""

import asyncio
import gzip
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from milvus_backup_client import BackupClient
from milvus_backup_server.app import running_app
from milvus_backup_server.wiring import Adapters
from tests.support.command_line import Program, run
from tests.support.running_service import FAST, settings_of
from tests.support.service import World
from tests.support.tars import below, files_of, go_backup, in_chunks, tar_of

GO = go_backup(3, 700)
LARGE = go_backup(6, 2_000_000)
# A test run started in the background ignores Ctrl-C, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from milvus_backup_client.cli import main
main()
"""


@dataclass(frozen=True)
class Place:
    """A service with backup `nightly`, and a directory to work in."""

    address: str
    world: World
    directory: Path

    def file(self, name: str) -> str:
        return str(self.directory / name)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())

    async def program(self, *arguments: str) -> Process:
        """Start a program with pipes, as shells do."""
        return await started("--address", self.address, *arguments)


async def started(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "TERM": "dumb"},
    )


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    world = World()
    adapters = Adapters(world.milvus, world.milvus_store, world.backup_store)
    monkeypatch.chdir(tmp_path)
    async with (
        running_app(settings_of({"configVersion": "v2", "service": FAST}), adapters) as app,
        BackupClient(app.address) as client,
    ):
        await client.import_backup(in_chunks(tar_of(below("nightly", LARGE))))
        yield Place(app.address, world, tmp_path)


async def imported(place: Place, name: str) -> dict[str, bytes]:
    """Return the files of a backup by their keys in it."""
    prefix = f"backup/{name}/"
    objects = await place.world.objects()
    return {
        key.removeprefix(prefix): data for key, data in objects.items() if key.startswith(prefix)
    }


async def test_a_backup_is_written_into_a_file_of_its_name(place: Place) -> None:
    done = await run(place.address, "export", "-n", "nightly")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "exported nightly to nightly.tar: 12.0 MB\n"
    assert place.names() == ["nightly.tar"]
    file = place.directory / "nightly.tar"
    assert files_of(file.read_bytes()) == below("nightly", LARGE)
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_as_json(place: Place) -> None:
    file = place.file("x.tar")
    done = await run(place.address, "export", "-n", "nightly", "-o", file, "--output", "json")
    told = json.loads(done.stdout)
    assert told == {"backup_name": "nightly", "file": file, "size_bytes": told["size_bytes"]}
    assert told["size_bytes"] == len((place.directory / "x.tar").read_bytes())
    done = await run(place.address, "import", file, "-n", "again", "--output", "json")
    operation = json.loads(done.stdout)
    assert operation["kind"] == "OPERATION_KIND_IMPORT_BACKUP"
    assert operation["import_backup"]["object_count"] == "6"


async def test_a_file_that_is_there_is_not_overwritten_unless_told(place: Place) -> None:
    file = place.directory / "nightly.tar"
    file.write_text("mine")
    refused = await run(place.address, "export", "-n", "nightly")
    assert refused.exit_code == 2
    assert refused.stderr == "Error: nightly.tar exists; --force overwrites it\n"
    assert file.read_text() == "mine"
    done = await run(place.address, "export", "-n", "nightly", "--force")
    assert done.exit_code == 0
    assert files_of(file.read_bytes()) == below("nightly", LARGE)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("missing/x.tar", "missing cannot be written to: No such file or directory"),
        (".", ". is a directory"),
    ],
)
async def test_where_nothing_can_be_written(place: Place, target: str, error: str) -> None:
    done = await run(place.address, "export", "-n", "nightly", "-o", target)
    assert (done.exit_code, done.stderr) == (2, f"Error: {error}\n")


async def test_a_failed_export_leaves_no_file(place: Place) -> None:
    key = "backup/nightly/binlogs/insert_log/1/2/3/3/100/5"
    await place.world.backup_store.delete([key])
    done = await run(place.address, "export", "-n", "nightly")
    assert done.exit_code == 1
    assert done.stderr == "Error: binlogs/insert_log/1/2/3/3/100/5 is missing (BACKUP_CORRUPT)\n"
    assert place.names() == []


async def test_a_backup_is_read_from_a_file(place: Place) -> None:
    file = place.directory / "go.tar.gz"
    file.write_bytes(gzip.compress(tar_of(below("from_go", GO))))
    done = await run(place.address, "import", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "imported from_go: 1 collections, 3 objects, 2.1 kB\n"
    assert await imported(place, "from_go") == GO
    done = await run(place.address, "import", str(file), "-n", "mine")
    assert done.stdout.startswith("imported mine: ")
    assert await imported(place, "mine") == GO


@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        (tar_of(below("nightly", GO)), 1, "Error: backup 'nightly' already exists"),
        (tar_of(below("b", GO))[:3000], 1, "Error: the archive ends before its end: it was cut"),
        (tar_of(below("b c", GO)), 2, "Error: backup_name: is required: 'b c'"),
    ],
    ids=["taken", "cut off", "no name"],
)
async def test_what_is_refused_is_one_line(
    place: Place, content: bytes, code: int, error: str
) -> None:
    (place.directory / "x.tar").write_bytes(content)
    done = await run(place.address, "import", "x.tar")
    assert done.exit_code == code
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == 1
    assert {key.split("/")[1] for key in await place.world.objects()} == {"nightly"}


async def test_a_file_that_is_not_there(place: Place) -> None:
    done = await run(place.address, "import", "nothing.tar")
    assert done.exit_code == 2
    assert "nothing.tar" in done.stderr


async def test_through_pipes(place: Place) -> None:
    exporting = await place.program("export", "-n", "nightly", "-o", "-")
    archive, notes = await exporting.communicate()
    assert (exporting.returncode, notes) == (0, b"exported nightly to -: 12.0 MB\n")
    assert files_of(archive) == below("nightly", LARGE)
    importing = await place.program("import", "-", "-n", "piped")
    out, notes = await importing.communicate(archive)
    assert (importing.returncode, notes) == (0, b"")
    assert out == b"imported piped: 1 collections, 6 objects, 12.0 MB\n"
    assert await imported(place, "piped") == LARGE


async def test_ctrl_c_leaves_nothing_of_an_import(place: Place) -> None:
    importing = await place.program("import", "-", "-n", "left")
    assert importing.stdin is not None
    importing.stdin.write(tar_of(below("b", LARGE))[:6_000_000])
    await importing.stdin.drain()
    await until_there_is(place, "left", something=True)
    importing.send_signal(signal.SIGINT)
    assert await importing.wait() == 130
    await until_there_is(place, "left", something=False)
    importing.stdin.close()


async def until_there_is(place: Place, name: str, *, something: bool) -> None:
    """Wait until there is something of a backup, or nothing."""
    async with asyncio.timeout(60):
        while bool(await imported(place, name)) is not something:  # noqa: ASYNC110 - a program does it
            await asyncio.sleep(0.01)


async def test_a_terminal_shows_how_far_it_is(place: Place) -> None:
    program = await Program.start(
        "--address", place.address, "export", "-n", "nightly", "-o", place.file("x.tar")
    )
    ended = await program.end()
    assert ended.code == 0
    assert "export nightly" in ended.stderr
    assert "MB" in ended.stderr
    program = await Program.start(
        "--address", place.address, "import", place.file("x.tar"), "-n", "again"
    )
    ended = await program.end()
    assert ended.code == 0
    assert "import " in ended.stderr
    assert ended.stdout == "imported again: 1 collections, 6 objects, 12.0 MB\n"


CONFIG = """
configVersion: v2
milvus:
  grpc: {{address: 127.0.0.1, port: 1}}
  storage: {{address: 127.0.0.1, port: 1}}
backup:
  storage: {{provider: local, rootPath: {directory}}}
"""


async def test_ctrl_c_leaves_nothing_where_the_service_ends_with_the_command(
    tmp_path: Path,
) -> None:
    config, store = tmp_path / "backup.yaml", tmp_path / "store"
    config.write_text(CONFIG.format(directory=store))
    importing = await started("--config", str(config), "import", "-")
    assert importing.stdin is not None
    importing.stdin.write(tar_of(below("left", LARGE))[:6_000_000])
    await importing.stdin.drain()
    data = store / "left" / "binlogs"
    async with asyncio.timeout(60):
        while not data.exists():  # noqa: ASYNC110 - a program makes it
            await asyncio.sleep(0.01)
        importing.send_signal(signal.SIGINT)
        assert importing.stderr is not None
        notes = await importing.stderr.read()
        assert await importing.wait() == 130
    importing.stdin.close()
    assert b"Removing what was written" in notes
    # Its record may stand: it is written when the directory is there, if the import lives so long.
    left = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    ours = {".milvus-backup", "exchange.lock"}
    assert [path for path in left if not ours & {path.parts[0], path.name}] == []
