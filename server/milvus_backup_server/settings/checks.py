"""What single values cannot show: settings that exclude or demand each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.settings.models import Settings, StorageSettings
from milvus_backup_server.settings.sources import Rows
from milvus_backup_server.settings.stores import StoreAccessSettings

MAX_SOCKET_BYTES: Final = 100
"""The system's own bound is 107 bytes for a unix socket's path."""

_DIRECTORIES_OF_MILVUS: Final = frozenset(
    {"insert_log", "delta_log", "stats_log", "index_files", "analyze_stats", "bm25_stats"}
)
_STATIC: Final = ("accessKeyID", "secretAccessKey", "sessionToken")
_OWN_LOGINS: Final = frozenset({"gcp", "aliyun", "tencent", "hwc"})
_PLACES: Final = "service.storage.allowedPlaces"
_OF_OTHER_STORES: Final = ("accountKey", "credentialsFile")


def cross_faults(
    settings: Settings, given: Rows, unknown: Collection[str] = ()
) -> Iterator[FieldViolation]:
    """Yield every fault that shows only between settings, each of which is right by itself.

    Args:
        settings: The settings.
        given: What was set, by lower-case key.
        unknown: The sections of stores of which not even the provider is known: not judged.
    """
    yield from _tls_faults(settings)
    yield from _listening_faults(settings)
    for section, storage in _storages(settings):
        if section not in unknown:
            yield from _storage_faults(section, storage, given)
    waits = settings.service.storage
    yield from _access_faults("service.storage.milvus.", waits.milvus, given)
    yield from _access_faults("service.storage.backup.", waits.backup, given)
    if not unknown:
        yield from _overlap_faults(settings)
        yield from _place_faults(settings)
        yield from _mode_faults(settings)


def concerns(settings: Settings) -> Iterator[str]:
    """Yield what is possible, and not wise."""
    milvus, backup = settings.milvus.storage, settings.backup.storage
    if _is_one_bucket(milvus, backup) and _path_of(milvus) == _path_of(backup):
        yield (
            f"backup.storage.rootPath is Milvus's own rootPath ({milvus.root_path!r}): its "
            "directories show among the backups; better is one of its own, such as backup"
        )


def _storages(settings: Settings) -> tuple[tuple[str, StorageSettings], ...]:
    return (
        ("milvus.storage.", settings.milvus.storage),
        ("backup.storage.", settings.backup.storage),
    )


def _overlap_faults(settings: Settings) -> Iterator[FieldViolation]:
    """Keep backups out of the directories that Milvus keeps its own data in.

    Whatever lies below the root of the backups can be deleted as a backup. The same root is
    possible: it is where the Go tool's files of v1 put backups that do not name another, and a
    directory with other things in it than a backup has is never deleted.
    """
    milvus, backup = settings.milvus.storage, settings.backup.storage
    if not _is_one_bucket(milvus, backup):
        return
    inside = _below(_path_of(backup), _path_of(milvus))
    above = _below(_path_of(milvus), _path_of(backup))
    if above or (inside and inside[0] in _DIRECTORIES_OF_MILVUS):
        yield FieldViolation(
            "backup.storage.rootPath",
            f"{backup.root_path!r} holds, or lies in, Milvus's own data ({milvus.root_path!r} of the "
            "same store); expected a directory of its own, such as backup",
        )


def _place_faults(settings: Settings) -> Iterator[FieldViolation]:
    """Keep the places that callers may name out of Milvus's data, as the backups' own.

    Also out of the backups of the settings, which with an empty root are all of their bucket: a place could
    lie inside a backup there, and a backup of a place look like a part of one.
    """
    milvus, backup = settings.milvus.storage, settings.backup.storage
    places, local = settings.places, backup.provider == "local"
    for place in places.prefixes:
        if local and place.bucket:
            text = (
                f"{place}: backups lie in a directory; expected another one, such as /srv/backups"
            )
            yield FieldViolation(_PLACES, text)
        there = backup.model_copy(
            update={"root_path": f"/{place.root}", "bucket_name": place.bucket}
        )
        inside = _below(_path_of(there), _path_of(milvus))
        above = _below(_path_of(milvus), _path_of(there)) is not None
        holds = above or (inside and inside[0] in _DIRECTORIES_OF_MILVUS)
        if holds and _is_one_bucket(milvus, there):
            text = f"{place} holds, or lies in, Milvus's own data; expected a path beside it"
            yield FieldViolation(_PLACES, text)
        if _is_one_bucket(backup, there) and _below(_path_of(there), _path_of(backup)) is not None:
            text = f"{place} lies among the backups of the settings; expected a path beside theirs"
            yield FieldViolation(_PLACES, text)


def _is_one_bucket(milvus: StorageSettings, backup: StorageSettings) -> bool:
    providers = {milvus.provider, backup.provider}
    if "local" in providers:
        return len(providers) == 1
    return _is_one_endpoint(milvus, backup) and milvus.bucket_name == backup.bucket_name


def _path_of(storage: StorageSettings) -> str:
    return storage.directory if storage.provider == "local" else storage.prefix


def _is_one_endpoint(milvus: StorageSettings, backup: StorageSettings) -> bool:
    # Not by provider: one server answers to several of them, as MinIO does to minio and s3.
    return (milvus.address.lower(), milvus.port) == (backup.address.lower(), backup.port)


def _mode_faults(settings: Settings) -> Iterator[FieldViolation]:
    milvus, backup = settings.milvus.storage, settings.backup.storage
    alike = (milvus.provider, milvus.region, milvus.use_ssl) == (
        backup.provider,
        backup.region,
        backup.use_ssl,
    )
    one = _is_one_endpoint(milvus, backup) or milvus.provider == "local"
    if settings.transfer.mode == "direct" and not (alike and one):
        yield FieldViolation(
            "transfer.mode",
            "direct needs both stores at one address, which copies by itself; expected auto or "
            "streaming",
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


def _listening_faults(settings: Settings) -> Iterator[FieldViolation]:
    grpc, http = settings.service.grpc, settings.service.http
    same = (http.host, http.port) == (grpc.host, grpc.port)
    if http.enabled and not grpc.socket and http.port and same:
        yield FieldViolation("service.http.port", "is the port of service.grpc.port, too")
    if len(grpc.socket.encode()) > MAX_SOCKET_BYTES:
        fault = f"is too long for the path of a socket; expected at most {MAX_SOCKET_BYTES} bytes"
        yield FieldViolation("service.grpc.socket", fault)


def _storage_faults(
    section: str, storage: StorageSettings, given: Rows
) -> Iterator[FieldViolation]:
    if storage.provider == "local":
        if not storage.root_path:
            what = "Milvus's localStorage.path" if "milvus" in section else "the backups"
            yield FieldViolation(f"{section}rootPath", f"expected the directory of {what}")
        if storage.local_path and not storage.local_path.startswith("/"):
            yield FieldViolation(
                f"{section}localPath", "expected a directory from the root on, /..."
            )
        if storage.milvus_address:
            yield FieldViolation(f"{section}milvusAddress", "does not apply to the provider local")
        return
    if _was_given(f"{section}localPath", given):
        yield FieldViolation(f"{section}localPath", "is for the provider local only")
    if _was_given(f"{section}accountName", given):
        yield FieldViolation(f"{section}accountName", "is for the provider azure only")
    if storage.milvus_port and not storage.milvus_address:
        yield FieldViolation(f"{section}milvusPort", "needs milvusAddress beside it")
    yield from _auth_faults(f"{section}auth", storage, given)


def _access_faults(
    section: str, access: StoreAccessSettings, given: Rows
) -> Iterator[FieldViolation]:
    certificates, key = f"{section}caCertPath", f"{section}kmsKeyID"
    if _was_given(certificates, given) and not Path(access.ca_cert_path).is_file():
        yield FieldViolation(certificates, f"{access.ca_cert_path}: no such file")
    if _was_given(key, given) and access.encryption != "sse-kms":
        yield FieldViolation(key, f"is for encryption: SSE-KMS, and it is {access.encryption}")


def _auth_faults(section: str, storage: StorageSettings, given: Rows) -> Iterator[FieldViolation]:
    auth = storage.auth
    if _was_given(f"{section}.endpoint", given):
        yield FieldViolation(
            f"{section}.endpoint",
            "is not supported; leave it empty to ask the environment and the machine",
        )
    useless = _OF_OTHER_STORES if auth.type == "static" else (*_STATIC, *_OF_OTHER_STORES)
    for name in useless:
        if _was_given(f"{section}.{name}", given):
            yield FieldViolation(f"{section}.{name}", f"does not apply when type is {auth.type}")
    own = storage.provider in _OWN_LOGINS and auth.type == "iam"
    deciders = (f"{section}.type", f"{section.removesuffix('auth')}provider")
    if own and any(_was_given(key, given) for key in deciders):
        yield FieldViolation(
            f"{section}.type",
            f"iam of {storage.provider} is its own and not supported; expected static, with the keys of "
            "its S3 API, or default for such keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    required = {
        "accessKeyID": auth.access_key_id,
        "secretAccessKey": auth.secret_access_key.get_secret_value(),
    }
    for name, value in required.items():
        if auth.type == "static" and not value:
            yield FieldViolation(f"{section}.{name}", "is required when type is static")


def _was_given(key: str, given: Rows) -> bool:
    row = given.get(key.lower())
    return row is not None and not row.inherited and row.value != ""
