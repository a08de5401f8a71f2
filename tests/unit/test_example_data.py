"""The tutorial's scripts: their rows, how differences are told, and what the arguments ask for."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from hello_milvus import Key, Row, tutorial_collections
from tests.support.processes import free_ports
from verify_data import differences

EXAMPLE = Path(__file__).parents[2] / "example"


def test_three_thousand_rows_stay_of_each_collection() -> None:
    kept = {name: made.remaining() for name, made in tutorial_collections().items()}

    assert {name: len(rows) for name, rows in kept.items()} == {
        "hello_milvus": 3_000,
        "hello_milvus2": 3_000,
    }
    assert list(kept["hello_milvus"])[:3] == [1, 2, 3]
    assert list(kept["hello_milvus2"])[:3] == ["book-0001", "book-0002", "book-0003"]


def test_the_deleted_rows_are_inserted_before() -> None:
    for made in tutorial_collections().values():
        assert len(made.deleted) == 100
        assert set(made.deleted) <= made.inserted.keys()


def test_every_run_makes_the_same_rows() -> None:
    first, again = tutorial_collections(), tutorial_collections()

    assert [made.inserted for made in first.values()] == [made.inserted for made in again.values()]
    # Another Python, on another machine, must make the very same numbers.
    assert first["hello_milvus"].inserted[1]["random"] == 0.35049015865869426
    vector = cast("list[float]", first["hello_milvus2"].inserted["book-0001"]["embeddings"])
    assert vector[:3] == [0.9161605834960938, 0.38361358642578125, 0.5102319717407227]


EXPECTED: dict[Key, Row] = {1: {"pk": 1, "var": "one"}, 2: {"pk": 2, "var": "two"}}
MANY: dict[Key, Row] = {key: {} for key in range(10, 17)}


@pytest.mark.parametrize(
    ("found", "count", "told"),
    [
        pytest.param(EXPECTED, 2, [], id="the same"),
        pytest.param({1: EXPECTED[1]}, 1, ["1 missing: 2"], id="missing"),
        pytest.param({**EXPECTED, "x": {}}, 3, ["1 extra: 'x'"], id="extra"),
        pytest.param(
            {1: EXPECTED[1], 2: {"pk": 2, "var": "zwei"}},
            2,
            ["1 different: 2", "  2: var is 'zwei', was 'two'"],
            id="different",
        ),
        pytest.param(
            {1: EXPECTED[1], 2: {**EXPECTED[2], "more": 0}},
            2,
            ["1 different: 2", "  2: more is 0, was None"],
            id="a value more",
        ),
        pytest.param(
            EXPECTED, 3, ["3 rows with 2 keys: some keys are there more than once"], id="twice"
        ),
        pytest.param(EXPECTED | MANY, 9, ["7 extra: 10, 11, 12, 13, 14, ..."], id="many"),
    ],
)
def test_differences_name_the_keys(found: dict[Key, Row], count: int, told: list[str]) -> None:
    assert list(differences(EXPECTED, found, count)) == told


def test_an_absent_milvus_is_told_in_one_line() -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, str(EXAMPLE / "verify_data.py"), "--uri", nowhere]

    ended = subprocess.run(command, check=False, capture_output=True, text=True)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Milvus at {nowhere}: ")
    assert len(ended.stderr.splitlines()) == 1
