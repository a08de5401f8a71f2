"""Going on with a create that was stopped before its end, or taking back what it wrote."""

from __future__ import annotations

from milvus_backup_server.domain.errors import LeftBehind, Unavailable
from milvus_backup_server.domain.layout import FULL_META
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import CreateResult
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.backup_run import BackupRun
from milvus_backup_server.service.checks import Deadline, cluster_storage, supported_version
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.create_options import gc_pausing
from milvus_backup_server.service.create_work import CheckedCreate
from milvus_backup_server.service.gc_pause import end_gc_leases
from milvus_backup_server.service.held_name import HeldName
from milvus_backup_server.service.plan_journal import PlanJournal
from milvus_backup_server.service.snapshot import Selected
from milvus_backup_server.service.tracker import Tracker


class InterruptedCreate:
    """A create that another run goes on with, under the same name.

    Args:
        record: The operation.
        request: What was asked for.
        environment: The cluster, the repository and the limits.
        engine: What moves the objects.
    """

    def __init__(
        self,
        record: OperationRecord,
        request: CreateRequest,
        environment: Environment,
        engine: TransferEngine,
    ) -> None:
        self._operation = request.first_try or record.name
        self._backup_name = record.footprint.backup_name  # the request need not give one
        self._place = record.footprint.place
        self._accept_time = record.operation.create_time
        self._request = request
        self._environment = environment
        self._engine = engine
        self._checked: CheckedCreate | None = None

    async def check(self) -> None:
        """Find out whether it can go on now. Touches nothing.

        Raises:
            MilvusVersionUnsupported, BucketNotFound, StorageDenied, MilvusDenied: As they say.
            MilvusUnavailable, StorageUnavailable: Something does not answer.
        """
        request, limits = self._request, self._environment.limits
        cluster = self._environment.registry.cluster()
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            version, capabilities = await supported_version(cluster.gateway, limits)
            accepted = await cluster.gateway.allocate_timestamp()
        self._checked = CheckedCreate(
            operation=self._operation,
            task_id=request.task_id,
            backup_name=self._backup_name,
            selection=request.selection,
            selected=Selected((), ()),  # as the plan has it, or as it is found when one is made
            labels=request.labels,
            cluster=cluster,
            source=await cluster_storage(cluster, deadline),
            repository=self._environment.registry.repository_at(self._place),
            milvus_version=version,
            capabilities=capabilities,
            accepted=accepted,
            accept_time=self._accept_time,
            strategy=request.strategy,
            pausing=gc_pausing(request, limits, capabilities),
            pause_gc=request.pause_gc,
            rbac=request.rbac,
            allow_partial=request.allow_partial,
        )

    async def go_on(self, tracker: Tracker) -> CreateResult:
        """Do what is still missing."""
        if self._checked is None:
            await self.check()
        assert self._checked is not None  # noqa: S101 the check has just made it
        run = BackupRun(self._checked, self._environment, self._engine, tracker, resumed=True)
        return await run.run()

    async def undo(self, tracker: Tracker) -> None:
        """Remove what it wrote, unless the backup is complete.

        Milvus is asked for no more than to collect garbage again.

        Raises:
            BackupNameLost: The name is another's now, or the backup was removed.
            StorageUnavailable: The store does not answer.
            LeftBehind: It could not be removed.
        """
        environment = self._environment
        await end_gc_leases(environment.registry.cluster(), tracker)
        repository = environment.registry.repository_at(self._place)
        layout = repository.layout(self._backup_name)
        name = HeldName(repository, layout, self._operation, environment)
        held = await name.take_over()
        journal = PlanJournal(repository.records, self._operation, environment.limits)
        if held and await repository.storage.store.head(layout.meta(FULL_META)) is not None:
            text = f"the create had finished: backup {layout.name!r} is complete and stays"
            tracker.warn(LeftBehind(text, subject=layout.name))
            await journal.remove()
            return
        try:
            await name.clean_up(tracker, journal.remove)
        except LeftBehind as left:
            if isinstance(left.__cause__, Unavailable):  # then it can be asked for again
                raise left.__cause__ from None
            raise
