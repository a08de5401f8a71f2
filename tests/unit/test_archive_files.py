"""An archive as a file: on the disk before it has its name, and its name too before that is told."""

import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from milvus_backup_client.cli.archive_files import write_file


async def chunks() -> AsyncGenerator[bytes, None]:
    yield b"abc"
    yield b"defg"


async def test_it_is_on_the_disk_before_it_has_its_name_and_so_is_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def note(*arguments: Any, **named: Any) -> object:
            calls.append(name)
            return call(*arguments, **named)

        return note

    for name in ("fsync", "replace", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    target = tmp_path / "nightly.tar"
    target.write_bytes(b"of yesterday")
    assert await write_file(str(target), chunks(), lambda _: None) == 7
    assert target.read_bytes() == b"abcdefg"
    assert calls == ["fsync", "replace", "fsync"]
