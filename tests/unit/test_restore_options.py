"""The options of a restore that cannot be meant, each told at its field."""

from typing import Any

import pytest

from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)

NEEDED = "Milvus makes no field without its {!r}; leave it out of this list"
ONE_OF = "cannot be combined with skip_create_collections; give one of them"
BETWEEN = "is not between 1 and 1024; 0 for no own choice"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"meta_only": True, "use_auto_index": True, "rbac": True},
        {"max_shard_count": 1024, "load": LoadMode.ALL, "replica_count": 1024},
        {"load": LoadMode.AS_BACKED_UP, "aliases": AliasMode.NONE},
        {"drop_existing_collections": True, "drop_existing_indexes": True},
        {"skip_create_collections": True, "drop_existing_indexes": True},
        {"skip_params": SkipParams(index_params=("dim",), collection_properties=("max_length",))},
        {"skip_params": SkipParams(field_type_params=("p",) * 1000)},
    ],
)
def test_what_fits_together(options: dict[str, Any]) -> None:
    RestoreRequest("b", options=RestoreOptions(**options)).check()


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        (
            {"drop_existing_collections": True, "skip_create_collections": True},
            [("drop_existing_collections", ONE_OF)],
        ),
        ({"max_shard_count": -1}, [("max_shard_count", f"-1 {BETWEEN}")]),
        ({"max_shard_count": 1025}, [("max_shard_count", f"1025 {BETWEEN}")]),
        (
            {"load": LoadMode.ALL, "replica_count": -2},
            [("replica_count", f"-2 {BETWEEN}")],
        ),
        ({"replica_count": 2}, [("replica_count", "counts only together with load")]),
        (
            {"skip_params": SkipParams(field_type_params=("x", "dim", "max_capacity"))},
            [
                ("skip_params.field_type_params[1]", NEEDED.format("dim")),
                ("skip_params.field_type_params[2]", NEEDED.format("max_capacity")),
            ],
        ),
        (
            {"skip_params": SkipParams(index_params=("a", ""), field_index_params=("",))},
            [
                ("skip_params.field_index_params[0]", "the name is empty"),
                ("skip_params.index_params[1]", "the name is empty"),
            ],
        ),
        (
            {"skip_params": SkipParams(collection_properties=("p",) * 1001)},
            [("skip_params.collection_properties", "has 1001 names; at most 1000 are allowed")],
        ),
    ],
)
def test_what_does_not(options: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        RestoreRequest("b", options=RestoreOptions(**options)).check()
    assert [(it.field, it.description) for it in caught.value.violations] == faults
