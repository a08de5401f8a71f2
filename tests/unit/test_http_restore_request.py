"""What a body of `/restore` asks of the use case: precedence, names, and what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.renaming import CollectionMapping as M
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)
from milvus_backup_server.http.bodies import RestoreBody
from milvus_backup_server.http.restore_request import restore_request

NAMES_RULE = (
    "is not understood: expected collection, database.collection, database.* (all of its "
    "collections) or database. (itself alone), each name of letters, digits and _, no digit first"
)
NOT_YET = "is not supported yet"
BETWEEN = "is not between 1 and 1024; 0 for no own choice"
NO_NAME = "a collection's name is empty"


def restore(body: Mapping[str, Any], task_id: str = "") -> RestoreRequest:
    whole = {"backup_name": "b", **body}
    return restore_request(RestoreBody.model_validate(whole), task_id).request


def refused(body: Mapping[str, Any], task_id: str = "") -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        restore(body, task_id)
    return [(fault.field, fault.description) for fault in caught.value.violations]


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
        ({"bucket_name": "archive", "path": "a/b"}, {"place": Place("archive", "a/b")}),
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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"metaOnly": True}, {"meta_only": True}),
        ({"useAutoIndex": True}, {"use_auto_index": True}),
        ({"dropExistCollection": True}, {"drop_existing_collections": True}),
        ({"skipCreateCollection": True}, {"skip_create_collections": True}),
        ({"dropExistIndex": True}, {"drop_existing_indexes": True}),
        ({"truncateBinlogByTs": True}, {"truncate_to_checkpoints": True}),
        ({"aliases": "all"}, {"aliases": AliasMode.ALL}),
        (
            {"load": "as_backed_up", "replicaNum": 2},
            {"load": LoadMode.AS_BACKED_UP, "replica_count": 2},
        ),
        ({"rbac": True}, {"rbac": True}),
        ({"maxShardNum": 2}, {"max_shard_count": 2}),
        (
            {
                "skipParams": {
                    "collectionProperties": ["p"],
                    "fieldIndexParams": ["q"],
                    "fieldTypeParams": ["r"],
                    "indexParams": ["s", "t"],
                }
            },
            {
                "skip_params": SkipParams(
                    collection_properties=("p",),
                    field_index_params=("q",),
                    field_type_params=("r",),
                    index_params=("s", "t"),
                )
            },
        ),
    ],
)
def test_how_collections_are_made(body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert restore(body) == RestoreRequest("b", options=RestoreOptions(**expected))


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
        (
            {"bucket_name": "x/y"},
            [("bucket_name", "is no name of a bucket: expected letters, digits, ., _ and -")],
        ),
        (
            {"dropExistCollection": True, "skipCreateCollection": True},
            [
                (
                    "dropExistCollection",
                    "cannot be combined with skipCreateCollection; give one of them",
                )
            ],
        ),
        ({"maxShardNum": -2}, [("maxShardNum", f"-2 {BETWEEN}")]),
        (
            {"skipParams": {"fieldTypeParams": ["p", "dim"], "indexParams": [""]}},
            [
                ("skipParams.indexParams[0]", "the name is empty"),
                (
                    "skipParams.fieldTypeParams[1]",
                    "Milvus makes no field without its 'dim'; leave it out of this list",
                ),
            ],
        ),
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
                        "db.* to db2.*, or db. to db2., each name of letters, digits and _, no digit first"
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
            plan(("c1", ""), (" ", "c2")),
            [
                ("restorePlan.mapping[0].colls[0].target", NO_NAME),
                ("restorePlan.mapping[0].colls[1].source", NO_NAME),
            ],
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
    assert refused(body) == faults


def test_names_in_a_plan_that_cannot_be_are_named_by_their_place() -> None:
    fields = {field for field, _ in refused(plan(("c1", "../c2"), source=""))}
    assert fields == {"restorePlan.mapping[0].colls[0]"}


def test_a_restore_needs_a_name() -> None:
    ((field, said),) = refused({"backup_name": ""})
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
