"""Keys of the settings that change something: default, another value, and what is seen of it.

Written from the reference of the Go tool's configuration, not from our models.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from milvus_backup_server.adapters.s3 import S3Profile
from milvus_backup_server.domain.import_units import ImportApi
from milvus_backup_server.domain.places import Place
from milvus_backup_server.settings import Settings
from milvus_backup_server.settings.models import StorageSettings
from milvus_backup_server.settings.stores import StoreAccessSettings
from milvus_backup_server.telemetry import configure_logging
from milvus_backup_server.wiring import (
    MIB,
    client_settings,
    gateway_settings,
    log_file,
    operation_limits,
    rates_of,
    recording_limits,
    retention,
    retry_policy,
    s3_profile,
    transfer_settings,
    work_limits,
)

Seen = Callable[[Settings], object]


class Row(NamedTuple):
    """A key with an effect.

    Attributes:
        default: Its value when nothing is given.
        given: What to give, as YAML.
        seen: What is done with it, so far as one can see.
        expected: What is seen then.
        beside: What must be given beside it, as ``--set`` takes it.
    """

    key: str
    default: object
    given: str
    seen: Seen
    expected: object
    beside: tuple[str, ...] = ()


# --- what is seen


def logged(settings: Settings) -> list[str]:
    stream = io.StringIO()
    configure_logging(settings.log.level, stream, console=settings.log.console)
    log = structlog.get_logger("x")
    for say in (log.debug, log.info, log.warning, log.error):
        say(say.__name__)
    return [line.split('"level": "')[1].split('"')[0] for line in stream.getvalue().splitlines()]


def log_files(settings: Settings) -> int:
    """Write 1.8 MiB beside a file that was put aside long ago; return how many files there are."""
    folder = Path("logs")
    folder.mkdir(exist_ok=True)
    aside = folder / "x-2020-01-01T00-00-00.000000.log"
    aside.touch()
    os.utime(aside, (0, 0))
    handler = log_file(settings.log)
    if handler is None:
        return 0
    for _ in range(3):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "x" * 600 * 1024, None, None))
    handler.close()
    return len(list(folder.iterdir()))


def access_key(profile: S3Profile) -> str:
    return profile.credentials.access_key if profile.credentials else ""


def secret_key(profile: S3Profile) -> str:
    return profile.credentials.secret_key if profile.credentials else ""


def session_token(profile: S3Profile) -> str:
    return profile.credentials.session_token if profile.credentials else ""


def file_of(path: Path | None) -> str:
    return str(path or "")


def access_rows(side: str, seen: Callable[[Callable[[S3Profile], object]], Seen]) -> list[Row]:
    rows = [
        Row(
            "caCertPath",
            "",
            "a.pem",
            seen(lambda it: it.ca_file),
            "a.pem",
            (f"{side}.storage.useSSL=true",),
        ),
        Row("addressing", "auto", "virtual", seen(lambda it: it.addressing), "virtual"),
        Row(
            "storageClass",
            "",
            "standard_ia",
            seen(lambda it: it.writing.options()),
            {"StorageClass": "STANDARD_IA"},
        ),
        Row(
            "encryption",
            "none",
            "SSE-S3",
            seen(lambda it: it.writing.options()),
            {"ServerSideEncryption": "AES256"},
        ),
        Row(
            "kmsKeyID",
            "",
            "k",
            seen(lambda it: it.writing.options()),
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"},
            (f"service.storage.{side}.encryption=sse-kms",),
        ),
    ]
    return [row._replace(key=f"service.storage.{side}.{row.key}") for row in rows]


def storage_rows(
    section: str,
    root: str,
    storage: Callable[[Settings], StorageSettings],
    access: Callable[[Settings], StoreAccessSettings],
) -> list[Row]:
    def seen(profile: Callable[[S3Profile], object]) -> Seen:
        return lambda it: profile(s3_profile(storage(it), access(it)))

    def url(profile: S3Profile) -> str:
        return profile.endpoint_url

    rows = [
        Row("provider", "minio", "s3", seen(lambda it: it.provider), "s3"),
        Row("address", "localhost", "x", seen(url), "http://x:9000"),
        Row("port", 9000, "1", seen(url), "http://localhost:1"),
        Row("region", "", "eu", seen(lambda it: it.region), "eu"),
        Row("useSSL", False, "true", seen(url), "https://localhost:9000"),
        Row("bucketName", "a-bucket", "b", seen(lambda it: it.bucket), "b"),
        Row("rootPath", root, "f", lambda it: storage(it).prefix, "f"),
        Row("auth.type", "static", "iam", seen(lambda it: it.credentials is None), True),
        Row("auth.accessKeyID", "minioadmin", "me", seen(access_key), "me"),
        Row("auth.secretAccessKey", "minioadmin", "pw", seen(secret_key), "pw"),
        Row("auth.sessionToken", "", "t", seen(session_token), "t"),
    ]
    ours = access_rows(section.partition(".")[0], seen)
    return [*(row._replace(key=f"{section}.{row.key}") for row in rows), *ours]


TLS = ("milvus.grpc.tlsMode=server",)
LOG_FILE = ("log.file.path=logs/x.log",)
SMALL_LOG_FILE = (*LOG_FILE, "log.file.maxSizeMiB=1")

EFFECTS = [
    Row("log.level", "info", "warn", logged, ["warning", "error"]),
    Row("log.console", True, "false", logged, []),
    # The Go tool writes logs/backup.log unless told otherwise.
    Row("log.file.path", "", "logs/x.log", log_files, 2),
    Row("log.file.maxSizeMiB", 300, "1", log_files, 4, LOG_FILE),
    Row("log.file.maxDays", 0, "1", log_files, 3, SMALL_LOG_FILE),
    Row("log.file.maxBackups", 0, "1", log_files, 2, SMALL_LOG_FILE),
    Row("milvus.user", "", "me", lambda it: gateway_settings(it).user, "me"),
    Row("milvus.password", "", "pw", lambda it: gateway_settings(it).password, "pw"),
    Row("milvus.grpc.address", "localhost", "m", lambda it: gateway_settings(it).host, "m"),
    Row("milvus.grpc.port", 19530, "1", lambda it: gateway_settings(it).port, 1),
    Row(
        "milvus.grpc.tlsMode",
        "disabled",
        "server",
        lambda it: gateway_settings(it).tls.value,
        "server",
    ),
    Row(
        "milvus.grpc.caCertPath",
        "",
        "a.pem",
        lambda it: file_of(gateway_settings(it).ca),
        "a.pem",
        TLS,
    ),
    Row("milvus.grpc.serverName", "", "m", lambda it: gateway_settings(it).server_name, "m", TLS),
    Row(
        "milvus.grpc.mtlsCertPath",
        "",
        "a.pem",
        lambda it: file_of(gateway_settings(it).certificate),
        "a.pem",
        ("milvus.grpc.tlsMode=mutual", "milvus.grpc.mtlsKeyPath=a.pem"),
    ),
    Row(
        "milvus.grpc.mtlsKeyPath",
        "",
        "a.pem",
        lambda it: file_of(gateway_settings(it).key),
        "a.pem",
        ("milvus.grpc.tlsMode=mutual", "milvus.grpc.mtlsCertPath=a.pem"),
    ),
    *storage_rows(
        "milvus.storage",
        "files",
        lambda it: it.milvus.storage,
        lambda it: it.service.storage.milvus,
    ),
    *storage_rows(
        "backup.storage",
        "backup",
        lambda it: it.backup.storage,
        lambda it: it.service.storage.backup,
    ),
    Row(
        "milvus.rest.endpoint",
        "",
        "http://x:1",
        lambda it: gateway_settings(it).rest_endpoint,
        "http://x:1",
    ),
    Row(
        "milvus.management.endpoint",
        "http://localhost:9091",
        "http://x:1",
        lambda it: gateway_settings(it).management_endpoint,
        "http://x:1",
    ),
    Row("backup.pauseGC", True, "false", lambda it: work_limits(it).pause_gc, False),
    Row("restore.concurrency.importJobs", 768, "1", lambda it: work_limits(it).import_jobs, 1),
    Row(
        "restore.maxSegmentsPerImportJob",
        256,
        "1",
        lambda it: work_limits(it).import_job_segments,
        1,
    ),
    Row("backup.concurrency.collections", 4, "7", lambda it: work_limits(it).collections, 7),
    Row(
        "transfer.mode",
        "auto",
        "streaming",
        lambda it: transfer_settings(it).mode.value,
        "streaming",
    ),
    Row("transfer.concurrency", 128, "3", lambda it: transfer_settings(it).workers, 3),
    Row(
        "transfer.multipartCopyThresholdMiB",
        500,
        "7",
        lambda it: transfer_settings(it).copy_threshold_bytes,
        7 * MIB,
    ),
    # What is ours alone.
    Row("service.checkTimeoutSeconds", 7.0, "1", lambda it: work_limits(it).check_seconds, 1.0),
    Row("service.operations.concurrent", 2, "7", lambda it: operation_limits(it).concurrent, 7),
    Row("service.operations.pending", 1000, "7", lambda it: operation_limits(it).pending, 7),
    Row("service.operations.remembered", 1000, "7", lambda it: operation_limits(it).remembered, 7),
    Row("service.operations.rememberedDays", 30, "7", lambda it: retention(it).age.days, 7),
    Row(
        "service.operations.heartbeatSeconds",
        5.0,
        "1",
        lambda it: recording_limits(it).heartbeat,
        1.0,
    ),
    Row(
        "service.operations.lostAfterSeconds",
        30.0,
        "60",
        lambda it: recording_limits(it).lost_after,
        60.0,
    ),
    Row(
        "service.operations.progressSeconds",
        5.0,
        "1",
        lambda it: recording_limits(it).progress,
        1.0,
    ),
    Row(
        "service.operations.resumeAtStart",
        False,
        "true",
        lambda it: it.service.operations.resume_at_start,
        True,
    ),
    Row(
        "service.operations.cleanupSeconds",
        10.0,
        "1",
        lambda it: operation_limits(it).cleanup_seconds,
        1.0,
    ),
    Row(
        "service.limits.requestsInFlight",
        64,
        "7",
        lambda it: client_settings(it).max_connections,
        7 + 16,  # beside those about records
    ),
    Row("service.limits.requestsPerSecond", 0, "7", lambda it: rates_of(it)[0], 7),
    Row("service.limits.mibPerSecond", 0, "7", lambda it: rates_of(it)[1], 7 * MIB),
    Row("service.limits.archives", 4, "7", lambda it: work_limits(it).streams, 7),
    Row(
        "service.limits.archiveMetadataMiB",
        4096,
        "7",
        lambda it: work_limits(it).archive_metadata_bytes,
        7 * MIB,
    ),
    Row(
        "service.limits.archiveStallSeconds",
        300.0,
        "7",
        lambda it: work_limits(it).stream_stall_seconds,
        7.0,
    ),
    Row(
        "service.limits.memoryMiB",
        256,
        "33",
        lambda it: transfer_settings(it).bytes_in_flight,
        33 * MIB,
    ),
    Row(
        "service.milvus.callTimeoutSeconds",
        10.0,
        "1",
        lambda it: gateway_settings(it).call_seconds,
        1.0,
    ),
    Row(
        "service.milvus.retrySeconds",
        3.0,
        "1",
        lambda it: gateway_settings(it).retry_seconds,
        1.0,
    ),
    Row(
        "service.milvus.flushTimeoutSeconds",
        600.0,
        "1",
        lambda it: work_limits(it).flush_seconds,
        1.0,
    ),
    Row(
        "service.milvus.cleanupSeconds", 60.0, "1", lambda it: work_limits(it).cleanup_seconds, 1.0
    ),
    Row("service.milvus.pollSeconds", 0.1, "1", lambda it: work_limits(it).poll_seconds, 1.0),
    Row(
        "service.milvus.importStallSeconds",
        900.0,
        "1",
        lambda it: work_limits(it).import_stall_seconds,
        1.0,
    ),
    Row(
        "service.milvus.loadTimeoutSeconds",
        1800.0,
        "1",
        lambda it: work_limits(it).load_seconds,
        1.0,
    ),
    Row(
        "service.milvus.importJobMaxMiB",
        4096,
        "7",
        lambda it: work_limits(it).import_job_bytes,
        7 * MIB,
    ),
    Row(
        "service.milvus.importApi",
        "auto",
        "grpc",
        lambda it: work_limits(it).import_api,
        ImportApi.GRPC,
    ),
    Row(
        "service.milvus.allowUntestedVersions",
        False,
        "true",
        lambda it: work_limits(it).allow_untested_versions,
        True,
    ),
    Row(
        "service.storage.connectTimeoutSeconds",
        5.0,
        "1",
        lambda it: client_settings(it).connect_timeout_seconds,
        1.0,
    ),
    Row(
        "service.storage.requestTimeoutSeconds",
        60.0,
        "1",
        lambda it: client_settings(it).read_timeout_seconds,
        501.0,
    ),
    Row(
        "service.storage.slowestMiBPerSecond",
        1,
        "500",
        lambda it: client_settings(it).read_timeout_seconds,
        61.0,
    ),
    Row(
        "service.storage.retryBudgetSeconds",
        120.0,
        "1",
        lambda it: retry_policy(it).total_seconds,
        1.0,
    ),
    Row(
        "service.storage.createBackupBucket",
        True,
        "false",
        lambda it: work_limits(it).create_bucket,
        False,
    ),
    Row(
        "service.storage.allowedPlaces",
        (),
        "archive/team/a, /other",
        lambda it: it.places.prefixes,
        (Place("archive", "team/a"), Place("a-bucket", "other")),
    ),
]
