"""Operations over HTTP: listed, shown, cancelled, and followed as server-sent events."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CreateResult,
    OperationState,
    Phase,
    Result,
)
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.verification import (
    ProblemKind,
    Sample,
    VerifyBasis,
    VerifyCounts,
    VerifyLevel,
    VerifyResult,
)
from tests.support.fake_use_cases import FakeApi, running_job, serving_fakes
from tests.support.http_service import http_client


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(api.use_cases) as found:
        yield found


async def asked(client: httpx.AsyncClient, path: str, status: int = 200, **request: Any) -> Any:
    method = request.pop("method", "GET")
    answer = await client.request(method, path, **request)
    assert answer.status_code == status, answer.text
    return answer.json()


# --- looked at


async def test_an_operation_is_shown_whole(api: FakeApi, client: httpx.AsyncClient) -> None:
    job = await running_job(api)
    tracker = await job.tracker()
    source, target = CollectionName("default", "c"), CollectionName("db", "d")
    tracker.add_collections([CollectionProgress(source, target, bytes_total=10)])
    tracker.enter(Phase.COPYING)
    tracker.advance(Amount(bytes=4, objects=2), target)
    tracker.wait_for("Milvus")
    found = (await asked(client, f"/operations/{job.name}"))["data"]
    times = {key: found.pop(key) for key in ("create_time", "start_time")}
    assert all(value.endswith("Z") for value in times.values())
    (phase,) = found["progress"].pop("phases")
    assert phase.pop("start_time").endswith("Z")
    assert phase == {
        "phase": "COPYING",
        "bytes_done": 4,
        "objects_done": 2,
        "segments_done": 0,
        "rows_done": 0,
    }
    found["progress"].pop("bytes_per_second")
    assert found.pop("revision") > 0
    assert found == {
        "name": job.name,
        "kind": "CREATE_BACKUP",
        "state": "RUNNING",
        "backup_name": "a",
        "progress": {"waiting_for": "Milvus"},
        "warnings": [],
        "warning_count": 0,
        "collections": [
            {
                "database": "default",
                "name": "c",
                "target_database": "db",
                "target_name": "d",
                "state": "PENDING",
                "bytes_done": 4,
                "bytes_total": 10,
            }
        ],
        "collection_count": 1,
        "succeeded_count": 0,
        "failed_count": 0,
        "labels": {},
        "caller": {"principal": "anonymous", "origin": "GRPC"},
    }


async def test_an_ended_operation_tells_its_result(api: FakeApi, client: httpx.AsyncClient) -> None:
    job = await running_job(api)
    job.go_on.set()
    await api.operations.end_of(job.name)
    found = (await asked(client, f"/operations/{job.name}"))["data"]
    assert (found["state"], found["result"]) == ("SUCCEEDED", {"object_count": 1})
    assert found["end_time"] >= found["start_time"]


RBAC = RbacCounts(users=1, roles=2)
DAMAGED = VerifyResult(
    VerifyLevel.LISTING,
    VerifyBasis.MANIFEST,
    Sample(),
    VerifyCounts(listed=7),
    {ProblemKind.MISSING: 3},
    hit_collections=2,
)


@pytest.mark.parametrize(
    ("result", "some"),
    [
        (CreateResult(1, 2, 3, 4, 5), {"collection_count": 1, "object_count": 2}),
        (CreateResult(1, 2, 3, 4, 5, RBAC), {"row_count": 4, "rbac_users": 1, "rbac_roles": 2}),
        (DAMAGED, {"listed": 7, "problem_count": 3, "hit_collections": 2}),
    ],
)
async def test_a_result_is_told_as_counts(
    api: FakeApi, client: httpx.AsyncClient, result: Result, some: dict[str, int]
) -> None:
    job = await running_job(api)
    job.result = result
    job.go_on.set()
    await api.operations.end_of(job.name)
    found = (await asked(client, f"/operations/{job.name}"))["data"]["result"]
    assert some.items() <= found.items()
    assert {type(count) for count in found.values()} == {int}


async def test_lists_are_paged_newest_first(api: FakeApi, client: httpx.AsyncClient) -> None:
    names = [(await api.create.begin(f"b{number}")).name for number in range(3)]
    first = (await asked(client, "/operations", params={"page_size": 2}))["data"]
    assert [item["name"] for item in first["operations"]] == [names[2], names[1]]
    query = {"page_size": 2, "page_token": first["next_page_token"]}
    second = (await asked(client, "/operations", params=query))["data"]
    assert [item["name"] for item in second["operations"]] == [names[0]]
    assert "next_page_token" not in second


async def test_lists_are_filtered(api: FakeApi, client: httpx.AsyncClient) -> None:
    made = await running_job(api, "a")
    deleted = api.delete.jobs[(await api.delete.begin("b")).name]
    for query, expected in [
        ("backup_name=a", [made]),
        ("kind=DELETE_BACKUP", [deleted]),
        ("kind=DELETE_BACKUP&kind=CREATE_BACKUP", [deleted, made]),
        ("state=SUCCEEDED", []),
        ("state=RUNNING&state=PENDING", [deleted, made]),
    ]:
        found = (await asked(client, f"/operations?{query}"))["data"]["operations"]
        assert [item["name"] for item in found] == [job.name for job in expected], query


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("page_size=0", "page_size: expected at least 1"),
        ("page_size=51", "page_size: expected at most 50"),
        ("page_size=x", "page_size: expected a whole number"),
    ],
)
async def test_parameters_out_of_range(client: httpx.AsyncClient, query: str, said: str) -> None:
    assert await asked(client, f"/operations?{query}", 400) == {"error": f"invalid request: {said}"}


@pytest.mark.parametrize("name", ["kind", "state"])
async def test_unknown_names_of_enums(client: httpx.AsyncClient, name: str) -> None:
    answer = await asked(client, "/operations", 400, params={name: "NOTHING"})
    assert answer["code"] == 400
    assert answer["msg"].startswith(f"{name}: 'NOTHING' is unknown: expected some of ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/operations/nothing"),
        ("POST", "/operations/nothing/cancel"),
        ("POST", "/operations/nothing/retry"),
        ("GET", "/operations/nothing/events"),
    ],
)
async def test_what_is_not_on_record(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await asked(client, path, 404, method=method)
    assert answer == {"code": 3, "msg": "operation 'nothing' does not exist", "data": None}


# --- cancelled


async def test_a_cancel(api: FakeApi, client: httpx.AsyncClient) -> None:
    job = await running_job(api)
    answer = await asked(client, f"/operations/{job.name}/cancel", method="POST")
    assert answer["data"]["state"] == "CANCELLING"
    assert (await api.operations.end_of(job.name)).state is OperationState.CANCELLED
    again = await asked(client, f"/operations/{job.name}/cancel", 409, method="POST")
    assert (again["code"], again["msg"]) == (3, f"operation {job.name} has ended: cancelled")


async def test_a_get_cancels_nothing(api: FakeApi, client: httpx.AsyncClient) -> None:
    job = await running_job(api)
    await asked(client, f"/operations/{job.name}/cancel", 405)
    assert api.operations.get(job.name).state is OperationState.RUNNING


# --- found


@pytest.mark.parametrize("interval", ["-1", "61", "nan", "x"])
async def test_an_interval_out_of_range(
    api: FakeApi, client: httpx.AsyncClient, interval: str
) -> None:
    job = await running_job(api)
    path = f"/operations/{job.name}/events"
    answer = await asked(client, path, 400, params={"min_interval": interval})
    assert answer["error"].startswith("invalid request: min_interval: expected ")


async def test_a_create_over_http_is_found_by_the_id_of_its_call(
    api: FakeApi, client: httpx.AsyncClient
) -> None:
    body = {"backup_name": "b", "async": True, "requestId": "mine"}
    await client.post("/create", json=body)
    ((request, caller),) = api.create.asked
    assert (request.task_id, request.request_id, caller.origin.value) == ("mine", "", "http")
