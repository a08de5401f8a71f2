"""What a body of `/create` asks of the use case: precedence, names, and what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.domain.selection import CollectionPartitions
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.http.bodies import CreateBody
from milvus_backup_server.http.create_request import create_request

NAMES_RULE = (
    "is not understood: expected collection, database.collection, database.* (all of its "
    "collections) or database. (itself alone), each name of letters, digits and _, no digit first"
)
NOT_YET = "is not supported yet"
NO_PATH = (
    "is no path: expected names between /, none of ., .., .milvus-backup, binlogs, bundle, meta, at most "
    "512 bytes"
)
NO_NAME = "a collection's name is empty"


def create(body: Mapping[str, Any], task_id: str = "") -> CreateRequest:
    return create_request(CreateBody.model_validate(body), task_id).request


def refused(body: Mapping[str, Any], task_id: str = "") -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        create(body, task_id)
    return [(fault.field, fault.description) for fault in caught.value.violations]


@pytest.mark.parametrize(
    ("body", "collections"),
    [
        ({}, ()),
        ({"collection_names": ["c", "db.d"]}, ("c", "db.d")),
        ({"collection_names": ["c", "c"]}, ("c",)),
        ({"db_collections": {"db": ["c", "d"]}}, ("db.c", "db.d")),
        ({"db_collections": {"db": []}}, ("db.*",)),
        ({"db_collections": {"": ["c"]}}, ("default.c",)),
        ({"db_collections": '{"db":["c"]}'}, ("db.c",)),
        ({"filter": {"db": {"colls": ["*"]}}}, ("db.*",)),
        ({"filter": {"db": {"colls": ["c"]}, "": {"colls": ["d"]}}}, ("db.c", "default.d")),
        ({"filter": {"db": {"colls": []}, "": {"colls": []}}}, ("db.", "default.")),
        ({"filter": {" db ": {"colls": [" c "]}}}, ("db.c",)),
        # precedence: filter, db_collections, collection_names
        (
            {
                "filter": {"f": {"colls": ["*"]}},
                "db_collections": {"d": []},
                "collection_names": ["c"],
            },
            ("f.*",),
        ),
        ({"db_collections": {"d": []}, "collection_names": ["c"]}, ("d.*",)),
        ({"db_collections": {}, "collection_names": ["c"]}, ("c",)),
        ({"filter": None, "collection_names": ["c"]}, ("c",)),
    ],
)
def test_what_a_create_selects(body: Mapping[str, Any], collections: tuple[str, ...]) -> None:
    assert create(body).collections == collections


def test_where_a_create_goes() -> None:
    body = {"backup_root_path": "team/a", "bucket_name": "archive"}
    assert create(body) == CreateRequest(place=Place("archive", "team/a"))


def test_partitions_and_the_fields_that_they_stand_in() -> None:
    body = {"partitions": {"a": ["p", "q"], "db.b": ["r"]}}
    expected = (CollectionPartitions("a", ("p", "q")), CollectionPartitions("db.b", ("r",)))
    assert create(body) == CreateRequest(partitions=expected)
    found = refused({"partitions": {"a": [], "db.*": ["r", " "]}})
    assert [field for field, _ in found] == [
        "partitions.a",
        "partitions.db.*",
        "partitions.db.*[1]",
    ]


def test_a_create_has_name_and_id_and_is_never_taken_for_another() -> None:
    assert create({"backup_name": "b"}, "id-1") == CreateRequest("b", task_id="id-1", request_id="")


@pytest.mark.parametrize(
    "body",
    [
        {
            "force": False,
            "meta_only": False,
            "gc_pause_enable": False,
            "gc_pause_seconds": 0,
            "gc_pause_address": "",
            "rbac": False,
            "backup_root_path": "",
            "bucket_name": "",
            "with_index_extra": False,
            "strategy": "",
            "format": "",
        },
        {"strategy": "auto", "format": "auto"},
        {"format": "binlog"},
    ],
)
def test_what_asks_for_nothing_is_accepted(body: Mapping[str, Any]) -> None:
    assert create(body) == CreateRequest()


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"gc_pause_seconds": -1}, "gc_pause_seconds", "-1 is no time: 0 or more is expected"),
        ({"backup_root_path": "a/../b"}, "backup_root_path", NO_PATH),
        (
            {"bucket_name": "../b"},
            "bucket_name",
            "is no name of a bucket: expected letters, digits, ., _ and -",
        ),
        (
            {"with_index_extra": True},
            "with_index_extra",
            (
                "is refused: only restores into a secondary cluster need what it reads from etcd, and these "
                "are not made by this service"
            ),
        ),
        (
            {"strategy": "Auto", "force": True},
            "strategy",
            "'Auto' is unknown: expected one of auto, serial_flush, bulk_flush, skip_flush, meta_only",
        ),
        ({"format": "snapshot"}, "format", f"snapshot {NOT_YET}"),
        (
            {"format": "tar"},
            "format",
            "'tar' is unknown: expected one of auto, binlog, snapshot",
        ),
        (
            {"filter": {}},
            "filter",
            "is empty and selects nothing; leave it out to select everything",
        ),
        ({"filter": {"db": {"colls": [" "]}}}, "filter.db.colls[0]", NO_NAME),
        ({"filter": {"db": {"colls": ["../c"]}}}, "filter.db.colls[0]", f"'db.../c' {NAMES_RULE}"),
        ({"filter": {"a/b": {"colls": ["*"]}}}, "filter.a/b.colls[0]", f"'a/b.*' {NAMES_RULE}"),
        ({"db_collections": {"db": ["c", ""]}}, "db_collections.db[1]", NO_NAME),
        ({"db_collections": {"a b": []}}, "db_collections.a b", f"'a b.*' {NAMES_RULE}"),
        ({"collection_names": ["c", "a.b.c"]}, "collection_names[1]", f"'a.b.c' {NAMES_RULE}"),
        (
            {"backup_name": "../b"},
            "backup_name",
            (
                "'../b' is not allowed: a backup name begins with a letter or _ and has only letters, "
                "digits and _, at most 128 characters"
            ),
        ),
    ],
)
def test_what_a_create_refuses(body: Mapping[str, Any], field: str, said: str) -> None:
    assert refused(body) == [(field, said)]


@pytest.mark.parametrize(
    ("body", "strategy"),
    [
        ({}, BackupStrategy.AUTO),
        ({"strategy": "auto"}, BackupStrategy.AUTO),
        ({"strategy": "serial_flush"}, BackupStrategy.SERIAL_FLUSH),
        ({"strategy": "bulk_flush"}, BackupStrategy.BULK_FLUSH),
        ({"strategy": "skip_flush"}, BackupStrategy.SKIP_FLUSH),
        ({"strategy": "meta_only"}, BackupStrategy.META_ONLY),
        ({"force": True}, BackupStrategy.SKIP_FLUSH),
        ({"meta_only": True}, BackupStrategy.META_ONLY),
        # precedence: strategy, force, meta_only
        ({"force": True, "meta_only": True}, BackupStrategy.SKIP_FLUSH),
        ({"strategy": "meta_only", "force": True}, BackupStrategy.META_ONLY),
        ({"strategy": "auto", "force": True, "meta_only": True}, BackupStrategy.AUTO),
    ],
)
def test_the_strategy_of_a_create(body: Mapping[str, Any], strategy: BackupStrategy) -> None:
    assert create(body).strategy is strategy


def test_what_else_a_create_asks_for() -> None:
    asked = create(
        {
            "gc_pause_enable": True,
            "gc_pause_seconds": 60,
            "gc_pause_address": "http://localhost:9091",
            "rbac": True,
            "allow_partial": True,
        }
    )
    assert asked == CreateRequest(
        pause_gc=True,
        gc_pause_seconds=60,
        gc_pause_address="http://localhost:9091",
        rbac=True,
        allow_partial=True,
    )


def test_an_id_that_cannot_be_one_is_refused_by_its_name() -> None:
    ((field, said),) = refused({}, "a b")
    assert field == "requestId"
    assert said == "may have at most 128 printable ASCII characters without spaces"


def test_all_faults_are_told_together() -> None:
    body = {
        "with_index_extra": True,
        "strategy": "no",
        "backup_name": "1",
        "collection_names": ["-"],
    }
    fields = [field for field, _ in refused(body)]
    assert fields == ["with_index_extra", "strategy", "backup_name", "collection_names[0]"]


def test_faults_that_a_use_case_finds_get_the_names_of_the_body() -> None:
    body = CreateBody.model_validate({"db_collections": {"db": ["c"]}})
    asked = create_request(body, "")
    found = [("collections[0]", "x"), ("task_id", "y"), ("backup_name", "z"), ("other[1]", "w")]
    with pytest.raises(InvalidRequest) as caught, asked.naming():
        raise InvalidRequest(*(FieldViolation(*fault) for fault in found))
    assert [fault.field for fault in caught.value.violations] == [
        "db_collections.db[0]",
        "requestId",
        "backup_name",
        "other[1]",
    ]
