"""The demo tells the truth: it fails when a single row was altered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

ROOT = Path(__file__).parents[2]
PROGRESS = re.compile(
    r"^  (planning|flushing|listing|copying|checking|verifying|staging|importing).*$", re.MULTILINE
)


def test_the_demo_fails_when_a_row_was_altered() -> None:
    command = [sys.executable, "-m", "tests.support.demo", "--alter-a-row", "--rows", "5500"]

    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "demo_products_restored: DIFFERENT" in ended.stdout
    assert "1 different: 5" in ended.stdout
    assert "version: expected 'v0', found 'altered'" in ended.stdout
    assert "demo_users_restored: all 1978 rows are the same" in ended.stdout
    assert len({line[0] for line in PROGRESS.finditer(ended.stdout)}) >= 10
