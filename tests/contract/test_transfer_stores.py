"""The transfer engine between real stores, in parts as large as S3 demands."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.adapters.s3 import S3Clients
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, TransferSettings
from milvus_backup_server.domain.objects import TransferJob, TransferOutcome
from milvus_backup_server.ports.object_store import ObjectStore
from tests.contract.buckets import unique_prefix
from tests.contract.s3_profiles import profile
from tests.support.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("seaweedfs-contract")]

MIB = 1 << 20
SIZES = [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB + 345]
SETTINGS = TransferSettings(
    workers=3,
    part_size_bytes=5 * MIB,
    bytes_in_flight=20 * MIB,
    copy_threshold_bytes=5 * MIB,
    copy_part_size_bytes=5 * MIB,
)


@pytest.fixture
async def stores(seaweed: SeaweedFS, clients: S3Clients, tmp_path: Path) -> dict[str, ObjectStore]:
    directories = [LocalStore(tmp_path / name) for name in ("local-one", "local-two")]
    for directory in directories:
        await directory.create_bucket()
    return {
        "s3-one": await clients.store(profile(seaweed, "suite-one")),
        "s3-two": await clients.store(profile(seaweed, "suite-two")),
        "local-one": directories[0],
        "local-two": directories[1],
    }


async def write_objects(
    store: ObjectStore, prefix: str, source: str, target: str
) -> AsyncIterator[TransferJob]:
    for number, size in enumerate(SIZES):
        info = await store.put(f"{prefix}{number}", secrets.token_bytes(size))
        yield TransferJob(source, info.key, target, f"{info.key}-copy", size, info.etag)


@pytest.mark.parametrize(
    ("source", "target", "mode"),
    [
        ("s3-one", "s3-two", "server"),
        ("local-one", "local-two", "stream"),
        ("s3-one", "local-one", "stream"),
        ("local-one", "s3-one", "stream"),
    ],
)
async def test_copies_are_equal(
    stores: dict[str, ObjectStore], source: str, target: str, mode: str
) -> None:
    engine = AsyncTransferEngine(stores, SETTINGS)
    jobs = write_objects(stores[source], unique_prefix(), source, target)
    async with aclosing(engine.transfer(jobs)) as outcomes:
        done = [outcome async for outcome in outcomes]
    assert len(done) == len(SIZES)
    for outcome in done:
        assert outcome.error is None
        assert outcome.mode == mode
        await assert_equal(stores[source], stores[target], outcome)


async def assert_equal(source: ObjectStore, target: ObjectStore, outcome: TransferOutcome) -> None:
    original = await source.get(outcome.job.source_key)
    assert await target.get(outcome.job.target_key) == original
    info = await target.head(outcome.job.target_key)
    assert info is not None
    assert info.etag == outcome.etag
    assert await target.list_uploads(outcome.job.target_key) == []
    if outcome.mode == "stream":
        assert outcome.md5 == hashlib.md5(original, usedforsecurity=False).hexdigest()
