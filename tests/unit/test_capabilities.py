import pytest

from milvus_backup_server.domain.capabilities import TESTED_RANGE, Capabilities, capabilities_of
from milvus_backup_server.domain.milvus import MilvusVersion

MODERN = ("hybrid_end_ts", "parallel_import", "rest_import", "gc_pause")


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("v2.3.0", ()),
        ("v2.3.5-lite", ()),
        ("2.3.21", ()),
        ("2.4.0", MODERN),
        ("v2.4.0-rc.1", MODERN),
        ("2.4.2", MODERN),
        ("2.4.3", (*MODERN, "database_properties")),
        ("2.5.7", (*MODERN, "database_properties")),
        ("2.5.8", (*MODERN, "database_properties", "segment_descriptions")),
        ("2.6.18", (*MODERN, "database_properties", "segment_descriptions")),
        ("3.0.0", (*MODERN, "database_properties", "segment_descriptions")),
    ],
)
def test_names_what_a_version_can_do(version: str, names: tuple[str, ...]) -> None:
    assert capabilities_of(MilvusVersion.parse(version)).names() == names


@pytest.mark.parametrize(
    ("version", "tested"),
    [
        ("2.2.16", False),
        ("2.3.0", False),
        ("2.3.1", True),
        ("v2.3.5-lite", True),
        ("2.3.22", True),
        ("2.4.0", False),
        ("2.6.18", False),
    ],
)
def test_tells_the_tested_versions(version: str, tested: bool) -> None:
    assert capabilities_of(MilvusVersion.parse(version)).tested is tested


def test_an_unreadable_version_can_do_nothing() -> None:
    assert MilvusVersion.parse("unknown") is None
    assert capabilities_of(None) == Capabilities()


def test_the_range_reads_like_a_constraint() -> None:
    assert TESTED_RANGE == ">= 2.3.1, < 2.4.0"
