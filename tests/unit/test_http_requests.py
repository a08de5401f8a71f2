"""What bodies ask of the use cases: precedence, names, and what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.renaming import CollectionMapping as M
from milvus_backup_server.domain.requests import CreateRequest, RestoreRequest
from milvus_backup_server.http.bodies import CreateBody, RestoreBody
from milvus_backup_server.http.create_request import create_request
from milvus_backup_server.http.restore_request import restore_request

NAMES_RULE = (
    "is not understood: expected collection, database.collection, database.* (all of its "
    "collections) or database. (itself alone), each name of letters, digits and _"
)
NOT_YET = "is not supported yet"
NO_NAME = "a collection's name is empty"


def create(body: Mapping[str, Any], task_id: str = "") -> CreateRequest:
    return create_request(CreateBody.model_validate(body), task_id).request


def restore(body: Mapping[str, Any], task_id: str = "") -> RestoreRequest:
    whole = {"backup_name": "b", **body}
    return restore_request(RestoreBody.model_validate(whole), task_id).request


def refused(ask: Any, body: Mapping[str, Any], task_id: str = "") -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        ask(body, task_id)
    return [(fault.field, fault.description) for fault in caught.value.violations]


# --- create


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
        ({"force": True}, "force", NOT_YET),
        ({"meta_only": True}, "meta_only", NOT_YET),
        ({"gc_pause_enable": True}, "gc_pause_enable", NOT_YET),
        ({"gc_pause_seconds": 60}, "gc_pause_seconds", NOT_YET),
        ({"gc_pause_address": "http://x:1"}, "gc_pause_address", NOT_YET),
        ({"rbac": True}, "rbac", NOT_YET),
        ({"backup_root_path": "other"}, "backup_root_path", NOT_YET),
        ({"with_index_extra": True}, "with_index_extra", NOT_YET),
        ({"strategy": "skip_flush"}, "strategy", f"skip_flush {NOT_YET}"),
        ({"strategy": "meta_only"}, "strategy", f"meta_only {NOT_YET}"),
        ({"strategy": "bulk_flush"}, "strategy", f"bulk_flush {NOT_YET}"),
        ({"strategy": "serial_flush"}, "strategy", f"serial_flush {NOT_YET}"),
        (
            {"strategy": "Auto"},
            "strategy",
            "'Auto' is unknown: expected one of auto, meta_only, skip_flush, bulk_flush, serial_flush",
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
    assert refused(create, body) == [(field, said)]


def test_an_id_that_cannot_be_one_is_refused_by_its_name() -> None:
    ((field, said),) = refused(create, {}, "a b")
    assert field == "requestId"
    assert said == "may have at most 128 printable ASCII characters without spaces"


def test_all_faults_are_told_together() -> None:
    body = {"force": True, "rbac": True, "backup_name": "1", "collection_names": ["-"]}
    fields = [field for field, _ in refused(create, body)]
    assert fields == ["force", "rbac", "backup_name", "collection_names[0]"]


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


# --- restore


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"collection_names": ["c"]}, {"collections": ("c",)}),
        (
            {"collection_names": ["c"], "db_collections": {"db": []}},
            {"collections": ("db.*",)},
        ),
        ({"db_collections": {"": ["c"]}}, {"collections": ("default.c",)}),
        ({"collection_suffix": "_r"}, {"suffix": "_r"}),
        ({"collection_renames": {"a": "b"}}, {"renames": {"a": "b"}}),
        # renames win over the suffix
        (
            {"collection_renames": {"a": "b"}, "collection_suffix": "_r"},
            {"renames": {"a": "b"}},
        ),
        (
            {"db_collections_after_rename": {"db": ["c"], "": []}},
            {"target_collections": ("db.c", "default.*")},
        ),
        ({"restoreIndex": True}, {"restore_indexes": True}),
        ({"useV2Restore": True, "skipImportDiskQuotaCheck": True}, {}),
        (
            {
                "metaOnly": False,
                "useAutoIndex": False,
                "dropExistCollection": False,
                "dropExistIndex": False,
                "skipCreateCollection": False,
                "rbac": False,
                "maxShardNum": 0,
                "skipParams": {},
                "truncateBinlogByTs": False,
                "ezkMapping": {},
                "bucket_name": "",
                "path": "",
            },
            {},
        ),
        ({"skipParams": {"indexParams": [], "fieldTypeParams": None}}, {}),
    ],
)
def test_what_a_restore_asks_for(body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert restore(body) == RestoreRequest("b", **expected)


OVERRIDE = {"source": "c1", "target": "c2", "override": {"shardNum": 1, "description": "d"}}


def plan(*collections: tuple[str, str], filter_: Any = None, **database: Any) -> dict[str, Any]:
    colls = [{"source": source, "target": target} for source, target in collections]
    mapping = [{"source": "db1", "target": "db2", "colls": colls, **database}]
    return {"restorePlan": {"mapping": mapping, "filter": filter_}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # without a filter exactly what is mapped
        (
            plan(("c1", "c2"), ("d1", "d2")),
            {"mappings": (M("db1.c1", "db2.c2"), M("db1.d1", "db2.d2"))},
        ),
        # ... of what is asked for
        (
            {**plan(("c1", "c2")), "collection_names": ["db1.d1", "x"]},
            {"collections": ("db1.d1", "x"), "mappings": (M("db1.c1", "db2.c2"),)},
        ),
        # one source may have several targets, each its own settings
        (
            plan(("c1", "c2"), ("c1", "c3"), withProp=True),
            {"mappings": (M("db1.c1", "db2.c2"), M("db1.c1", "db2.c3"))},
        ),
        (plan(colls=[OVERRIDE]), {"mappings": (M("db1.c1", "db2.c2", 1, "d"),)}),
        # a database without collections goes with all of them; without a name it is the default one
        (plan(), {"mappings": (M("db1.*", "db2.*"),)}),
        (plan(source="", target=""), {"mappings": (M("default.*", "default.*"),)}),
        # with a filter what it names, by the new names
        (
            plan(("c1", "c2"), filter_={"db2": {"colls": ["c2"]}}),
            {"target_collections": ("db2.c2",), "mappings": (M("db1.c1", "db2.c2"),)},
        ),
        (
            {"restorePlan": {"filter": {"db1": {"colls": ["*"]}}}},
            {"target_collections": ("db1.*",)},
        ),
        (
            {**plan(("c1", "c2"), filter_={"db2": {"colls": ["*"]}}), "collection_names": ["x"]},
            {
                "collections": ("x",),
                "target_collections": ("db2.*",),
                "mappings": (M("db1.c1", "db2.c2"),),
            },
        ),
    ],
)
def test_what_a_plan_asks_for(body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert restore(body) == RestoreRequest("b", **expected)


NOT_COMBINED = "cannot be combined with restorePlan; give one of them"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"bucket_name": "x"}, [("bucket_name", NOT_YET)]),
        ({"path": "x"}, [("path", NOT_YET)]),
        ({"metaOnly": True}, [("metaOnly", NOT_YET)]),
        ({"useAutoIndex": True}, [("useAutoIndex", NOT_YET)]),
        ({"dropExistCollection": True}, [("dropExistCollection", NOT_YET)]),
        ({"dropExistIndex": True}, [("dropExistIndex", NOT_YET)]),
        ({"skipCreateCollection": True}, [("skipCreateCollection", NOT_YET)]),
        (
            {"dropExistCollection": True, "skipCreateCollection": True},
            [
                ("dropExistCollection", "cannot be true together with skipCreateCollection"),
                ("dropExistCollection", NOT_YET),
                ("skipCreateCollection", NOT_YET),
            ],
        ),
        ({"rbac": True}, [("rbac", NOT_YET)]),
        ({"maxShardNum": 2}, [("maxShardNum", NOT_YET)]),
        (
            {"skipParams": {"collectionProperties": ["p"]}},
            [("skipParams.collectionProperties", NOT_YET)],
        ),
        ({"skipParams": {"fieldIndexParams": ["p"]}}, [("skipParams.fieldIndexParams", NOT_YET)]),
        ({"skipParams": {"fieldTypeParams": ["p"]}}, [("skipParams.fieldTypeParams", NOT_YET)]),
        ({"skipParams": {"indexParams": ["p"]}}, [("skipParams.indexParams", NOT_YET)]),
        ({"truncateBinlogByTs": True}, [("truncateBinlogByTs", NOT_YET)]),
        ({"ezkMapping": {"a": "b"}}, [("ezkMapping", NOT_YET)]),
        (
            {"collection_suffix": "-r"},
            [("collection_suffix", "may have only letters, digits and _")],
        ),
        (
            {"collection_suffix": "-r", "collection_renames": {"a": "b"}},
            [("collection_suffix", "may have only letters, digits and _")],
        ),
        (
            {"collection_renames": {"a": "db.*"}},
            [
                (
                    "collection_renames['a']",
                    (
                        "'a' to 'db.*' is not understood: expected old to new, db.old to db2.new, "
                        "db.* to db2.*, or db. to db2."
                    ),
                )
            ],
        ),
        ({"collection_names": ["a/b"]}, [("collection_names[0]", f"'a/b' {NAMES_RULE}")]),
        (
            {"db_collections_after_rename": {"db": ["a/b"]}},
            [("db_collections_after_rename.db[0]", f"'db.a/b' {NAMES_RULE}")],
        ),
        (
            {**plan(("c1", "c2")), "collection_suffix": "_r"},
            [("collection_suffix", NOT_COMBINED)],
        ),
        (
            {**plan(("c1", "c2")), "collection_renames": {"a": "b"}},
            [("collection_renames", NOT_COMBINED)],
        ),
        (
            {**plan(("c1", "c2")), "db_collections_after_rename": {"db": []}},
            [("db_collections_after_rename", NOT_COMBINED)],
        ),
        (
            {"restorePlan": {}},
            [("restorePlan", "maps nothing, so nothing would be restored")],
        ),
        (
            {**plan(("c1", "c2")), "collection_names": ["x/y"]},
            [("collection_names[0]", f"'x/y' {NAMES_RULE}")],
        ),
        (
            plan(colls=[{"source": "c1", "target": "c2", "override": {"shardNum": -1}}]),
            [
                (
                    "restorePlan.mapping[0].colls[0].override.shardNum",
                    "-1 is not between 1 and 1024; 0 for as in the backup",
                )
            ],
        ),
        (
            plan(("c1", "c2"), ("c1", "c2")),
            [("restorePlan.mapping[0].colls[1]", "db1.c1 to db2.c2 is mapped twice")],
        ),
        (
            plan(("c1", "c2"), filter_={}),
            [
                (
                    "restorePlan.filter",
                    "is empty and selects nothing; leave it out to select everything",
                )
            ],
        ),
    ],
)
def test_what_a_restore_refuses(body: Mapping[str, Any], faults: list[tuple[str, str]]) -> None:
    assert refused(restore, body) == faults


def test_names_in_a_plan_that_cannot_be_are_named_by_their_place() -> None:
    found = refused(restore, plan(("c1", "../c2"), ("", "c2"), ("c1", ""), ("c1", "c2")))
    assert [field for field, _ in found] == [
        f"restorePlan.mapping[0].colls[{number}]" for number in range(3)
    ]


def test_a_restore_needs_a_name() -> None:
    ((field, said),) = refused(restore, {"backup_name": ""})
    assert field == "backup_name"
    assert said.startswith("is required; ")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"collection_suffix": "_r"}, "collection_suffix"),
        ({"collection_renames": {"a": "b"}}, "collection_renames"),
        (plan(("c1", "c2")), "restorePlan"),
    ],
)
def test_targets_that_meet_are_blamed_on_what_named_them(
    body: Mapping[str, Any], name: str
) -> None:
    asked = restore_request(RestoreBody.model_validate({"backup_name": "b", **body}), "")
    with pytest.raises(InvalidRequest) as caught, asked.naming():
        raise InvalidRequest(FieldViolation("renames", "two meet"))
    assert caught.value.message == f"{name}: two meet"
