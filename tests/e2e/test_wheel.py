"""The distribution: a wheel is built, installed into fresh environments, and run."""

import json
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.environment import Environment, service_settings
from tests.support.processes import ChildProcess, plain_environment

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

ROOT = Path(__file__).parents[2]
SITE = Path(sysconfig.get_path("purelib"))
# The four libraries of the bare client, by what they put into site-packages; grpcio needs the fifth.
CLIENT_ALONE = ("grpc", "grpc_status", "google", "typing_extensions.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*command, str(directory), str(ROOT)], check=True, capture_output=True)
    (built,) = directory.glob("milvus_backup-*.whl")
    return built


def fresh_environment(directory: Path, wheel: Path, libraries: Sequence[Path]) -> Path:
    """Make an environment with the wheel and some libraries, and return its `bin`.

    The libraries come from the environment of the tests, because there is no network; the wheel is
    installed by pip.
    """
    venv.create(directory, with_pip=False, symlinks=True)
    site = next(directory.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text("\n".join(map(str, libraries)))
    pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)],
        check=True,
        capture_output=True,
    )
    return directory / "bin"


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with all libraries, but with our code from the wheel."""
    return fresh_environment(tmp_path_factory.mktemp("all") / "env", wheel, [SITE])


@pytest.fixture
def server(programs: Path, environment: Environment, tmp_path: Path) -> Iterator[ChildProcess]:
    settings = tmp_path / "backup.yaml"
    settings.write_text(json.dumps(service_settings(environment.seaweed, environment.milvus)))
    program = str(programs / "milvus-backup")
    running = ChildProcess(
        [program, "server", "--config", settings, "--grpc-port", "0", "--port", "0"],
        directory=tmp_path,
        log=tmp_path / "log",
        environment=plain_environment(),
    )
    yield running
    running.terminate(20)


async def test_the_server_of_the_wheel_serves_the_client_of_the_wheel(
    programs: Path, server: ChildProcess
) -> None:
    server.wait_until(lambda: "serving" in server.log.read_text(), timeout=60)
    found = re.search(r'"address": "([^"]+)"', server.log.read_text())
    assert found
    address = found[1]

    answer = subprocess.run(  # noqa: ASYNC221 nothing else runs here
        [programs / "milvus-backup", "check", "--address", address],
        check=False,
        capture_output=True,
        text=True,
    )

    assert answer.returncode == 0, answer.stderr
    assert re.search(r"^ok +milvus ", answer.stdout, re.MULTILINE)


def test_the_bare_client_needs_its_four_libraries_only(wheel: Path, tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in CLIENT_ALONE:
        (libraries / name).symlink_to(SITE / name)
    programs = fresh_environment(tmp_path / "env", wheel, [libraries])

    imported = _run(programs, "import milvus_backup_client as c; c.BackupClient; print(c.__file__)")
    server = _run(programs, "import milvus_backup_server.app")
    command_line = subprocess.run(
        [programs / "milvus-backup", "list"], check=False, capture_output=True, text=True
    )

    assert str(tmp_path / "env") in imported.stdout
    assert "ModuleNotFoundError" in server.stderr
    assert command_line.returncode == 2
    assert "pip install 'milvus-backup[cli]'" in command_line.stderr
    assert len(command_line.stderr.splitlines()) == 1


def _run(programs: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs / "python", "-c", code], check=False, capture_output=True, text=True
    )
