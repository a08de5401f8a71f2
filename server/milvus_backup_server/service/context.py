"""What the use cases work on: clusters and repositories by name, and the bounds of the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import NotFound
from milvus_backup_server.domain.import_units import ImportApi, ImportRules, import_rules
from milvus_backup_server.domain.layout import BackupLayout, join
from milvus_backup_server.domain.operation_record import NOBODY, Owner
from milvus_backup_server.domain.places import HOME, HOME_SETTING, SETTING, AllowedPlaces, Place
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.memory import ByteBudget

DEFAULT = "default"
"""The name of the one cluster and the one repository that there are today."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A place in an object store.

    Attributes:
        profile: The name under which the transfer engine knows the store.
        store: The store itself.
        root: The prefix below which everything lies, may be empty.
        mount: The directory that the keys are below as Milvus sees it; empty for a bucket, and for a
            directory that Milvus does not see.
    """

    profile: str
    store: ObjectStore
    root: str
    mount: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Milvus: its gateway and, where we may read it, its object store.

    Attributes:
        management_endpoint: The address of its management API, empty if the settings name none.
        gc_holders: The operations of this service that hold a pause of its garbage collection.
    """

    name: str
    gateway: MilvusGateway
    storage: Storage | None = None
    management_endpoint: str = ""
    gc_holders: set[str] = field(default_factory=set, compare=False)


@dataclass(frozen=True, slots=True)
class Repository:
    """Where backups live.

    Attributes:
        place: Where that is, beside the repository of the settings.
        home: The storage of the settings' repository, if this is another one: what is ours and belongs to
            no backup lies there, whatever place a backup lies in.
    """

    name: str
    storage: Storage
    place: Place = HOME
    home: Storage | None = None

    @property
    def records(self) -> Storage:
        """Where lies what is ours and belongs to no backup."""
        return self.home or self.storage

    @property
    def setting(self) -> str:
        """What names its bucket."""
        return HOME_SETTING if self.place == HOME else SETTING

    def layout(self, backup_name: str) -> BackupLayout:
        """Return the keys of a backup."""
        return BackupLayout(self.storage.root, backup_name)


@dataclass(frozen=True, slots=True)
class Registry:
    """The clusters and repositories by name.

    Attributes:
        allowed: The places that callers may name.
        elsewhere: The storage of each of their prefixes.
    """

    clusters: dict[str, Cluster]
    repositories: dict[str, Repository]
    allowed: AllowedPlaces = field(default_factory=AllowedPlaces)
    elsewhere: Mapping[Place, Storage] = field(default_factory=dict)

    def cluster(self, name: str = DEFAULT) -> Cluster:
        """Return a cluster by name."""
        try:
            return self.clusters[name]
        except KeyError:
            raise NotFound(name, f"cluster {name!r} is not configured") from None

    def repository(self, name: str = DEFAULT) -> Repository:
        """Return a repository by name."""
        try:
            return self.repositories[name]
        except KeyError:
            raise NotFound(name, f"repository {name!r} is not configured") from None

    def repository_at(self, place: Place) -> Repository:
        """Return the repository of a place that a caller names, or of the settings.

        Raises:
            InvalidRequest: It is not allowed.
        """
        home, found = self.repository(), self.allowed.find(place)
        if found.place == HOME:
            return home
        base = self.elsewhere[found.prefix]
        storage = replace(base, root=join(base.root, found.below))
        return Repository(home.name, storage, found.place, home.storage)


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """Bounds and waits of the use cases; seconds and bytes.

    Attributes:
        collections: Collections described, listed or copied at one time.
        check_seconds: How long the checks of a request may take together.
        flush_seconds: How long to wait for Milvus to write a flush.
        copied_seconds: After a flush, until an earlier compaction has written its deletes.
        poll_seconds: Between two questions to Milvus while waiting.
        cleanup_seconds: How long the removal of one thing is tried while Milvus does not answer.
        import_stall_seconds: How long an import may show no progress.
        load_seconds: How long Milvus may take to load a collection.
        import_job_bytes: Data of one import job of a whole directory, so that it ends inside Milvus's
            own limit.
        import_jobs: Import jobs in flight at one time, where Milvus runs them beside each other.
        import_job_segments: Segments in one import job, where it lists them.
        import_api: Through which API import jobs are made.
        pause_gc: Whether creates pause Milvus's garbage collection also where they are not asked to.
        replans: How often a collection is planned anew when its objects vanish.
        create_bucket: Whether a create makes a missing backup bucket.
        allow_untested_versions: Whether versions of Milvus outside the tested range are accepted.
        part_bytes: Size of what is read or written at one time.
        objects_read: Objects whose content a restore reads at one time.
        memory: What all that holds bytes of objects shares: streamed copies, reads that compare, archives.
        streams: Exports and imports at one time.
        archive_metadata_bytes: Metadata of one import, on disk until all that it names was compared.
        stream_stall_seconds: How long the caller of an export takes nothing, or that of an import
            sends nothing, until it ends.
    """

    collections: int = 4
    check_seconds: float = 10.0
    flush_seconds: float = 600.0
    copied_seconds: float = 3.0
    poll_seconds: float = 0.1
    cleanup_seconds: float = 60.0
    import_stall_seconds: float = 900.0
    load_seconds: float = 1800.0
    import_job_bytes: int = 4 << 30
    import_jobs: int = 768
    import_job_segments: int = 256
    import_api: ImportApi = ImportApi.AUTO
    pause_gc: bool = False
    replans: int = 3
    create_bucket: bool = True
    allow_untested_versions: bool = False
    part_bytes: int = 8 << 20
    objects_read: int = 8
    memory: ByteBudget = field(default_factory=lambda: ByteBudget(256 << 20), compare=False)
    streams: int = 4
    archive_metadata_bytes: int = 4 << 30
    stream_stall_seconds: float = 300.0

    def import_rules(self, capabilities: Capabilities, *, rest: bool) -> ImportRules:
        """Return what import jobs may be like; ``rest``: the REST API can be used."""
        return import_rules(
            capabilities,
            job_bytes=self.import_job_bytes,
            segments=self.import_job_segments,
            rest=rest,
        )


def unix_milliseconds() -> int:
    """Return the time as a number that no earlier writer of a backup has taken."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Environment:
    """What every use case is given.

    Attributes:
        version: Our own.
        new_generation: Gives the generation of a claim.
        owner: This service, as others know it.
    """

    registry: Registry
    limits: WorkLimits = field(default_factory=WorkLimits)
    version: str = "0"
    new_generation: Callable[[], int] = unix_milliseconds
    owner: Owner = NOBODY
