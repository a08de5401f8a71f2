"""A proxy in front of an S3 server that does to requests what networks and stores do to them."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import ClientSession, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from tests.support.faults import Fault, KillSwitch, Rule, Rules, ServiceDead
from tests.support.processes import free_ports

_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")
_NEVER = 3600.0
_STRIDE = 7919
"""Bits between two that are flipped: a prime, so that small objects get another one each time."""
_ABORT = struct.pack("ii", 1, 0)
_CODES = {
    Fault.ERROR: (500, "InternalError"),
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.PRECONDITION_FAILED: (412, "PreconditionFailed"),
}
_REACHES = {fault: fault not in {Fault.DROP, Fault.RESET, *_CODES} for fault in Fault}
_WITH_OBJECT = ("PutObject", "UploadPart")
_MUTATIONS = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "PutObject",
        "UploadPart",
        "UploadPartCopy",
    }
)


@dataclass
class S3Request:
    """A request that came.

    Attributes:
        operation: as S3 calls it.
        key: of the object; the prefix of a listing; empty for a bucket.
        source: `bucket/key` of what is copied.
        fault: what was done to it.
        status: what the store answered; 0 if it was not asked.
    """

    operation: str
    bucket: str
    key: str
    source: str = ""
    fault: Fault | None = None
    status: int = 0

    @property
    def changes(self) -> bool:
        """Whether it changes something in the store."""
        return self.operation in _MUTATIONS

    def __str__(self) -> str:
        return f"{self.operation} {self.bucket}/{self.key}"


@dataclass
class _Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes


class S3Proxy:
    """Passes requests on to a server of this host; an async context manager.

    Attributes:
        port: where it listens, on 127.0.0.1.
        rules: what is done to requests.
        log: every request, in the order in which they came.
        switch: kills the service at a mutation.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        """Choose a port; nothing listens there yet."""
        (self.port,) = free_ports(1)
        self.rules = Rules(seed)
        self.log: list[S3Request] = []
        self.switch = KillSwitch(at=0)
        self._bits = itertools.count(self.rules.chance.randrange(1 << 20), _STRIDE)
        self._target = URL(f"http://127.0.0.1:{target_port}")
        self._session: ClientSession | None = None
        self._runner: web.ServerRunner | None = None

    @property
    def endpoint(self) -> str:
        """The URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        connector = TCPConnector(limit=0, force_close=False)
        self._session = ClientSession(connector=connector, auto_decompress=False)
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()
        if self._session is not None:
            await self._session.close()

    async def up(self) -> None:
        """Listen."""
        # Small, so that a request that nobody ever answers does not hold up the end.
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def down(self) -> None:
        """Close all connections and refuse new ones."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def requests(self, *operations: str, since: int = 0) -> list[S3Request]:
        """Return the requests of some operations, from a length of the log on."""
        return [item for item in self.log[since:] if item.operation in operations]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        seen = _request(request)
        self.log.append(seen)
        rule = self.rules.choose(seen.operation, seen.key or seen.bucket)
        if rule is not None:
            seen.fault = rule.fault
        try:
            return await self._treat(request, body, seen, rule)
        except ServiceDead:
            return _reset(request)

    async def _treat(
        self, request: web.BaseRequest, body: bytes, seen: S3Request, rule: Rule | None
    ) -> web.StreamResponse:
        if rule is not None and not _REACHES[rule.fault]:
            return await _unasked(request, rule.fault)
        fault = rule.fault if rule else None
        if rule is not None and fault is Fault.DELAY:
            await asyncio.sleep(self.rules.chance.uniform(0, rule.seconds))
        if fault is Fault.WRONG_BODY and seen.operation in _WITH_OBJECT:
            body = self._flipped(body)
        answer = await self._pass_on(request, body, seen)
        if fault is Fault.WRONG_BODY and seen.operation == "GetObject":
            answer.body = self._flipped(answer.body)
        if fault is Fault.LOST_ANSWER:
            return _reset(request)
        return (
            await _cut_short(request, answer)
            if fault is Fault.SHORT_BODY
            else _told(request, answer)
        )

    async def _pass_on(self, request: web.BaseRequest, body: bytes, seen: S3Request) -> _Answer:
        if not seen.changes:
            return await self._ask(request, body, seen)
        return await self.switch.around(str(seen), lambda: self._ask(request, body, seen))

    async def _ask(self, request: web.BaseRequest, body: bytes, seen: S3Request) -> _Answer:
        assert self._session is not None
        url = URL(f"{self._target}{request.raw_path}", encoded=True)
        headers = CIMultiDict(request.headers)  # signed: Host too
        async with self._session.request(
            request.method, url, data=body, headers=headers, skip_auto_headers=("User-Agent",)
        ) as answer:
            seen.status = answer.status
            return _Answer(answer.status, CIMultiDict(answer.headers), await answer.read())

    def _flipped(self, data: bytes) -> bytes:
        """Flip one bit: another one than the last time, as damage that comes twice counts as content."""
        if not data:
            return data
        place, bit = divmod(next(self._bits) % (len(data) * 8), 8)
        return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def _request(request: web.BaseRequest) -> S3Request:
    bucket, _, key = request.path.lstrip("/").partition("/")
    source = request.headers.get("x-amz-copy-source", "")
    operation = _operation(request.method, request.query, has_key=bool(key), copies=bool(source))
    return S3Request(operation, bucket, key or request.query.get("prefix", ""), source)


def _operation(method: str, query: Mapping[str, str], *, has_key: bool, copies: bool) -> str:
    rows: Sequence[tuple[bool, str]] = list(_operations(method, query, has_key, copies))
    return next(name for fits, name in rows if fits)


def _operations(
    method: str, query: Mapping[str, str], has_key: bool, copies: bool
) -> Iterator[tuple[bool, str]]:
    part = "partNumber" in query
    yield method == "PUT" and part, "UploadPartCopy" if copies else "UploadPart"
    yield method == "PUT" and has_key, "CopyObject" if copies else "PutObject"
    yield method == "PUT", "CreateBucket"
    yield method == "POST" and "delete" in query, "DeleteObjects"
    yield method == "POST" and "uploads" in query, "CreateMultipartUpload"
    yield method == "POST", "CompleteMultipartUpload"
    yield method == "DELETE", "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    yield method == "HEAD", "HeadObject" if has_key else "HeadBucket"
    yield "uploads" in query, "ListMultipartUploads"
    yield has_key, "GetObject"
    yield True, "ListObjectsV2"


def _told(request: web.BaseRequest, answer: _Answer) -> web.Response:
    headers = CIMultiDict(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP
    )
    headers["Date"] = answer.headers.get("Date", "")
    response = web.Response(status=answer.status, headers=headers)
    if request.method == "HEAD":
        response.headers["Content-Length"] = answer.headers.get("Content-Length", "0")
    else:
        response.body = answer.body
    return response


async def _unasked(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    """Answer without the store, or never."""
    if fault in _CODES:
        return _refusal(request, *_CODES[fault])
    if fault is Fault.DROP:
        await asyncio.sleep(_NEVER)
    return _reset(request)


def _refusal(request: web.BaseRequest, status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
    body = None if request.method == "HEAD" else text.encode()
    return web.Response(status=status, body=body, content_type="application/xml")


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        connection: socket.socket | None = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        request.transport.abort()
    return web.Response(status=500)


async def _cut_short(request: web.BaseRequest, answer: _Answer) -> web.StreamResponse:
    if len(answer.body) < 2:
        return _reset(request)
    response = web.StreamResponse(status=answer.status, headers=_told(request, answer).headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
