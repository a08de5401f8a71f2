"""Settings read again at SIGHUP."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from milvus_backup_server.adapters.store_rates import RateLimiter
from milvus_backup_server.reloading import reloading
from milvus_backup_server.settings import Loaded, load
from tests.support.settings_files import read_v2


class Rates(RateLimiter):
    """Notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Queue[tuple[float, float]]()

    def change(self, requests_per_second: float, bytes_per_second: float) -> None:
        super().change(requests_per_second, bytes_per_second)
        self.asked.put_nowait((requests_per_second, bytes_per_second))


class File:
    """A file of settings."""

    def __init__(self, folder: Path) -> None:
        self.text = ""
        self._folder = folder

    def read(self) -> Loaded:
        return read_v2(self._folder, self.text)


@pytest.fixture
def rates() -> Rates:
    return Rates()


@pytest.fixture
async def file(tmp_path: Path, rates: Rates) -> AsyncIterator[File]:
    written = File(tmp_path)
    async with reloading(written.read(), written.read, rates):
        yield written
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


async def until(seen: Callable[[], bool]) -> None:
    while not seen():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def test_the_rates_change(file: File, rates: Rates) -> None:
    file.text = "service: {limits: {requestsPerSecond: 70, mibPerSecond: 3}}"
    hang_up()
    assert await rates.asked.get() == (70, 3 << 20)
    file.text = ""
    hang_up()
    assert await rates.asked.get() == (0, 0)


async def test_what_needs_a_restart_is_named(file: File, rates: Rates) -> None:
    file.text = "service: {limits: {mibPerSecond: 1, memoryMiB: 77}}\nmilvus: {password: geheim}"
    with capture_logs() as logs:
        hang_up()
        await rates.asked.get()
        await until(lambda: len(logs) == 2)
    assert logs[1]["keys"] == ["milvus.password", "service.limits.memoryMiB"]
    assert "geheim" not in str(logs)


async def test_faults_change_nothing(file: File, rates: Rates) -> None:
    file.text = "service: {limits: {mibPerSecond: -1}}"
    with capture_logs() as logs:
        hang_up()
        await until(lambda: bool(logs))
    (fault,) = logs[0]["faults"]
    assert fault.startswith("service.limits.mibPerSecond: expected at least 0 (")
    assert rates.asked.empty()
    file.text = "service: {limits: {mibPerSecond: 1}}"
    hang_up()
    assert await rates.asked.get() == (0, 1 << 20)


@pytest.mark.parametrize("again", ["gone", "a pipe"])
async def test_a_file_that_cannot_be_read_again_lifts_no_limit(
    tmp_path: Path, rates: Rates, again: str
) -> None:
    written = tmp_path / "backup.yaml"
    written.write_text("configVersion: v2\nservice: {limits: {mibPerSecond: 1}}")
    loaded = load(str(written), environ={})
    written.unlink()
    if again == "a pipe":
        os.mkfifo(written)
    async with reloading(loaded, lambda: load("", environ={}), rates):
        with capture_logs() as logs:
            hang_up()
            await until(lambda: bool(logs))
    assert logs[0]["faults"] == [f"--config: {written} cannot be read again: it is gone, or a pipe"]
    assert rates.asked.empty()
