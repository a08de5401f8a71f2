"""Clients of S3 stores: one for each endpoint and credentials, however many buckets it serves."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession, get_session
from botocore.handlers import add_expect_header

from milvus_backup_server.adapters.s3.errors import Asked, translated
from milvus_backup_server.adapters.s3.store import S3Store
from milvus_backup_server.adapters.s3.writing import PLAIN, S3Writing
from milvus_backup_server.domain.errors import StorageRefused
from milvus_backup_server.domain.objects import StoreLocation

if TYPE_CHECKING:  # the stubs are a tool of development
    from botocore.awsrequest import AWSRequest
    from types_aiobotocore_s3 import S3Client

_AWS = "https://s3.amazonaws.com"


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Static credentials; the secrets are never shown."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class S3Profile:
    """Where a bucket is and how to reach it.

    Attributes:
        provider: As configured: ``minio``, ``s3``, ``gcp`` ...; it only names the store.
        endpoint: URL or ``host:port`` of the store; empty for AWS.
        region: The region; empty for the library's default.
        bucket: The bucket.
        addressing: Whether the bucket is in the path or in the host name of requests.
        credentials: None asks the environment, the shared files, the container and the machine.
        use_ssl: Decides on the scheme where ``endpoint`` has none.
        ca_file: The certificates to trust instead of the usual ones.
        writing: How objects are written.
        login: The setting of the credentials, for messages.
    """

    provider: str
    endpoint: str
    region: str
    bucket: str
    addressing: Literal["auto", "path", "virtual"] = "auto"
    credentials: S3Credentials | None = None
    use_ssl: bool = True
    ca_file: str = ""
    writing: S3Writing = PLAIN
    login: str = ""

    @property
    def endpoint_url(self) -> str:
        """The endpoint with its scheme; empty for AWS."""
        if not self.endpoint or "://" in self.endpoint:
            return self.endpoint.rstrip("/")
        return f"{'https' if self.use_ssl else 'http'}://{self.endpoint}"

    @property
    def location(self) -> StoreLocation:
        """The same without secrets."""
        return StoreLocation(self.provider, self.endpoint_url or _AWS, self.bucket, self.region)


@dataclass(frozen=True, slots=True)
class S3ClientSettings:
    """What all clients have in common.

    Attributes:
        connect_timeout_seconds: For one connection to stand.
        read_timeout_seconds: Between two pieces of an answer, and for its beginning: a copy by the store
            itself may take as long.
        max_connections: Of each client; at least the limit of requests in flight, or requests
            would wait for a connection while they hold a slot.
    """

    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 30.0
    max_connections: int = 64


class S3Clients:
    """Owns the clients. Use as an async context manager; the stores it gave are dead afterwards."""

    def __init__(self, settings: S3ClientSettings) -> None:
        self._settings = settings
        self._session = _session()
        self._clients: dict[S3Profile, S3Client] = {}
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._clients.clear()
        await self._stack.aclose()

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self._clients)

    async def store(self, profile: S3Profile) -> S3Store:
        """Return the store of a profile; sends nothing to it.

        Raises:
            StorageDenied: The credentials are incomplete.
            StorageRefused: The endpoint is no URL, or the certificates cannot be read.
        """
        shared = replace(profile, bucket="", provider="", writing=PLAIN, login="")
        async with self._lock:
            if shared not in self._clients:
                self._clients[shared] = await self._open(profile)
        return S3Store(self._clients[shared], profile.location, profile.writing, profile.login)

    async def _open(self, profile: S3Profile) -> S3Client:
        keys = profile.credentials
        location = profile.location
        if profile.ca_file:
            await asyncio.to_thread(_check_certificates, profile.ca_file)
        with translated(Asked("connect to", location.endpoint, location.bucket)):
            client = await self._stack.enter_async_context(
                self._session.create_client(
                    "s3",
                    region_name=profile.region or None,
                    endpoint_url=profile.endpoint_url or None,
                    use_ssl=profile.use_ssl,
                    verify=profile.ca_file or None,
                    aws_access_key_id=keys.access_key if keys else None,
                    aws_secret_access_key=keys.secret_key if keys else None,
                    aws_session_token=(keys.session_token or None) if keys else None,
                    config=self._config(profile),
                )
            )
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_content_md5)
        # It costs a round trip for each write, and a store that never answers it is waited for
        # without any time-out (aiohttp 3.14).
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    def _config(self, profile: S3Profile) -> AioConfig:
        return AioConfig(
            connect_timeout=self._settings.connect_timeout_seconds,
            read_timeout=self._settings.read_timeout_seconds,
            max_pool_connections=self._settings.max_connections,
            # Whatever is given here keeps botocore from putting together its own for each request.
            user_agent="milvus-backup",
            warm_up_loader_caches=True,
            # RetryingStore is the one layer that retries.
            retries={"mode": "standard", "total_max_attempts": 1},
            http_session_cls=_OneTrySession,
            # Bodies carry a signed Content-MD5 instead, which every store knows. Hashing them for
            # the signature costs 5 ms of the event loop for each MiB.
            s3={"addressing_style": profile.addressing, "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )


class _OneTrySession(AIOHTTPSession):
    """Sends a request once.

    aiohttp sends what it takes for idempotent again on a new connection when a kept one breaks, and
    tells nobody (its issue 10790: there is no public way to turn that off). A PUT that must not find
    an object then finds the one that itself wrote a moment before, and is taken for a conflict.
    """

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = await super()._get_session(proxy_url)  # type: ignore[misc]
        session._retry_connection = False  # noqa: SLF001 - as the class says
        return session


def _session() -> AioSession:
    session = get_session()
    # botocore's own parser takes 60 us for a date: 60 ms of the event loop for a page of a listing.
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_moment)
    return session


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # in headers
        return parsedate_to_datetime(text)


def _check_certificates(path: str) -> None:
    # The client reads the file at its first request, and would call the fault a broken connection.
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise StorageRefused(
            f"cannot read certificates from {path}", subject=path, code=type(error).__name__
        ) from error


def _add_content_md5(request: AWSRequest, **_: object) -> None:
    # botocore sends a CRC32 instead since 1.36; most stores but AWS demand this header.
    body = cast("bytes", request.body)
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()
