"""A page of docs/: its blocks, and its console sessions and programs run against a service."""

import ast
import asyncio
import re
import shlex
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from milvus_backup_client import BackupClient
from tests.support.readme import OPERATION

DOCS = Path(__file__).parents[2] / "docs"
_ERRORS = re.compile(r"^(?:Error|Failed): .*\n", re.MULTILINE)
_SECONDS = re.compile(r"[\d.]+ s\b")
_SIZE = re.compile(r"[\d.]+ (bytes|kB)")


@dataclass(frozen=True)
class DocsPage:
    """A page by the name of its file."""

    name: str

    @property
    def text(self) -> str:
        """All of it."""
        return (DOCS / self.name).read_text(encoding="utf-8")

    def block(self, language: str, heading: str = "") -> str:
        """Return the first block of a language, behind a heading if one is given."""
        text = self.text.partition(f"## {heading}\n")[2] if heading else self.text
        found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
        assert found, (self.name, language, heading)
        return found[1]

    def grpcurl(self) -> str:
        """Return the JSON of the message that grpcurl is shown with."""
        found = re.search(r"-d '(.*?)'", self.text.partition("## With grpcurl")[2], re.DOTALL)
        assert found
        return found[1]

    async def run_session(self, address: str, heading: str = "") -> list[int]:
        """Run the commands of a console session, compare what they print, and return their exit codes.

        Sizes, durations and the ids of operations are not compared; of standard error only what failed.
        `OPERATION` in a command stands for the newest one.
        """
        codes: list[int] = []
        steps = re.split(r"^\$ ", self.block("console", heading), flags=re.MULTILINE)[1:]
        for step in steps:
            command, _, output = step.partition("\n")
            operation = await _newest(address) if "OPERATION" in command else ""
            program, *arguments = shlex.split(command.replace("OPERATION", operation))
            assert program == "milvus-backup"
            code, told = await _told(address, arguments)
            assert _alike(told) == _alike(output), command
            codes.append(code)
        return codes

    async def run_program(self, values: Mapping[str, object]) -> dict[str, object]:
        """Run the Python program with these names given, and return all names that it has at its end."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        program = compile(self.block("python"), self.name, "exec", flags=flags)
        names = dict(values)
        await eval(program, names)  # noqa: S307 our own page
        return names


async def _newest(address: str) -> str:
    async with BackupClient(address) as client:
        return (await anext(client.list_operations())).name


async def _told(address: str, arguments: list[str]) -> tuple[int, str]:
    script = Path(sysconfig.get_path("scripts")) / "milvus-backup"
    process = await asyncio.create_subprocess_exec(
        script,
        "--address",
        address,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, errors = await process.communicate()
    assert process.returncode is not None
    last = _ERRORS.findall(errors.decode())  # the rest is progress
    return process.returncode, told.decode() + "".join(last)


def _alike(text: str) -> str:
    """Make alike what differs from run to run, or depends on how the Milvus in memory writes its objects."""
    return OPERATION.sub("OPERATION", _SECONDS.sub("seconds", _SIZE.sub("size", text)))
