"""The options of a restore, read from the contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup.v1 import backup_service_pb2 as pb
from milvus_backup_server.api.mapping_restores import restore_options
from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)

NAMES = st.lists(st.text("ab", max_size=3), max_size=3).map(tuple)
SKIPPED = st.builds(
    SkipParams,
    collection_properties=NAMES,
    field_type_params=NAMES,
    field_index_params=NAMES,
    index_params=NAMES,
)


@given(
    st.builds(
        RestoreOptions,
        meta_only=st.booleans(),
        use_auto_index=st.booleans(),
        max_shard_count=st.integers(-3, 3),
        skip_params=SKIPPED,
        rbac=st.booleans(),
        drop_existing_collections=st.booleans(),
        skip_create_collections=st.booleans(),
        drop_existing_indexes=st.booleans(),
        truncate_to_checkpoints=st.booleans(),
        aliases=st.sampled_from(AliasMode),
        load=st.sampled_from(LoadMode),
        replica_count=st.integers(-3, 3),
    )
)
def test_every_option_arrives(options: RestoreOptions) -> None:
    skipped = options.skip_params
    fields: dict[str, Any] = {
        "meta_only": options.meta_only,
        "use_auto_index": options.use_auto_index,
        "max_shard_count": options.max_shard_count,
        "rbac": options.rbac,
        "drop_existing_collections": options.drop_existing_collections,
        "skip_create_collections": options.skip_create_collections,
        "drop_existing_indexes": options.drop_existing_indexes,
        "truncate_to_checkpoints": options.truncate_to_checkpoints,
        "aliases": pb.RestoreAliases.Value(f"RESTORE_ALIASES_{options.aliases.name}"),
        "load": pb.RestoreLoad.Value(f"RESTORE_LOAD_{options.load.name}"),
        "replica_count": options.replica_count,
        "skip_params": pb.SkipParams(
            collection_properties=skipped.collection_properties,
            field_type_params=skipped.field_type_params,
            field_index_params=skipped.field_index_params,
            index_params=skipped.index_params,
        ),
    }
    assert restore_options(pb.RestoreBackupRequest(**fields)) == options


def test_a_request_without_options_has_the_defaults() -> None:
    assert restore_options(pb.RestoreBackupRequest()) == RestoreOptions()


@pytest.mark.parametrize(("field", "known"), [("aliases", "0, 1, 2, 3"), ("load", "0, 1, 2, 3")])
def test_a_choice_that_is_not_known_is_told_with_those_that_are(field: str, known: str) -> None:
    fields: dict[str, Any] = {field: 9}
    with pytest.raises(InvalidRequest) as caught:
        restore_options(pb.RestoreBackupRequest(**fields))
    assert caught.value.message == f"{field}: 9 is not a known value: expected one of {known}"
