"""Errors as JSON and back: what callers may see of them, and the class by its name."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from milvus_backup_server.domain.errors import (
    AlreadyExists,
    BackupError,
    FieldViolation,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Obstacle,
)


def encode_error(error: BackupError) -> dict[str, Any]:
    """Return an error as JSON."""
    values: dict[str, Any] = {"type": type(error).__name__, "message": error.message}
    if error.metadata:
        values["metadata"] = dict(error.metadata)
    if error.obstacles:
        values["obstacles"] = [_texts(item) for item in error.obstacles]
    if isinstance(error, InvalidRequest | InvalidSettings):
        values["violations"] = [_texts(item) for item in error.violations]
    if isinstance(error, InvalidSettings) and error.hints:
        values["hints"] = list(error.hints)
    return values


def decode_error(values: dict[str, Any]) -> BackupError:
    """Return the error that some JSON is of; a class that is not known any more becomes the base's."""
    kind = _named(values["type"])
    error = kind.__new__(kind)
    BackupError.__init__(error, values["message"], **values.get("metadata", {}))
    error.obstacles = tuple(Obstacle(*item) for item in values.get("obstacles", ()))
    if isinstance(error, NotFound | AlreadyExists):
        error.resource_name = error.metadata.get("resource", "")
    if isinstance(error, InvalidRequest | InvalidSettings):
        error.violations = tuple(FieldViolation(*item) for item in values.get("violations", ()))
    if isinstance(error, InvalidSettings):
        error.hints = tuple(values.get("hints", ()))
    return error


def error_of(reason: str, message: str) -> BackupError:
    """Return an error of which only the reason and the text are known."""
    kind = next((it for it in _classes(BackupError) if it.reason == reason), BackupError)
    return decode_error({"type": kind.__name__, "message": message})


@functools.cache
def _named(name: str) -> type[BackupError]:
    return next((it for it in _classes(BackupError) if it.__name__ == name), BackupError)


def _texts(item: Obstacle | FieldViolation) -> list[str]:
    if isinstance(item, Obstacle):
        return [item.field, item.reason, item.subject, item.description]
    return [item.field, item.description]


def _classes(kind: type[BackupError]) -> Iterator[type[BackupError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)
