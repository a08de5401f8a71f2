"""What a restore would do, and everything that stands in its way, found before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from milvus_backup_server.domain.checkpoints import group_cuts
from milvus_backup_server.domain.errors import BackupNotRestorable, FieldViolation, InvalidRequest
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.import_units import ImportRules
from milvus_backup_server.domain.milvus import CollectionName, MilvusVersion
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import PlannedCollection, RestorePlan
from milvus_backup_server.domain.rbac import RbacPlan, rbac_plan
from milvus_backup_server.domain.records import CollectionBackupInfo, RbacMeta
from milvus_backup_server.domain.renaming import Target, target_fault
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_mapping import (
    Contents,
    MappedDatabase,
    encrypted_sources,
    mapped_databases,
    mapping_conflicts,
    narrowed,
    nothing_wanted,
)
from milvus_backup_server.domain.restore_plan import (
    making_faults,
    name_of,
    planned,
    record_faults,
)
from milvus_backup_server.domain.target_collection import (
    TargetCollection,
    not_indexed,
    target_collection,
)
from milvus_backup_server.domain.targets import PresentTarget, TargetAction
from milvus_backup_server.domain.version_limits import version_limits
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.backup_reader import BackupAside, BackupReader
from milvus_backup_server.service.restore_targets import TargetCheck, not_loadable

_FILLED = (
    "Rows go into collections that exist, where they can be seen at once: what was imported before a "
    "cancel or a failure stays in them, as do the partitions and indexes that were made"
)

NO_USERS = "the backup holds no users, roles or grants: it was made without them"


class RestorePlanner:
    """Compares a request with a backup and with the target.

    Args:
        request: What is asked for.
        rules: What import jobs may be like.
        version: Of the target.

    Attributes:
        wanted: The request's selections and names.
        targets: Where each wanted collection goes, by its name in the backup.
        plan: What the plan says of each collection and target, in the order of targets.
        new_databases: Databases to make.
        present: Collections that are replaced, by the target's name.
        rbac: The backup's users, roles and grants; None if it has none or they are not wanted.
        faults: What stands in the way.
    """

    def __init__(
        self, request: RestoreRequest, rules: ImportRules, version: MilvusVersion | None
    ) -> None:
        self._request = request
        self._rules = rules
        self._version = version
        self._contents = Contents()
        self._source_bytes = 0
        self._made: dict[CollectionName, TargetCollection] = {}  # only where targets must exist
        self._exact = False
        self.wanted = request.wanted
        self.targets: dict[CollectionName, tuple[Target, ...]] = {}
        self.plan: tuple[PlannedCollection, ...] = ()
        self.new_databases: tuple[MappedDatabase, ...] = ()
        self.present: dict[CollectionName, PresentTarget] = {}
        self.rbac: RbacMeta | None = None
        self._rbac_plan: RbacPlan | None = None
        self.faults = Faults()

    async def read(self, reader: BackupReader, files: Mapping[str, ObjectInfo]) -> None:
        """Read the backup's metadata and compare the request with it."""
        plan: list[PlannedCollection] = []
        unfit = Faults()
        head = await reader.head(files)
        self._exact = head is not None and head.exact
        with_rbac = self._request.options.rbac
        aside = BackupAside() if head is None or with_rbac else None
        async for record in reader.collections(files, aside):
            plan += self._plan_one(record, unfit)
        if head is not None:
            self._contents.databases = head.databases
        elif aside is not None:
            self._contents.databases = tuple(aside.databases)
        self.rbac = aside.rbac if aside is not None and with_rbac else None
        self.faults.add_all(mapping_conflicts(self.wanted, self._contents))
        if not self._request.options.meta_only:
            for fault in encrypted_sources(self.wanted, self._contents):
                self.faults.add(fault, "collections")
        self.faults.extend(unfit)
        empty = nothing_wanted(self.wanted, self._contents)
        if empty is not None and not self.faults:
            self.faults.add(empty)
        self.plan = tuple(sorted(plan, key=lambda item: item.target or item.source))

    async def check_targets(self, gateway: MilvusGateway) -> None:
        """Find out which databases are missing, and note targets that exist."""
        databases = set(await gateway.list_databases())
        needed = mapped_databases(self.wanted, self._contents)
        self.new_databases = tuple(it for it in needed if it.name not in databases)
        fields: dict[CollectionName, str] = {}
        for found in self.targets.values():
            for it in found:
                if not target_fault(it.name):  # told already; Milvus would refuse to be asked of it
                    fields.setdefault(it.name, it.field)
        check = TargetCheck(gateway, self._request.options, self._made)
        aliases = {it.target: it.aliases for it in self.plan if it.target in fields and it.aliases}
        self.faults.extend(await check.check(fields, aliases, databases))
        self.present = check.present
        await self._check_replicas(gateway)
        self.plan = tuple(self._with_target(item) for item in self.plan)

    async def check_rbac(self, gateway: MilvusGateway) -> None:
        """Find out which users, roles and grants the target lacks."""
        if self._request.options.rbac:
            wanted = self.rbac or RbacMeta()
            self._rbac_plan = rbac_plan(wanted, await gateway.rbac())

    def restore_plan(self, *, staged: bool) -> RestorePlan:
        """Return the plan; nothing is checked for it any more."""
        return RestorePlan(
            collections=self.plan,
            new_databases=tuple(database.name for database in self.new_databases),
            staged=staged and not self._request.options.meta_only,
            staged_bytes=self._source_bytes if staged else 0,
            obstacles=self.faults.obstacles(),
            notes=tuple(self._notes()),
            rbac=self._rbac_plan,
        )

    def _notes(self) -> Iterator[str]:
        if self._made:
            yield _FILLED
        if self._request.options.rbac and self.rbac is None:
            yield NO_USERS

    async def _check_replicas(self, gateway: MilvusGateway) -> None:
        wanted = self._request.options.replica_count
        if wanted > 1 and wanted > (nodes := await gateway.query_node_count()):
            text = f"{wanted} replicas need as many query nodes; Milvus has {nodes}"
            self.faults.add(InvalidRequest(FieldViolation("replica_count", text)))

    def _with_target(self, item: PlannedCollection) -> PlannedCollection:
        """Return what a plan says of a target, now that it is known what is there."""
        there = self.present.get(item.target) if item.target else None
        if there is None:
            return item
        fills = self._request.options.skip_create_collections
        return replace(
            item,
            action=TargetAction.FILL if fills else TargetAction.REPLACE,
            aliases=tuple(sorted({*item.aliases, *there.aliases})),
        )

    def _plan_one(self, record: CollectionBackupInfo, unfit: Faults) -> list[PlannedCollection]:
        source = name_of(record)
        chosen = self.wanted.sources.partitions.get(source)
        self._contents.collections.append(source)
        if chosen is not None:
            self._note_partitions(source, record)
        targets = self.wanted.targets_of(source)
        if not targets:
            return []
        self.targets[source] = targets
        record = narrowed(record, chosen, meta_only=self._request.options.meta_only)
        for fault in (*record_faults(record), *version_limits(record, self._version)):
            unfit.add(fault, "collections")
        if not self._request.options.skip_create_collections:
            for fault in making_faults(record):
                unfit.add(fault, "collections")
        if self._request.options.truncate_to_checkpoints and not self._exact:
            self._check_checkpoints(record, unfit)
        plan = [self._planned(record, target) for target in targets]
        self._source_bytes += plan[0].size_bytes
        return plan

    def _check_checkpoints(self, record: CollectionBackupInfo, unfit: Faults) -> None:
        try:
            if not self._request.options.meta_only:
                group_cuts(record)
        except BackupNotRestorable as fault:
            unfit.add(fault, "truncate_to_checkpoints")

    def _planned(self, record: CollectionBackupInfo, target: Target) -> PlannedCollection:
        request = self._request
        made = target_collection(record, target, request.options, indexes=request.restore_indexes)
        if request.options.skip_create_collections:
            self._made[target.name] = made
        elif made.loading is not None:
            for field in not_indexed(made):
                self.faults.add(not_loadable(target.name, field), "load")
        return planned(record, target, made, self._rules)

    def _note_partitions(self, source: CollectionName, record: CollectionBackupInfo) -> None:
        fields = record.schema.fields if record.schema else ()
        if any(field.is_partition_key for field in fields):
            self._contents.keyed.append(source)
        else:
            names = (partition.partition_name for partition in record.partition_backups)
            self._contents.partitions[source] = frozenset(names)
