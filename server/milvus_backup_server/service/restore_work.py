"""What the steps of one restore share: the checked request, and whom a failure hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import PlannedCollection
from milvus_backup_server.domain.records import RbacMeta
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_mapping import MappedDatabase, Wanted
from milvus_backup_server.domain.targets import PresentTarget
from milvus_backup_server.service.collection_marks import CollectionMarks
from milvus_backup_server.service.context import Cluster, Repository, Storage
from milvus_backup_server.service.staging import ImportPlace
from milvus_backup_server.service.tracker import Tracker


@dataclass(frozen=True, slots=True)
class CheckedRestore:
    """A restore whose request passed every check.

    Attributes:
        wanted: The request's selections and names.
        targets: Where each wanted collection goes, by its name in the backup.
        plan: What the plan says of each collection and target.
        new_databases: Databases to make.
        present: Collections that are replaced, by the target's name.
        capabilities: What the target can do.
        place: From where Milvus imports.
        rbac: The backup's users, roles and grants; None if it has none or they are not wanted.
    """

    operation: str
    request: RestoreRequest
    wanted: Wanted
    targets: Mapping[CollectionName, tuple[Target, ...]]
    plan: tuple[PlannedCollection, ...]
    new_databases: tuple[MappedDatabase, ...]
    present: Mapping[CollectionName, PresentTarget]
    capabilities: Capabilities
    cluster: Cluster
    milvus: Storage
    repository: Repository
    place: ImportPlace
    rbac: RbacMeta | None = None

    @property
    def import_from(self) -> str:
        """Bucket and prefix from which Milvus imports."""
        return f"{self.milvus.store.location.bucket}/{self.place.path('')}"

    def names(self, source: CollectionName) -> list[CollectionName]:
        """Return the names that a collection of the backup gets."""
        return [target.name for target in self.targets[source]]


class RestoreMarks(CollectionMarks):
    """Notes at the collections of a restore, known by their targets, how they fare.

    Args:
        checked: The restore.
        tracker: Where the notes go.
    """

    def __init__(self, checked: CheckedRestore, tracker: Tracker) -> None:
        sources = {item.target: item.source for item in checked.plan if item.target}
        super().__init__(tracker, lambda target: str(sources[target]))
