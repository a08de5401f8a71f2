"""Every exchange that was recorded with the real Milvus 2.5.27 and 2.6.18, with the simulated ones.

What differs from run to run is compared by its shape: ids of jobs, tickets, times, the order of maps,
and which of several files of a failed job is named. Logs of statistics are in no backup, so not here.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.milvus.schemas import schema_message
from milvus_backup_server.adapters.milvus.stubs import milvus_pb2
from tests.support.fixtures import FIXTURES, put_backup
from tests.support.simulator import SimulatedMilvus, Simulator, adopt, simulator

SERVERS = {
    "2.5.27": ("fx_mv_2_5_27", "fx_mv25", "files", 53),
    "2.6.18": ("fx_mv_2_6_18", "fx_mv26", "files26", 54),
}
_TIMES = re.compile(r"20\d\d-\d\d-\d\dT[\d:]+Z")
_FILE = re.compile(r"file: id:\d+\s+paths:.*$")
_UNTIL_ENDED = 12


def recorded(version: str) -> Iterator[dict[str, Any]]:
    path = FIXTURES / f"rest_{version.replace('.', '_')}.jsonl"
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@asynccontextmanager
async def server(version: str) -> AsyncIterator[Simulator]:
    """Serve what the recordings were made with: the backup's source, and an empty `rest_del`."""
    archive, name, root, _ = SERVERS[version]
    store = MemoryServer().store("bucket")
    await put_backup(store, "backup", archive, name=name)
    milvus = SimulatedMilvus(store, version, root)
    deletes = next(it for it in await adopt(milvus, archive) if it.collection_name == "deletes")
    assert deletes.schema is not None
    request = milvus_pb2.CreateCollectionRequest(
        collection_name="rest_del",
        schema=schema_message("rest_del", deletes.schema).SerializeToString(),
        num_partitions=len(deletes.partition_backups),
    )
    milvus.create_collection(request)
    async with simulator(milvus) as served:
        yield served


class Replay:
    """Sends what was sent, and knows which of our ids stand for recorded ones."""

    def __init__(self, served: Simulator, session: aiohttp.ClientSession) -> None:
        self._served = served
        self._session = session
        self._ours: dict[str, str] = {}

    async def send(self, exchange: dict[str, Any]) -> tuple[int, str, str]:
        rest = exchange["path"].startswith("/v2/")
        port = self._served.port if rest else self._served.management_port
        url = f"http://127.0.0.1:{port}{self._translated(exchange['path'])}"
        data = self._translated(exchange.get("request", "")) or None
        async with self._session.request(exchange["method"], url, data=data) as answer:
            text = await answer.text()
            self._learn(exchange["answer"], text)
            return answer.status, answer.content_type, text

    async def states(self, job: str) -> list[tuple[str, int]]:
        url = f"http://127.0.0.1:{self._served.port}/v2/vectordb/jobs/import/describe"
        seen: list[tuple[str, int]] = []
        for _ in range(_UNTIL_ENDED):
            async with self._session.post(url, json={"jobId": self._translated(job)}) as answer:
                data = json.loads(await answer.text())["data"]
            state = data["state"], data["progress"]
            seen += [state] if state not in seen else []
            if data["state"] in ("Completed", "Failed"):
                break
        return seen

    def expected(self, text: str) -> object:
        return self._comparable(self._translated(text))

    def found(self, text: str) -> object:
        return self._comparable(text)

    def _learn(self, recorded_text: str, text: str) -> None:
        for pattern in (r'^\{"code":0,"data":\{"jobId":"(\d+)"\}\}$', r'"ticket": "([^"]+)"'):
            theirs, ours = re.search(pattern, recorded_text), re.search(pattern, text)
            assert (theirs is None) == (ours is None), text
            if theirs and ours:
                self._ours[theirs[1]] = ours[1]

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ours.items():
            text = text.replace(theirs, ours)
        return text

    def _comparable(self, text: str) -> object:
        try:
            return self._plain(json.loads(text))
        except ValueError:
            return text

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._plain(it) for name, it in value.items() if name != "statsLogs"}
        if isinstance(value, str):
            return _FILE.sub("file", _TIMES.sub("time", value))
        if not isinstance(value, list):
            return value
        ours = set(self._ours.values())
        kept = [
            it for it in value if not isinstance(it, dict) or it.get("jobId", "") in {*ours, ""}
        ]
        return sorted((self._plain(it) for it in kept), key=json.dumps)


@pytest.mark.parametrize("version", SERVERS)
async def test_every_recorded_exchange_is_answered_alike(version: str) -> None:
    exchanges = list(recorded(version))
    assert len(exchanges) == SERVERS[version][3]
    async with server(version) as served, aiohttp.ClientSession() as session:
        replay = Replay(served, session)
        for exchange in exchanges:
            title = exchange["title"]
            status, kind, text = await replay.send(exchange)
            wanted = "application/json" if exchange["path"].startswith("/v2/") else "text/plain"
            assert (status, kind) == (exchange["status"], wanted), title
            assert replay.found(text) == replay.expected(exchange["answer"]), title
            if "states" in exchange:
                both = exchange["answer"] + exchange.get("request", "")
                job = re.search(r'"jobId": ?"(\d+)"', both)
                assert job is not None
                seen = await replay.states(job[1])
                # The first look may be before or after the job began.
                begun = [tuple(it) for it in exchange["states"] if it != ["Pending", 0]]
                assert [it for it in seen if it != ("Pending", 0)] == begun, title
