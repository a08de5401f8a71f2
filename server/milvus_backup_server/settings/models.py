"""The settings as typed values. Names in the file are the Go tool's (configuration v2).

All keys of the Go tool are here, also those without effect in this service, which ``effects``
names: they are checked, shown and kept in a migration. What is ours alone stands under ``service``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr

from milvus_backup_server.domain.places import AllowedPlaces, Place
from milvus_backup_server.settings.section import Section
from milvus_backup_server.settings.stores import StorageWaitSettings
from milvus_backup_server.settings.values import (
    AuthType,
    Bucket,
    Count,
    CountOrNone,
    Endpoints,
    GraceSeconds,
    Host,
    HostNames,
    HostOrNone,
    ImportApi,
    Level,
    Port,
    PortOrAny,
    Provider,
    Root,
    Seconds,
    TlsMode,
    TransferMode,
    Url,
)

_SHOWN_ENDS: Final = 2
_SHORTEST_SHOWN: Final = 4


class LogFileSettings(Section):
    """``log.file``: no file without a ``path``.

    A file that has reached ``max_size_mib`` is put aside. Of those put aside the newest
    ``max_backups`` are kept, for ``max_days``; 0 is no bound.
    """

    path: str = ""
    max_size_mib: CountOrNone = 300
    max_days: CountOrNone = 0
    max_backups: CountOrNone = 0


class LogSettings(Section):
    """``log``; ``console`` is stderr."""

    level: Level = "info"
    console: bool = True
    file: LogFileSettings = LogFileSettings()


class HttpApiSettings(Section):
    """``server``: the Go tool's own settings of its HTTP API."""

    debug_mode: bool = False
    swagger_base_path: str = ""


class MilvusGrpcSettings(Section):
    """``milvus.grpc``: where Milvus is."""

    address: Host = "localhost"
    port: Port = 19530
    tls_mode: TlsMode = "disabled"
    ca_cert_path: str = ""
    server_name: str = ""
    mtls_cert_path: str = ""
    mtls_key_path: str = ""


class EndpointSettings(Section):
    """``milvus.rest``; empty: where gRPC is."""

    endpoint: Url = ""


class ManagementSettings(Section):
    """``milvus.management``."""

    endpoint: Url = "http://localhost:9091"


class ReplicateSettings(Section):
    """``milvus.replicate``."""

    rpc_channel_name: str = "by-dev-replicate-msg"


class EtcdSettings(Section):
    """``milvus.etcd``."""

    endpoints: Endpoints = ("localhost:2379",)
    root_path: str = "by-dev"


class AuthSettings(Section):
    """``*.storage.auth``: as whom an object store knows us."""

    type: AuthType = "static"
    access_key_id: str = "minioadmin"
    secret_access_key: SecretStr = SecretStr("minioadmin")
    session_token: SecretStr = SecretStr("")
    account_key: SecretStr = SecretStr("")
    credentials_file: str = ""
    endpoint: str = ""


class StorageSettings(Section):
    """``milvus.storage`` and ``backup.storage``: a bucket, or a directory for ``local``.

    The directory of ``local`` is ``root_path``; ``local_path`` is the same directory as Milvus sees
    it, as ``milvus_address`` and ``milvus_port`` are the same store as Milvus sees it.
    """

    provider: Provider = "minio"
    address: Host = "localhost"
    port: Port = 9000
    region: str = ""
    use_ssl: bool = False
    account_name: str = ""
    bucket_name: Bucket = "a-bucket"
    root_path: Root = "files"
    local_path: str = ""
    milvus_address: HostOrNone = ""
    milvus_port: PortOrAny = 0
    auth: AuthSettings = AuthSettings()

    @property
    def prefix(self) -> str:
        """What keys in the bucket begin with, without slashes at its ends; empty for ``local``."""
        return "" if self.provider == "local" else self.root_path.strip("/")

    @property
    def directory(self) -> str:
        """The directory of ``local``, from the root of the machine."""
        return str(Path(self.root_path).absolute())

    @property
    def mount(self) -> str:
        """The same as Milvus sees it, without a slash at its end; empty for a bucket."""
        if self.provider != "local":
            return ""
        return self.local_path.rstrip("/") or self.directory


class BackupStorageSettings(StorageSettings):
    """``backup.storage``: what is not given is as in ``milvus.storage``, but for the root path."""

    root_path: Root = "backup"


class MilvusSettings(Section):
    """``milvus``."""

    user: str = ""
    password: SecretStr = SecretStr("")
    grpc: MilvusGrpcSettings = MilvusGrpcSettings()
    rest: EndpointSettings = EndpointSettings()
    management: ManagementSettings = ManagementSettings()
    replicate: ReplicateSettings = ReplicateSettings()
    etcd: EtcdSettings = EtcdSettings()
    storage: StorageSettings = StorageSettings()


class BackupConcurrencySettings(Section):
    """``backup.concurrency``."""

    collections: Count = 4
    segments: Count = 1024


class BackupSettings(Section):
    """``backup``."""

    storage: BackupStorageSettings = BackupStorageSettings()
    concurrency: BackupConcurrencySettings = BackupConcurrencySettings()
    pause_gc: bool = True


class RestoreConcurrencySettings(Section):
    """``restore.concurrency``."""

    collections: Count = 2
    import_jobs: Count = 768


class RestoreSettings(Section):
    """``restore``."""

    concurrency: RestoreConcurrencySettings = RestoreConcurrencySettings()
    max_segments_per_import_job: Count = 256
    keep_temp_files: bool = False


class TransferSettings(Section):
    """``transfer``: how objects are copied."""

    mode: TransferMode = "auto"
    concurrency: Count = 128
    multipart_copy_threshold_mib: Count = 500


class ZillizCloudSettings(Section):
    """``zillizCloud``."""

    endpoint: Url = "https://api.cloud.zilliz.com"
    api_key: SecretStr = SecretStr("")


class GrpcFaceSettings(Section):
    """``service.grpc``: where this service listens; with a ``socket``, only there."""

    host: Host = "127.0.0.1"
    port: PortOrAny = 50051
    socket: str = ""


class HttpFaceSettings(Section):
    """``service.http``: where the HTTP API listens, and what it lets in.

    ``allowed_hosts`` are names that clients may call the service by, besides loopback's.
    ``max_body_mib`` bounds JSON bodies.
    """

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: PortOrAny = 8080
    allowed_hosts: HostNames = ()
    max_body_mib: Annotated[Count, Field(le=1024)] = 4


class OperationSettings(Section):
    """``service.operations``: how many at work, waiting, and remembered after their end; their owners."""

    concurrent: Count = 2
    pending: Count = 1000
    remembered: Count = 1000
    remembered_days: Count = 30
    cleanup_seconds: Seconds = 10.0
    heartbeat_seconds: Seconds = 5.0
    lost_after_seconds: Seconds = 30.0
    progress_seconds: Seconds = 5.0
    resume_at_start: bool = False


class LimitSettings(Section):
    """``service.limits``: bounds of the process; 0 for ``*_per_second`` is none."""

    requests_in_flight: Count = 64
    requests_per_second: CountOrNone = 0
    mib_per_second: CountOrNone = 0
    memory_mib: Annotated[Count, Field(ge=32)] = 256
    archives: Count = 4
    archive_metadata_mib: Count = 4096
    archive_stall_seconds: Seconds = 300.0


class MilvusWaitSettings(Section):
    """``service.milvus``: how long Milvus is waited for, and what is asked of it."""

    call_timeout_seconds: Seconds = 10.0
    retry_seconds: Seconds = 3.0
    flush_timeout_seconds: Seconds = 600.0
    cleanup_seconds: Seconds = 60.0
    poll_seconds: Seconds = 0.1
    import_stall_seconds: Seconds = 900.0
    load_timeout_seconds: Seconds = 1800.0
    import_job_max_mib: Count = 4096
    import_api: ImportApi = "auto"
    allow_untested_versions: bool = False


class ServiceSettings(Section):
    """``service``: what the Go tool does not have."""

    grpc: GrpcFaceSettings = GrpcFaceSettings()
    http: HttpFaceSettings = HttpFaceSettings()
    shutdown_grace_seconds: GraceSeconds = 30.0
    check_timeout_seconds: Seconds = 7.0
    operations: OperationSettings = OperationSettings()
    limits: LimitSettings = LimitSettings()
    milvus: MilvusWaitSettings = MilvusWaitSettings()
    storage: StorageWaitSettings = StorageWaitSettings()


class Settings(Section):
    """All settings."""

    log: LogSettings = LogSettings()
    server: HttpApiSettings = HttpApiSettings()
    milvus: MilvusSettings = MilvusSettings()
    backup: BackupSettings = BackupSettings()
    restore: RestoreSettings = RestoreSettings()
    transfer: TransferSettings = TransferSettings()
    zilliz_cloud: ZillizCloudSettings = ZillizCloudSettings()
    service: ServiceSettings = ServiceSettings()

    @property
    def copies_in_flight(self) -> int:
        """Objects that are copied at one time: more than the requests in flight would only wait."""
        return min(self.transfer.concurrency, self.service.limits.requests_in_flight)

    @property
    def places(self) -> AllowedPlaces:
        """Where callers may have backups."""
        storage = self.backup.storage
        is_local = storage.provider == "local"
        home = "" if is_local else storage.bucket_name
        root = storage.directory if is_local else storage.prefix
        parts = (text.partition("/") for text in self.service.storage.allowed_places)
        prefixes = tuple(Place(bucket or home, path) for bucket, _, path in parts)
        return AllowedPlaces(Place(home, root.strip("/")), prefixes)

    @property
    def backup_mount(self) -> str:
        """The directory of the backups as Milvus sees it; empty if it does not."""
        sees = self.milvus.storage.provider == "local" and self.backup.storage.local_path
        return self.backup.storage.mount if sees else ""

    def values_by_key(self) -> dict[str, Any]:
        """Return every setting by its dotted key; secrets as ``SecretStr``."""
        return dict(_values(self))

    def shown(self) -> dict[str, object]:
        """Return every setting by its dotted key, secrets masked."""
        return {key: _shown(value) for key, value in _values(self)}


def mask(secret: str) -> str:
    """Return a secret so that only one who knows it recognizes it."""
    if len(secret) <= _SHORTEST_SHOWN:
        return "****" if secret else ""
    return f"{secret[:_SHOWN_ENDS]}****{secret[-_SHOWN_ENDS:]}"


def known_keys(model: type[Section] = Settings, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every setting."""
    for field in model.model_fields.values():
        key = f"{prefix}{field.alias}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from known_keys(field.annotation, f"{key}.")
        else:
            yield key


def _values(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _values(value, f"{prefix}{field.alias}.")
        else:
            yield f"{prefix}{field.alias}", value


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return mask(value.get_secret_value())
    return list(value) if isinstance(value, tuple) else value
