"""The command line run against a scripted service, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner, Result

from milvus_backup_client.cli.app import app

_VARIABLES = ("PATH", "PYTHONPATH", "HOME", "LANG")
# A test run started in the background ignores Ctrl-C, and so would its children.
_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_IGN if {nohup} else signal.SIG_DFL)
from milvus_backup_client.cli import main
main()
"""


def content_of(file: Path) -> str:
    """Return what a file holds; nothing if it is not there."""
    return file.read_text(encoding="utf-8") if file.exists() else ""


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has asked for its exit code yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


async def run(address: str, *arguments: str, **environment: str) -> Result:
    """Run a command in a thread, with an event loop of its own."""
    variables = {"MILVUS_BACKUP_ADDRESS": address, **environment}
    runner = CliRunner(env=variables)
    return await asyncio.to_thread(runner.invoke, app, list(arguments), prog_name="milvus-backup")


@dataclass
class Ended:
    """What a program left behind."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Program:
    """A running `milvus-backup` whose stderr is a pseudo-terminal.

    Attributes:
        screen: All that was written to the terminal so far.
    """

    process: asyncio.subprocess.Process
    terminal: int
    screen: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(
        cls,
        *arguments: str,
        nohup: bool = False,
        stdin: int | None = None,
        descriptors: Sequence[int] = (),
        **environment: str,
    ) -> Program:
        """Start it, with its open files; with `nohup` as that command would, deaf to a hang-up."""
        ours, theirs = pty.openpty()
        variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM.format(nohup=nohup),
            *arguments,
            stdin=stdin,
            pass_fds=descriptors,
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
            env={**variables, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", **environment},
        )
        os.close(theirs)
        program = cls(process, ours)
        asyncio.get_running_loop().add_reader(ours, program._read)
        return program

    async def shows(self, text: str) -> None:
        """Wait until a text was written to the terminal."""
        async with asyncio.timeout(60):
            while text not in self.screen:
                self.changed.clear()
                await self.changed.wait()

    async def waits_for(self, file: Path, text: str) -> None:
        """Wait until a file of the program's has a text."""
        async with asyncio.timeout(60):
            while text not in content_of(file):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)

    async def end(self) -> Ended:
        """Wait for its end."""
        async with asyncio.timeout(60):
            stdout, _ = await self.process.communicate()
        asyncio.get_running_loop().remove_reader(self.terminal)
        self._read()
        os.close(self.terminal)
        return Ended(self.process.returncode or 0, stdout.decode(), self.screen)

    def _read(self) -> None:
        os.set_blocking(self.terminal, False)
        try:
            while data := os.read(self.terminal, 65536):
                self.screen += data.decode(errors="replace")
        except BlockingIOError:
            pass
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self.terminal)
        self.changed.set()
