"""What single values cannot show: settings that exclude or demand each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.settings_models import Settings, StorageSettings
from milvus_backup_server.settings_sources import Given

MAX_SOCKET_BYTES: Final = 100
"""The system's own bound is 107 bytes for a unix socket's path."""

_DIRECTORIES_OF_MILVUS: Final = frozenset(
    {"insert_log", "delta_log", "stats_log", "index_files", "analyze_stats", "bm25_stats"}
)
_STATIC: Final = ("accessKeyID", "secretAccessKey", "sessionToken")
_OF_OTHER_STORES: Final = ("accountKey", "credentialsFile")


def cross_faults(settings: Settings, given: Mapping[str, Given]) -> Iterator[FieldViolation]:
    """Yield every fault that shows only between settings, each of which is right by itself.

    Args:
        settings: The settings.
        given: What was set, by lower-case key.
    """
    yield from _tls_faults(settings)
    yield from _socket_faults(settings)
    if settings.milvus.storage.provider == "local":
        yield FieldViolation(
            "milvus.storage.provider",
            "local is possible for backup.storage only: Milvus must keep its data in an S3 store",
        )
    yield from _overlap_faults(settings)
    for section in ("milvus", "backup"):
        storage: StorageSettings = getattr(settings, section).storage
        yield from _storage_faults(f"{section}.storage", storage, given)


def _overlap_faults(settings: Settings) -> Iterator[FieldViolation]:
    """Keep backups out of the directories that Milvus keeps its own data in.

    Whatever lies below the root of the backups can be deleted as a backup.
    """
    milvus, backup = settings.milvus.storage, settings.backup.storage
    same_bucket = (milvus.provider, milvus.address, milvus.port, milvus.bucket_name) == (
        backup.provider,
        backup.address,
        backup.port,
        backup.bucket_name,
    )
    if not same_bucket or milvus.provider == "local":
        return
    inside = _below(backup.prefix, milvus.prefix)
    of_milvus = inside is not None and (inside == () or inside[0] in _DIRECTORIES_OF_MILVUS)
    if of_milvus or _below(milvus.prefix, backup.prefix) is not None:
        yield FieldViolation(
            "backup.storage.rootPath",
            f"{backup.root_path!r} holds, or lies in, Milvus's own data ({milvus.root_path!r} of the "
            "same bucket); expected a directory of its own, such as backup",
        )


def _below(path: str, root: str) -> tuple[str, ...] | None:
    """Return the steps from a root down to a path; None if the path is not below it."""
    steps, above = _steps(path), _steps(root)
    return steps[len(above) :] if steps[: len(above)] == above else None


def _steps(path: str) -> tuple[str, ...]:
    return tuple(step for step in path.split("/") if step)


def _tls_faults(settings: Settings) -> Iterator[FieldViolation]:
    grpc = settings.milvus.grpc
    if grpc.tls_mode == "disabled":
        return
    pair = {"mtlsCertPath": grpc.mtls_cert_path, "mtlsKeyPath": grpc.mtls_key_path}
    files = {"caCertPath": grpc.ca_cert_path}
    if grpc.tls_mode == "mutual":
        files |= pair
        for name, path in pair.items():
            if not path:
                yield FieldViolation(f"milvus.grpc.{name}", "is required when tlsMode is mutual")
    for name, path in files.items():
        if path and not Path(path).is_file():
            yield FieldViolation(f"milvus.grpc.{name}", f"{path}: no such file")


def _socket_faults(settings: Settings) -> Iterator[FieldViolation]:
    if len(settings.service.grpc.socket.encode()) > MAX_SOCKET_BYTES:
        fault = f"is too long for the path of a socket; expected at most {MAX_SOCKET_BYTES} bytes"
        yield FieldViolation("service.grpc.socket", fault)


def _storage_faults(
    section: str, storage: StorageSettings, given: Mapping[str, Given]
) -> Iterator[FieldViolation]:
    if storage.provider == "local":
        if not storage.root_path:
            yield FieldViolation(f"{section}.rootPath", "expected the directory of the backups")
        return
    if _was_given(f"{section}.localPath", given):
        yield FieldViolation(f"{section}.localPath", "is for the provider local only")
    if _was_given(f"{section}.accountName", given):
        yield FieldViolation(f"{section}.accountName", "is for the provider azure only")
    yield from _auth_faults(f"{section}.auth", storage, given)


def _auth_faults(
    section: str, storage: StorageSettings, given: Mapping[str, Given]
) -> Iterator[FieldViolation]:
    auth = storage.auth
    if auth.endpoint:
        yield FieldViolation(
            f"{section}.endpoint",
            "is not supported; leave it empty to ask the environment and the machine",
        )
    useless = _OF_OTHER_STORES if auth.type == "static" else (*_STATIC, *_OF_OTHER_STORES)
    for name in useless:
        if _was_given(f"{section}.{name}", given):
            yield FieldViolation(f"{section}.{name}", f"does not apply when type is {auth.type}")
    if auth.type == "static":
        if not auth.access_key_id:
            yield FieldViolation(f"{section}.accessKeyID", "is required when type is static")
        if not auth.secret_access_key.get_secret_value():
            yield FieldViolation(f"{section}.secretAccessKey", "is required when type is static")


def _was_given(key: str, given: Mapping[str, Given]) -> bool:
    row = given.get(key.lower())
    return row is not None and not row.inherited and row.value != ""
