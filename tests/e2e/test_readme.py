"""What the README shows is run: its grpcurl session word for word, and its Python program."""

import asyncio
import shlex
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.datasets import make_hello_milvus
from tests.support.environment import Environment
from tests.support.readme import OPERATION, alike, block, steps
from tests.support.running_service import Service, environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

ADDRESS = "127.0.0.1:50051"


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    make_hello_milvus(environment.milvus.uri)
    settings = environment_settings(environment, backup_root="readme")
    async with running_service(settings) as running:
        yield running


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


async def test_the_grpcurl_session(service: Service) -> None:
    session = list(steps(block("With grpcurl", "console")))
    operation = ""
    for step in session:
        output = await run(step.command, service.app.address, operation)
        found = OPERATION.search(output)
        operation = found[0] if found else operation
        assert alike(output) == alike(step.output), step.command
    commands = " ".join(step.command for step in session)
    for shown in ("list", "describe", "CreateBackup", "WatchOperation"):
        assert shown in commands


async def test_the_python_program(service: Service, tmp_path: Path) -> None:
    program = block("With Python", "python")
    file = tmp_path / "program.py"
    file.write_text(program.replace(ADDRESS, service.app.address), encoding="utf-8")
    python = Path(sysconfig.get_path("scripts")) / "python"

    output = await run(f"{python} {file}", service.app.address, "")

    assert len([line for line in program.splitlines() if line.strip()]) <= 11
    lines = output.splitlines()
    assert lines[-1].startswith("restored 3000 rows")
