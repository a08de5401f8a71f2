"""A `World` whose object stores are buckets of a real S3 server that the service reaches by a proxy."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from milvus_backup_server.adapters.s3 import S3Clients, S3ClientSettings, S3Credentials, S3Profile
from milvus_backup_server.adapters.store_wrappers import RequestLimiter, RetryPolicy, reliable
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import Decorators
from tests.support.s3_proxy import S3Proxy
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import ROOT, World

PATIENT = RetryPolicy(
    total_seconds=60, max_attempts=40, base_delay_seconds=0.02, max_delay_seconds=0.2
)
_DEADLINE = 10.0


@dataclass
class FaultyWorld:
    """The world, and what is between its stores and the service.

    Attributes:
        world: a Milvus in memory with its objects in the real store, reached without the proxy.
        decorators: for `running`: the service's way to the stores leads through the proxy.
        retries: what the service asked again, by method.
    """

    world: World
    proxy: S3Proxy
    decorators: Decorators
    retries: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def faulty_world(
    seaweed: SeaweedFS,
    *,
    seed: int = 0,
    policy: RetryPolicy = PATIENT,
    staged: bool = False,
    deadline: float = _DEADLINE,
) -> AsyncIterator[FaultyWorld]:
    """Make one in new buckets of a server.

    Args:
        seaweed: the server.
        seed: decides all that is left to chance in the proxy.
        policy: how long the service insists.
        staged: backups lie in another bucket than Milvus's objects.
        deadline: seconds for one request.
    """
    milvus_bucket = seaweed.make_bucket(f"faulty-{secrets.token_hex(4)}")
    backup_bucket = seaweed.make_bucket(f"{milvus_bucket}-backups") if staged else milvus_bucket
    settings = S3ClientSettings(connect_timeout_seconds=2, read_timeout_seconds=deadline)
    retries: Counter[str] = Counter()
    limiter = RequestLimiter(16)

    def count(method: str, _: StorageUnavailable) -> None:
        retries[method] += 1

    async with S3Proxy(seaweed.port, seed=seed) as proxy, S3Clients(settings) as clients:

        async def direct(bucket: str) -> ObjectStore:
            return await clients.store(_profile(seaweed, seaweed.endpoint, bucket))

        async def through(bucket: str) -> ObjectStore:
            store = await clients.store(_profile(seaweed, proxy.endpoint, bucket))
            return reliable(store, limiter, policy, deadline_seconds=deadline, on_retry=count)

        milvus_store, backup_store = await through(milvus_bucket), await through(backup_bucket)
        world = World(milvus_bucket, backup_bucket)
        world.milvus_store = await direct(milvus_bucket)
        world.backup_store = await direct(backup_bucket)
        world.milvus = FakeMilvus(world.milvus_store, ROOT)
        around = Decorators(
            milvus_store=lambda _: milvus_store, backup_store=lambda _: backup_store
        )
        yield FaultyWorld(world, proxy, around, retries)


def _profile(seaweed: SeaweedFS, endpoint: str, bucket: str) -> S3Profile:
    keys = S3Credentials(seaweed.access_key, seaweed.secret_key)
    return S3Profile("minio", endpoint, seaweed.region, bucket, "path", keys)
