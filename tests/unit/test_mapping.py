"""Between the contract and the domain: what comes in, and what goes out within its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup.v1 import backup_pb2, backup_service_pb2, operation_pb2, verification_pb2
from milvus_backup.v1 import server_service_pb2 as server_pb2
from milvus_backup_server.api import (
    mapping_backups,
    mapping_operations,
    mapping_server,
    mapping_verifications,
)
from milvus_backup_server.api.mapping import read_enums, timestamp
from milvus_backup_server.api.texts import MAX_MESSAGE_BYTES, fit, fit_int
from milvus_backup_server.domain.backups import (
    Backup,
    BackupCollectionSummary,
    BackupFormat,
    BackupState,
)
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import (
    InvalidRequest,
)
from milvus_backup_server.domain.operations import (
    OperationKind,
)
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    DatabaseBackupInfo,
    FieldSchema,
    KeyValue,
)
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.requests import CreateRequest, DeleteRequest, RestoreRequest
from milvus_backup_server.domain.selection import CollectionPartitions
from milvus_backup_server.domain.strategies import BackupStrategy

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LABELS = st.dictionaries(st.text("abü-", max_size=5), st.text("xyß", max_size=5), max_size=4)
NAMES = st.lists(st.text("ab._*", max_size=8), max_size=5).map(tuple)
PARTITIONS = st.lists(
    st.builds(CollectionPartitions, st.text("a.", max_size=3), NAMES), max_size=3
).map(tuple)
MAPPINGS = st.lists(
    st.builds(
        CollectionMapping,
        st.text("a.*", max_size=3),
        st.text("b.*", max_size=3),
        st.integers(-(2**31), 2**31 - 1),
        st.none() | st.text("dü", max_size=3),
    ),
    max_size=3,
).map(tuple)
LONG = "ü" * 5000


@pytest.mark.parametrize(
    ("table", "wire", "prefix"),
    [
        (mapping_backups.STATES, backup_pb2.BackupState, "BACKUP_STATE_"),
        (mapping_backups.FORMATS, backup_pb2.BackupFormat, "BACKUP_FORMAT_"),
        (mapping_backups.STRATEGIES, backup_pb2.BackupStrategy, "BACKUP_STRATEGY_"),
        (mapping_operations.KINDS, operation_pb2.OperationKind, "OPERATION_KIND_"),
        (mapping_operations.STATES, operation_pb2.OperationState, "OPERATION_STATE_"),
        (mapping_operations.PHASES, operation_pb2.OperationPhase, "OPERATION_PHASE_"),
        (mapping_operations.COLLECTION_STATES, operation_pb2.CollectionState, "COLLECTION_STATE_"),
        (mapping_operations.ORIGINS, operation_pb2.CallOrigin, "CALL_ORIGIN_"),
        (mapping_verifications.LEVELS, verification_pb2.VerifyLevel, "VERIFY_LEVEL_"),
        (mapping_verifications.BASES, verification_pb2.VerifyBasis, "VERIFY_BASIS_"),
        (mapping_verifications.PROBLEM_KINDS, verification_pb2.ProblemKind, "PROBLEM_KIND_"),
        (mapping_server.STATES, server_pb2.CheckState, "CHECK_STATE_"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_enums_stand_for_each_other(
    table: dict[Enum, int], wire: EnumTypeWrapper, prefix: str
) -> None:
    members: type[Enum] = type(next(iter(table)))
    assert set(table) == set(members)
    assert {prefix + member.name: number for member, number in table.items()} == {
        name: number for name, number in wire.items() if number != 0
    }


def partition_messages(
    chosen: Iterable[CollectionPartitions],
) -> list[backup_service_pb2.CollectionPartitions]:
    return [
        backup_service_pb2.CollectionPartitions(collection=it.collection, partitions=it.partitions)
        for it in chosen
    ]


@given(
    st.builds(
        CreateRequest,
        backup_name=st.text("ab", max_size=3),
        collections=NAMES,
        labels=LABELS,
        request_id=st.text("r1", max_size=3),
        validate_only=st.booleans(),
        partitions=PARTITIONS,
        strategy=st.sampled_from(BackupStrategy),
        pause_gc=st.booleans(),
        gc_pause_seconds=st.integers(0, 2**31 - 1),
        rbac=st.booleans(),
        allow_partial=st.booleans(),
    )
)
def test_create_request(request: CreateRequest) -> None:
    message = backup_service_pb2.CreateBackupRequest(
        backup_name=request.backup_name,
        collections=request.collections,
        labels=request.labels,
        request_id=request.request_id,
        validate_only=request.validate_only,
        partitions=partition_messages(request.partitions),
        strategy=mapping_backups.STRATEGIES[request.strategy],
        pause_gc=request.pause_gc,
        gc_pause_seconds=request.gc_pause_seconds,
        rbac=request.rbac,
        allow_partial=request.allow_partial,
    )
    assert mapping_backups.create_request(message) == request


def test_a_create_without_a_strategy_is_an_automatic_one_and_an_unknown_one_is_refused() -> None:
    message = backup_service_pb2.CreateBackupRequest()
    assert mapping_backups.create_request(message).strategy is BackupStrategy.AUTO
    message.strategy = 9  # type: ignore[assignment]
    with pytest.raises(
        InvalidRequest,
        match=r"^strategy: 9 is not a known value: expected one of 0, 1, 2, 3, 4, 5$",
    ):
        mapping_backups.create_request(message)


@given(
    st.builds(
        RestoreRequest,
        backup_name=st.text("ab", max_size=3),
        collections=NAMES,
        target_collections=NAMES,
        suffix=st.text("_a", max_size=3),
        renames=LABELS,
        restore_indexes=st.booleans(),
        skip_content_check=st.booleans(),
        labels=LABELS,
        request_id=st.text("r1", max_size=3),
        validate_only=st.booleans(),
        partitions=PARTITIONS,
        mappings=MAPPINGS,
    )
)
def test_restore_request(request: RestoreRequest) -> None:
    message = backup_service_pb2.RestoreBackupRequest(
        backup_name=request.backup_name,
        collections=request.collections,
        target_collections=request.target_collections,
        suffix=request.suffix,
        renames=request.renames,
        restore_indexes=request.restore_indexes,
        skip_content_check=request.skip_content_check,
        labels=request.labels,
        request_id=request.request_id,
        validate_only=request.validate_only,
        partitions=partition_messages(request.partitions),
        mappings=[
            backup_service_pb2.CollectionMapping(
                source=it.source,
                target=it.target,
                shard_count=it.shard_count,
                description=it.description,
            )
            for it in request.mappings
        ],
    )
    assert mapping_backups.restore_request(message) == request


def test_delete_request() -> None:
    message = backup_service_pb2.DeleteBackupRequest(backup_name="nightly")
    assert mapping_backups.delete_request(message) == DeleteRequest("nightly")


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times(moment: datetime) -> None:
    message = timestamp(moment)
    assert message is not None
    assert message.ToDatetime(tzinfo=UTC) == moment


@pytest.mark.parametrize(
    ("view", "default", "full"),
    [(0, True, True), (0, False, False), (1, True, False), (2, False, True)],
)
def test_views(view: int, default: bool, full: bool) -> None:
    assert mapping_backups.wants_full(view, default=default) is full


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        mapping_backups.wants_full(9, default=True)
    assert caught.value.message == "view: 9 is not a known value: expected one of 0, 1, 2"


def test_unknown_and_unspecified_members_of_filters_are_refused() -> None:
    known = read_enums("kinds", [3, 1, 3], mapping_operations.KINDS)
    assert known == {OperationKind.CREATE_BACKUP, OperationKind.DELETE_BACKUP}
    with pytest.raises(InvalidRequest) as caught:
        read_enums("kinds", [1, 0, 99], mapping_operations.KINDS)
    assert [fault.field for fault in caught.value.violations] == ["kinds[1]", "kinds[2]"]


# --- backups


def test_a_backup_of_which_little_is_known_has_absent_fields() -> None:
    message = mapping_backups.backup_message(Backup("b", BackupState.INCOMPLETE))
    assert message.state == backup_pb2.BACKUP_STATE_INCOMPLETE
    assert message.format == backup_pb2.BACKUP_FORMAT_UNKNOWN
    for field in ("size_bytes", "collection_count", "row_count", "create_time", "end_time"):
        assert not message.HasField(field), field


def test_zero_is_known() -> None:
    backup = Backup("b", BackupState.COMPLETE, size_bytes=0, collection_count=0, row_count=0)
    message = mapping_backups.backup_message(backup)
    for field in ("size_bytes", "collection_count", "row_count"):
        assert message.HasField(field), field


def test_a_whole_backup() -> None:
    backup = Backup(
        name="nightly",
        state=BackupState.COMPLETE,
        format=BackupFormat.BINLOG,
        id="op",
        size_bytes=7,
        collection_count=2,
        row_count=3,
        create_time=NOON,
        end_time=NOON + timedelta(seconds=1),
        milvus_version="v2.3.5",
        labels={"team": "search"},
        exact=True,
        notes=("a note",),
        collections=(BackupCollectionSummary(CollectionBackupInfo(collection_name="c")),),
        meta_size_bytes=11,
        databases=(
            DatabaseBackupInfo(db_name="db", db_id=5, properties=(KeyValue(key="k", value="v"),)),
        ),
        backup_timestamp=1 << 63,
        rpc_channel={"name": "by-dev-replicate-msg", "position": "ChRi"},
    )
    expected = backup_pb2.Backup(
        name="nightly",
        state=backup_pb2.BACKUP_STATE_COMPLETE,
        format=backup_pb2.BACKUP_FORMAT_BINLOG,
        id="op",
        size_bytes=7,
        collection_count=2,
        row_count=3,
        milvus_version="v2.3.5",
        labels={"team": "search"},
        exact=True,
        notes=["a note"],
        collections=[
            backup_pb2.BackupCollection(database="default", name="c"),
        ],
        meta_size_bytes=11,
        databases=[
            backup_pb2.BackupDatabase(
                name="db", database_id=5, properties=[backup_pb2.Property(key="k", value="v")]
            )
        ],
        backup_timestamp=1 << 63,
        rpc_channel=backup_pb2.RpcChannel(name="by-dev-replicate-msg", position="ChRi"),
    )
    expected.create_time.FromJsonString("2026-11-22T12:00:00.250Z")
    expected.end_time.FromJsonString("2026-11-22T12:00:01.250Z")
    assert mapping_backups.backup_message(backup) == expected


@pytest.mark.parametrize("number", [-(2**70), -1, 2**64 - 1, 2**200])
def test_numbers_of_damaged_metadata_are_shown_as_far_as_they_go(number: int) -> None:
    database = DatabaseBackupInfo(db_id=number)
    backup = Backup(
        "b",
        BackupState.LEGACY,
        size_bytes=number,
        row_count=number,
        backup_timestamp=number,
        databases=(database,),
    )
    message = mapping_backups.backup_message(backup)
    nearest = max(-(2**63), min(number, 2**63 - 1))
    assert message.row_count == message.size_bytes == message.databases[0].database_id == nearest
    assert message.backup_timestamp == max(0, min(number, 2**64 - 1))


def large_collection(name: str) -> BackupCollectionSummary:
    names = tuple(f"{n}_{LONG}" for n in range(3000))
    record = CollectionBackupInfo(
        db_name=LONG,
        collection_name=name,
        schema=CollectionSchema(fields=tuple(FieldSchema(name=item) for item in names)),
        aliases=names,
    )
    return BackupCollectionSummary(record)


def test_a_backup_is_never_too_large() -> None:
    backup = Backup(
        name=LONG,
        state=BackupState.COMPLETE,
        labels={f"{n}{LONG}": LONG for n in range(1000)},
        notes=(LONG,) * 100,
        collections=tuple(large_collection(f"c{n}") for n in range(60)),
        databases=tuple(
            DatabaseBackupInfo(db_name=LONG, properties=(KeyValue(key=LONG, value=LONG),) * 1000)
            for _ in range(1000)
        ),
        rpc_channel={"name": LONG, "position": LONG},
    )
    message = mapping_backups.backup_message(backup)
    assert len(message.collections) == 1
    assert 1 <= len(message.databases) <= 32
    assert len(message.notes) == 20
    assert len(message.labels) == 64
    assert message.ByteSize() < MAX_MESSAGE_BYTES


def test_a_backup_carries_at_most_fifty_collections() -> None:
    collections = tuple(
        BackupCollectionSummary(CollectionBackupInfo(collection_name=f"c{n}")) for n in range(60)
    )
    message = mapping_backups.backup_message(
        Backup("b", BackupState.COMPLETE, collections=collections)
    )
    assert [it.name for it in message.collections] == [f"c{n}" for n in range(50)]


# --- the service itself


@pytest.mark.parametrize(
    ("states", "ok"),
    [
        ([CheckState.OK, CheckState.WARNING, CheckState.SKIPPED], True),
        ([CheckState.OK, CheckState.FAILED], False),
    ],
)
def test_check(states: list[CheckState], ok: bool) -> None:
    message = mapping_server.check_message([CheckItem("milvus", it, "seen") for it in states])
    assert message.ok is ok
    assert len(message.items) == len(states)


# --- texts


@given(st.text(), st.integers(3, 50))
def test_texts_fit(text: str, limit: int) -> None:
    cut = fit(text, limit)
    assert len(cut.encode()) <= limit
    if len(text.encode("utf-8", "replace")) <= limit:
        assert cut == text.encode("utf-8", "replace").decode()


@given(st.integers(), st.sampled_from([32, 64]), st.booleans())
def test_numbers_fit(value: int, bits: int, signed: bool) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert fit_int(value, bits, signed=signed) == max(low, min(value, high))
