"""Settings that are accepted and change nothing, and why: said at the start, never passed over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from milvus_backup_server.settings.keys import KEYS, OURS
from milvus_backup_server.settings.models import Settings, StorageSettings
from milvus_backup_server.settings.sources import Rows, Source

_STORAGES: Final = ("milvus.storage", "backup.storage")
_SNAPSHOTS: Final = (
    "only backups in the snapshot format of Milvus 3.0 need it, which are not made here"
)
_ONE_COLLECTION: Final = "the collections of a restore are imported one after another"
_INDEX_EXTRA: Final = "only restores into a secondary cluster need it, which are not made here"
_NO_CLOUD: Final = "this service does not move backups to Zilliz Cloud"

NO_EFFECT: Final = {
    "server.debugMode": "log.level: debug is what this service has",
    "milvus.replicate.rpcChannelName": _INDEX_EXTRA,
    "milvus.etcd.endpoints": _INDEX_EXTRA,
    "milvus.etcd.rootPath": _INDEX_EXTRA,
    **{
        f"{section}.{name}": _SNAPSHOTS
        for section in _STORAGES
        for name in (
            "milvusAddress",
            "milvusPort",
        )
    },
    "backup.concurrency.segments": "transfer.concurrency bounds the objects of all segments",
    "restore.concurrency.collections": _ONE_COLLECTION,
    "restore.keepTempFiles": "temporary copies are always removed",
    "zillizCloud.endpoint": _NO_CLOUD,
    "zillizCloud.apiKey": _NO_CLOUD,
}
"""Keys that never have an effect in this service."""

_NO_LOG_FILE: Final = "no log file is written without log.file.path"
_NO_TLS: Final = "milvus.grpc.tlsMode is disabled"
_NOT_MUTUAL: Final = "milvus.grpc.tlsMode is not mutual"
_NO_HTTP: Final = "service.http.enabled is false"
_SOCKET_ONLY: Final = "with service.grpc.socket the service listens there alone"
_DIRECTORY: Final = "a directory has no address, bucket or login"
_NOT_IMPORTED_FROM: Final = "Milvus does not read the directory of the backups"
_OF_LOG_FILES: Final = ("log.file.maxSizeMiB", "log.file.maxDays", "log.file.maxBackups")
_OF_TLS: Final = ("milvus.grpc.caCertPath", "milvus.grpc.serverName")
_OF_MUTUAL_TLS: Final = ("milvus.grpc.mtlsCertPath", "milvus.grpc.mtlsKeyPath")
_OF_GRPC_PORTS: Final = ("service.grpc.host", "service.grpc.port")
_OF_HTTP: Final = (
    "service.http.host",
    "service.http.port",
    "service.http.allowedHosts",
    "service.http.maxBodyMiB",
    "server.swaggerBasePath",
)
_PLAIN: Final = "{}.useSSL is false"
_OF_ACCESS: Final = ("caCertPath", "addressing", "storageClass", "encryption", "kmsKeyID")
_OF_BUCKETS: Final = (
    "address",
    "port",
    "region",
    "useSSL",
    "accountName",
    "bucketName",
    "auth.type",
    "auth.accessKeyID",
    "auth.secretAccessKey",
    "auth.sessionToken",
    "auth.accountKey",
    "auth.credentialsFile",
    "auth.endpoint",
)


class _Case(NamedTuple):
    """Keys that have no effect because of another.

    Attributes:
        decider: The other key.
        holds: Whether it is so.
        keys: Those without effect then.
        why: For people.
    """

    decider: str
    holds: bool
    keys: tuple[str, ...]
    why: str


def without_effect(settings: Settings, given: Rows) -> Iterator[str]:
    """Yield one line for each reason for which settings that were given change nothing."""
    reasons = {key.lower(): why for key, why in NO_EFFECT.items()}
    reasons |= _by_circumstance(settings, given)
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for key, row in given.items():
        if key in reasons and row.value != "" and not row.inherited:
            shown = row.key if row.key.lower() == key else f"{row.key} ({KEYS[key]})"
            keys[reasons[key]].append(shown)
    for why, names in keys.items():
        yield f"accepted, no effect: {', '.join(names)}: {why}"


def _by_circumstance(settings: Settings, given: Rows) -> dict[str, str]:
    """Return the lower-case keys that have no effect because of others, and why."""
    return {
        key.lower(): case.why
        for case in _cases(settings)
        for key in case.keys
        if case.holds and not _is_overruled(key, case.decider, given)
    }


def _is_overruled(key: str, decider: str, given: Rows) -> bool:
    """Tell whether the command line turned a face off or away that a file has settings for.

    That is on purpose, and what every command does that starts a service for itself.
    """
    if not decider.startswith(OURS):
        return False
    here, there = given.get(key.lower()), given.get(decider.lower())
    on_command_line = there is not None and there.source is Source.OVERRIDE
    return on_command_line and here is not None and here.source is not Source.OVERRIDE


def _cases(settings: Settings) -> tuple[_Case, ...]:
    tls, service = settings.milvus.grpc.tls_mode, settings.service
    has_socket = bool(service.grpc.socket)
    return (
        _Case("log.file.path", not settings.log.file.path, _OF_LOG_FILES, _NO_LOG_FILE),
        _Case("milvus.grpc.tlsMode", tls != "mutual", _OF_MUTUAL_TLS, _NOT_MUTUAL),
        _Case("milvus.grpc.tlsMode", tls == "disabled", _OF_TLS, _NO_TLS),
        _Case("service.grpc.socket", has_socket, _OF_GRPC_PORTS, _SOCKET_ONLY),
        _Case("service.http.enabled", not service.http.enabled, _OF_HTTP, _NO_HTTP),
        *_of_store("milvus", settings.milvus.storage),
        *_of_store("backup", settings.backup.storage),
        _Case(
            "milvus.storage.provider",
            settings.milvus.storage.provider != "local",
            ("backup.storage.localPath",),
            _NOT_IMPORTED_FROM,
        ),
    )


def _of_store(side: str, storage: StorageSettings) -> tuple[_Case, ...]:
    section, access = f"{side}.storage", f"service.storage.{side}"
    decider, is_directory = f"{section}.provider", storage.provider == "local"
    keys = [f"{section}.{name}" for name in _OF_BUCKETS]
    keys += [f"{access}.{name}" for name in _OF_ACCESS]
    certificates, plain = (f"{access}.caCertPath",), _PLAIN.format(section)
    return (
        _Case(f"{section}.useSSL", not storage.use_ssl, certificates, plain),
        _Case(decider, is_directory, tuple(keys), _DIRECTORY),
    )
