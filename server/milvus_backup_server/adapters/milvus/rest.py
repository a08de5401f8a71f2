"""Milvus's REST API v2: one HTTP session, made when first used.

Errors of the API come with status 200, a ``code`` other than 0 and a ``message``; codes and messages
are those of gRPC.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import aiohttp

from milvus_backup_server.adapters.milvus.answers import (
    NOT_SENT,
    Asked,
    error_of,
    milvus_error,
    outcome_known,
    short,
)
from milvus_backup_server.adapters.milvus.settings import MilvusSettings, TlsMode
from milvus_backup_server.adapters.milvus.stubs import common_pb2
from milvus_backup_server.domain.errors import (
    BackupError,
    FieldViolation,
    InvalidSettings,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.failures import LOST
from milvus_backup_server.domain.milvus import CollectionName

T = TypeVar("T")
Reader: TypeAlias = Callable[[Any], T]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_OK = 200
# With these a proxy between us and Milvus passed nothing on. Who we are, and what is to be imported, goes
# to no other place than that of the settings.
_ELSEWHERE = frozenset({301, 302, 307, 308})
_NOT_PASSED_ON = _ELSEWHERE | frozenset({400, 401, 403, 404, 405, 413, 415, 429})
_TOO_MANY = 429


class RestConnection:
    """Where Milvus speaks HTTP, and who we are there.

    Args:
        settings: Where and how.

    Raises:
        InvalidSettings: A certificate or key cannot be read.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        self._settings = settings
        secure = settings.tls is not TlsMode.DISABLED
        scheme = "https" if secure else "http"
        self._endpoint = settings.rest_endpoint.rstrip("/") or f"{scheme}://{settings.address}"
        self._tls = tls_context(settings) if secure else None
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, path: str, body: Mapping[str, object], subject: CollectionName, read: Reader[T]
    ) -> T:
        """Make a request that may be repeated, and return what is read of the answer's ``data``.

        It is repeated while its error may pass.

        Args:
            path: Below ``/v2/vectordb/``.
            body: Of the request.
            subject: What it is about.
            read: Takes the data apart; what it stumbles over is no answer of Milvus.
        """
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._settings.retry_seconds, _FIRST_PAUSE
        while True:
            try:
                return await self._exchange(self._asked(path, subject), body, read)
            except MilvusUnavailable:
                if loop.time() + pause > end:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def call_once(
        self, path: str, body: Mapping[str, object], subject: CollectionName, read: Reader[T]
    ) -> T:
        """Make a request that must not be repeated; arguments as of ``call``.

        Raises:
            ImportOutcomeUnknown: It was sent, and no answer says what became of it.
        """
        asked = self._asked(path, subject)
        with outcome_known(asked):
            return await self._exchange(asked, body, read)

    async def close(self) -> None:
        """Close the session; a later request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, asked: Asked, body: Mapping[str, object], read: Reader[T]) -> T:
        status, text = await self._send(asked, body)
        if status != _OK:
            raise _not_from_milvus(asked, status, text)
        with _understood(asked):
            answer = json.loads(text)
            code, message = int(answer["code"]), str(answer.get("message", ""))
        if code:
            raise error_of(common_pb2.Status(code=code, reason=message), asked)
        with _understood(asked):
            return read(answer.get("data", {}))

    async def _send(self, asked: Asked, body: Mapping[str, object]) -> tuple[int, str]:
        url = f"{self._endpoint}/v2/vectordb/{asked.method}"
        try:
            async with self._opened().post(url, json=body, allow_redirects=False) as answer:
                return answer.status, await answer.text(errors="replace")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise milvus_error(MilvusUnavailable, asked, "no connection", NOT_SENT) from error
        except TimeoutError as error:
            raise milvus_error(MilvusUnavailable, asked, "no answer in time", LOST) from error
        except (aiohttp.ClientError, OSError) as error:
            raise milvus_error(MilvusUnavailable, asked, "the connection broke", LOST) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=self._settings.call_seconds),
                headers=self._headers(),
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        waits = {"Request-Timeout": str(max(1, int(self._settings.call_seconds)))}
        if not self._settings.user:
            return waits
        who = f"{self._settings.user}:{self._settings.password}"
        return waits | {"Authorization": f"Bearer {who}"}

    def _asked(self, path: str, subject: CollectionName) -> Asked:
        return Asked(path, self._endpoint, subject)


@contextmanager
def _understood(asked: Asked) -> Iterator[None]:
    """Raise what another answer than Milvus's gives rise to as MilvusRefused."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise milvus_error(MilvusRefused, asked, "this is no Milvus", LOST) from error


def _not_from_milvus(asked: Asked, status: int, text: str) -> BackupError:
    said = f"HTTP status {status}: {short(text)}"
    if status not in _NOT_PASSED_ON:
        return milvus_error(MilvusUnavailable, asked, said, LOST)
    kind = MilvusUnavailable if status == _TOO_MANY else MilvusRefused
    return milvus_error(kind, asked, said, status)


def tls_context(settings: MilvusSettings) -> ssl.SSLContext:
    """Return whom to trust, and our own certificate.

    Raises:
        InvalidSettings: A file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.tls is TlsMode.MUTUAL and settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "cannot be read"
        raise InvalidSettings(FieldViolation("milvus.tls", reason)) from error
    return context
