"""Milvus's management API, as far as it pauses the garbage collection.

It has an address of its own and no login. Answers are ``{"msg": "...", "ticket": "..."}``; the message of
an error is not always valid JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import aiohttp

from milvus_backup_server.adapters.milvus.answers import NOT_SENT, Asked, milvus_error, short
from milvus_backup_server.adapters.milvus.rest import tls_context
from milvus_backup_server.adapters.milvus.settings import MilvusSettings
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.failures import LOST

_PATH = "/management/datacoord/"
_PAUSE, _RESUME = "garbage_collection/pause", "garbage_collection/resume"
_MESSAGE = re.compile(r'"msg"\s*:\s*"(.*)"\s*}\s*$', re.DOTALL)
_LONGEST_SECONDS = 5.0
"""Without a pause a backup is as good: it is not waited for."""
_OK = 200
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
# With these a proxy says that it got no answer.
_OF_A_PROXY = frozenset({502, 504})


class ManagementConnection:
    """Where Milvus is managed.

    Args:
        settings: Where, and how long a call may take.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        self._endpoint = settings.management_endpoint.rstrip("/")
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def pause(self, seconds: int, collection_id: int) -> str:
        """Pause the garbage collection and return the ticket, empty if there is none."""
        values = {"pause_seconds": str(seconds)}
        if collection_id:
            values["collection_id"] = str(collection_id)
        text = await self._get(_PAUSE, values)
        try:
            answer = json.loads(text)
            return str(answer.get("ticket", ""))
        except (ValueError, AttributeError) as error:
            raise self._error(MilvusRefused, _PAUSE, "this is no Milvus", LOST) from error

    async def resume(self, ticket: str) -> None:
        """End a pause."""
        await self._get(_RESUME, {"ticket": ticket} if ticket else {})

    async def close(self) -> None:
        """Close the session; a later request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, method: str, values: Mapping[str, str]) -> str:
        url = f"{self._endpoint}{_PATH}{method}"
        try:
            async with self._opened().get(url, params=values, allow_redirects=False) as answer:
                text = await answer.text(errors="replace")
        except (*_NO_CONNECTION, ValueError) as error:
            raise self._error(MilvusUnavailable, method, "no connection", NOT_SENT) from error
        except TimeoutError as error:
            raise self._error(MilvusUnavailable, method, "no answer in time", LOST) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._error(MilvusUnavailable, method, "the connection broke", LOST) from error
        if answer.status != _OK:
            said = f"HTTP status {answer.status}: {_said(text)}"
            code = LOST if answer.status in _OF_A_PROXY else answer.status
            raise self._error(MilvusRefused, method, said, code)
        return text

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            secure = self._endpoint.startswith("https:")
            seconds = min(self._settings.call_seconds, _LONGEST_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls_context(self._settings) if secure else True),
                timeout=aiohttp.ClientTimeout(total=seconds),
            )
        return self._session

    def _error(
        self,
        kind: type[MilvusRefused | MilvusUnavailable],
        method: str,
        text: str,
        code: str | int,
    ) -> MilvusRefused | MilvusUnavailable:
        found = milvus_error(kind, Asked(method, self._endpoint), text, code)
        assert isinstance(found, kind)  # noqa: S101 it is made as one
        return found


def _said(text: str) -> str:
    found = _MESSAGE.search(text)
    return short(found[1] if found else text)
