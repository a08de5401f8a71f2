"""What is written down of operations that nobody works on."""

from dataclasses import replace

import pytest

from milvus_backup_server.domain.operation_record import Owner
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.settling import Settling
from tests.support.replicas import Work, asked, crash, replicas


@pytest.mark.parametrize("accepted", [False, True])
async def test_what_never_began_is_removed_unless_it_began_and_ended_meanwhile(
    accepted: bool,
) -> None:
    async with replicas() as world:
        service = await world.start()
        name = await service.begin(asked(), Work())
        record = await service.on_record(name, OperationState.RUNNING)
        await crash(service)
        stored = await service.log.read(name)
        assert stored is not None
        announced = await service.log.replace(replace(record, accepted=False), stored.version)

        async def living() -> frozenset[str]:
            if accepted:
                ended = replace(record.operation, state=OperationState.SUCCEEDED)
                await service.log.replace(replace(record, operation=ended), announced.version)
            return frozenset()

        owner = Owner(service.owner.instance, "host", 1)
        await Settling(service.log, owner, living=living, at_work=lambda _: False).run()
        found = await service.log.read(name)
        assert (found is not None) == accepted
