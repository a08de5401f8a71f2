"""A SeaweedFS for the tests of this directory, without a Milvus in it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from milvus_backup_server.adapters.s3 import S3Clients, S3ClientSettings
from tests.support.seaweedfs import SeaweedFS


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedFS]:
    """A server with the buckets `suite-one` and `suite-two`."""
    with SeaweedFS() as server:
        for bucket in ("suite-one", "suite-two"):
            server.make_bucket(bucket)
        yield server


@pytest.fixture(scope="session")
async def clients() -> AsyncIterator[S3Clients]:
    """The clients of a process."""
    async with S3Clients(S3ClientSettings(connect_timeout_seconds=2)) as opened:
        yield opened
