"""A verification over HTTP and gRPC: what is asked arrives, and what was found is told."""

from typing import Any

import httpx
import pytest

from milvus_backup.v1 import verification_pb2
from milvus_backup_client import BackupClient, BinlogsNotInstalled, RowsDiffer
from milvus_backup_server.api.server import ApiServer, Endpoint
from milvus_backup_server.domain import errors
from milvus_backup_server.ports.binlogs import BinlogReader
from tests.support.http_service import http_client
from tests.support.service import Service, running
from tests.support.verifications import C, data_keys, with_backup

RESTORED = verification_pb2.VERIFY_LEVEL_RESTORED
DIFFERENT = (
    "partition '_default' of default.c is restored to other rows than its logs hold: 1 different"
)


async def verified(service: Service, client: httpx.AsyncClient, query: str = "") -> dict[str, Any]:
    answer = await client.post(f"/backups/b/verify{query}")
    assert answer.status_code == 200, answer.text
    begun = answer.json()["data"]
    assert (begun["kind"], begun["backup_name"]) == ("VERIFY_BACKUP", "b")
    assert begun["caller"]["origin"] == "HTTP"
    await service.operations.end_of(begun["name"])
    told = (await client.get(f"/operations/{begun['name']}")).json()["data"]
    assert isinstance(told, dict)
    return told


async def test_over_http() -> None:
    world = await with_backup()
    async with running(world) as service, http_client(service.use_cases) as client:
        listed = await verified(service, client)
        assert listed["state"] == "SUCCEEDED"
        assert listed["verification"] == {
            "level": "LISTING",
            "basis": "MANIFEST",
            "sound": True,
            "sample_percent": 100,
            "sample_seed": 0,
            "problem_count": 0,
            "problems": [],
            "notes": [],
        }
        assert listed["result"]["listed"] == len(await data_keys(world))
        sampled = await verified(service, client, "?level=content&sample_percent=50&sample_seed=7")
        assert sampled["verification"]["level"] == "CONTENT"
        assert sampled["verification"]["sample_seed"] == 7
        restored = await verified(service, client, "?level=restored&collections=shop.d")
        assert restored["result"]["restored_collections"] == 1
        assert restored["result"]["compared_rows"] == 3
        found = (await client.get("/backups/b/verifications")).json()["data"]
        assert all(item.pop("end_time").endswith("Z") for item in found)
        assert found[0] == {
            "level": "RESTORED",
            "sample_percent": 100,
            "restored_collections": 1,
            "some_collections": True,
            "problem_count": 0,
            "operation": restored["name"],
        }
        assert [item["level"] for item in found] == ["RESTORED", "CONTENT", "LISTING"]


async def test_what_differs_is_told_over_http() -> None:
    world = await with_backup()
    world.milvus.altered = {1}
    async with running(world) as service, http_client(service.use_cases) as client:
        told = await verified(service, client, "?level=restored&collections=c")
    assert (told["state"], told["error"]["reason"]) == ("FAILED", "ROWS_DIFFER")
    (problem,) = told["verification"]["problems"]
    partition = world.milvus.collection(C).partitions[0].partition_id
    assert problem.pop("key").endswith(f"/{partition}/")
    assert problem == {
        "kind": "ROWS",
        "message": DIFFERENT,
        "database": "default",
        "collection": "c",
        "rows": {
            "partition": "_default",
            "missing": 0,
            "extra": 0,
            "different": 1,
            "missing_keys": [],
            "extra_keys": [],
            "different_keys": ["1"],
            "unfit": 0,
            "unfit_keys": [],
            "unfit_fields": [],
        },
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("POST", "/backups/b/verify?level=loud", 400, "expected one of listing, content, restored"),
        ("POST", "/backups/b/verify?level=content&collections=c", 400, "restores nothing"),
        ("POST", "/backups/b/verify?sample_percent=200", 400, "sample_percent"),
        ("POST", "/backups/nothing/verify", 404, "nothing"),
        ("GET", "/backups/nothing/verifications", 404, "nothing"),
    ],
)
async def test_what_cannot_be_verified_is_refused(
    method: str, path: str, status: int, text: str
) -> None:
    world = await with_backup()
    async with running(world) as service, http_client(service.use_cases) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


async def test_over_grpc() -> None:
    world = await with_backup()
    world.milvus.altered = {1}

    async with running(world) as service:
        server = ApiServer(service.use_cases)
        endpoint = await server.start(Endpoint(port=0))
        try:
            async with BackupClient(endpoint.target) as client:
                begun = await client.verify_backup("b", level=RESTORED, collections=["c"])
                with pytest.raises(RowsDiffer):
                    await client.wait(begun)
                found = await client.get_operation(begun.name)
                backup = await client.get_backup("b")
        finally:
            await server.stop()
    result = found.verify_backup
    assert (result.restored_collection_count, result.compared_row_count) == (1, 7)
    (problem,) = result.problems
    assert (problem.kind, problem.message) == (verification_pb2.PROBLEM_KIND_ROWS, DIFFERENT)
    assert problem.rows == verification_pb2.RowDifference(
        partition="_default", different_count=1, different_keys=["1"]
    )
    (shown,) = backup.verifications
    assert (shown.restored_collection_count, shown.some_collections) == (1, True)


async def test_what_must_be_installed_is_said_before_anything() -> None:
    def missing() -> BinlogReader:
        text = "pip install 'milvus-backup[binlogs]'"
        raise errors.BinlogsNotInstalled(text, subject="pyarrow")

    world = await with_backup()
    async with running(world, binlogs=missing) as service:
        server = ApiServer(service.use_cases)
        endpoint = await server.start(Endpoint(port=0))
        try:
            async with BackupClient(endpoint.target) as client:
                with pytest.raises(BinlogsNotInstalled, match="pip install"):
                    await client.verify_backup("b", level=RESTORED)
        finally:
            await server.stop()
        assert not service.operations.known
