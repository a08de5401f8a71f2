"""Clients for the tests of this directory."""

from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.adapters.s3 import S3Clients, S3ClientSettings


@pytest.fixture(scope="session")
async def clients() -> AsyncIterator[S3Clients]:
    """The clients of a process."""
    async with S3Clients(S3ClientSettings(connect_timeout_seconds=2)) as opened:
        yield opened
