"""From the body of ``/create`` to the request of the use case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.http.asked import NOT_YET, Asked, Entries, read_partitions
from milvus_backup_server.http.bodies import CreateBody

_NAMES: Final = {
    "task_id": "requestId",
    "place.bucket_name": "bucket_name",
    "place.path": "backup_root_path",
}
_INDEX_EXTRA: Final = (
    "is refused: only restores into a secondary cluster need what it reads from etcd, and these are not made "
    "by this service"
)
_STRATEGIES: Final = {strategy.value: strategy for strategy in BackupStrategy}
_FORMATS: Final = ("", "auto", "binlog")
_LATER_FORMATS: Final = ("snapshot",)


def create_request(body: CreateBody, task_id: str) -> Asked[CreateRequest]:
    """Return what a body asks for.

    Raises:
        InvalidRequest: With every fault, by the names of the body.
    """
    entries = _selection(body)
    partitions, names = read_partitions(body.partitions)
    request = CreateRequest(
        body.backup_name,
        entries.texts,
        task_id=task_id,
        partitions=partitions,
        strategy=_strategy(body),
        pause_gc=body.gc_pause_enable,
        gc_pause_seconds=body.gc_pause_seconds,
        gc_pause_address=body.gc_pause_address,
        rbac=body.rbac,
        allow_partial=body.allow_partial,
        place=Place(body.bucket_name, body.backup_root_path),
    )
    asked = Asked(request, {**_NAMES, **names, **entries.names("collections")})
    asked.refuse([*_unsupported(body), *entries.faults])
    return asked


def _selection(body: CreateBody) -> Entries:
    if body.filter is not None:
        return Entries.of_filter("filter", body.filter)
    if body.db_collections:
        return Entries.of_databases("db_collections", body.db_collections)
    return Entries.of_names("collection_names", body.collection_names)


def _strategy(body: CreateBody) -> BackupStrategy:
    """Return what is asked for; the newest of the three ways to say it wins."""
    if body.strategy:
        return _STRATEGIES.get(body.strategy, BackupStrategy.AUTO)
    if body.force:
        return BackupStrategy.SKIP_FLUSH
    return BackupStrategy.META_ONLY if body.meta_only else BackupStrategy.AUTO


def _unsupported(body: CreateBody) -> Iterator[FieldViolation]:
    if body.with_index_extra:
        yield FieldViolation("with_index_extra", _INDEX_EXTRA)
    if body.strategy and body.strategy not in _STRATEGIES:
        yield _unknown("strategy", body.strategy, _STRATEGIES)
    if body.format in _LATER_FORMATS:
        yield FieldViolation("format", f"{body.format} {NOT_YET}")
    elif body.format not in _FORMATS:
        yield _unknown("format", body.format, (*filter(None, _FORMATS), *_LATER_FORMATS))


def _unknown(name: str, value: str, choices: Iterable[str]) -> FieldViolation:
    text = f"{value[:100]!r} is unknown: expected one of {', '.join(choices)}"
    return FieldViolation(name, text)
