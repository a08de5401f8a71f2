"""Operations that are followed over HTTP as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from milvus_backup_server.domain.errors import LeftBehind
from milvus_backup_server.domain.operations import Operation, OperationState, Phase
from milvus_backup_server.http.events import event, events
from milvus_backup_server.service.shared_messages import SharedMessage
from tests.support.fake_use_cases import FakeApi, running_job, serving_fakes
from tests.support.http_service import http_port


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


@pytest.fixture
async def streaming(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        http_port(api.use_cases) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as found,
    ):
        yield found


async def received(answer: httpx.Response) -> AsyncGenerator[dict[str, str], None]:
    """Yield the events of a stream, each with its fields."""
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        else:
            yield event
            event = {}


@asynccontextmanager
async def watching(
    client: httpx.AsyncClient, name: str, **query: Any
) -> AsyncIterator[AsyncGenerator[dict[str, str], None]]:
    path = f"/operations/{name}/events"
    async with client.stream("GET", path, params=query) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        async with aclosing(received(answer)) as found:
            yield found


def state_of(event: dict[str, str]) -> str:
    assert event["event"] == "operation"
    found: dict[str, Any] = json.loads(event["data"])
    assert event["id"] == str(found["revision"])
    return str(found["state"])


async def test_a_watch_begins_with_the_present_and_ends_behind_the_last_state(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    job = await running_job(api)
    tracker = await job.tracker()
    async with watching(streaming, job.name, min_interval=0) as found:
        assert state_of(await anext(found)) == "RUNNING"
        tracker.enter(Phase.COPYING)
        changed = await anext(found)
        assert json.loads(changed["data"])["progress"]["phases"][0]["phase"] == "COPYING"
        job.go_on.set()
        rest = [state_of(event) async for event in found]
    assert rest[-1] == "SUCCEEDED"


async def test_a_browser_that_comes_back_behind_the_last_state_is_told_to_stay_away(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    job = await running_job(api)
    job.go_on.set()
    await api.operations.end_of(job.name)
    async with watching(streaming, job.name) as found:
        (last,) = [event async for event in found]
    path, seen = f"/operations/{job.name}/events", {"Last-Event-ID": last["id"]}
    assert (await streaming.get(path, headers=seen)).status_code == 204
    async with streaming.stream("GET", path, headers={"Last-Event-ID": "0"}) as answer:
        assert [state_of(event) async for event in received(answer)] == ["SUCCEEDED"]


class Warned(LeftBehind):
    """Counts how often it is told."""

    told = 0

    @property
    def reason(self) -> str:  # type: ignore[override] # what others have as an attribute
        self.told += 1
        return "LEFT_BEHIND"


async def test_many_who_watch_get_one_event_that_is_made_once(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    job = await running_job(api)
    warning = Warned("something is left", subject="c")
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(watching(streaming, job.name, min_interval=0))
            for _ in range(8)
        ]
        for found in streams:
            assert state_of(await anext(found)) == "RUNNING"
        (await job.tracker()).warn(warning)
        changed = [await anext(found) for found in streams]
        job.go_on.set()
        rest = [[event async for event in found][-1] for found in streams]
    assert all(item == changed[0] for item in changed)
    assert all(item == rest[0] for item in rest)
    assert 0 < warning.told <= 4  # of 16 events that tell it, and it may be written to the log


async def test_a_reader_that_goes_away_stops_nothing(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    job = await running_job(api)
    async with watching(streaming, job.name) as found:
        await anext(found)
    await asyncio.sleep(0.1)  # for the server to notice
    assert api.operations.get(job.name).state is OperationState.RUNNING
    assert not job.cancelled
    job.go_on.set()
    async with watching(streaming, job.name) as again:
        assert [state_of(event) async for event in again][-1] == "SUCCEEDED"


async def test_at_most_one_event_in_an_interval_but_the_last_is_not_held_back(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    job = await running_job(api)
    tracker = await job.tracker()
    async with asyncio.timeout(20), watching(streaming, job.name, min_interval=30) as found:
        states = [state_of(await anext(found))]
        for number in range(100):
            tracker.wait_for(f"step {number}")
        job.go_on.set()
        states += [state_of(event) async for event in found]
    assert states == ["RUNNING", "SUCCEEDED"]


async def test_silence_is_broken_by_comments(api: FakeApi) -> None:
    job = await running_job(api)
    states = api.operations.watch(job.name, 0.01)
    stream = events(states, SharedMessage(event), quiet_seconds=0.02)
    async with aclosing(stream):
        assert (await anext(stream)).startswith(b"event: operation\n")
        assert await anext(stream) == b": ping\n\n"
        assert await anext(stream) == b": ping\n\n"
        job.go_on.set()
        rest = [event async for event in stream if not event.startswith(b":")]
    assert b'"state":"SUCCEEDED"' in rest[-1]


async def test_a_watch_that_is_left_is_closed(api: FakeApi) -> None:
    job = await running_job(api)
    closed = asyncio.Event()

    async def watch() -> AsyncGenerator[Operation, None]:
        try:
            async for state in api.operations.watch(job.name, 0.01):
                yield state
        finally:
            closed.set()

    stream = events(watch(), SharedMessage(event))
    await anext(stream)
    await stream.aclose()
    assert closed.is_set()
    job.go_on.set()
