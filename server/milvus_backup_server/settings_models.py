"""The settings as typed values. Names in the file are the Go tool's (configuration v2).

Keys of the Go tool that have no effect here are not in these models; ``settings_sources`` knows
them. What is ours alone stands under ``service``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

_SHOWN_ENDS = 2
_SHORTEST_SHOWN = 4


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _host(value: object) -> object:
    if isinstance(value, str) and (not value or any(mark in value for mark in "/ \t@")):
        raise ValueError("expected a host name or address alone, such as localhost")
    return value


def _provider(value: object) -> object:
    name = _lower(value)
    if name in {"azure", "gcpnative"}:
        raise ValueError(f"{name} has no S3 API and is not supported; expected one of {_PROVIDERS}")
    return name


def _root(value: object) -> object:
    if isinstance(value, str) and value.strip("/"):
        parts = value.strip("/").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise ValueError("expected a path without empty, . and .. parts, such as files")
    return value


Count: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Port: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=1, le=65535)]
PortOrAny: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[
    float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False, le=7 * 24 * 3600)
]
GraceSeconds: TypeAlias = Annotated[
    float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False, le=7 * 24 * 3600)
]
Host: TypeAlias = Annotated[str, BeforeValidator(_host)]
Root: TypeAlias = Annotated[str, BeforeValidator(_root)]
Bucket: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]

Level: TypeAlias = Literal["debug", "info", "warn", "error", "panic", "fatal"]
Provider: TypeAlias = Literal["minio", "s3", "aws", "gcp", "aliyun", "tencent", "hwc", "local"]
TlsMode: TypeAlias = Literal["disabled", "server", "mutual"]
AuthType: TypeAlias = Literal["static", "iam", "default"]
TransferMode: TypeAlias = Literal["auto", "direct", "streaming"]

_PROVIDERS: Final = "minio, s3, aws, gcp, aliyun, tencent, hwc, local"


def _key(name: str) -> str:
    """Return the key of a field, spelled as the Go tool spells such keys."""
    camel = to_camel(name)
    for plain, spelled in (("Ssl", "SSL"), ("Mib", "MiB"), ("KeyId", "KeyID")):
        camel = camel.replace(plain, spelled)
    return camel


class Section(BaseModel):
    """Part of the settings. Never changes; its texts show no secret."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_key,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
    )


class LogSettings(Section):
    """``log``."""

    level: Annotated[Level, BeforeValidator(_lower)] = "info"


class MilvusGrpcSettings(Section):
    """``milvus.grpc``: where Milvus is."""

    address: Host = "localhost"
    port: Port = 19530
    tls_mode: Annotated[TlsMode, BeforeValidator(_lower)] = "disabled"
    ca_cert_path: str = ""
    server_name: str = ""
    mtls_cert_path: str = ""
    mtls_key_path: str = ""


class AuthSettings(Section):
    """``*.storage.auth``: as whom an object store knows us."""

    type: Annotated[AuthType, BeforeValidator(_lower)] = "static"
    access_key_id: str = "minioadmin"
    secret_access_key: SecretStr = SecretStr("minioadmin")
    session_token: SecretStr = SecretStr("")
    account_key: SecretStr = SecretStr("")
    credentials_file: str = ""
    endpoint: str = ""


class StorageSettings(Section):
    """``milvus.storage`` and ``backup.storage``: a bucket, or a directory for ``local``.

    The directory of ``local`` is ``rootPath``.
    """

    provider: Annotated[Provider, BeforeValidator(_provider)] = "minio"
    address: Host = "localhost"
    port: Port = 9000
    region: str = ""
    use_ssl: bool = False
    account_name: str = ""
    bucket_name: Bucket = "a-bucket"
    root_path: Root = "files"
    local_path: str = ""
    auth: AuthSettings = AuthSettings()

    @property
    def prefix(self) -> str:
        """What keys in the bucket begin with, without slashes at its ends; empty for ``local``."""
        return "" if self.provider == "local" else self.root_path.strip("/")


class BackupStorageSettings(StorageSettings):
    """``backup.storage``: what is not given is as in ``milvus.storage``, but for the root path."""

    root_path: Root = "backup"


class MilvusSettings(Section):
    """``milvus``."""

    user: str = ""
    password: SecretStr = SecretStr("")
    grpc: MilvusGrpcSettings = MilvusGrpcSettings()
    storage: StorageSettings = StorageSettings()


class BackupConcurrencySettings(Section):
    """``backup.concurrency``."""

    collections: Count = 4


class BackupSettings(Section):
    """``backup``."""

    storage: BackupStorageSettings = BackupStorageSettings()
    concurrency: BackupConcurrencySettings = BackupConcurrencySettings()


class TransferSettings(Section):
    """``transfer``: how objects are copied."""

    mode: Annotated[TransferMode, BeforeValidator(_lower)] = "auto"
    concurrency: Count = 128
    multipart_copy_threshold_mib: Annotated[Count, Field(le=5 * 1024)] = 500


class GrpcFaceSettings(Section):
    """``service.grpc``: where this service listens; with a ``socket``, only there."""

    host: Host = "127.0.0.1"
    port: PortOrAny = 50051
    socket: str = ""


class OperationSettings(Section):
    """``service.operations``: how many at work, waiting, and remembered after their end."""

    concurrent: Count = 2
    pending: Count = 1000
    remembered: Count = 1000
    cleanup_seconds: Seconds = 10.0


class LimitSettings(Section):
    """``service.limits``: bounds of the process."""

    requests_in_flight: Count = 64
    memory_mib: Annotated[Count, Field(ge=32)] = 256


class MilvusWaitSettings(Section):
    """``service.milvus``: how long Milvus is waited for, and what is asked of it."""

    call_timeout_seconds: Seconds = 10.0
    retry_seconds: Seconds = 3.0
    flush_timeout_seconds: Seconds = 600.0
    cleanup_seconds: Seconds = 60.0
    poll_seconds: Seconds = 0.1
    import_stall_seconds: Seconds = 900.0
    import_job_max_mib: Count = 4096
    allow_untested_versions: bool = False


class StorageWaitSettings(Section):
    """``service.storage``: how long object stores are waited for."""

    connect_timeout_seconds: Seconds = 5.0
    request_timeout_seconds: Seconds = 60.0
    retry_budget_seconds: Seconds = 120.0
    create_backup_bucket: bool = True


class ServiceSettings(Section):
    """``service``: what the Go tool does not have."""

    grpc: GrpcFaceSettings = GrpcFaceSettings()
    shutdown_grace_seconds: GraceSeconds = 30.0
    check_timeout_seconds: Seconds = 8.0
    operations: OperationSettings = OperationSettings()
    limits: LimitSettings = LimitSettings()
    milvus: MilvusWaitSettings = MilvusWaitSettings()
    storage: StorageWaitSettings = StorageWaitSettings()


class Settings(Section):
    """All settings."""

    log: LogSettings = LogSettings()
    milvus: MilvusSettings = MilvusSettings()
    backup: BackupSettings = BackupSettings()
    transfer: TransferSettings = TransferSettings()
    service: ServiceSettings = ServiceSettings()

    @property
    def copies_in_flight(self) -> int:
        """Objects that are copied at one time: more than the requests in flight would only wait."""
        return min(self.transfer.concurrency, self.service.limits.requests_in_flight)

    def shown(self) -> dict[str, object]:
        """Return every setting by its key, secrets masked."""
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
    return mask(value.get_secret_value()) if isinstance(value, SecretStr) else value
