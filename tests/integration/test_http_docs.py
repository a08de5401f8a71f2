"""The API page: complete without a network, over a document that is true."""

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from milvus_backup_server.http.application import build_api
from milvus_backup_server.http.bodies import CreateBody, RestoreBody, RestoreSecondaryBody
from milvus_backup_server.http.create_request import create_request
from milvus_backup_server.http.restore_request import restore_request
from tests.support.fake_use_cases import serving_fakes
from tests.support.http_service import OPTIONS, http_client

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving_fakes() as api, http_client(api.use_cases) as found:
        yield found


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    nobody: Any = None  # the document asks no use case
    return build_api(nobody, OPTIONS).openapi()


class Links(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found |= {value or "" for name, value in attrs if name in {"src", "href"}}


async def test_the_page_loads_only_what_this_service_has(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs/index.html")
    links = Links()
    links.feed(page.text)
    assert links.found == set(ASSETS)
    assert not re.search(r"https?:", page.text)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self';")
    assert "http" not in policy
    for name, media_type in ASSETS.items():
        asset = await client.get(f"/docs/{name}")
        assert (asset.status_code, asset.headers["content-type"]) == (200, media_type)
        assert len(asset.content) > 500


async def test_ways_to_the_page(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/"):
        answer = await client.get(path, follow_redirects=True)
        assert answer.status_code == 200
        assert str(answer.url).endswith("/api/v1/docs/index.html")


@pytest.mark.parametrize("name", ["x.js", "..%2fmain.py", "%2e%2e/main.py", "__init__.py"])
async def test_nothing_else_of_the_package_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/{name}")).status_code == 404


async def test_the_document_is_served(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    assert (await client.get("/docs/doc.json")).json() == document


async def test_the_document_says_where_the_api_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api/v1"}]
    assert document["info"]["version"] == "1.2.3"


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    found = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len(found) == 20
    for operation in found:
        assert operation["description"], operation
        assert operation["tags"], operation
        assert "422" not in operation["responses"], operation
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    if isinstance(value, list):
        for item in value:
            yield from references(item)


async def test_the_document_holds_together(document: dict[str, Any]) -> None:
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) == defined


def examples(document: dict[str, Any], path: str) -> list[Any]:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return [example["value"] for example in body["examples"].values()]


async def test_every_example_is_a_request_that_is_understood(document: dict[str, Any]) -> None:
    for value in examples(document, "/create"):
        create_request(CreateBody.model_validate(value), "")
    for value in examples(document, "/restore"):
        restore_request(RestoreBody.model_validate(value), "")
    for value in examples(document, "/restore_secondary"):
        RestoreSecondaryBody.model_validate(value)
    assert examples(document, "/create")[0] == {
        "async": True,
        "backup_name": "my_backup",
        "collection_names": ["hello_milvus"],
    }


async def test_what_is_deprecated_or_not_supported_yet_says_so(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    create, restore = schemas["CreateBody"]["properties"], schemas["RestoreBody"]["properties"]
    assert create["collection_names"]["deprecated"] is True
    for name in ("db_collections", "force", "meta_only"):
        assert create[name]["deprecated"] is True
    assert restore["skipImportDiskQuotaCheck"]["deprecated"] is True
    for properties, names in ((restore, ["ezkMapping"]),):
        for name in names:
            assert properties[name]["description"].startswith("Not supported yet"), name


async def test_how_long_restores_are_on_record_is_said(document: dict[str, Any]) -> None:
    said = document["paths"]["/get_restore"]["get"]["description"]
    assert "Ended restores are on record up to the bounds" in said
