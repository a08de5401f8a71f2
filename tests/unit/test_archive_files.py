"""An archive as a file: on the disk before it has its name, and its name too before that is told."""

import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from types import FrameType
from typing import Any

from milvus_backup_client.cli.archive_files import write_file


async def chunks() -> AsyncGenerator[bytes, None]:
    yield b"abc"
    yield b"defg"


class Observed:
    """Notes calls of the operating system's functions of some names, in whatever thread."""

    def __init__(self, *names: str) -> None:
        self.calls: list[str] = []
        self._names = names

    def __call__(self, _: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and getattr(argument, "__module__", "") == "posix":
            self.calls += [it for it in self._names if argument.__name__ == it]

    async def write(self, target: Path) -> int:
        threading.setprofile(self)  # of threads that begin from now on
        sys.setprofile(self)
        try:
            return await write_file(str(target), chunks(), lambda _: None)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


async def test_it_is_on_the_disk_before_it_has_its_name_and_so_is_its_name(tmp_path: Path) -> None:
    target = tmp_path / "nightly.tar"
    target.write_bytes(b"of yesterday")
    observed = Observed("fsync", "replace", "rename")
    assert await observed.write(target) == 7
    assert target.read_bytes() == b"abcdefg"
    assert observed.calls == ["fsync", "replace", "fsync"]
