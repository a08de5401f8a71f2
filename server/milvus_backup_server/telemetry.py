"""Logging, configured once: structured, to stderr, JSON unless a person reads along."""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

import structlog

_CHATTY: Final = (
    "aiobotocore",
    "aiohttp",
    "asyncio",
    "botocore",
    "grpc",
    "pymilvus",
    "urllib3",
    "uvicorn",
)
"""Libraries whose lower levels are not for an operator; some show signed requests there."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


def configure_logging(
    level: str,
    stream: TextIO | None = None,
    *,
    console: bool = True,
    file: logging.Handler | None = None,
) -> None:
    """Send what structlog and the standard library log to a stream, to a file, or to both.

    Args:
        level: A level as the settings name it.
        stream: Instead of stderr.
        console: Whether the stream is written to.
        file: Takes everything, too, as JSON.
    """
    handlers = [_console(sys.stderr if stream is None else stream)] if console else []
    if file is not None:
        file.setFormatter(_formatter(for_people=False))
        handlers.append(file)
    root = logging.getLogger()
    # With no handler at all the library would write warnings to stderr by itself.
    root.handlers[:] = handlers or [logging.NullHandler()]
    root.setLevel(_LEVELS[level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _console(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(for_people=stream.isatty()))
    return handler


def _formatter(*, for_people: bool) -> logging.Formatter:
    last: list[structlog.typing.Processor]
    if for_people:
        last = [structlog.dev.ConsoleRenderer()]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
