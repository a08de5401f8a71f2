"""Settings into adapters and limits: what the composition root hands to each part."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import structlog

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, TlsMode
from milvus_backup_server.adapters.milvus import MilvusSettings as GatewaySettings
from milvus_backup_server.adapters.s3 import (
    Encryption,
    S3Clients,
    S3ClientSettings,
    S3Credentials,
    S3Profile,
    S3Writing,
)
from milvus_backup_server.adapters.store_rates import RateLimiter
from milvus_backup_server.adapters.store_wrappers import RequestLimiter, RetryPolicy, reliable
from milvus_backup_server.adapters.transfer import CopyMode, TransferSettings
from milvus_backup_server.domain.errors import (
    BinlogsNotInstalled,
    FieldViolation,
    InvalidSettings,
    StorageUnavailable,
)
from milvus_backup_server.domain.import_units import ImportApi
from milvus_backup_server.domain.operation_record import Owner
from milvus_backup_server.domain.places import Place
from milvus_backup_server.http.options import HttpOptions
from milvus_backup_server.log_file import RotatingLogFile
from milvus_backup_server.ports.binlogs import BinlogReader
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.ports.operation_log import Retention
from milvus_backup_server.service.context import Storage, WorkLimits
from milvus_backup_server.service.memory import ByteBudget
from milvus_backup_server.service.operations import OperationLimits
from milvus_backup_server.service.recording import RecordingLimits
from milvus_backup_server.settings.models import (
    AuthSettings,
    LogSettings,
    Settings,
    StorageSettings,
)
from milvus_backup_server.settings.showing import text
from milvus_backup_server.settings.stores import StoreAccessSettings

MIB: Final = 1 << 20
_MOST_SEGMENTS: Final = 256  # that Milvus's import jobs are known to take
_ADDRESSING: Final[dict[str, Literal["auto", "path", "virtual"]]] = {
    "aliyun": "virtual",
    "tencent": "virtual",
    "hwc": "virtual",
}
_RECORD_REQUESTS: Final = 16
"""Requests about records of operations at one time, beside ``service.limits.requestsInFlight``."""

_BACKUP_LOGIN: Final = "backup.storage.auth"
_AWS_HOST: Final = "s3.amazonaws.com"
_ENCRYPTIONS: Final = {
    "none": Encryption.NONE,
    "sse-s3": Encryption.S3,
    "sse-kms": Encryption.KMS,
}
_LARGEST_COPY_MIB: Final = 5 << 10
"""By one request: a rule of S3."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use cases reach the outside with; the rates can be changed.

    Attributes:
        records_store: The backups' store once more, for what must not queue behind copies: records of
            operations and signs of life. None: as the others.
        place_stores: Those of the places that callers may name, by the prefixes of the settings.
    """

    gateway: MilvusGateway
    milvus_store: ObjectStore
    backup_store: ObjectStore
    rates: RateLimiter = field(default_factory=RateLimiter)
    records_store: ObjectStore | None = None
    place_stores: Mapping[Place, ObjectStore] = field(default_factory=dict)


async def open_adapters(stack: AsyncExitStack, settings: Settings) -> Adapters:
    """Make the adapters and have the stack close them. Nothing is sent: all may be down.

    Raises:
        BackupError: The settings cannot be used, which only the libraries could find out.
    """
    clients = await stack.enter_async_context(S3Clients(client_settings(settings)))
    rates = RateLimiter(*rates_of(settings))
    limiter = RequestLimiter(settings.service.limits.requests_in_flight, rates)
    retries, waits = retry_policy(settings), settings.service.storage

    async def store(
        storage: StorageSettings, access: StoreAccessSettings, login: str, slots: RequestLimiter
    ) -> ObjectStore:
        return reliable(
            await _store(clients, storage, access, login),
            slots,
            retries,
            deadline_seconds=waits.request_timeout_seconds,
            slowest_bytes_per_second=waits.slowest_mib_per_second * MIB,
            on_retry=_note_retry,
        )

    milvus_store = await store(
        settings.milvus.storage, waits.milvus, "milvus.storage.auth", limiter
    )
    backup_store = await store(settings.backup.storage, waits.backup, _BACKUP_LOGIN, limiter)
    few = RequestLimiter(_RECORD_REQUESTS)
    records_store = await store(settings.backup.storage, waits.backup, _BACKUP_LOGIN, few)
    place_stores = {
        place: await store(place_storage(settings, place), waits.backup, _BACKUP_LOGIN, limiter)
        for place in settings.places.prefixes
    }
    gateway = GrpcMilvusGateway(gateway_settings(settings))
    stack.push_async_callback(gateway.close)
    return Adapters(gateway, milvus_store, backup_store, rates, records_store, place_stores)


def place_storage(settings: Settings, place: Place) -> StorageSettings:
    """Return how a place is reached that callers may name: as the backups of the settings, but for the bucket."""
    storage = settings.backup.storage
    if storage.provider == "local":
        return storage.model_copy(update={"root_path": f"/{place.root}"})
    return storage.model_copy(update={"bucket_name": place.bucket, "root_path": place.root})


def place_storages(settings: Settings, adapters: Adapters) -> dict[Place, Storage]:
    """Return the storage of each place that callers may name, or have places below of."""
    return {
        place: Storage(
            f"backup {place}", adapters.place_stores[place], place_storage(settings, place).prefix
        )
        for place in settings.places.prefixes
    }


def binlog_reader() -> BinlogReader:
    """Return what reads the rows in Milvus's logs.

    Raises:
        BinlogsNotInstalled: It needs libraries that are large, and not there.
    """
    try:
        from milvus_backup_server.adapters.binlog import ArrowBinlogReader  # noqa: PLC0415 see above
    except ModuleNotFoundError as missing:
        raise BinlogsNotInstalled(
            f"{missing.name} is not installed where the service runs, and reads the rows of the backup: "
            "pip install 'milvus-backup[binlogs]' there, and start the service again",
            subject=str(missing.name),
        ) from None
    return ArrowBinlogReader()


def rates_of(settings: Settings) -> tuple[int, int]:
    """Return the requests and the bytes per second; 0 is no limit."""
    limits = settings.service.limits
    return limits.requests_per_second, limits.mib_per_second * MIB


def log_file(log: LogSettings) -> RotatingLogFile | None:
    """Return the log file that the settings ask for; None if they do not.

    Raises:
        InvalidSettings: It cannot be written.
    """
    file = log.file
    if not file.path:
        return None
    try:
        return RotatingLogFile(
            Path(file.path),
            max_bytes=file.max_size_mib * MIB,
            max_days=file.max_days,
            max_backups=file.max_backups,
        )
    except OSError as error:
        fault = f"{file.path} cannot be written: {error.strerror}"
        raise InvalidSettings(FieldViolation("log.file.path", fault)) from None


def client_settings(settings: Settings) -> S3ClientSettings:
    """Return how object stores are asked."""
    waits = settings.service.storage
    largest_mib = min(settings.transfer.multipart_copy_threshold_mib, _LARGEST_COPY_MIB)
    return S3ClientSettings(
        connect_timeout_seconds=waits.connect_timeout_seconds,
        # Deadlines by size are the stores' decorator's; this must not end the longest one before.
        read_timeout_seconds=waits.request_timeout_seconds
        + largest_mib / waits.slowest_mib_per_second,
        max_connections=settings.service.limits.requests_in_flight + _RECORD_REQUESTS,
    )


def retry_policy(settings: Settings) -> RetryPolicy:
    """Return how long object stores are asked again."""
    return RetryPolicy(total_seconds=settings.service.storage.retry_budget_seconds)


def gateway_settings(settings: Settings) -> GatewaySettings:
    """Return how the gateway reaches Milvus."""
    grpc, waits = settings.milvus.grpc, settings.service.milvus
    return GatewaySettings(
        host=grpc.address,
        port=grpc.port,
        user=settings.milvus.user,
        password=settings.milvus.password.get_secret_value(),
        tls=TlsMode(grpc.tls_mode),
        ca=_path(grpc.ca_cert_path),
        certificate=_path(grpc.mtls_cert_path),
        key=_path(grpc.mtls_key_path),
        server_name=grpc.server_name,
        rest_endpoint=settings.milvus.rest.endpoint,
        management_endpoint=settings.milvus.management.endpoint,
        call_seconds=waits.call_timeout_seconds,
        retry_seconds=waits.retry_seconds,
    )


def s3_profile(storage: StorageSettings, access: StoreAccessSettings, login: str = "") -> S3Profile:
    """Return how a bucket is reached and written to; ``login`` names the setting of its credentials."""
    # Amazon's one name for all regions is left to the library, which knows each region's own.
    is_amazon = storage.address == _AWS_HOST
    return S3Profile(
        provider=storage.provider,
        endpoint="" if is_amazon else f"{storage.address}:{storage.port}",
        region=storage.region,
        bucket=storage.bucket_name,
        addressing=_addressing(storage, access),
        credentials=_credentials(storage.auth),
        use_ssl=storage.use_ssl,
        ca_file=access.ca_cert_path if storage.use_ssl else "",
        writing=S3Writing(access.storage_class, _ENCRYPTIONS[access.encryption], access.kms_key_id),
        login=login,
    )


def _addressing(
    storage: StorageSettings, access: StoreAccessSettings
) -> Literal["auto", "path", "virtual"]:
    if access.addressing != "auto":
        return access.addressing
    return "auto" if storage.address == _AWS_HOST else _ADDRESSING.get(storage.provider, "path")


def work_limits(settings: Settings) -> WorkLimits:
    """Return the bounds and waits of the use cases."""
    waits = settings.service.milvus
    return WorkLimits(
        collections=settings.backup.concurrency.collections,
        check_seconds=settings.service.check_timeout_seconds,
        flush_seconds=waits.flush_timeout_seconds,
        poll_seconds=waits.poll_seconds,
        cleanup_seconds=waits.cleanup_seconds,
        import_stall_seconds=waits.import_stall_seconds,
        load_seconds=waits.load_timeout_seconds,
        import_job_bytes=waits.import_job_max_mib * MIB,
        import_jobs=settings.restore.concurrency.import_jobs,
        import_job_segments=min(settings.restore.max_segments_per_import_job, _MOST_SEGMENTS),
        import_api=ImportApi(waits.import_api),
        pause_gc=settings.backup.pause_gc,
        create_bucket=settings.service.storage.create_backup_bucket,
        allow_untested_versions=waits.allow_untested_versions,
        objects_read=_objects_read(settings),
        memory=ByteBudget(settings.service.limits.memory_mib * MIB),
        streams=settings.service.limits.archives,
        archive_metadata_bytes=settings.service.limits.archive_metadata_mib * MIB,
        stream_stall_seconds=settings.service.limits.archive_stall_seconds,
    )


def _objects_read(settings: Settings) -> int:
    """Return how many objects may be read at one time, a piece of each in memory."""
    usual = WorkLimits()
    return min(usual.objects_read, settings.service.limits.memory_mib * MIB // usual.part_bytes)


def http_options(settings: Settings, version: str) -> HttpOptions:
    """Return how the settings want HTTP to be served."""
    face = settings.service.http
    return HttpOptions(
        host=face.host,
        port=face.port,
        allowed_hosts=face.allowed_hosts,
        max_body_bytes=face.max_body_mib * MIB,
        base_path=settings.server.swagger_base_path,
        version=version,
        settings={key: text(value) for key, value in settings.shown().items()},
    )


def operation_limits(settings: Settings) -> OperationLimits:
    """Return the bounds of the operation manager."""
    operations = settings.service.operations
    return OperationLimits(
        concurrent=operations.concurrent,
        pending=operations.pending,
        remembered=operations.remembered,
        cleanup_seconds=operations.cleanup_seconds,
    )


def retention(settings: Settings) -> Retention:
    """Return how long the records of operations are kept."""
    operations = settings.service.operations
    return Retention(operations.remembered, timedelta(days=operations.remembered_days))


def recording_limits(settings: Settings) -> RecordingLimits:
    """Return the waits of what records operations."""
    operations = settings.service.operations
    return RecordingLimits(
        heartbeat=operations.heartbeat_seconds,
        lost_after=operations.lost_after_seconds,
        progress=operations.progress_seconds,
        accept=settings.service.check_timeout_seconds,
    )


def this_owner() -> Owner:
    """Return what other services call this one."""
    return Owner(secrets.token_hex(8), socket.gethostname(), os.getpid())


def transfer_settings(settings: Settings) -> TransferSettings:
    """Return the limits of the transfer engine."""
    return TransferSettings(
        workers=settings.copies_in_flight,
        bytes_in_flight=settings.service.limits.memory_mib * MIB,
        copy_threshold_bytes=settings.transfer.multipart_copy_threshold_mib * MIB,
        mode=CopyMode(settings.transfer.mode),
    )


async def _store(
    clients: S3Clients, storage: StorageSettings, access: StoreAccessSettings, login: str
) -> ObjectStore:
    if storage.provider == "local":
        return LocalStore(Path(storage.root_path))
    return await clients.store(s3_profile(storage, access, login))


def _credentials(auth: AuthSettings) -> S3Credentials | None:
    if auth.type != "static":
        return None
    return S3Credentials(
        auth.access_key_id,
        auth.secret_access_key.get_secret_value(),
        auth.session_token.get_secret_value(),
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _note_retry(method: str, error: StorageUnavailable) -> None:
    _log.debug("store request failed and may be repeated", method=method, error=error.message)
