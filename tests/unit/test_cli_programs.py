"""The installed program: with a terminal, with Ctrl-C, with libraries missing, with extensions."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from milvus_backup.v1 import backup_service_pb2
from milvus_backup.v1 import operation_pb2 as pb
from tests.support.command_line import Program
from tests.support.scripted_service import FOREVER, Pause, ScriptedService, serving

CREATE = pb.OPERATION_KIND_CREATE_BACKUP
STARTED = pb.Operation(
    name="op_1",
    kind=CREATE,
    backup_name="nightly",
    state=pb.OPERATION_STATE_PENDING,
    revision=1,
)
COPYING = pb.Operation(
    name="op_1",
    kind=CREATE,
    backup_name="nightly",
    state=pb.OPERATION_STATE_RUNNING,
    revision=2,
    progress=pb.Progress(
        phase=pb.OPERATION_PHASE_COPYING,
        phases=[
            pb.PhaseProgress(
                phase=pb.OPERATION_PHASE_COPYING,
                bytes_done=540_000_000,
                bytes_total=1_000_000_000,
            )
        ],
        bytes_per_second=98_300_000,
    ),
)
SUCCEEDED = pb.Operation(
    name="op_1",
    kind=CREATE,
    backup_name="nightly",
    state=pb.OPERATION_STATE_SUCCEEDED,
    revision=3,
)
MAIN = "from milvus_backup_client.cli import main; main()"
# Python calls a module that is None in sys.modules missing.
WITHOUT = "import sys; sys.modules[{library!r}] = None; " + MAIN


@pytest.fixture
async def service() -> ScriptedService:
    service = ScriptedService()
    service.on("CreateBackup", STARTED)
    return service


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


async def test_a_terminal_shows_a_bar(service: ScriptedService, address: str) -> None:
    service.on("WatchOperation", STARTED, COPYING, Pause(1), SUCCEEDED)
    program = await Program.start("--address", address, "create", "-n", "nightly")
    await program.shows("540.0 MB of 1.0 GB")
    ended = await program.end()
    assert (ended.code, ended.stdout) == (0, "create backup success\nduration:0.00 s\n")
    assert re.search(r"copying .*━━━━━━━━.*54%, 98\.3 MB/s", ended.stderr)
    assert "create backup nightly: succeeded (operation op_1)" in ended.stderr
    assert "\x1b[?25l" in ended.stderr  # the cursor is hidden while it draws
    assert ended.stderr.rindex("\x1b[?25h") > ended.stderr.rindex("\x1b[?25l")


async def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    service: ScriptedService, address: str
) -> None:
    service.on("WatchOperation", STARTED, COPYING, SUCCEEDED)
    program = await Program.start("--address", address, "create", "-n", "nightly", TERM="dumb")
    ended = await program.end()
    assert ended.stderr.splitlines() == [
        "create backup nightly: operation op_1",
        "pending",
        "copying: 54%, 540.0 MB of 1.0 GB, 98.3 MB/s",
        "succeeded",
    ]


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
async def test_ctrl_c_leaves_the_operation_running(
    service: ScriptedService, address: str, terminal: str
) -> None:
    service.on("WatchOperation", STARTED, COPYING, FOREVER)
    program = await Program.start("--address", address, "create", TERM=terminal)
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (130, "backup name: nightly\n")
    assert ended.stderr.replace("\r\n", "\n").endswith(
        "Left; the operation goes on in the service.\n"
        f"  watch it:  milvus-backup --address {address} watch op_1\n"
        f"  cancel it: milvus-backup --address {address} cancel op_1\n"
    )
    assert not service.requests["CancelOperation"]


async def test_ctrl_c_before_the_answer(service: ScriptedService, address: str) -> None:
    service.on("DeleteBackup", FOREVER)
    program = await Program.start("--address", address, "delete", "-n", "nightly")
    await service.asked("DeleteBackup")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert ended.code == 130
    assert ended.stderr.replace("\r\n", "\n") == (
        "Left. Whether the operation began is not known; "
        f"see: milvus-backup --address {address} operations\n"
    )


async def test_ctrl_c_during_a_read(service: ScriptedService, address: str) -> None:
    service.on("ListBackups", FOREVER)
    program = await Program.start("--address", address, "list")
    await service.asked("ListBackups")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout, ended.stderr) == (130, "", "")


async def test_a_reader_that_goes_away(service: ScriptedService, address: str) -> None:
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAIN, "--address", address, "list"),
        stdout=(closed := _closed_pipe()),
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(closed)
    _, stderr = await process.communicate()
    assert b"Traceback" not in stderr
    assert process.returncode == 1


def _closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.fixture
def full() -> Iterator[int]:
    """A file on a disk that is full."""
    with Path("/dev/full").open("wb", buffering=0) as file:
        yield file.fileno()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("list",), "No space left on device"),
        (("list", "--help"), "No space left on device"),
        (("completion", "bash"), "No space left on device"),
        (
            ("export", "-n", "x", "-o", "-"),
            "standard output cannot be written: No space left on device",
        ),
    ],
    ids=["echo", "help", "completion", "archive"],
)
async def test_output_that_cannot_be_written(
    service: ScriptedService, address: str, full: int, words: tuple[str, ...], line: str
) -> None:
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse())
    service.on("ExportBackup", backup_service_pb2.ExportBackupResponse(chunk=b"x" * 100_000))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAIN, *words),
        stdout=full,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "MILVUS_BACKUP_ADDRESS": address},
    )
    _, stderr = await process.communicate()
    assert (stderr.decode(), process.returncode) == (f"Error: {line}\n", 1)


async def test_an_archive_whose_reader_goes_away(service: ScriptedService, address: str) -> None:
    service.on("ExportBackup", backup_service_pb2.ExportBackupResponse(chunk=b"x" * 100_000))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAIN, "--address", address, "export", "-n", "x", "-o", "-"),
        stdout=(closed := _closed_pipe()),
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(closed)
    _, stderr = await process.communicate()
    assert (stderr, process.returncode) == (b"", 1)


@pytest.mark.parametrize("library", ["click", "rich"])
def test_missing_libraries_of_the_command_line(library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(library=library), "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (
        "",
        f"Error: the command line needs {library}: pip install 'milvus-backup[cli]'\n",
        2,
    )


@pytest.mark.parametrize("library", ["click", "rich"])
def test_the_client_does_without_them(library: str) -> None:
    program = f"import sys; sys.modules[{library!r}] = None; import milvus_backup_client"
    subprocess.run([sys.executable, "-c", program], check=True)


def with_extensions(
    folder: Path, *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    info = folder / "milvus_backup-99.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: milvus-backup\nVersion: 99\n")
    (info / "entry_points.txt").write_text(
        "[milvus_backup.commands]\n"
        "dance = dancing:dance\n"
        "sing = singing:sing\n"
        "[console_scripts]\n"
        "other = dancing:dance\n"
    )
    (folder / "dancing.py").write_text(
        "def dance(arguments):\n    print(arguments)\n    return 7 if arguments else None\n"
    )
    (folder / "singing.py").write_text("import a_library_that_nobody_has.voice\n")
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_an_extension_gets_its_arguments(tmp_path: Path) -> None:
    done = with_extensions(tmp_path, "dance", "--port", "1", "--help", "list", "--", "-x")
    assert (done.stdout, done.stderr, done.returncode) == (
        "['--port', '1', '--help', 'list', '--', '-x']\n",
        "",
        7,
    )


def test_an_extension_without_arguments(tmp_path: Path) -> None:
    done = with_extensions(tmp_path, "dance")
    assert (done.stdout, done.returncode) == ("[]\n", 0)


def test_an_extension_whose_libraries_are_missing(tmp_path: Path) -> None:
    done = with_extensions(tmp_path, "sing")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == (
        "Error: milvus-backup sing needs a_library_that_nobody_has: "
        "pip install 'milvus-backup[server]'\n"
    )


def test_settings_before_an_extension_reach_it(tmp_path: Path) -> None:
    done = with_extensions(
        tmp_path,
        *("--config", "", "--set", "a=b,c", "--set=d=e", "dance", "show", "all", "--set", "f=g"),
    )
    assert done.stdout == (
        "['show', 'all', '--config', '', '--set', 'a=b,c', '--set', 'd=e', '--set', 'f=g']\n"
    )


def test_what_an_extension_cannot_write(tmp_path: Path, full: int) -> None:
    done = with_extensions(tmp_path, "dance", stdout=full)
    assert (done.stderr, done.returncode) == ("Error: No space left on device\n", 1)


def test_a_reader_of_settings_that_goes_away() -> None:
    closed = _closed_pipe()
    command = [sys.executable, "-c", MAIN, "config", "show", "--config", ""]
    done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    os.close(closed)
    assert (done.stderr, done.returncode) == (b"", 1)


@pytest.mark.parametrize(
    ("words", "redirection", "line"),
    [
        (("export", "-n", "x", "-o", "-"), ">&-", "standard output is closed"),
        (("import", "-"), "<&-", "standard input is closed"),
    ],
)
async def test_a_closed_stream(
    address: str, words: tuple[str, ...], redirection: str, line: str
) -> None:
    command = shlex.join([sys.executable, "-c", MAIN, "--address", address, *words])
    process = await asyncio.create_subprocess_shell(
        f"{command} {redirection}", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert (stderr.decode(), process.returncode) == (f"Error: {line}\n", 2)


def test_an_extension_calls_no_service(tmp_path: Path) -> None:
    done = with_extensions(tmp_path, "--address", "127.0.0.1:1", "dance")
    assert (done.stdout, done.stderr, done.returncode) == (
        "",
        "Error: milvus-backup dance calls no service: leave out --address\n",
        2,
    )


def test_an_address_of_the_environment_is_not_for_extensions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_BACKUP_ADDRESS", "127.0.0.1:1")
    assert with_extensions(tmp_path, "dance").stdout == "[]\n"


def test_the_help_names_extensions_without_loading_them(tmp_path: Path) -> None:
    done = with_extensions(tmp_path, "--help")
    assert done.returncode == 0
    assert "  dance       See milvus-backup dance --help.\n" in done.stdout
    assert "  sing        See milvus-backup sing --help.\n" in done.stdout
    assert "\n  other " not in done.stdout
