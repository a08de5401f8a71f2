"""What is seen of settings that change something."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from milvus_backup_server.adapters.s3 import S3Profile
from milvus_backup_server.settings import Settings
from milvus_backup_server.settings.models import StorageSettings
from milvus_backup_server.settings.stores import StoreAccessSettings
from milvus_backup_server.telemetry import configure_logging
from milvus_backup_server.wiring import (
    log_file,
    s3_profile,
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
