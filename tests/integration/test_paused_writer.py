"""A process that slept (SIGSTOP) while another finished neither finishes nor removes anything."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import BackupNotFound, OperationConflict
from milvus_backup_server.domain.operations import OperationState
from tests.support.service import Service, World, running
from tests.support.sleeping_writer import NAME, archive, shared_world
from tests.support.tars import in_chunks

# Of an import: before the claim, in the data, and before the file that makes it whole.
LOST = {"BACKUP_NAME_LOST", "BACKUP_ALREADY_EXISTS", "OPERATION_INTERRUPTED"}
WRITES = [1, 3, 9]


async def asleep(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has stopped itself."""
    async with asyncio.timeout(60):
        while True:
            if _state(process.pid) == "T":
                return
            await asyncio.sleep(0.02)


def _state(pid: int) -> str:
    """Return the kernel's letter for what a process does: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


async def interrupted(service: Service) -> None:
    """Wait until the sleeper's heartbeat has run out."""
    async with asyncio.timeout(60):
        while True:
            (operation,) = (await service.use_cases.directory.list("", 10)).items
            if operation.state is OperationState.INTERRUPTED:
                return
            await asyncio.sleep(0.05)


async def free_name(service: Service) -> None:
    """Remove what the sleeper has written so far, if it has begun to."""
    with contextlib.suppress(BackupNotFound):
        await service.delete(NAME)


async def successor(world: World) -> dict[str, bytes]:
    """Wait until the sleeper counts as ended, make another backup of the name, return what is there."""
    async with running(world, records=world.backup_store, generation=2) as service:
        with pytest.raises(OperationConflict) as early:
            await service.import_(in_chunks(archive(2)))
        assert "another service" in early.value.message
        await interrupted(service)
        await free_name(service)
        await service.import_(in_chunks(archive(2)))
        return await world.objects()


@pytest.mark.parametrize("write", WRITES)
async def test_a_paused_writer_neither_finishes_nor_removes_anything(
    tmp_path: Path, write: int
) -> None:
    await LocalStore(tmp_path / "bucket").create_bucket()
    world = shared_world(tmp_path / "bucket")
    command = (sys.executable, "-m", "tests.support.sleeping_writer", tmp_path / "bucket", write)
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE
    )
    try:
        await asleep(process)
        made = await successor(world)
        os.kill(process.pid, signal.SIGCONT)
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output.decode().split()[1] in LOST
    after = await world.objects()
    assert {key: after.get(key) for key in made} == made
    async with running(world) as service:
        backup = await service.catalog.get(NAME)
    assert backup.state is BackupState.COMPLETE
