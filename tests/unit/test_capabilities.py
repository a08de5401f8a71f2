import re
from dataclasses import fields
from pathlib import Path

import pytest

from milvus_backup_server.domain.capabilities import TESTED_RANGE, Capabilities, capabilities_of
from milvus_backup_server.domain.milvus import MilvusVersion

ROOT = Path(__file__).parents[2]

FIRST = {
    "hybrid_end_ts": ("2.3.22", "2.4.0"),
    "parallel_import": ("2.3.22", "2.4.0"),
    "rest_import": ("2.3.22", "2.4.0"),
    "rbac": ("2.4.8", "2.4.9"),
    "gc_pause": ("2.3.22", "2.4.0"),
    "gc_pause_by_collection": ("2.6.7", "2.6.8"),
    "l0_segments": ("2.3.22", "2.4.0"),
    "flush_checkpoints": ("2.3.22", "2.4.0"),
    "database_properties": ("2.4.2", "2.4.3"),
    "segment_descriptions": ("2.5.7", "2.5.8"),
    "column_groups": ("2.5.27", "2.6.0"),
    "added_fields": ("2.5.27", "2.6.0"),
    "function_checks": ("2.6.7", "2.6.8"),
    "flush_all": ("2.6.10", "2.6.11"),
    "several_l0_per_job": ("2.6.4", "2.6.5"),
}
"""The last version without each ability, and the first with it."""


@pytest.mark.parametrize("ability", FIRST)
def test_each_ability_has_its_first_version(ability: str) -> None:
    without, first = FIRST[ability]
    assert ability not in capabilities_of(MilvusVersion.parse(without)).names()
    for version in (first, f"v{first}-rc.1", "2.6.18", "3.0.0"):
        assert ability in capabilities_of(MilvusVersion.parse(version)).names()


def test_every_ability_is_in_the_table() -> None:
    assert set(FIRST) == {item.name for item in fields(Capabilities)} - {"tested"}


def test_the_page_of_versions_has_the_same_table() -> None:
    page = (ROOT / "docs" / "milvus_versions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    assert dict(rows) == {name: first for name, (_, first) in FIRST.items()}


def test_versions_are_named_in_one_place() -> None:
    named = re.compile(r"MilvusVersion\(\d")
    files = (ROOT / "server").rglob("*.py")
    found = [file.name for file in files if named.search(file.read_text(encoding="utf-8"))]
    assert found == ["capabilities.py"]


@pytest.mark.parametrize("version", ["v2.3.0", "v2.3.5-lite", "2.3.21"])
def test_2_3_has_none_of_them(version: str) -> None:
    assert capabilities_of(MilvusVersion.parse(version)).names() == ()


@pytest.mark.parametrize(
    ("version", "tested"),
    [
        ("2.2.16", False),
        ("2.3.0", False),
        ("2.3.1", True),
        ("v2.3.5-lite", True),
        ("2.3.22", True),
        ("2.4.0", True),
        ("2.6.18", True),
        ("2.7.0", False),
        ("3.0.0", False),
    ],
)
def test_tells_the_tested_versions(version: str, tested: bool) -> None:
    assert capabilities_of(MilvusVersion.parse(version)).tested is tested


def test_a_build_without_a_number_counts_as_newest() -> None:
    assert MilvusVersion.parse("unknown") is None
    newest = capabilities_of(None)
    assert newest.hybrid_end_ts
    assert newest.l0_segments
    assert not newest.tested


def test_the_range_reads_like_a_constraint() -> None:
    assert TESTED_RANGE == ">= 2.3.1, < 2.7.0"
