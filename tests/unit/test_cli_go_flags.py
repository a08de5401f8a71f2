"""The Go tool's flags: its spelling, those that it removed, those that are still to come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1.backup_pb2 import (
    BACKUP_STRATEGY_AUTO,
    BACKUP_STRATEGY_BULK_FLUSH,
    BACKUP_STRATEGY_META_ONLY,
    BACKUP_STRATEGY_SERIAL_FLUSH,
    BACKUP_STRATEGY_SKIP_FLUSH,
)
from milvus_backup.v1.backup_service_pb2 import (
    RESTORE_ALIASES_ALL,
    RESTORE_ALIASES_NONE,
    RESTORE_LOAD_AS_BACKED_UP,
    RESTORE_LOAD_NONE,
    CollectionMapping,
    CreateBackupRequest,
    RestoreBackupRequest,
    SkipParams,
)
from tests.support.command_line import run
from tests.support.scripted_service import ScriptedService, serving

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("create --colls a", "--colls was removed in 0.6, use --filter coll,db.coll"),
        ("create -c a", "--colls was removed in 0.6, use --filter coll,db.coll"),
        ("create --databases a", "--databases was removed in 0.6, use --filter 'db.*'"),
        ("create -d a", "--databases was removed in 0.6, use --filter 'db.*'"),
        (
            "create --database_collections {}",
            "--database_collections was removed in 0.6, use --filter db.coll,'db2.*'",
        ),
        (
            "create -a {}",
            "--database_collections was removed in 0.6, use --filter db.coll,'db2.*'",
        ),
        ("create --force", "--force was removed in 0.6, use --strategy skip_flush"),
        ("create -f -n x", "--force was removed in 0.6, use --strategy skip_flush"),
        ("create --force=false", "--force was removed in 0.6, use --strategy skip_flush"),
        ("create --meta_only", "--meta_only was removed in 0.6, use --strategy meta_only"),
        ("restore --collections a", "--collections was removed in 0.6, use --filter coll,db.coll"),
        ("restore -c a", "--collections was removed in 0.6, use --filter coll,db.coll"),
        ("restore -d a", "--databases was removed in 0.6, use --filter 'db.*'"),
        (
            "restore -n x -a {}",
            "--database_collections was removed in 0.6, use --filter db.coll,'db2.*'",
        ),
        (
            "restore -n x --restore_index",
            "--restore_index was removed in 0.6, use --rebuild_index",
        ),
        (
            "list --collection a",
            "--collection was removed in 0.6, use get, which shows the collections of a backup",
        ),
        (
            "list -c a",
            "--collection was removed in 0.6, use get, which shows the collections of a backup",
        ),
        ("get -n x --detail", "--detail was removed in 0.6, use nothing: all is shown"),
        ("get -n x -d", "--detail was removed in 0.6, use nothing: all is shown"),
        (
            "create --strategy snapshot",
            "--strategy snapshot is not a strategy, use --format snapshot",
        ),
        (
            "create --strategy fast",
            "--strategy fast is none of auto, serial_flush, bulk_flush, skip_flush, meta_only",
        ),
        ("create --format tar", "--format tar is none of auto, binlog, snapshot"),
        (
            "restore -n x -s _y -r a:b",
            "--suffix and --rename exclude each other",
        ),
        (
            "restore -n x --drop_exist_collection --skip_create_collection",
            "--drop_exist_collection and --skip_create_collection exclude each other",
        ),
        ("create --format snapshot", "not supported yet: --format snapshot"),
        (
            "create --rbac --backup_index_extra",
            (
                "--backup_index_extra is refused: only restores into a secondary cluster need it, and these are "
                "not made by this service"
            ),
        ),
        ("restore -n=", "Missing option '-n' / '--name'; see milvus-backup restore --help"),
        ("get --name=", "Missing option '-n' / '--name'; see milvus-backup get --help"),
    ],
)
async def test_flags_that_are_refused_name_what_to_use(words: str, fault: str) -> None:
    done = await run(NOBODY, *words.split())  # nobody listens: it is refused before any call
    assert (done.stdout, done.stderr, done.exit_code) == ("", f"Error: {fault}\n", 2)


@pytest.fixture
async def service() -> ScriptedService:
    service = ScriptedService()
    for method in ("CreateBackup", "RestoreBackup", "WatchOperation"):
        service.on(method, pb.Operation(name="op_1", state=pb.OPERATION_STATE_SUCCEEDED))
    return service


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


@pytest.mark.parametrize(
    "words",
    [
        "create -n x",
        "create -n=x",
        "create -nx",
        "create --name x",
        "create --name=x --strategy auto --format binlog",
        "create -n x --strategy= --format=",
        "create -n x --format auto --rbac=false --backup_index_extra=0",
        "create -n x --backup-index-extra=F --filter=",
    ],
)
async def test_ways_to_write_a_create(service: ScriptedService, address: str, words: str) -> None:
    done = await run(address, *words.split())
    assert (done.stderr, done.exit_code) == ("", 0)
    (request,) = service.requests["CreateBackup"]
    assert (request.backup_name, list(request.collections)) == ("x", [])


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("", CreateBackupRequest()),
        ("--strategy auto", CreateBackupRequest(strategy=BACKUP_STRATEGY_AUTO)),
        ("--strategy serial_flush", CreateBackupRequest(strategy=BACKUP_STRATEGY_SERIAL_FLUSH)),
        ("--strategy bulk_flush", CreateBackupRequest(strategy=BACKUP_STRATEGY_BULK_FLUSH)),
        ("--strategy skip_flush", CreateBackupRequest(strategy=BACKUP_STRATEGY_SKIP_FLUSH)),
        ("--strategy=meta_only", CreateBackupRequest(strategy=BACKUP_STRATEGY_META_ONLY)),
        ("--rbac --pause-gc", CreateBackupRequest(rbac=True, pause_gc=True)),
        ("--gc-pause-seconds 60", CreateBackupRequest(gc_pause_seconds=60)),
        ("--allow-partial", CreateBackupRequest(allow_partial=True)),
    ],
)
async def test_options_of_a_create(
    service: ScriptedService, address: str, words: str, asked: CreateBackupRequest
) -> None:
    done = await run(address, "create", "-n", "x", *words.split())
    assert (done.stderr, done.exit_code) == ("", 0)
    (request,) = service.requests["CreateBackup"]
    request.ClearField("request_id")
    asked.backup_name = "x"
    assert request == asked


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("", {}),
        ("--rebuild_index --use_auto_index", {"restore_indexes": True, "use_auto_index": True}),
        ("--meta_only", {"meta_only": True}),
        ("--rbac=true --use_v2_restore", {"rbac": True}),
        ("--max-shards 2", {"max_shard_count": 2}),
        ("--drop_exist_collection", {"drop_existing_collections": True}),
        (
            "--skip_create_collection --drop_exist_index",
            {"skip_create_collections": True, "drop_existing_indexes": True},
        ),
        ("--truncate-to-checkpoints", {"truncate_to_checkpoints": True}),
        (
            "--aliases all --load as-backed-up --replicas 2",
            {
                "aliases": RESTORE_ALIASES_ALL,
                "load": RESTORE_LOAD_AS_BACKED_UP,
                "replica_count": 2,
            },
        ),
        (
            "--aliases none --load none",
            {"aliases": RESTORE_ALIASES_NONE, "load": RESTORE_LOAD_NONE},
        ),
        (
            (
                "--skip-collection-properties a,b --skip-field-type-params c"
                " --skip-field-index-params d --skip-index-params=e"
            ),
            {
                "skip_params": SkipParams(
                    collection_properties=["a", "b"],
                    field_type_params=["c"],
                    field_index_params=["d"],
                    index_params=["e"],
                )
            },
        ),
    ],
)
async def test_flags_of_how_collections_are_made(
    service: ScriptedService, address: str, words: str, fields: dict[str, Any]
) -> None:
    done = await run(address, "restore", "-n", "x", "--request-id", "r", *words.split())
    assert (done.stderr, done.exit_code) == ("", 0)
    (request,) = service.requests["RestoreBackup"]
    assert request == RestoreBackupRequest(backup_name="x", request_id="r", **fields)


@pytest.mark.parametrize(
    ("words", "rebuild_index"),
    [
        ("restore -n x --rebuild_index", True),
        ("restore --rebuild_index -n x", True),
        ("restore --rebuild-index=true -n x", True),
        ("restore -n x --rebuild_index=1", True),
        ("restore -n x --rebuild_index=false", False),
        ("restore -n x --use_v2_restore=false --meta_only=False", False),
        ("restore -n=x -s= -r=", False),
    ],
)
async def test_ways_to_write_a_restore(
    service: ScriptedService, address: str, words: str, *, rebuild_index: bool
) -> None:
    done = await run(address, *words.split())
    assert (done.stderr, done.exit_code) == ("", 0)
    (request,) = service.requests["RestoreBackup"]
    assert (request.backup_name, request.suffix) == ("x", "")
    assert request.restore_indexes is rebuild_index


async def test_mappings(service: ScriptedService, address: str) -> None:
    done = await run(
        address,
        *("restore", "-n", "x", "--map", "a:b", "--map", "db.*:db2.*"),
        *("--map", "a:shop.b shards=2 description='of May: a copy'"),
    )
    assert (done.stderr, done.exit_code) == ("", 0)
    (request,) = service.requests["RestoreBackup"]
    assert list(request.mappings) == [
        CollectionMapping(source="a", target="b"),
        CollectionMapping(source="db.*", target="db2.*"),
        CollectionMapping(source="a", target="shop.b", shard_count=2, description="of May: a copy"),
    ]


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":b", "a:b:c", "a:b shards", "a:b shards=x", "a:b x=1", "a:b 'x"]
)
async def test_what_is_no_mapping(text: str) -> None:
    done = await run(NOBODY, "restore", "-n", "x", "--map", text)
    right = "old:new, with shards=N and description='...' behind it"
    assert (done.exit_code, right in done.stderr) == (2, True)
    both = await run(NOBODY, "restore", "-n", "x", "--map", "a:b", "-s", "_r")
    assert both.stderr == "Error: --suffix and --map exclude each other\n"
