"""Each planted bug is noticed by one of the tests that are there for it."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.sabotage.sabotage import Sabotage
from tests.sabotage.sabotages import SABOTAGES

ROOT = Path(__file__).parents[2]
PACKAGE = "milvus_backup_server"
FAILED = 1  # pytest's exit code where tests ran and some of them failed


def sabotaged(sabotage: Sabotage, directory: Path) -> Path:
    """Return a directory with a copy of the server that has the bug."""
    shutil.copytree(ROOT / "server" / PACKAGE, directory / PACKAGE)
    file = directory / PACKAGE / sabotage.file
    text = file.read_text()
    file.write_text(text.replace(sabotage.old, sabotage.new))
    return directory


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda item: item.name)
def test_the_code_that_a_sabotage_changes_is_there_once(sabotage: Sabotage) -> None:
    text = (ROOT / "server" / PACKAGE / sabotage.file).read_text()
    assert text.count(sabotage.old) == 1, "the code has changed: plant the bug where it is now"


@pytest.mark.torture
@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda item: item.name)
async def test_a_sabotage_is_noticed(sabotage: Sabotage, tmp_path: Path) -> None:
    path = os.pathsep.join((str(sabotaged(sabotage, tmp_path)), str(ROOT / "client")))
    options = ("-q", "-x", "-p", "no:randomly", "-m", "not torture", "-o", f"cache_dir={tmp_path}")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", *options, *sabotage.tests),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == FAILED, output.decode()[-3000:]
