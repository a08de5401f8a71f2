"""Cases of the HTTP API: a call, what was called before it, and the whole answer, written by hand."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from milvus_backup_server.http.application import build_app
from tests.support.http_reference import Row
from tests.support.http_service import OPTIONS
from tests.support.service import INDEX, World, add_collection, running

API = "/api/v1"


class Like:
    """Equals every value that a rule accepts: for times, and for ids that are made."""

    def __init__(self, shown: str, accepts: Callable[[Any], bool]) -> None:
        self._shown = shown
        self._accepts = accepts

    def __eq__(self, other: object) -> bool:
        return self._accepts(other)

    def __hash__(self) -> int:
        return hash(self._shown)

    def __repr__(self) -> str:
        return self._shown


def matching(pattern: str) -> Like:
    """Return what equals every text of a pattern."""
    return Like(f"<{pattern}>", lambda value: bool(re.fullmatch(pattern, str(value))))


def text(*parts: str) -> Like:
    """Return what equals every text that has these parts."""
    shown = " ... ".join(parts)
    return Like(f"<{shown}>", lambda value: all(part in str(value) for part in parts))


def _is_now(value: Any) -> bool:
    return type(value) is int and 1_700_000_000 < value < 5_000_000_000


NOW = Like("<unix seconds>", _is_now)
NEVER = -62135596800
BYTES = Like("<bytes>", lambda value: type(value) is int and value > 0)
UUID = matching("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MADE_NAME = matching(r"backup_\d{4}(_\d\d){5}_\d+")
MADE_ID = matching(r"restore_\d{4}(_\d\d){5}_\d+")


@dataclass(frozen=True)
class Call:
    """A request; `fails` if it does as one that comes before the case."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    fails: bool = False

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Make the request; a text is sent as it is, other bodies as JSON."""
        content = self.body if isinstance(self.body, str) else None
        return await client.request(
            self.method,
            self.path,
            params=dict(self.query),
            headers=dict(self.headers),
            content=content,
            json=self.body if content is None else None,
        )


@dataclass(frozen=True)
class Case:
    """A call and its answer.

    Attributes:
        name: what it shows.
        call: the call.
        answer: the whole of its JSON, or of its text.
        status: the HTTP status.
        before: calls made before it.
        prepare: changes the world before everything.
    """

    name: str
    call: Call
    answer: Any
    status: int = 200
    before: tuple[Call, ...] = ()
    prepare: Callable[[World], Awaitable[None]] | None = None

    @property
    def route(self) -> str:
        """The row of the reference that it is about."""
        return f"{self.call.method} {self.call.path}"


async def ask(case: Case) -> httpx.Response:
    """Play a case in a world of its own and return the answer."""
    world = World()
    milvus = world.milvus
    hello = await add_collection(milvus, "hello_milvus", range(10))
    await milvus.create_index(hello, INDEX)
    await add_collection(milvus, "shop.orders", range(5))
    if case.prepare is not None:
        await case.prepare(world)
    async with running(world) as service:
        app = httpx.ASGITransport(build_app(service.use_cases, OPTIONS))
        async with httpx.AsyncClient(transport=app, base_url="http://localhost:8080") as client:
            for call in case.before:
                done = await call.send(client)
                assert done.status_code == 200, done.text
                assert ("code" in done.json()) is call.fails, done.text
            return await case.call.send(client)


# --- which rows the cases show


def missing_rows(reference: Mapping[str, Row], cases: Iterable[Case]) -> list[str]:
    """Return the routes and fields of the reference that no case shows."""
    shown = {route: _shown(route, list(cases)) for route in reference}
    missing: list[str] = []
    for route, row in reference.items():
        if not any(case.route == route for case in cases):
            missing.append(route)
        for kind in ("headers", "query", "body", "answer", "refused"):
            for path in getattr(row, kind):
                pattern = re.escape(path).replace(r"\*", r"[^.\[\]]*")
                if not any(re.fullmatch(pattern, it) for it in shown[route][kind]):
                    missing.append(f"{route} {kind} {path}")
    return missing


def _shown(route: str, cases: list[Case]) -> dict[str, set[str]]:
    own = [case for case in cases if case.route == route]
    return {
        "headers": {name for case in own for name in case.call.headers},
        "query": {name for case in own for name in case.call.query},
        "body": {path for case in own for path in paths(case.call.body)},
        "answer": {path for case in own if case.status == 200 for path in paths(case.answer)},
        "refused": {path for case in own if case.status != 200 for path in paths(case.answer)},
    }


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value inside a JSON value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    if isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[]")
