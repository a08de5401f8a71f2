"""Every test that docs/guarantees.md names is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def sections() -> dict[str, str]:
    titles_and_texts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(titles_and_texts[1::2], titles_and_texts[2::2], strict=True))


@pytest.mark.parametrize("promise", sections())
def test_each_promise_names_tests_that_are_there(promise: str) -> None:
    named = NAMED.findall(sections()[promise])
    assert named
    missing = [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)]
    assert missing == []


def test_nothing_else_looks_like_a_test() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(re.findall(r"\btests/[\w/.]*::", text)) == len(NAMED.findall(text))
