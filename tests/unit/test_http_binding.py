"""Bodies are read as the Go tool reads them."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message
from structlog.testing import capture_logs

from milvus_backup_server.http.binding import explain, json_request
from milvus_backup_server.http.bodies import CollFilter, CreateBody, RestoreBody


def faults(model: type[CreateBody | RestoreBody], body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    return explain([{**fault, "loc": ("body", *fault["loc"])} for fault in caught.value.errors()])


@pytest.mark.parametrize(
    "body",
    [
        {"backup_name": "b", "async": True, "filter": {"Db": {"colls": ["C"]}}},
        {"BACKUP_NAME": "b", "Async": True, "Filter": {"Db": {"COLLS": ["C"]}}},
        {"Backup_Name": "b", "ASYNC": True, "fILTER": {"Db": {"Colls": ["C"]}}},
    ],
)
def test_keys_match_without_regard_to_case(body: dict[str, Any]) -> None:
    found = CreateBody.model_validate(body)
    assert (found.backup_name, found.run_async) == ("b", True)
    assert found.filter == {"Db": CollFilter(colls=["C"])}


def test_underscores_matter() -> None:
    assert CreateBody.model_validate({"backupname": "b", "BackupName": "b"}).backup_name == ""


def test_camel_case_keys_are_as_in_the_reference() -> None:
    body = {"restoreIndex": True, "restore_index": False, "useV2Restore": True}
    found = RestoreBody.model_validate(body)
    assert (found.restore_index, found.use_v2_restore) == (True, True)


def test_the_last_of_two_equal_keys_counts() -> None:
    assert CreateBody.model_validate({"backup_name": "a", "Backup_Name": "b"}).backup_name == "b"


def test_null_is_as_if_the_key_were_not_there() -> None:
    keys = [field.alias or name for name, field in CreateBody.model_fields.items()]
    assert CreateBody.model_validate(dict.fromkeys(keys)) == CreateBody()


def test_unknown_keys_are_ignored_with_a_warning_that_names_the_nearest() -> None:
    with capture_logs() as logs:
        body = {"colection_names": ["c"], "backup_name": "b", "x" * 1000: 1}
        assert CreateBody.model_validate(body).collection_names == []
    assert [line["field"] for line in logs] == ["colection_names", "x" * 100]
    assert logs[0]["nearest"] == ["collection_names"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"db1": ["c1"], "db2": []}, {"db1": ["c1"], "db2": []}),
        ('{"db1":["c1"],"db2":[]}', {"db1": ["c1"], "db2": []}),
        ({"db2": None}, {"db2": []}),
        ('{"db2":null}', {"db2": []}),
        ("", {}),
        (" ", {}),
        ({}, {}),
    ],
)
def test_db_collections_is_an_object_or_the_text_of_one(given: Any, read: Any) -> None:
    assert CreateBody.model_validate({"db_collections": given}).db_collections == read
    found = RestoreBody.model_validate({"db_collections_after_rename": given})
    assert found.db_collections_after_rename == read


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"async": "true"}, "async: expected true or false"),
        ({"async": 1}, "async: expected true or false"),
        ({"backup_name": 1}, "backup_name: expected a string"),
        ({"backup_name": ["b"]}, "backup_name: expected a string"),
        ({"collection_names": "c"}, "collection_names: expected a list"),
        ({"collection_names": ["c", 1]}, "collection_names[1]: expected a string"),
        ({"collection_names": [None]}, "collection_names[0]: expected a string"),
        ({"gc_pause_seconds": "1"}, "gc_pause_seconds: expected a whole number"),
        ({"gc_pause_seconds": 1.5}, "gc_pause_seconds: expected a whole number"),
        ({"gc_pause_seconds": True}, "gc_pause_seconds: expected a whole number"),
        ({"gc_pause_seconds": 1 << 31}, "gc_pause_seconds: expected at most 2147483647"),
        ({"gc_pause_seconds": -(1 << 31) - 1}, "gc_pause_seconds: expected at least -2147483648"),
        ({"filter": []}, "filter: expected an object"),
        ({"filter": {"db": ["c"]}}, "filter.db: expected an object"),
        ({"FILTER": {"db": {"Colls": [1]}}}, "filter.db.colls[0]: expected a string"),
        (
            {"db_collections": "c"},
            "db_collections: expected an object, or a string with the JSON of one",
        ),
        ({"db_collections": "[1]"}, "db_collections: expected an object"),
        ({"db_collections": {"db": "c"}}, "db_collections.db: expected a list"),
        (["b"], "the body: expected an object"),
        ("b", "the body: expected an object"),
        (
            {"async": 0, "backup_name": 0},
            "backup_name: expected a string; async: expected true or false",
        ),
    ],
)
def test_wrong_types_are_named_with_their_field(body: Any, said: str) -> None:
    assert faults(CreateBody, body) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"collection_renames": {"a": 1}}, "collection_renames.a: expected a string"),
        ({"maxShardNum": 1 << 31}, "maxShardNum: expected at most 2147483647"),
        ({"skipParams": {"indexParams": "x"}}, "skipParams.indexParams: expected a list"),
        (
            {"restorePlan": {"mapping": [{"colls": [{"override": {"shardNum": "1"}}]}]}},
            "restorePlan.mapping[0].colls[0].override.shardNum: expected a whole number",
        ),
    ],
)
def test_wrong_types_deep_inside(body: Any, said: str) -> None:
    assert faults(RestoreBody, body) == said


def test_no_value_is_shown() -> None:
    secret = "hunter2"
    assert secret not in faults(CreateBody, {"async": secret, "filter": secret, "force": [secret]})


async def test_a_body_that_does_not_come_is_not_waited_for_without_end() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "method": "POST", "headers": []}
    request = json_request(Request(scope, receive), max_bytes=100, seconds=0)
    with pytest.raises(HTTPException, match="the body did not arrive within 0 seconds") as caught:
        await request.json()
    assert caught.value.status_code == 408
