"""Requests that nobody thought of: no answer of 5xx, and every answer as the API document says."""

import string
from collections.abc import Iterator
from typing import Any

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
from tests.support.http_service import OPTIONS
from tests.support.http_thread import http_in_a_thread

_nobody: Any = None  # the document asks no use case
schema = schemathesis.openapi.from_dict(build_api(_nobody, OPTIONS).openapi())
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
MANY = settings(FEW, max_examples=60)
BODIES = {
    "create": CreateBody,
    "restore": RestoreBody,
    "restore_secondary": RestoreSecondaryBody,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http_in_a_thread() as found:
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as found:
        yield found


@schema.parametrize()
@FEW
def test_every_answer_is_as_the_document_says(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=30)


# --- what no document describes

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
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
        assert content["error"]


@pytest.mark.parametrize("route", BODIES)
@given(data=st.data())
@MANY
def test_bodies_of_known_keys_and_any_values(
    client: httpx.Client, route: str, data: st.DataObject
) -> None:
    body = data.draw(st.dictionaries(keys(BODIES[route]), ANY_JSON | NAMES, max_size=5))
    sound(client.post(f"/{route}", json=body))


@pytest.mark.parametrize("route", BODIES)
@given(body=st.binary(max_size=200) | st.text(string.printable, max_size=200).map(str.encode))
@MANY
def test_bodies_of_any_bytes(client: httpx.Client, route: str, body: bytes) -> None:
    sound(client.post(f"/{route}", content=body))


VALUES = st.text(max_size=30) | NAMES


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/list"),
        ("GET", "/get_backup"),
        ("DELETE", "/delete"),
        ("GET", "/get_restore"),
        ("GET", "/operations"),
    ],
)
@given(
    query=st.dictionaries(
        st.sampled_from(
            ["collection_name", "backup_id", "path", "bucket_name", "id", "kind", "state"]
            + ["backup_name", "page_size", "page_token"]
        ),
        st.text(max_size=30) | st.sampled_from(["../x", "", "a" * 300, "0", "-1", "RUNNING"]),
        max_size=4,
    )
)
@FEW
def test_parameters_of_any_text(
    client: httpx.Client, method: str, path: str, query: dict[str, str]
) -> None:
    sound(client.request(method, path, params=query))


@given(header=st.binary(max_size=50).filter(lambda value: not set(value) & {0, 10, 13}))
@FEW
def test_headers_of_any_bytes(client: httpx.Client, header: bytes) -> None:
    answer = client.get("/list", headers={b"request_id": header.strip()})
    sound(answer)


@pytest.mark.parametrize("path", ["/operations", "/backups", "/docs"])
@given(rest=st.text(min_size=1, max_size=30))
@FEW
def test_paths_of_any_text(client: httpx.Client, path: str, rest: str) -> None:
    answer = client.get(httpx.URL(str(client.base_url)).join(f".{path}/").raw_path.decode())
    assert answer.status_code < 500
    answer = client.get(f"{path}/{httpx.QueryParams({'x': rest})['x']!s}".replace("?", "%3F"))
    assert answer.status_code < 500
