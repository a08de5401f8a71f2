"""Verifications over gRPC: the client's methods, the report and its pages, within the bounds of messages."""

from collections.abc import AsyncIterator, Iterator

import pytest

from milvus_backup.v1 import operation_pb2, verification_pb2
from milvus_backup_client import BackupClient, BackupCorrupt, InvalidRequest
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupCorrupt as ServerBackupCorrupt
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import Caller, OperationKind
from milvus_backup_server.domain.verification import (
    KEPT_PROBLEMS,
    Problem,
    ProblemKind,
    Sample,
    VerifyBasis,
    VerifyCounts,
    VerifyLevel,
    VerifyResult,
)
from milvus_backup_server.service.running import FailedWithResult, OperationRequest
from milvus_backup_server.service.tracker import Tracker
from tests.support.fake_use_cases import FakeApi, serving_fakes

MIB = 1 << 20
LONG = "ü" * 3000


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as serving:
        yield serving


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[BackupClient]:
    async with BackupClient(api.target) as opened:
        yield opened


def problems(count: int) -> Iterator[Problem]:
    for number in range(count):
        name = CollectionName(LONG, f"c{number}{LONG}")
        yield Problem(f"{number}{LONG}", ProblemKind.MISSING, LONG, name)


async def begin(api: FakeApi, result: VerifyResult) -> str:
    """Begin a verification that finds this."""

    async def body(_: Tracker) -> VerifyResult:
        if result.sound:
            return result
        raise FailedWithResult(ServerBackupCorrupt("backup 'b' is damaged"), result)

    footprint = Footprint(OperationKind.VERIFY_BACKUP, "b")
    return (await api.operations.begin(OperationRequest(footprint, Caller(), object()), body)).name


async def test_what_is_asked_for(api: FakeApi, client: BackupClient) -> None:
    await client.verify_backup("b")
    await client.verify_backup(
        "b",
        level=verification_pb2.VERIFY_LEVEL_CONTENT,
        sample_percent=7,
        sample_seed=2**64 - 1,
        request_id="one",
    )
    first, second = (request for request, _ in api.verify.asked)
    assert (first.backup_name, first.level, first.sample_percent) == ("b", VerifyLevel.LISTING, 0)
    assert (second.level, second.sample_percent, second.sample_seed, second.request_id) == (
        VerifyLevel.CONTENT,
        7,
        2**64 - 1,
        "one",
    )
    with pytest.raises(InvalidRequest) as refused:
        await client.verify_backup("b", level=99)  # type: ignore[arg-type]
    assert refused.value.violations[0].field == "level"


async def test_a_sound_result(api: FakeApi, client: BackupClient) -> None:
    counts = VerifyCounts(9, 100, 90, 1, 2, 3, 4, 0)
    sample = Sample(50, 2**64 - 1)
    name = await begin(api, VerifyResult(VerifyLevel.CONTENT, VerifyBasis.METADATA, sample, counts))
    operation = await client.wait(name)
    assert operation.verify_backup == verification_pb2.VerifyBackupResult(
        level=verification_pb2.VERIFY_LEVEL_CONTENT,
        sound=True,
        basis=verification_pb2.VERIFY_BASIS_METADATA,
        sample_percent=50,
        sample_seed=2**64 - 1,
        metadata_file_count=9,
        size_bytes=100,
        read_bytes=90,
        hash_checked_count=1,
        etag_checked_count=2,
        read_count=3,
        listed_count=4,
    )
    assert [item async for item in client.list_operation_problems(name)] == []


async def test_damage_raises_and_has_the_report(api: FakeApi, client: BackupClient) -> None:
    name = await begin(
        api,
        VerifyResult(
            VerifyLevel.LISTING,
            VerifyBasis.MANIFEST,
            Sample(),
            VerifyCounts(),
            by_kind={ProblemKind.MISSING: 10**6},
            problems=tuple(problems(KEPT_PROBLEMS)),
            hit_collections=3,
        ),
    )
    with pytest.raises(BackupCorrupt) as damaged:
        await client.wait(name)
    operation = damaged.value.operation
    assert operation is not None
    assert operation.state == operation_pb2.OPERATION_STATE_FAILED
    assert operation.ByteSize() < MIB
    result = operation.verify_backup
    assert (result.sound, result.problem_count, result.hit_collection_count) == (False, 10**6, 3)
    assert list(result.problem_counts) == [
        verification_pb2.ProblemCount(kind=verification_pb2.PROBLEM_KIND_MISSING, count=10**6)
    ]
    assert len(result.problems) == 100
    pages = [item async for item in client.list_operation_problems(name, page_size=500)]
    assert [it.key.partition("ü")[0] for it in pages] == [str(n) for n in range(KEPT_PROBLEMS)]


async def test_other_operations_have_no_problems(api: FakeApi, client: BackupClient) -> None:
    name = (await api.create.begin("a")).name
    assert [item async for item in client.list_operation_problems(name)] == []
