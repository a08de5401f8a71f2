"""From the body of ``/create`` to the request of the use case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.http.asked import NOT_YET, Asked, Entries, not_yet
from milvus_backup_server.http.bodies import CreateBody

_STRATEGIES: Final = ("", "auto")
_LATER_STRATEGIES: Final = ("meta_only", "skip_flush", "bulk_flush", "serial_flush")
_FORMATS: Final = ("", "auto", "binlog")
_LATER_FORMATS: Final = ("snapshot",)


def create_request(body: CreateBody, task_id: str) -> Asked[CreateRequest]:
    """Return what a body asks for.

    Raises:
        InvalidRequest: With every fault, by the names of the body.
    """
    entries = _selection(body)
    asked = Asked(
        CreateRequest(body.backup_name, entries.texts, task_id=task_id),
        {"task_id": "requestId", **entries.names("collections")},
    )
    asked.refuse([*_unsupported(body), *entries.faults])
    return asked


def _selection(body: CreateBody) -> Entries:
    if body.filter is not None:
        return Entries.of_filter("filter", body.filter)
    if body.db_collections:
        return Entries.of_databases("db_collections", body.db_collections)
    return Entries.of_names("collection_names", body.collection_names)


def _unsupported(body: CreateBody) -> Iterator[FieldViolation]:
    yield from not_yet(
        {
            "force": body.force,
            "meta_only": body.meta_only,
            "gc_pause_enable": body.gc_pause_enable,
            "gc_pause_seconds": body.gc_pause_seconds,
            "gc_pause_address": body.gc_pause_address,
            "rbac": body.rbac,
            "backup_root_path": body.backup_root_path,
            "with_index_extra": body.with_index_extra,
        }
    )
    yield from _choice("strategy", body.strategy, _STRATEGIES, _LATER_STRATEGIES)
    yield from _choice("format", body.format, _FORMATS, _LATER_FORMATS)


def _choice(
    name: str, value: str, known: tuple[str, ...], later: tuple[str, ...]
) -> Iterator[FieldViolation]:
    if value in later:
        yield FieldViolation(name, f"{value} {NOT_YET}")
    elif value not in known:
        choices = ", ".join((*filter(None, known), *later))
        yield FieldViolation(name, f"{value[:100]!r} is unknown: expected one of {choices}")
