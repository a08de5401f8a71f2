"""Verifying a backup: the use case and its checks."""

from __future__ import annotations

import asyncio
import secrets

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.operations import Caller, Operation, OperationKind, Result
from milvus_backup_server.domain.requests import VerifyRequest
from milvus_backup_server.domain.verification import Sample
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import require_restorable
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_run import CheckedVerify, VerifyRun

_SEED_BITS = 63


class VerifyBackup:
    """The use case: compare a backup with what was recorded of it. Milvus is not needed."""

    def __init__(
        self, environment: Environment, catalog: Catalog, operations: OperationManager
    ) -> None:
        self._environment = environment
        self._catalog = catalog
        self._operations = operations
        self._reading = asyncio.Semaphore(environment.limits.objects_read)

    async def start(self, request: VerifyRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation.

        Raises:
            InvalidRequest: A field is wrong.
            BackupNotFound: Nothing of that name is there.
            BackupNotRestorable: It is incomplete, or of a format that this service does not read.
            OperationConflict: Another operation works on the backup.
            StorageUnavailable, StorageDenied: The store does not answer, or refuses us.
        """
        request.check()
        known = await self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        repository = self._environment.registry.repository_at(request.place)
        asked = OperationRequest(
            footprint=Footprint(
                OperationKind.VERIFY_BACKUP, request.backup_name, place=repository.place
            ),
            caller=caller,
            original=request,
            request_id=request.request_id,
        )
        await self._operations.refuse_conflict(asked.footprint)
        await self._require_verifiable(repository, request.backup_name)
        checked = CheckedVerify(
            operation=asked.name,
            layout=repository.layout(request.backup_name),
            repository=repository,
            level=request.level,
            sample=_sample(request),
        )

        async def body(tracker: Tracker) -> Result:
            return await VerifyRun(checked, self._environment.limits, self._reading, tracker).run()

        return await self._operations.begin(asked, body)

    async def _require_verifiable(self, repository: Repository, name: str) -> None:
        try:
            backup = await self._catalog.of(repository).get_sound(name)
        except BackupCorrupt:
            return  # which the verification will tell in full
        require_restorable(backup)


def _sample(request: VerifyRequest) -> Sample:
    if request.sample_percent in (0, 100):
        return Sample()
    seed = request.sample_seed or secrets.randbits(_SEED_BITS) + 1
    return Sample(request.sample_percent, seed)
