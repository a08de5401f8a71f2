"""The command `sweep`: what it asks for, and what it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1 import sweep_pb2
from milvus_backup.v1.operation_service_pb2 import SweepRequest
from tests.support.command_line import run
from tests.support.scripted_service import ScriptedService, serving

TORSO = sweep_pb2.Leftover(
    kind=sweep_pb2.LEFTOVER_KIND_BACKUP,
    subject="nightly",
    operation="20261122t120000_0123abcd",
    object_count=1200,
    size_bytes=5_000_000,
    state=sweep_pb2.LEFTOVER_STATE_FOUND,
)
FOREIGN = sweep_pb2.Leftover(
    kind=sweep_pb2.LEFTOVER_KIND_COLLECTION,
    subject="default._mbtmp_20261122t120000_0123abcd_0",
    state=sweep_pb2.LEFTOVER_STATE_KEPT,
    note="may be another service's",
)


def operation(state: pb.OperationState.ValueType, **result: object) -> pb.Operation:
    found = sweep_pb2.SweepResult(**result) if result else None  # type: ignore[arg-type]
    return pb.Operation(name="op_1", kind=pb.OPERATION_KIND_SWEEP, state=state, sweep=found)


@pytest.fixture
async def service() -> ScriptedService:
    made = ScriptedService()
    made.on("Sweep", operation(pb.OPERATION_STATE_PENDING))
    return made


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


def ends(service: ScriptedService, **result: object) -> None:
    service.on("WatchOperation", operation(pb.OPERATION_STATE_SUCCEEDED, **result))


async def test_it_only_looks_unless_told_otherwise(service: ScriptedService, address: str) -> None:
    ends(service, leftovers=[TORSO, FOREIGN], leftover_count=7, kept_count=1)
    result = await run(address, "sweep")
    assert result.exit_code == 0, result.output
    (request,) = service.requests["Sweep"]
    assert isinstance(request, SweepRequest)
    assert not request.apply
    assert request.min_age.seconds == 24 * 3600
    assert result.stdout.splitlines() == [
        "found: backup nightly (1,200 objects, 5.0 MB) of operation 20261122t120000_0123abcd",
        "kept: collection default._mbtmp_20261122t120000_0123abcd_0: may be another service's",
        "and 5 more",
        "7 found; --force removes what is not kept",
    ]


async def test_with_force_it_removes(service: ScriptedService, address: str) -> None:
    ends(service, applied=True, leftover_count=7, removed_count=5, kept_count=1, failed_count=1)
    result = await run(address, "sweep", "--force", "--older-than", "0.5")
    (request,) = service.requests["Sweep"]
    assert isinstance(request, SweepRequest)
    assert (request.apply, request.min_age.seconds) == (True, 1800)
    assert result.stdout.splitlines() == ["and 7 more", "5 removed, 1 kept, 1 failed"]


async def test_nothing_found_is_said(service: ScriptedService, address: str) -> None:
    service.on("WatchOperation", operation(pb.OPERATION_STATE_SUCCEEDED, applied=True))
    result = await run(address, "sweep", "--force")
    assert result.stdout.splitlines() == ["nothing is left behind"]


async def test_json_is_the_operation(service: ScriptedService, address: str) -> None:
    ends(service, leftovers=[TORSO], leftover_count=1)
    result = await run(address, "sweep", "--output", "json")
    (found,) = json.loads(result.stdout)["sweep"]["leftovers"]
    assert found["kind"] == "LEFTOVER_KIND_BACKUP"
    assert found["subject"] == "nightly"
