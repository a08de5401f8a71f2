"""Logs: structured, whoever writes them, and without what libraries chat."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from milvus_backup_server.telemetry import configure_logging


@pytest.fixture
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("root")
def test_both_libraries_write_json() -> None:
    stream = io.StringIO()
    configure_logging("info", stream)
    with structlog.contextvars.bound_contextvars(rpc="/x"):
        structlog.get_logger("a").info("it happened", size=3)
        logging.getLogger("b").warning("it went %s", "wrong")
    ours, theirs = written(stream)
    assert (ours["event"], ours["size"], ours["rpc"], ours["level"]) == (
        "it happened",
        3,
        "/x",
        "info",
    )
    assert (theirs["event"], theirs["rpc"], theirs["logger"]) == ("it went wrong", "/x", "b")
    assert ours["timestamp"].endswith("Z")


@pytest.mark.usefixtures("root")
def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream)
    structlog.get_logger("a").error("failed", exc_info=ValueError("inside"))
    (line,) = written(stream)
    assert "ValueError: inside" in line["exception"]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warn", 1), ("fatal", 0)])
def test_levels(level: str, count: int) -> None:
    stream = io.StringIO()
    configure_logging(level, stream)
    log = structlog.get_logger("a")
    log.debug("1")
    log.info("2")
    log.warning("3")
    assert len(written(stream)) == count


@pytest.mark.usefixtures("root")
def test_signed_requests_are_never_logged() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream)
    logging.getLogger("botocore.auth").debug("the signature is ...")
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("root")
def test_a_person_gets_lines_to_read() -> None:
    stream = Terminal()
    configure_logging("info", stream)
    structlog.get_logger("a").info("it happened")
    assert "it happened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
