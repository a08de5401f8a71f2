"""What the README shows is run: its grpcurl session word for word, and its Python program."""

import asyncio
import re
import shlex
import sysconfig
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.datasets import make_hello_milvus
from tests.support.environment import Environment
from tests.support.running_service import Service, environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("readme")]

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "127.0.0.1:50051"
OPERATION = re.compile(r"\d{8}t\d{6}_[0-9a-f]{8}")


class Step(NamedTuple):
    """A command of a console session and the output under it."""

    command: str
    output: str


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    make_hello_milvus(environment.milvus.uri)
    settings = environment_settings(environment, backup_root="readme")
    async with running_service(settings) as running:
        yield running


def block(heading: str, language: str) -> str:
    """Return the first code block of a language under a heading of the README."""
    section = README.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section.split("\n## ", 1)[0], re.DOTALL)
    assert found, f"no {language} block under {heading!r}"
    return found[1]


def steps(session: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Step(command, output)


async def run(command: str, address: str, operation: str) -> str:
    """Run a command of the session, with our address and the id of our operation in it."""
    command = OPERATION.sub(operation, command.replace(ADDRESS, address))
    scripts = sysconfig.get_path("scripts")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"set -o pipefail; PATH={shlex.quote(scripts)}:$PATH; {command}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def without_numbers(text: str) -> str:
    """Make alike what differs from run to run: ids, times, counts of changes."""
    return re.sub(r"\d+", "0", OPERATION.sub("id", text)).strip()


async def test_the_grpcurl_session(service: Service) -> None:
    session = list(steps(block("With grpcurl", "console")))
    operation = ""
    for step in session:
        output = await run(step.command, service.app.address, operation)
        found = OPERATION.search(output)
        operation = found[0] if found else operation
        assert without_numbers(output) == without_numbers(step.output), step.command
    commands = " ".join(step.command for step in session)
    for shown in ("list", "describe", "CreateBackup", "WatchOperation"):
        assert shown in commands


async def test_the_python_program(service: Service, tmp_path: Path) -> None:
    program = block("With Python", "python")
    file = tmp_path / "program.py"
    file.write_text(program.replace(ADDRESS, service.app.address), encoding="utf-8")
    python = Path(sysconfig.get_path("scripts")) / "python"

    output = await run(f"{python} {file}", service.app.address, "")

    assert len(program.strip().splitlines()) <= 14
    lines = output.splitlines()
    assert lines[-1].startswith("restored 3000 rows")
