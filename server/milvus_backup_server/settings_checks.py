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
    for section in ("milvus", "backup"):
        storage: StorageSettings = getattr(settings, section).storage
        yield from _storage_faults(f"{section}.storage", storage, given)


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
