"""The checks of a restore, before anything is touched."""

from __future__ import annotations

from milvus_backup_server.domain.capabilities import RBAC_FROM
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.import_units import ImportApi
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.operations import RestorePlan
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_plan import version_fault
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import (
    Deadline,
    cluster_storage,
    require_restorable,
    supported_version,
    version_needed,
)
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.restore_planner import RestorePlanner
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.staging import import_place


class RestoreChecks:
    """Compares a request with the backup, the stores and Milvus."""

    def __init__(self, environment: Environment, catalog: Catalog) -> None:
        self._environment = environment
        self._catalog = catalog

    async def check(
        self, request: RestoreRequest, operation: str, *, renaming: bool = False
    ) -> tuple[CheckedRestore, RestorePlan, Faults]:
        """Make the checks; what a plan can tell about is noted instead of raised if one is wanted.

        Args:
            request: What is asked for.
            operation: The name of the restore.
            renaming: It was interrupted when its collections began to get their final names: then it
                is no fault that these are taken.

        Raises:
            BackupError: The first of what stands in the way; which there may be, ``RestoreBackup`` tells.
        """
        cluster = self._environment.registry.cluster()
        repository = self._environment.registry.repository_at(request.place)
        catalog = self._catalog.of(repository)
        limits = self._environment.limits
        backup = await catalog.get_sound(request.backup_name)
        require_restorable(backup)
        # Only now: Milvus is not blamed for a store that took its time.
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            version, capabilities = await supported_version(cluster.gateway, limits)
        milvus = await cluster_storage(cluster, deadline)
        reader = catalog.reader(request.backup_name)
        async with deadline.asking_store(repository.storage):
            files = await reader.files()
        rules = limits.import_rules(capabilities, rest=limits.import_api is not ImportApi.GRPC)
        if limits.import_api is ImportApi.REST and capabilities.rest_import:
            async with deadline.asking_milvus(cluster.gateway):
                await _require_rest(cluster.gateway)
        planner = RestorePlanner(request, rules, MilvusVersion.parse(version))
        # Told with what in the backup is too new for the target, which is known when it is read.
        older = version_fault(backup.milvus_version, version)
        if older is not None:
            planner.faults.add(older, "backup_name")
        if request.options.rbac and not capabilities.rbac:
            what = "restoring users, roles and grants"
            planner.faults.add(version_needed(what, RBAC_FROM, version), "rbac")
        await planner.read(reader, files)
        # The metadata may be large and its reading, bounded by each request alone, takes its time:
        # Milvus is not blamed for that.
        deadline = Deadline(limits.check_seconds)
        if not renaming:
            async with deadline.asking_milvus(cluster.gateway):
                await planner.check_targets(cluster.gateway)
        if capabilities.rbac:
            async with deadline.asking_milvus(cluster.gateway):
                await planner.check_rbac(cluster.gateway)
        faults = planner.faults
        if not request.validate_only:
            faults.raise_all()
        place = import_place(repository, milvus, repository.layout(request.backup_name), operation)
        checked = CheckedRestore(
            operation=operation,
            request=request,
            wanted=planner.wanted,
            targets=planner.targets,
            plan=planner.plan,
            new_databases=planner.new_databases,
            present=planner.present,
            capabilities=capabilities,
            cluster=cluster,
            milvus=milvus,
            repository=repository,
            place=place,
            rbac=planner.rbac,
        )
        return checked, planner.restore_plan(staged=place.staged), faults


async def _require_rest(gateway: MilvusGateway) -> None:
    unusable = await gateway.rest_fault()
    if unusable is not None:
        raise unusable
