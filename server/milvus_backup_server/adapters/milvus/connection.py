"""One gRPC channel to a Milvus: made when first used, and used again after Milvus was away."""

from __future__ import annotations

import asyncio
import base64
import math
import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio

from milvus_backup_server.adapters.milvus.answers import (
    NOTHING,
    Answer,
    Asked,
    error_of,
    meaning,
    outcome_known,
    translated,
)
from milvus_backup_server.adapters.milvus.settings import MilvusSettings, TlsMode
from milvus_backup_server.adapters.milvus.stubs import (
    Message,
    common_pb2,
    milvus_pb2,
    milvus_pb2_grpc,
)
from milvus_backup_server.domain.errors import (
    FieldViolation,
    InvalidSettings,
    MilvusUnavailable,
    NotFound,
)
from milvus_backup_server.domain.milvus import CollectionName

_ONLY_OK: frozenset[Answer] = frozenset()
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_JUST_BACK_SECONDS = 10.0
_MIB = 1 << 20

_OPTIONS: tuple[tuple[str, int], ...] = (
    # The default of 4 MiB is too small for the segments of a large collection.
    ("grpc.max_receive_message_length", 256 * _MIB),
    ("grpc.max_send_message_length", 64 * _MIB),
    # Repeating is decided here, and an import is never repeated.
    ("grpc.enable_retries", 0),
    # Milvus refuses pings that come more often than every 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The defaults grow to two minutes, in which a Milvus that came back is not noticed.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Not a pause, for all its name: how long one attempt to connect may take, TLS included. A Milvus
    # that is busy takes more than a second now and then.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class MilvusConnection:
    """The channel, who we are on it, and how often a call is tried.

    Args:
        settings: Where and how.

    Raises:
        InvalidSettings: A certificate or key cannot be read.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        self._settings = settings
        self._credentials = _credentials(settings)
        self._identifier: str | None = None
        self._channel: grpc.aio.Channel | None = None
        self._stub: Message = None
        self._was_away = False
        self._back = -math.inf
        self._jitter = random.SystemRandom()

    async def call(
        self,
        method: str,
        request: Message,
        subject: CollectionName = NOTHING,
        *,
        accept: frozenset[Answer] = _ONLY_OK,
        seconds: float = 0.0,
        secrets: tuple[str, ...] = (),
    ) -> Message:
        """Make a call that may be repeated, and repeat it while its error may pass.

        Args:
            method: The name of the RPC.
            request: Its request.
            subject: The collection or database that it is about.
            accept: Answers that are no errors here, beside OK.
            seconds: How long it may take beyond the settings' time.
            secrets: What stands in the request and is hidden where Milvus says it in an error.
        """
        asked, loop = self._asked(method, subject, secrets), asyncio.get_running_loop()
        start = loop.time()
        end = start + self._settings.call_seconds + seconds
        for pause in self._pauses():
            try:
                return await self._attempt(asked, request, accept, end)
            except (MilvusUnavailable, NotFound) as error:
                if isinstance(error, NotFound) and not (self._just_back() and _looks(method)):
                    raise
                if loop.time() + pause > min(end, start + self._settings.retry_seconds):
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the pauses do not end")

    async def call_once(self, method: str, request: Message, subject: CollectionName) -> Message:
        """Make a call that must not be repeated.

        Raises:
            ImportOutcomeUnknown: It was sent, and no answer says what became of it.
        """
        asked = self._asked(method, subject)
        end = asyncio.get_running_loop().time() + self._settings.call_seconds
        await self._identify(end)
        with outcome_known(asked):
            return await self._exchange(asked, request, _ONLY_OK, end)

    async def close(self) -> None:
        """Close the channel; calls in flight end as cancelled, later ones open it again."""
        channel, self._channel, self._identifier = self._channel, None, None
        if channel is not None:
            await channel.close()

    async def _attempt(
        self, asked: Asked, request: Message, accept: frozenset[Answer], end: float
    ) -> Message:
        await self._identify(end)
        return await self._exchange(asked, request, accept, end)

    async def _exchange(
        self, asked: Asked, request: Message, accept: frozenset[Answer], end: float
    ) -> Message:
        try:
            answer = await self._send(asked, request, end)
        except MilvusUnavailable:
            self._identifier = None
            self._was_away = True
            raise
        status = answer if isinstance(answer, common_pb2.Status) else answer.status
        if meaning(status) not in {Answer.OK, *accept}:
            raise error_of(status, asked)
        return answer

    async def _send(self, asked: Asked, request: Message, end: float) -> Message:
        with translated(asked):
            method = getattr(self._opened(), asked.method)
            metadata = self._metadata(asked.subject.database)
            seconds = max(end - asyncio.get_running_loop().time(), 0)
            return await method(request, timeout=seconds, metadata=metadata)

    async def _identify(self, end: float) -> None:
        # Several first calls may greet at once: harmless, while waiting for one another would add
        # up their deadlines when nothing answers.
        if self._identifier is not None:
            return
        asked = self._asked("Connect", NOTHING)
        answer = await self._send(asked, _greeting(self._settings.user), end)
        if meaning(answer.status) is not Answer.OK:
            raise error_of(answer.status, asked)
        self._identifier = str(answer.identifier)
        if self._was_away:
            self._was_away, self._back = False, asyncio.get_running_loop().time()

    def _just_back(self) -> bool:
        """Tell whether Milvus was away a moment ago: then it may not know its collections yet (seen on 2.3.5)."""
        return asyncio.get_running_loop().time() - self._back < _JUST_BACK_SECONDS

    def _metadata(self, database: str) -> tuple[tuple[str, str], ...]:
        user = f"{self._settings.user}:{self._settings.password}".encode()
        values = {
            "authorization": base64.b64encode(user).decode() if self._settings.user else "",
            "identifier": self._identifier or "",
            "dbname": database,
        }
        return tuple((name, value) for name, value in values.items() if value)

    def _opened(self) -> Message:
        if self._channel is None:
            self._channel = _channel(self._settings, self._credentials)
            self._stub = milvus_pb2_grpc.MilvusServiceStub(self._channel)
        return self._stub

    def _asked(self, method: str, subject: CollectionName, secrets: tuple[str, ...] = ()) -> Asked:
        return Asked(method, self._settings.address, subject, secrets)

    def _pauses(self) -> Iterator[float]:
        pause = _FIRST_PAUSE
        while True:
            yield self._jitter.uniform(pause / 2, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _looks(method: str) -> bool:
    """Tell whether what a call does not find has not been taken away by itself."""
    return not method.startswith(("Drop", "Rename"))


def _greeting(user: str) -> Message:
    return milvus_pb2.ConnectRequest(
        client_info=common_pb2.ClientInfo(
            sdk_type="milvus-backup",
            local_time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            user=user,
            host=socket.gethostname(),
        )
    )


def _channel(
    settings: MilvusSettings, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    options: list[tuple[str, str | int]] = list(_OPTIONS)
    if credentials is None:
        return grpc.aio.insecure_channel(settings.address, options)
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    return grpc.aio.secure_channel(settings.address, credentials, options)


def _credentials(settings: MilvusSettings) -> grpc.ChannelCredentials | None:
    if settings.tls is TlsMode.DISABLED:
        return None
    mutual = settings.tls is TlsMode.MUTUAL
    return grpc.ssl_channel_credentials(
        root_certificates=_read("ca", settings.ca),
        private_key=_read("key", settings.key) if mutual else None,
        certificate_chain=_read("certificate", settings.certificate) if mutual else None,
    )


def _read(name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise InvalidSettings(FieldViolation(f"milvus.tls.{name}", f"{path}: {reason}")) from error
