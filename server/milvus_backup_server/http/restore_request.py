"""From the body of ``/restore`` to the request of the use case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)
from milvus_backup_server.http.asked import Asked, Entries, not_yet, read_partitions
from milvus_backup_server.http.bodies import RestoreBody
from milvus_backup_server.http.places import PLACE_NAMES
from milvus_backup_server.http.plan_request import PlannedNames, read_plan

_NAMES = {
    "task_id": "id",
    **PLACE_NAMES,
    "suffix": "collection_suffix",
    "collections": "collection_names",
    "target_collections": "db_collections_after_rename",
    "drop_existing_collections": "dropExistCollection",
    "skip_create_collections": "skipCreateCollection",
    "drop_existing_indexes": "dropExistIndex",
    "restore_indexes": "restoreIndex",
    "meta_only": "metaOnly",
    "replica_count": "replicaNum",
    "truncate_to_checkpoints": "truncateBinlogByTs",
    "max_shard_count": "maxShardNum",
    "skip_params.collection_properties": "skipParams.collectionProperties",
    "skip_params.field_type_params": "skipParams.fieldTypeParams",
    "skip_params.field_index_params": "skipParams.fieldIndexParams",
    "skip_params.index_params": "skipParams.indexParams",
}

_ALIASES = {mode.value: mode for mode in AliasMode}
_LOADS = {mode.value: mode for mode in LoadMode}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is restored under which names.

    Attributes:
        names: Fields of the body by the names that a request gives them.
    """

    sources: Entries
    targets: Entries
    names: Mapping[str, str]
    suffix: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    mappings: tuple[CollectionMapping, ...] = ()
    faults: tuple[FieldViolation, ...] = ()


def restore_request(body: RestoreBody, task_id: str) -> Asked[RestoreRequest]:
    """Return what a body asks for.

    Raises:
        InvalidRequest: With every fault, by the names of the body.
    """
    chosen = _simple(body) if body.restore_plan is None else _planned(body, read_plan(body))
    partitions, names = read_partitions(body.partitions)
    request = RestoreRequest(
        body.backup_name,
        partitions=partitions,
        collections=chosen.sources.texts,
        target_collections=chosen.targets.texts,
        suffix=chosen.suffix,
        renames=chosen.renames,
        mappings=chosen.mappings,
        restore_indexes=body.restore_index,
        options=_options(body),
        task_id=task_id,
        place=Place(body.bucket_name, body.path),
    )
    entries = chosen.sources.names("collections") | chosen.targets.names("target_collections")
    asked = Asked(request, {**_NAMES, **names, **chosen.names, **entries})
    asked.refuse(
        [*_unsupported(body), *chosen.faults, *chosen.sources.faults, *chosen.targets.faults]
    )
    return asked


def _options(body: RestoreBody) -> RestoreOptions:
    skipped = body.skip_params
    return RestoreOptions(
        meta_only=body.meta_only,
        use_auto_index=body.use_auto_index,
        max_shard_count=body.max_shard_num,
        skip_params=SkipParams(
            collection_properties=tuple(skipped.collection_properties),
            field_type_params=tuple(skipped.field_type_params),
            field_index_params=tuple(skipped.field_index_params),
            index_params=tuple(skipped.index_params),
        ),
        rbac=body.rbac,
        drop_existing_collections=body.drop_exist_collection,
        skip_create_collections=body.skip_create_collection,
        drop_existing_indexes=body.drop_exist_index,
        truncate_to_checkpoints=body.truncate_binlog_by_ts,
        aliases=_ALIASES.get(body.aliases, AliasMode.KEPT_NAMES),
        load=_LOADS.get(body.load, LoadMode.NONE),
        replica_count=body.replica_num,
    )


def _sources(body: RestoreBody) -> Entries:
    if body.db_collections:
        return Entries.of_databases("db_collections", body.db_collections)
    return Entries.of_names("collection_names", body.collection_names)


def _simple(body: RestoreBody) -> _Chosen:
    after = Entries.of_databases("db_collections_after_rename", body.db_collections_after_rename)
    if not body.collection_renames:
        names = {"renames": "collection_suffix"}
        return _Chosen(_sources(body), after, names, suffix=body.collection_suffix)
    # They win over the suffix, which has to be a right one all the same.
    Asked(RestoreRequest(body.backup_name, suffix=body.collection_suffix), _NAMES).refuse([])
    names = {"renames": "collection_renames"}
    return _Chosen(_sources(body), after, names, renames=body.collection_renames)


def _planned(body: RestoreBody, plan: PlannedNames) -> _Chosen:
    faults = (*plan.faults, *_excluded(body))
    targets = Entries() if plan.filter is None else plan.filter
    names = {"renames": "restorePlan", **plan.names}
    return _Chosen(_sources(body), targets, names, mappings=tuple(plan.mappings), faults=faults)


def _excluded(body: RestoreBody) -> Iterator[FieldViolation]:
    others = {
        "collection_suffix": body.collection_suffix,
        "collection_renames": body.collection_renames,
        "db_collections_after_rename": body.db_collections_after_rename,
    }
    for name, value in others.items():
        if value:
            yield FieldViolation(name, "cannot be combined with restorePlan; give one of them")


def _unsupported(body: RestoreBody) -> Iterator[FieldViolation]:
    yield from _unknown("aliases", body.aliases, _ALIASES)
    yield from _unknown("load", body.load, _LOADS)
    yield from not_yet({"ezkMapping": body.ezk_mapping})


def _unknown(name: str, value: str, known: Iterable[str]) -> Iterator[FieldViolation]:
    if value not in known:
        choices = ", ".join(known)
        yield FieldViolation(name, f"{value[:100]!r} is unknown: expected one of {choices}")
