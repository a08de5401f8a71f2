"""Requests that nobody thought of: no answer of 5xx, and every answer as the API document says."""

import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from milvus_backup_server.http.application import build_api
from milvus_backup_server.http.bodies import CreateBody, RestoreBody, RestoreSecondaryBody
from tests.support.http_service import OPTIONS, http_port
from tests.support.service_thread import in_a_thread

_nobody: Any = None  # the document asks no use case
# Every bound of every field in turn would take half a minute: the tables of cases have them.
config = schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": False}}})
# Archives are no JSON: how they are refused has tests of its own.
schema = schemathesis.openapi.from_dict(
    build_api(_nobody, OPTIONS).openapi(), config=config
).exclude(method="POST", path="/backups")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FEW = settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
MANY = settings(FEW, max_examples=15)
BODIES: dict[str, type[CreateBody | RestoreBody | RestoreSecondaryBody]] = {
    "create": CreateBody,
    "restore": RestoreBody,
    "restore_secondary": RestoreSecondaryBody,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_a_thread(http_port) as found:
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as found:
        yield found


@schema.parametrize()
@FEW
def test_every_answer_is_as_the_document_says(case: Any, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=60)


# --- what no document describes

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["my_backup", "hello_milvus", "default.hello_milvus", "../x", "", "a" * 300]
)


def cased(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name.upper(), name.capitalize(), name.swapcase()])


def keys(model: type[CreateBody | RestoreBody | RestoreSecondaryBody]) -> st.SearchStrategy[str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return st.sampled_from(names).flatmap(cased) | st.text(max_size=5)


def sound(answer: httpx.Response) -> None:
    """Check that an answer is none of a fault of ours."""
    assert answer.status_code in {200, 400}, (answer.status_code, answer.text)
    content = answer.json()
    if answer.status_code == 200:
        assert content.get("code", 0) in {0, 3, 400}
        assert "internal error" not in content.get("msg", "")
    else:
        assert content.get("error") or content["msg"]


@pytest.mark.parametrize("route", BODIES)
@given(data=st.data())
@MANY
def test_bodies_of_known_keys_and_any_values(
    client: httpx.Client, route: str, data: st.DataObject
) -> None:
    body = data.draw(st.dictionaries(keys(BODIES[route]), ANY_JSON | NAMES, max_size=5))
    sound(client.post(f"/{route}", json=body))


@given(
    route=st.sampled_from(list(BODIES)),
    body=st.binary(max_size=200) | st.text(string.printable, max_size=200).map(str.encode),
)
@MANY
def test_bodies_of_any_bytes(client: httpx.Client, route: str, body: bytes) -> None:
    sound(client.post(f"/{route}", content=body))


VALUES = st.text(max_size=30) | NAMES | st.sampled_from(["0", "-1", "RUNNING"])
PARAMETERS = [
    *("collection_name", "backup_name", "backup_id", "path", "bucket_name", "id"),
    *("kind", "state", "page_size", "page_token"),
]


ASKED = ["GET /list", "GET /get_backup", "DELETE /delete", "GET /get_restore", "GET /operations"]


@given(
    route=st.sampled_from(ASKED),
    query=st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=4),
)
@MANY
def test_parameters_of_any_text(client: httpx.Client, route: str, query: dict[str, str]) -> None:
    sound(client.request(*route.split(), params=query))


@given(
    header=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
)
@FEW
def test_headers_of_any_bytes(client: httpx.Client, header: str) -> None:
    sound(client.get("/list", headers={b"request_id": header.strip().encode("latin-1")}))


@pytest.mark.parametrize("path", ["/operations/{}", "/backups/{}/archive", "/docs/{}", "/{}"])
@given(rest=st.text(min_size=1, max_size=30))
@FEW
def test_paths_of_any_text(client: httpx.Client, path: str, rest: str) -> None:
    answer = client.get(path.format(quote(rest, safe="")))
    assert answer.status_code in {200, 307, 400, 404}, answer.text
