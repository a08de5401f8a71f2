"""What is sent wrong is refused with the field's name, and nothing is touched."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from starlette.requests import Request

from milvus_backup_server.domain import errors
from milvus_backup_server.http.options import API_PATH
from milvus_backup_server.http.routing import refusal
from milvus_backup_server.telemetry import configure_logging
from tests.support.fake_use_cases import FakeApi, serving_fakes
from tests.support.http_service import OPTIONS, http_client, http_port

SECRET = "hunter2 in /internal/path.py"
SMALL = replace(OPTIONS, max_body_bytes=1000)
CREATE_ERROR = "Invalid request body"
POSTS = ["/create", "/restore", "/restore_secondary"]
ROUTES = [
    ("GET", "/"),
    ("GET", f"{API_PATH}/hello"),
    ("POST", f"{API_PATH}/create"),
    ("GET", f"{API_PATH}/list"),
    ("GET", f"{API_PATH}/get_backup"),
    ("DELETE", f"{API_PATH}/delete"),
    ("POST", f"{API_PATH}/restore"),
    ("POST", f"{API_PATH}/restore_secondary"),
    ("GET", f"{API_PATH}/get_restore"),
    ("GET", f"{API_PATH}/check"),
    ("GET", f"{API_PATH}/docs/index.html"),
    ("GET", f"{API_PATH}/docs/doc.json"),
    ("GET", f"{API_PATH}/operations"),
    ("GET", f"{API_PATH}/operations/x"),
    ("POST", f"{API_PATH}/operations/x/cancel"),
    ("GET", f"{API_PATH}/operations/x/events"),
    ("GET", f"{API_PATH}/backups/x/archive"),
    ("POST", f"{API_PATH}/backups"),
    ("GET", f"{API_PATH}/nothing"),
]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(api.use_cases, SMALL) as found:
        yield found


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging("info", stream)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the client's own
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def untouched(api: FakeApi) -> bool:
    return not (api.create.asked or api.restore.asked or api.delete.asked or api.import_.asked)


def said(answer: httpx.Response) -> str:
    """Return what a refused body is told, whichever route told it."""
    assert answer.status_code == 400, answer.text
    content = answer.json()
    if "detail" in content:
        assert content["error"] == CREATE_ERROR
        return str(content["detail"])
    text = str(content["error"])
    assert text.startswith("invalid request body: ")
    return text.removeprefix("invalid request body: ")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body: is required"),
        (b"{", "the body is not JSON"),
        (b"x=1&y=2", "the body is not JSON"),
        (b"{'backup_name': 'b'}", "the body is not JSON"),
        (b'{"backup_name": "b",}', "the body is not JSON"),
        (b'{"backup_name": "b"} x', "the body is not JSON"),
        (b"null", "the body: expected an object"),
        (b"[]", "the body: expected an object"),
        (b'"b"', "the body: expected an object"),
        (b"1", "the body: expected an object"),
        (b'{"backup_name": "\xff"}', "the body is not JSON"),
        (b"[" * 900, "the body is not JSON"),
        (b"9" * 900, "the body: expected an object"),
        (b'{"backup_name": NaN}', "backup_name: expected a string"),
        (b'{"backup_name": 1e999}', "backup_name: expected a string"),
        (b'{"async": "x"}', "async: expected true or false"),
        (b'{"\\ud800": 1, "backup_name": []}', "backup_name: expected a string"),
        (b'{"BACKUP_NAME": {"a": 1}}', "backup_name: expected a string"),
        (
            b'{"backup_name": "' + b"x" * 1000 + b'"}',
            "the body is larger than 0.000953674 MiB (service.http.maxBodyMiB)",
        ),
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_bodies_that_cannot_be_read(
    api: FakeApi, client: httpx.AsyncClient, body: bytes, detail: str
) -> None:
    for path in POSTS:
        assert said(await client.post(path, content=body)) == detail
    assert untouched(api)


async def test_a_body_of_unknown_length_has_the_same_bound(api: FakeApi) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    async with (
        http_port(api.use_cases, SMALL) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        for path in POSTS:
            assert "the body is larger than" in said(await client.post(path, content=pieces()))
    assert untouched(api)


async def test_a_body_that_is_nested_too_deep(api: FakeApi) -> None:
    async with http_client(api.use_cases) as client:
        answer = await client.post("/create", content=b'{"filter":' + b"[" * 1_000_000)
        assert said(answer) == "the body is not JSON"
    assert untouched(api)


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        (
            "/create",
            '{"collection_names":[' + "1," * 40_000 + "1]}",
            "the body has more than 40000 values",
        ),
        (
            "/restore",
            '{"restorePlan":{"mapping":[{"colls":[' + "{}," * 40_000 + "{}]}]}}",
            "the body has more than 40000 values",
        ),
        (
            "/restore",
            '{"restorePlan":{"mapping":[{"colls":[' + '{"sourcee":1},' * 20_000 + "{}]}]}}",
            "the body has more than 40000 values",
        ),
        ("/create", "[" + "[]," * 40_000 + "1]", "the body has more than 40000 values"),
        (
            "/create",
            '{"db_collections":"{\\"a\\":[' + "1," * 40_000 + '1]}"}',
            "db_collections: has more than 40000 values",
        ),
        (
            "/create",
            '{"collection_names":[' + "1," * 10_000 + "1]}",
            "collection_names[0]: expected a string",
        ),
    ],
    ids=["wrong", "empty", "unknown", "lists", "text", "fewer"],
)
async def test_a_body_of_too_many_values_is_refused_before_each_is_checked(
    api: FakeApi, log: io.StringIO, path: str, body: str, detail: str
) -> None:
    async with http_client(api.use_cases) as client:
        assert said(await client.post(path, content=body)) == detail
    assert untouched(api)
    assert log.getvalue() == ""


async def test_a_body_that_holds_as_many_values_as_it_may(api: FakeApi) -> None:
    ignored = [0] * 39_997  # and three values round them
    body = {"backup_name": "b", "async": True, "restorePlan": ignored}
    async with http_client(api.use_cases) as client:
        answer = await client.post("/create", json=body)
        assert answer.json()["msg"] == "create backup is executing asynchronously"
        ignored.append(0)
        assert (
            said(await client.post("/create", json=body)) == "the body has more than 40000 values"
        )


async def test_each_unknown_field_is_told_once_and_few_of_many(
    client: httpx.AsyncClient, log: io.StringIO
) -> None:
    plan = {"mapping": [{"colls": [{"sourcee": "c"}, {"sourcee": "d"}]}]}
    for _ in range(2):
        await client.post("/restore", json={"backup_name": "b", "restorePlan": plan, "rbac": True})
    await client.post("/restore", json={f"x{number}": 1 for number in range(50)})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told = [line["field"] for line in lines if "unknown field" in line["event"]]
    assert told == ["sourcee", "sourcee", *(f"x{number}" for number in range(20))]


def test_only_create_has_the_words_of_create() -> None:
    for path, key in ((f"{API_PATH}/create", "detail"), (f"{API_PATH}/operations/create", "error")):
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        content = json.loads(bytes(refusal(Request(scope), "why").body))
        assert list(content)[-1] == key


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "text/plain", "application/x-www-form-urlencoded", "x", "a/b; c=d"],
)
async def test_a_body_is_json_whatever_its_type_says(
    api: FakeApi, client: httpx.AsyncClient, content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = b'{"backup_name": "b", "async": true}'
    answer = await client.post("/create", content=body, headers=headers)
    assert answer.json()["msg"] == "create backup is executing asynchronously"
    assert [request.backup_name for request, _ in api.create.asked] == ["b"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/create", {"backup_name": "../b"}, "backup_name"),
        ("/create", {"backup_name": "b/c"}, "backup_name"),
        ("/create", {"backup_name": "b\n"}, "backup_name"),
        ("/create", {"backup_name": "b\0"}, "backup_name"),
        ("/create", {"backup_name": "\ud800"}, "backup_name"),
        ("/create", {"backup_name": "b" * 129}, "backup_name"),
        ("/create", {"backup_name": ".milvus-backup"}, "backup_name"),
        ("/create", {"collection_names": ["../c"]}, "collection_names[0]"),
        ("/create", {"collection_names": [""]}, "collection_names[0]"),
        ("/create", {"requestId": "a b"}, "requestId"),
        ("/create", {"requestId": "\ud800"}, "requestId"),
        ("/create", {"strategy": "none"}, "strategy"),
        ("/create", {"format": "zip"}, "format"),
        ("/restore", {"backup_name": "../b"}, "backup_name"),
        ("/restore", {"backup_name": ""}, "backup_name"),
        ("/restore", {"backup_name": "b", "id": "a\nb"}, "id"),
        ("/restore", {"backup_name": "b", "collection_suffix": "/x"}, "collection_suffix"),
        (
            "/restore",
            {"backup_name": "b", "collection_renames": {"a": "../b"}},
            "collection_renames['a']",
        ),
        (
            "/restore",
            {"backup_name": "b", "collection_renames": {"\ud800": "b"}},
            "collection_renames['\\ud800']",
        ),
    ],
)
async def test_values_that_cannot_be_are_named(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    # What the use cases check themselves is theirs; these fakes refuse nothing by themselves.
    answer = await client.post(path, content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    assert answer.json()["code"] == 400
    assert answer.json()["msg"].startswith(f"{field}: "), answer.text


async def test_a_refused_request_reaches_no_use_case(
    api: FakeApi, client: httpx.AsyncClient
) -> None:
    await client.post("/create", json={"backup_name": "b", "collection_names": 3})
    await client.post("/restore", json={"backup_name": "b", "rbac": "yes"})
    assert untouched(api)


# --- pages and other names


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_every_route_is_guarded(
    api: FakeApi, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method, path in ROUTES:
        url = f"http://localhost:8080{path}"
        answer = await client.request(method, url, headers=headers, content=b"{}")
        assert answer.status_code == 403, path
        assert list(answer.json()) == ["error"]
    assert untouched(api)


async def test_there_is_no_cors(client: httpx.AsyncClient) -> None:
    own = {"Origin": "http://localhost:8080"}
    answer = await client.get("/hello", headers=own)
    assert answer.status_code == 200
    preflight = {**own, "Access-Control-Request-Method": "POST"}
    asked = await client.options("/create", headers=preflight)
    assert asked.status_code == 405
    for found in (answer, asked):
        assert not [name for name in found.headers if name.startswith("access-control")]


async def test_nothing_changes_on_a_get(api: FakeApi, client: httpx.AsyncClient) -> None:
    changing = [(method, path) for method, path in ROUTES if method != "GET"]
    assert len(changing) == 6
    for method, path in changing:
        answer = await client.get(f"http://localhost:8080{path}", params={"backup_name": "b"})
        assert answer.status_code == 405
        assert answer.headers["allow"] == method
        assert list(answer.json()) == ["error"]
    assert untouched(api)


# --- faults


@pytest.mark.parametrize(
    ("error", "status", "answer"),
    [
        (errors.BackupNotFound("b"), 200, {"code": 3, "msg": "backup 'b' does not exist"}),
        (errors.OperationConflict("in the way"), 200, {"code": 3, "msg": "in the way"}),
        (errors.StorageUnavailable("it is away"), 200, {"code": 3, "msg": "it is away"}),
        (errors.ServerStopping("stopping"), 200, {"code": 3, "msg": "stopping"}),
        (
            ValueError(SECRET),
            500,
            {"code": 3, "msg": "internal error; the log of the service has the details"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_failure_is_an_answer(
    api: FakeApi,
    client: httpx.AsyncClient,
    error: Exception,
    status: int,
    answer: dict[str, Any],
) -> None:
    api.create.error = error
    body = {"backup_name": "b", "requestId": "r"}
    found = await client.post("/create", json=body)
    assert found.status_code == status
    assert found.json() == {"requestId": "r", **answer, "data": None}


async def test_nothing_of_our_insides_reaches_a_caller(
    api: FakeApi, client: httpx.AsyncClient, log: io.StringIO
) -> None:
    for error in (ValueError(SECRET), errors.ObjectChanged(SECRET, key=SECRET)):
        api.create.error = error
        found = await client.post("/create", json={"backup_name": "b"})
        assert "hunter2" not in found.text + str(found.headers)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["error", "error"]
    assert all("hunter2" in line["exception"] for line in lines)


async def test_a_failed_request_is_one_line_without_what_was_sent(
    api: FakeApi, client: httpx.AsyncClient, log: io.StringIO
) -> None:
    api.create.error = errors.BackupAlreadyExists("nightly")
    body = {"backup_name": "nightly", "collection_names": ["hunter2"]}
    await client.post("/create?token=hunter2", json=body, headers={"Authorization": "hunter2"})
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["level"], line["reason"]) == ("info", "BACKUP_ALREADY_EXISTS")
    assert (line["route"], line["code"]) == ("POST /create", 3)
    assert line["peer"]
    assert "hunter2" not in log.getvalue()


async def test_a_request_that_goes_well_leaves_no_line(
    client: httpx.AsyncClient, log: io.StringIO
) -> None:
    await client.get("/hello")
    assert log.getvalue() == ""
