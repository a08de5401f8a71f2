"""Without an address the service is a child process of the command; here one that plays scripts."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from milvus_backup_client.cli.descriptors import handed_on
from tests.support.command_line import Ended, Program, content_of, is_gone
from tests.support.scripted_child import installed


@dataclass
class Place:
    """A directory for one command, with a short path, as unix sockets want it."""

    path: Path

    @property
    def directories(self) -> list[str]:
        """What the commands made in the directory for temporary files, and left there."""
        return sorted(found.name for found in (self.path / "tmp").iterdir())

    @property
    def log(self) -> list[dict[str, Any]]:
        """What the child told."""
        text = (self.path / "child.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    async def start(self, script: str, *words: str, **more: Any) -> Program:
        """Start a command whose service plays a script."""
        (self.path / "code").mkdir(exist_ok=True)
        if not any((self.path / "code").iterdir()):
            self._variables = installed(self.path / "code", script)
        variables = {
            **self._variables,
            "TMPDIR": str(self.path / "tmp"),
            "SCRIPTED_CHILD_LOG": str(self.path / "child.log"),
            "TERM": "dumb",
            **more,
        }
        return await Program.start(*words, **variables)

    async def run(self, script: str, *words: str, **more: Any) -> Ended:
        """Run a command whose service plays a script."""
        return await (await self.start(script, *words, **more)).end()


@pytest.fixture
def place() -> Iterator[Place]:
    path = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    (path / "tmp").mkdir()
    try:
        yield Place(path)
    finally:
        shutil.rmtree(path)


async def test_a_command_has_a_service_of_its_own(place: Place) -> None:
    ended = await place.run(
        "has_no_backups", "--config", "x.yaml", "--set", "a=b,c", "list", "--set", "d=e"
    )
    assert (ended.code, ended.stdout, ended.stderr) == (0, ">> Backups:\n", "")
    started, stopped = place.log[0], place.log[-1]
    assert started["argv"][:6] == ["--config", "x.yaml", "--set", "a=b,c", "--set", "d=e"]
    assert started["argv"][6:-2] == ["--set", "service.http.enabled=false", "--stop-with-stdin"]
    assert started["argv"][-2:] == ["--grpc-socket", f"{started['directory']}/service"]
    assert started["mode"] == "700"
    assert started["temporary"] == started["directory"], "goes with it, however it ends"
    assert Path(started["directory"]).parent == place.path / "tmp"
    assert stopped["requests"] == ["ListBackups"]
    assert place.directories == []


@pytest.mark.parametrize("path", ["/dev/fd/{}", "/dev/stdin"])
async def test_settings_may_be_an_open_file(place: Place, path: str) -> None:
    """As a shell's `--config <(decrypt backup.yaml)` gives it."""
    reading, writing = os.pipe()
    os.write(writing, b"milvus: {}")
    os.close(writing)
    files = {"stdin": reading} if path.endswith("stdin") else {"descriptors": (reading,)}
    ended = await place.run("has_no_backups", "--config", path.format(reading), "list", **files)
    os.close(reading)
    assert (ended.code, ended.stdout, ended.stderr) == (0, ">> Backups:\n", "")
    assert place.log[0]["config"] == "milvus: {}"


@pytest.mark.parametrize("path", [None, "", "backup.yaml", "/dev/fd/99999", "/dev/null"])
def test_other_settings_files_are_the_services_to_open(path: str | None) -> None:
    with handed_on(path) as given:
        assert given == (path, ())


async def test_ctrl_c_cancels_and_says_that_nothing_remains(place: Place) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.splitlines() == [
        "create backup nightly: operation op_1",
        "pending",
        "copying",
        "Cancelling, and removing what was made; Ctrl-C again ends it at once.",
        "cancelling",
        "cancelled",
        "Error: cancelled on request (OPERATION_CANCELLED)",
        "Nothing of it remains.",
    ]
    assert place.log[-1]["requests"] == ["CreateBackup", "WatchOperation", "CancelOperation"]
    assert place.directories == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_termination_cancels_too(place: Place, number: signal.Signals) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly", "--output", "json")
    await program.waits_for(place.path / "child.log", "asked WatchOperation")
    program.process.send_signal(number)
    ended = await program.end()
    assert ended.code == 3
    assert json.loads(ended.stdout)["state"] == "OPERATION_STATE_CANCELLED"


async def test_a_hang_up_that_nohup_ignores(place: Place) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly", nohup=True)
    await program.shows("copying")
    program.process.send_signal(signal.SIGHUP)
    program.process.send_signal(signal.SIGTERM)  # comes behind the other, and is heard
    ended = await program.end()
    assert ended.code == 3
    assert ended.stderr.count("Cancelling") == 1


async def test_a_second_termination_ends_at_once(place: Place) -> None:
    program = await place.start("never_cancels", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.send_signal(signal.SIGTERM)
    await program.shows("cancelling")
    program.process.send_signal(signal.SIGTERM)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1].startswith("Ended at once. ")


async def test_what_remains_is_told(place: Place) -> None:
    program = await place.start("cancels_with_remains", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert ended.code == 3
    assert ended.stderr.splitlines()[-3:] == [
        "Warning: objects below nightly/binlogs are still there (LEFT_BEHIND)",
        "Error: cancelled on request (OPERATION_CANCELLED)",
        "What remains is in the warnings.",
    ]


async def test_a_second_ctrl_c_ends_at_once(place: Place) -> None:
    program = await place.start("never_cancels", "--config", "x.yaml", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    await program.shows("cancelling")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1] == (
        "Ended at once. An incomplete backup may remain; "
        "milvus-backup --config x.yaml delete -n nightly removes it."
    )
    assert is_gone(place.log[0]["pid"])
    assert place.directories == []


async def test_ctrl_c_before_the_answer_cancels_what_the_answer_names(place: Place) -> None:
    program = await place.start("answers_late", "create", "-n", "nightly")
    await program.waits_for(place.path / "child.log", "asked CreateBackup")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (3, "")
    assert place.log[-1]["requests"] == ["CreateBackup", "CancelOperation", "WatchOperation"]


async def test_an_operation_that_ended_before_the_cancel_is_a_success(place: Place) -> None:
    program = await place.start("ends_before_the_cancel", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (0, "create backup success\nduration:0.00 s\n")


async def test_a_live_display_goes_on_after_ctrl_c(place: Place) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly", TERM="xterm")
    await program.shows("copying")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert ended.code == 3
    assert "create backup nightly: cancelled (operation op_1)" in ended.stderr
    assert ended.stderr.rindex("\x1b[?25h") > ended.stderr.rindex("\x1b[?25l")


async def test_a_service_that_dies(place: Place) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly")
    await program.shows("copying")
    os.kill(place.log[0]["pid"], signal.SIGKILL)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (4, "")
    gone, log = ended.stderr.splitlines()[-2:]
    assert gone == "Error: the service started for this command is gone: asked WatchOperation"
    assert "started" in content_of(Path(log.removeprefix("its log: ")))


async def test_a_fault_inside_the_service_keeps_its_log(place: Place) -> None:
    ended = await place.run("fails_inside", "list")
    assert (ended.code, ended.stdout) == (1, "")
    error, log = ended.stderr.splitlines()
    assert error == "Error: an error inside the service (INTERNAL)"
    assert "started" in content_of(Path(log.removeprefix("its log: ")))
    assert place.directories == [Path(log.removeprefix("its log: ")).name]


SETTINGS = """
import sys
def server_command(argv):
    print("milvus-backup server: a.b: expected 1", file=sys.stderr)
    print("milvus-backup server: c.d: expected 2", file=sys.stderr)
    return 2
"""
REASON = """
def server_command(argv):
    print("milvus-backup server: no place left")
    return 1
"""
FAULT = """
def server_command(argv):
    raise RuntimeError("a fault")
"""
LOG = """
def server_command(argv):
    print('{"event": "it was too much", "level": "error"}')
    return 1
"""
SILENT = """
def server_command(argv):
    return 7
"""
LIBRARY = "import a_library_that_nobody_has.voice\n"
NEEDS = "milvus-backup server needs a_library_that_nobody_has: pip install 'milvus-backup[server]'"


@pytest.mark.parametrize(
    ("program", "lines", "code"),
    [
        (LIBRARY, [NEEDS], 2),
        (SETTINGS, ["a.b: expected 1", "c.d: expected 2"], 2),
        (REASON, ["the service did not start: no place left"], 4),
        (FAULT, ["the service did not start: RuntimeError: a fault"], 4),
        (LOG, ["the service did not start: it was too much"], 4),
        (SILENT, ["the service did not start: its log is empty"], 4),
    ],
    ids=["library", "settings", "reason", "fault", "log", "silent"],
)
async def test_a_service_that_does_not_start(
    place: Place, program: str, lines: list[str], code: int
) -> None:
    ended = await place.run(program, "list")
    assert (ended.stdout, ended.code) == ("", code)
    assert ended.stderr.splitlines() == [f"Error: {line}" for line in lines]
    assert place.directories == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_end_while_the_service_starts(place: Place, number: signal.Signals) -> None:
    slow = (
        "import os, pathlib, time\n"
        "def server_command(argv):\n"
        "    pathlib.Path(os.environ['SCRIPTED_CHILD_LOG']).write_text('{\"pid\": %d}' % os.getpid())\n"
        "    time.sleep(60)\n"
    )
    program = await place.start(slow, "list")
    await program.waits_for(place.path / "child.log", "pid")
    program.process.send_signal(number)
    ended = await program.end()
    assert (ended.code, ended.stdout, ended.stderr) == (130, "", "")
    assert is_gone(place.log[0]["pid"])
    assert place.directories == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_end_while_the_service_stops(place: Place, number: signal.Signals) -> None:
    program = await place.start(STOPS_SLOWLY, "list", SCRIPTED_CHILD="has_no_backups")
    await program.waits_for(place.path / "child.log", "stopped")
    program.process.send_signal(number)
    ended = await program.end()
    assert (ended.code, ended.stdout, ended.stderr) == (130, ">> Backups:\n", "")
    assert is_gone(place.log[0]["pid"])
    assert place.directories == []


STOPS_SLOWLY = """
import time
from tests.support import scripted_child
def server_command(argv):
    scripted_child.server_command(argv)
    time.sleep(60)
"""
WARNS = """
from tests.support import scripted_child
def server_command(argv):
    for warning in (
        "accepted, no effect: milvus.rest.endpoint: nothing goes there yet",
        "unknown setting a.b",
        "accepted, no effect: backup.pauseGC: nothing is paused yet",
        "accepted, no effect: service.grpc.port: with a socket the service listens there alone",
    ):
        scripted_child.say("setting", level="warning", warning=warning)
    return scripted_child.server_command(argv)
"""


async def test_what_is_wrong_with_the_settings_is_told(place: Place) -> None:
    words = ("--config", "x y.yaml", "--set", "milvus.password=secret", "list")
    shown = "--config 'x y.yaml' --set milvus.password=..."
    ended = await place.run(WARNS, *words, SCRIPTED_CHILD="has_no_backups")
    assert (ended.stdout, ended.stderr.splitlines()) == (
        ">> Backups:\n",
        [
            "Warning: unknown setting a.b",
            f"Warning: 2 settings have no effect; see: milvus-backup {shown} config show",
        ],
    )


async def test_what_killed_commands_left_is_removed(place: Place) -> None:
    for name in ("milvus-backup-cli-old", "milvus-backup-cli-used", "other"):
        (place.path / "tmp" / name).mkdir()
        (place.path / "tmp" / name / "log").touch()
    with (place.path / "tmp" / "milvus-backup-cli-used" / "log").open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        ended = await place.run("has_no_backups", "list")
    assert ended.code == 0
    assert place.directories == ["milvus-backup-cli-used", "other"]


async def test_a_long_directory_for_temporary_files(place: Place) -> None:
    long = place.path / "tmp" / ("x" * 90)
    long.mkdir()
    ended = await place.run("has_no_backups", "list", TMPDIR=str(long))
    assert (ended.code, ended.stdout) == (0, ">> Backups:\n")
    assert len(place.log[0]["directory"]) < len(str(long))
    assert place.log[0]["temporary"] == str(long)
    assert place.directories == [long.name]


async def test_the_service_ends_with_a_command_that_is_killed(place: Place) -> None:
    program = await place.start("cancels_well", "create", "-n", "nightly")
    await program.shows("copying")
    program.process.kill()
    await program.end()
    await program.waits_for(place.path / "child.log", "stopped")
