"""Cases of the routes of restores."""

from typing import Any, Final

from tests.support.http_cases import API, MADE_ID, NEVER, NOW, UUID, Call, Case, text
from tests.support.http_cases_creates import NOT_ALLOWED, NOT_YET, creating
from tests.support.service import World

RESTORE: Final = f"{API}/restore"
MADE: Final = (creating(collection_names=["hello_milvus"]),)
MADE_ALL: Final = (creating(),)
EVERYTHING: Final = {"backup_name": "my_backup", "collection_suffix": "_recover"}


def restoring(**fields: Any) -> Call:
    return Call("POST", RESTORE, {"backup_name": "my_backup", **fields})


def collection(database: str, name: str) -> dict[str, Any]:
    """What is told of a collection that was restored."""
    return {
        "state_code": 2,
        "start_time": NOW,
        "end_time": NOW,
        "progress": 100,
        "target_db_name": database,
        "target_collection_name": name,
    }


def done(*targets: tuple[str, str], id_: Any = MADE_ID) -> dict[str, Any]:
    """What is told of a restore that went well."""
    return {
        "id": id_,
        "state_code": 2,
        "start_time": NOW,
        "end_time": NOW,
        "progress": 100,
        "collection_restore_tasks": [collection(*target) for target in targets],
    }


def told(*targets: tuple[str, str]) -> dict[str, Any]:
    return {"requestId": UUID, "msg": "success", "data": done(*targets)}


def refused(msg: Any, code: int = 400) -> dict[str, Any]:
    return {"code": code, "msg": msg, "data": None}


def _refused_field(name: str, value: Any) -> Case:
    return Case(f"{name} is refused", restoring(**{name: value}), refused(f"{name}: {NOT_YET}"))


def _plan(*colls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"mapping": [{"source": "default", "target": "db2", "colls": list(colls), **more}]}


async def let_imports_fail(world: World) -> None:
    """Have the next import fail."""
    world.milvus.imports.faults.append("the disk of Milvus is full")


async def _hold_imports(world: World) -> None:
    world.milvus.imports.gate.clear()


_SAME: Final = {"target": "hello_milvus"}
_HELLO: Final = {"source": "hello_milvus", "target": "renamed"}

RESTORES: Final = [
    Case(
        "the tutorial's call",
        restoring(
            **{"async": True},
            collection_names=["hello_milvus"],
            collection_suffix="_recover",
        ),
        {
            "requestId": UUID,
            "msg": "restore backup is executing asynchronously",
            "data": {
                "id": MADE_ID,
                "state_code": 0,
                "start_time": NOW,
                "end_time": NEVER,
                "progress": 1,
            },
        },
        before=MADE,
    ),
    Case(
        "a call that waits, with ids of its own",
        restoring(requestId="r", id="restore-1", collection_suffix="_recover", **{"async": False}),
        {
            "requestId": "r",
            "msg": "success",
            "data": done(("default", "hello_milvus_recover"), id_="restore-1"),
        },
        before=MADE,
    ),
    Case(
        "new names, which win over the suffix, with indexes",
        restoring(
            collection_renames={"hello_milvus": "db2.renamed"},
            collection_suffix="_recover",
            restoreIndex=True,
        ),
        told(("db2", "renamed")),
        before=MADE,
    ),
    Case(
        "some of the collections",
        restoring(db_collections={"shop": [], "default": ["hello_milvus"]}, collection_suffix="_r"),
        told(("default", "hello_milvus_r"), ("shop", "orders_r")),
        before=MADE_ALL,
    ),
    Case(
        "some of the collections, as the text of an object, which wins over the names",
        restoring(
            db_collections='{"":["hello_milvus"]}',
            collection_names=["shop.orders"],
            collection_suffix="_r",
        ),
        told(("default", "hello_milvus_r")),
        before=MADE_ALL,
    ),
    Case(
        "some of the collections by their new names",
        restoring(
            db_collections_after_rename={"shop": ["orders_r"]},
            collection_suffix="_r",
        ),
        told(("shop", "orders_r")),
        before=MADE_ALL,
    ),
    Case(
        "the same as text",
        restoring(
            db_collections_after_rename='{"shop":["orders_r"]}',
            collection_suffix="_r",
        ),
        told(("shop", "orders_r")),
        before=MADE_ALL,
    ),
    Case(
        "a plan without a filter restores what it maps",
        restoring(restorePlan=_plan(_HELLO)),
        told(("db2", "renamed")),
        before=MADE_ALL,
    ),
    Case(
        "a plan gives a collection two targets, one with other shards and another description",
        restoring(
            restorePlan=_plan(
                _HELLO,
                {**_HELLO, "target": "wide", "override": {"shardNum": 2, "description": "d"}},
                withProp=True,
            )
        ),
        told(("db2", "renamed"), ("db2", "wide")),
        before=MADE_ALL,
    ),
    Case(
        "a plan of a whole database",
        restoring(restorePlan={"mapping": [{"source": "shop", "target": "db3"}]}),
        told(("db3", "orders")),
        before=MADE_ALL,
    ),
    Case(
        "a plan with a filter restores what that names",
        restoring(
            restorePlan={
                "mapping": [
                    {
                        "source": "default",
                        "target": "db2",
                        "colls": [_HELLO],
                    },
                    {
                        "source": "shop",
                        "target": "db3",
                        "colls": [{"source": "orders", "target": "orders"}],
                    },
                ],
                "filter": {"db3": {"colls": ["*"]}},
            }
        ),
        told(("db3", "orders")),
        before=MADE_ALL,
    ),
    Case(
        "what has no effect here",
        restoring(skipImportDiskQuotaCheck=True, useV2Restore=True, collection_suffix="_r"),
        told(("default", "hello_milvus_r")),
        before=MADE,
    ),
    _refused_field("ezkMapping", {"old": "new"}),
    *(
        Case(
            f"a {name} that the operator does not allow",
            restoring(**{name: "x"}),
            refused(text(f"{name}: {NOT_ALLOWED}")),
            before=MADE,
        )
        for name in ("bucket_name", "path")
    ),
    Case(
        "how collections are made",
        restoring(
            collection_suffix="_r",
            metaOnly=True,
            restoreIndex=True,
            useAutoIndex=True,
            maxShardNum=1,
            skipParams={
                "collectionProperties": ["collection.ttl.seconds"],
                "fieldIndexParams": ["x"],
                "fieldTypeParams": ["x"],
                "indexParams": ["nlist"],
            },
        ),
        told(("default", "hello_milvus_r")),
        before=MADE,
    ),
    Case(
        "a collection that is there is replaced",
        restoring(dropExistCollection=True, restoreIndex=True, load="all", aliases="none"),
        told(("default", "hello_milvus")),
        before=MADE,
    ),
    Case(
        "a collection that is there is filled, and gets its indexes anew",
        restoring(
            collection_renames={"hello_milvus": "twin"},
            skipCreateCollection=True,
            dropExistIndex=True,
            restoreIndex=True,
        ),
        told(("default", "twin")),
        before=(*MADE, restoring(collection_renames={"hello_milvus": "twin"}, metaOnly=True)),
    ),
    Case(
        "checkpoints that were not recorded, where a moment was",
        restoring(collection_suffix="_r", truncateBinlogByTs=True),
        told(("default", "hello_milvus_r")),
        before=MADE,
    ),
    Case(
        "choices that there are not",
        restoring(collection_suffix="_r", load="some", aliases="x", replicaNum=-1),
        refused(
            "aliases: 'x' is unknown: expected one of kept_names, all, none; "
            "load: 'some' is unknown: expected one of none, as_backed_up, all; "
            "replicaNum: -1 is not between 1 and 1024; 0 for no own choice"
        ),
    ),
    Case(
        "what would help is named as a body has it",
        restoring(collection_suffix="_r", load="all"),
        refused(
            "default.hello_milvus_r could not be loaded: its field 'v' would have no index, which "
            "Milvus needs; restoreIndex makes those that the backup has",
            3,
        ),
        before=MADE,
    ),
    Case(
        "users and roles",
        restoring(collection_suffix="_r", rbac=True),
        refused(text("restoring users, roles and grants needs Milvus 2.4.9 or later"), 3),
        before=MADE,
    ),
    Case(
        "a target that is there",
        restoring(),
        refused("collection 'default.hello_milvus' already exists", 3),
        before=MADE,
    ),
    Case(
        "a backup that is not there",
        restoring(),
        refused("backup 'my_backup' does not exist"),
    ),
    Case(
        "no name",
        Call("POST", RESTORE, {}),
        refused(text("backup_name: is required")),
    ),
    Case(
        "a suffix with other characters",
        restoring(collection_suffix="-x"),
        refused("collection_suffix: may have only letters, digits and _"),
    ),
    Case(
        "all that stands in the way, by the names of the body",
        restoring(
            restorePlan={
                "mapping": [
                    {"source": "gone", "target": "db3"},
                    {
                        "source": "shop",
                        "target": "default",
                        "colls": [{**_SAME, "source": "orders"}],
                    },
                ],
                "filter": {"default": {"colls": ["*"]}},
            }
        ),
        refused(
            "the backup has no database 'gone'; "
            "restorePlan.mapping[1].colls[0]: default.hello_milvus and shop.orders would both become "
            "default.hello_milvus; collection 'default.hello_milvus' already exists",
            3,
        ),
        before=MADE_ALL,
    ),
    Case(
        "a plan beside a suffix",
        restoring(restorePlan=_plan(_HELLO), collection_suffix="_x"),
        refused("collection_suffix: cannot be combined with restorePlan; give one of them"),
    ),
    Case(
        "a restore that fails",
        restoring(collection_suffix="_r"),
        refused(text("the disk of Milvus is full"), 3),
        before=MADE,
        prepare=let_imports_fail,
    ),
    Case(
        "a body that is no JSON",
        Call("POST", RESTORE, "[1"),
        {"error": "invalid request body: the body is not JSON"},
        status=400,
    ),
    Case(
        "a body of wrong types",
        restoring(restoreIndex="yes"),
        {"error": "invalid request body: restoreIndex: expected true or false"},
        status=400,
    ),
]
