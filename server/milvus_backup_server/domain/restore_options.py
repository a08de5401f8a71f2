"""How a restore makes its collections, and what happens to those that are there already.

Fields have the names of the contract, so that a violation names what the caller wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import Enum

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.renaming import MAX_SHARDS

MAX_REPLICAS = 1024
MAX_SKIPPED = 1000
"""Names that one list of parameters to leave out may have."""

_NEEDED_TYPE_PARAMS = frozenset({"dim", "max_length", "max_capacity"})


class AliasMode(Enum):
    """Which collections get the aliases that they had."""

    KEPT_NAMES = "kept_names"
    """Those whose names stay as they were, also in another database."""
    ALL = "all"
    NONE = "none"


class LoadMode(Enum):
    """Which collections are loaded when they are whole."""

    NONE = "none"
    AS_BACKED_UP = "as_backed_up"
    """Those that were loaded when they were backed up, with the partitions that were."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipParams:
    """Names of properties and parameters that are left out of what is made."""

    collection_properties: tuple[str, ...] = ()
    field_type_params: tuple[str, ...] = ()
    field_index_params: tuple[str, ...] = ()
    index_params: tuple[str, ...] = ()

    def faults(self) -> Iterator[FieldViolation]:
        """Yield what is wrong with the lists."""
        for item in fields(self):
            yield from _name_faults(f"skip_params.{item.name}", getattr(self, item.name))
        for place, name in enumerate(self.field_type_params):
            if name in _NEEDED_TYPE_PARAMS:
                text = f"Milvus makes no field without its {name!r}; leave it out of this list"
                yield FieldViolation(f"skip_params.field_type_params[{place}]", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Fields as in the contract's RestoreBackupRequest."""

    meta_only: bool = False
    drop_existing_collections: bool = False
    skip_create_collections: bool = False
    drop_existing_indexes: bool = False
    use_auto_index: bool = False
    max_shard_count: int = 0
    skip_params: SkipParams = SkipParams()
    truncate_to_checkpoints: bool = False
    rbac: bool = False
    aliases: AliasMode = AliasMode.KEPT_NAMES
    load: LoadMode = LoadMode.NONE
    replica_count: int = 0

    def faults(self) -> Iterator[FieldViolation]:
        """Yield what is wrong with the fields."""
        if self.drop_existing_collections and self.skip_create_collections:
            text = "cannot be combined with skip_create_collections; give one of them"
            yield FieldViolation("drop_existing_collections", text)
        yield from _bound_faults("max_shard_count", self.max_shard_count, MAX_SHARDS)
        yield from _bound_faults("replica_count", self.replica_count, MAX_REPLICAS)
        if self.replica_count > 0 and self.load is LoadMode.NONE:
            yield FieldViolation("replica_count", "counts only together with load")
        yield from self.skip_params.faults()


def _bound_faults(name: str, value: int, largest: int) -> Iterator[FieldViolation]:
    if not 0 <= value <= largest:
        yield FieldViolation(name, f"{value} is not between 1 and {largest}; 0 for no own choice")


def _name_faults(name: str, given: Sequence[str]) -> Iterator[FieldViolation]:
    if len(given) > MAX_SKIPPED:
        yield FieldViolation(name, f"has {len(given)} names; at most {MAX_SKIPPED} are allowed")
    for place, item in enumerate(given[:MAX_SKIPPED]):
        if not item:
            yield FieldViolation(f"{name}[{place}]", "the name is empty")
