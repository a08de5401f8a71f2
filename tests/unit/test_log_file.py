"""The log file: written when it is asked for, put aside when it is large, removed when it is old."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.log_file import RotatingLogFile
from milvus_backup_server.settings.models import LogSettings
from milvus_backup_server.telemetry import configure_logging
from milvus_backup_server.wiring import log_file

DAY = 24 * 3600


@pytest.fixture
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = handlers, level
    structlog.reset_defaults()


def write(file: RotatingLogFile, *texts: str) -> None:
    for text in texts:
        file.emit(logging.LogRecord("x", logging.INFO, "", 0, text, None, None))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> list[str]:
    """Return what was put aside, the oldest first, then the file itself."""
    return [path.read_text() for path in sorted(folder.glob("*-*.log"))] + [
        path.read_text() for path in folder.glob("service.log")
    ]


def test_a_file_that_gets_too_large_is_put_aside(tmp_path: Path) -> None:
    file = RotatingLogFile(tmp_path / "service.log", max_bytes=10)
    write(file, "1234", "5678", "9", "a line longer than the bound", "0")
    file.close()
    assert contents(tmp_path) == ["1234\n5678\n", "9\n", "a line longer than the bound\n", "0\n"]


def test_the_bound_holds_for_what_an_earlier_process_wrote(tmp_path: Path) -> None:
    for text in ("1234", "5678", "9"):
        file = RotatingLogFile(tmp_path / "service.log", max_bytes=10)
        write(file, text)
        file.close()
    assert contents(tmp_path) == ["1234\n5678\n", "9\n"]


def test_without_a_bound_nothing_is_put_aside(tmp_path: Path) -> None:
    file = RotatingLogFile(tmp_path / "service.log")
    write(file, *["x" * 1000] * 100)
    file.close()
    assert names(tmp_path) == ["service.log"]


def test_the_newest_are_kept(tmp_path: Path) -> None:
    file = RotatingLogFile(tmp_path / "service.log", max_bytes=2, max_backups=2)
    write(file, "1", "2", "3", "4", "5")
    file.close()
    assert contents(tmp_path) == ["3\n", "4\n", "5\n"]


def test_old_ones_are_removed_and_other_files_are_not(tmp_path: Path) -> None:
    old = tmp_path / "service-2020-01-01T00-00-00.000000.log"
    young = tmp_path / "service-2020-01-02T00-00-00.000000.log"
    others = [tmp_path / name for name in ("service-notes.log", "other.log", "service-1.log")]
    for path, days in [(old, 3.1), (young, 2.9), *((it, 100) for it in others)]:
        path.touch()
        moment = time.time() - days * DAY
        os.utime(path, (moment, moment))
    file = RotatingLogFile(tmp_path / "service.log", max_bytes=2, max_days=3)
    write(file, "1", "2")
    file.close()
    assert not old.exists()
    assert all(path.exists() for path in (young, *others))


def test_the_file_is_for_its_owner_alone_and_its_directory_is_made(tmp_path: Path) -> None:
    file = RotatingLogFile(tmp_path / "deep" / "down" / "service.log")
    write(file, "1")
    file.close()
    path = tmp_path / "deep" / "down" / "service.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_any_more_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    file = RotatingLogFile(folder / "service.log", max_bytes=2)
    write(file, "1")
    (folder / "service.log").unlink()
    folder.rmdir()
    write(file, "2", "3")
    file.close()
    assert capsys.readouterr().err == (
        f"cannot write the log file {folder / 'service.log'}: [Errno 2] No such file or directory: "
        f"'{folder / 'service.log'}'\n"
    )


# --- as the settings ask for it


def test_no_file_is_written_unless_it_is_asked_for() -> None:
    assert log_file(LogSettings()) is None


def test_a_file_that_cannot_be_written_is_a_fault_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "service.log").touch()
    path = tmp_path / "service.log" / "service.log"
    with pytest.raises(InvalidSettings) as caught:
        log_file(LogSettings.model_validate({"file": {"path": str(path)}}))
    assert str(caught.value).startswith(
        f"invalid settings: log.file.path: {path} cannot be written"
    )


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("console", [True, False])
def test_the_file_has_everything_as_json(tmp_path: Path, console: bool) -> None:
    stream = io.StringIO()
    file = RotatingLogFile(tmp_path / "service.log")
    configure_logging("info", stream, console=console, file=file)
    structlog.get_logger("a").info("it happened", size=3)
    logging.getLogger("b").warning("é \udcff")
    file.close()
    lines = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    ours, theirs = (json.loads(line) for line in lines)
    assert (ours["event"], ours["size"], ours["level"]) == ("it happened", 3, "info")
    assert theirs["event"] == "é \udcff"
    assert len(stream.getvalue().splitlines()) == (2 if console else 0)


@pytest.mark.usefixtures("root")
def test_with_neither_console_nor_file_nothing_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", console=False)
    logging.getLogger("b").error("it happened")
    assert capsys.readouterr() == ("", "")
