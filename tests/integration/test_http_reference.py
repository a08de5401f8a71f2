"""Every route and field of the Go tool's HTTP API: a case each, the whole answer compared."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.http.application import build_api
from tests.support import http_cases_backups as backups
from tests.support import http_cases_creates as creates
from tests.support import http_cases_get_restore as get_restore
from tests.support import http_cases_restores as restores
from tests.support.http_cases import Case, ask, missing_rows
from tests.support.http_reference import REFERENCE, Row
from tests.support.http_service import OPTIONS

CASES = [
    *backups.SERVICE,
    *creates.CREATES,
    *backups.LISTS,
    *backups.GETS,
    *backups.DELETES,
    *restores.RESTORES,
    *get_restore.GETS,
    *get_restore.SECONDARY,
]
WITHOUT_JSON = {"/", "/api/v1/docs/index.html"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.route}: {case.name}")
async def test_a_case(case: Case) -> None:
    answer = await ask(case)
    assert answer.status_code == case.status, answer.text
    if case.status == 200 and REFERENCE[case.route].text:
        assert answer.text == case.answer
        return
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == case.answer


def test_every_row_has_a_case() -> None:
    assert missing_rows(REFERENCE, CASES) == []


def test_a_row_without_a_case_is_found() -> None:
    route = "GET /api/v1/list"
    more = {
        **REFERENCE,
        route: replace(
            REFERENCE[route],
            query=("collection_name", "page"),
            headers=("x",),
            answer=("data", "data[].state"),
            refused=("error",),
        ),
        "PUT /api/v1/nothing": Row(body=("a.*.b[]",)),
    }
    assert missing_rows(more, CASES) == [
        f"{route} headers x",
        f"{route} query page",
        f"{route} answer data[].state",
        f"{route} refused error",
        "PUT /api/v1/nothing",
        "PUT /api/v1/nothing body a.*.b[]",
    ]


# --- the API document against the same table


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    use_cases: Any = None  # are not asked
    return build_api(use_cases, OPTIONS).openapi()


def fields(document: dict[str, Any], schema: dict[str, Any], path: str = "") -> set[str]:
    """Return the paths of the values of a schema that hold no others."""
    if "$ref" in schema:
        found = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return fields(document, found, path)
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        return set().union(*(fields(document, kind, path) for kind in kinds))
    if schema.get("type") == "array":
        return fields(document, schema["items"], f"{path}[]")
    if "properties" in schema:
        inner = schema["properties"].items()
        begin = f"{path}." if path else ""
        return set().union(*(fields(document, item, begin + name) for name, item in inner))
    if isinstance(schema.get("additionalProperties"), dict):
        return fields(document, schema["additionalProperties"], f"{path}.*")
    return {path}


def operation(document: dict[str, Any], route: str) -> dict[str, Any]:
    method, path = route.split()
    found: dict[str, Any] = document["paths"][path.removeprefix("/api/v1")][method.lower()]
    return found


OURS = [route for route in REFERENCE if route.split()[1] not in WITHOUT_JSON]


ADDED_TO = defaultdict(
    set,
    {
        route: {("query", "path"), ("query", "bucket_name")}
        for route in ("GET /api/v1/list", "DELETE /api/v1/delete")
    },
)
"""What callers may give that the Go tool does not have."""


@pytest.mark.parametrize("route", OURS)
def test_the_document_has_the_parameters_of_the_reference(
    document: dict[str, Any], route: str
) -> None:
    found = operation(document, route).get("parameters", [])
    row = REFERENCE[route]
    expected = {("header", name) for name in row.headers} | {("query", name) for name in row.query}
    assert {(item["in"], item["name"]) for item in found} - ADDED_TO[route] == expected


# What the Go tool does not have.
ADDED = {"allow_partial", "bucket_name", "partitions.*[]", "aliases", "load", "replicaNum"}


@pytest.mark.parametrize("route", [route for route in OURS if REFERENCE[route].body])
def test_the_document_has_the_fields_of_the_reference(document: dict[str, Any], route: str) -> None:
    body = operation(document, route)["requestBody"]["content"]["application/json"]
    expected = set(REFERENCE[route].body)
    assert fields(document, body["schema"]) - (ADDED - expected) == expected
    assert body["examples"]


@pytest.mark.parametrize("route", ["GET /api/v1/get_restore", "GET /api/v1/list"])
def test_the_document_has_the_answers_of_the_reference(
    document: dict[str, Any], route: str
) -> None:
    content = operation(document, route)["responses"]["200"]["content"]["application/json"]
    # The empty `id` of a collection is said, and never sent.
    said = fields(document, content["schema"]) - {"data.collection_restore_tasks[].id"}
    assert said == set(REFERENCE[route].answer) - {"data"}


def test_the_document_has_the_backup_of_the_reference(document: dict[str, Any]) -> None:
    content = operation(document, "GET /api/v1/get_backup")["responses"]["200"]["content"]
    said = fields(document, content["application/json"]["schema"])
    missing = set(REFERENCE["GET /api/v1/get_backup"].answer) - said - {"data"}
    # What the Go tool reads from etcd is passed on where a backup has it, and not in our records.
    index = "data.collection_backups[].index_infos[]."
    assert {path for path in missing if not path.startswith(index)} == set()
