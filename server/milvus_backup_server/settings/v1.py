"""The names of configuration v1, the form of the Go tool up to 0.5, and what became of them in v2.

Source: the Go tool's configuration, keys and environment variables of 0.5.x, and the few keys that
files of 0.3 and 0.4 have besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from milvus_backup_server.settings.keys import nearest


@dataclass(frozen=True, slots=True)
class V1Key:
    """A setting of v1.

    Attributes:
        name: Its key.
        target: The key of v2 that means the same, or comes nearest.
        variable: Its environment variable; empty if it has none.
        aliases: Other keys for it, which yield to the name and to those before them.
        renamed: In v2 it has another name only; else ``v1_translation`` has a rule for it.
    """

    name: str
    target: str
    variable: str = ""
    aliases: tuple[str, ...] = ()
    renamed: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """All its keys, the one that wins first."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class V1Side:
    """The settings of one of the two object stores, which v1 has in one section.

    Attributes:
        target: The section of v2.
    """

    target: str
    provider: V1Key
    use_iam: V1Key
    access_key: V1Key
    secret_key: V1Key
    token: V1Key
    gcp_file: V1Key
    iam_endpoint: V1Key

    @property
    def logins(self) -> tuple[V1Key, ...]:
        """What may be needed to log in."""
        return (
            self.access_key,
            self.secret_key,
            self.token,
            self.gcp_file,
            self.iam_endpoint,
        )


def _keys_of(side: str, key: str, variable: str) -> tuple[V1Key, ...]:
    """Return the settings of a store whose names differ in their beginning only."""
    names = (
        ("address", "ADDRESS", "address"),
        ("port", "PORT", "port"),
        ("region", "REGION", "region"),
        ("useSSL", "USE_SSL", "useSSL"),
        ("bucketName", "BUCKET_NAME", "bucketName"),
        ("rootPath", "ROOT_PATH", "rootPath"),
    )
    return tuple(
        V1Key(_prefixed(key, name), f"{side}.storage.{target}", f"{variable}_{suffix}")
        for name, suffix, target in names
    )


def _prefixed(prefix: str, name: str) -> str:
    return f"minio.{prefix}{name[0].upper()}{name[1:]}" if prefix else f"minio.{name}"


def _side(
    section: str, prefix: str, variable: str, gcp_variable: str, types: tuple[str, ...]
) -> V1Side:
    target = f"{section}.storage"

    def login(name: str, suffix: str, place: str) -> V1Key:
        return V1Key(
            _prefixed(prefix, name), f"{target}.auth.{place}", f"{variable}_{suffix}", renamed=False
        )

    return V1Side(
        target=target,
        provider=V1Key(types[0], f"{target}.provider", aliases=types[1:], renamed=False),
        use_iam=login("useIAM", "USE_IAM", "type"),
        access_key=login("accessKeyID", "ACCESS_KEY", "accessKeyID"),
        secret_key=login("secretAccessKey", "SECRET_KEY", "secretAccessKey"),
        token=login("token", "TOKEN", "sessionToken"),
        gcp_file=V1Key(
            _prefixed(prefix, "gcpCredentialJSON"),
            f"{target}.auth.credentialsFile",
            gcp_variable,
            renamed=False,
        ),
        iam_endpoint=login("iamEndpoint", "IAM_ENDPOINT", "endpoint"),
    )


MILVUS_SIDE: Final = _side(
    "milvus",
    "",
    "MINIO",
    "GCP_KEY_JSON",
    ("storage.storageType", "minio.storageType", "minio.cloudProvider"),
)
BACKUP_SIDE: Final = _side(
    "backup",
    "backup",
    "MINIO_BACKUP",
    "BACKUP_GCP_KEY_JSON",
    ("storage.backupStorageType", "minio.backupStorageType"),
)
SIDES: Final = (MILVUS_SIDE, BACKUP_SIDE)

TLS_MODE: Final = V1Key("milvus.tlsMode", "milvus.grpc.tlsMode", "MILVUS_TLS_MODE", renamed=False)
TLS_CERTIFICATE: Final = V1Key(
    "milvus.mtlsCertPath", "milvus.grpc.mtlsCertPath", "MILVUS_MTLS_CERT_PATH"
)
TLS_KEY: Final = V1Key("milvus.mtlsKeyPath", "milvus.grpc.mtlsKeyPath", "MILVUS_MTLS_KEY_PATH")
CROSS_STORAGE: Final = V1Key("minio.crossStorage", "transfer.mode", renamed=False)
ROOT_PATH, BACKUP_ROOT_PATH = (
    next(key for key in _keys_of(*names) if key.target.endswith(".rootPath"))
    for names in (("milvus", "", "MINIO"), ("backup", "backup", "MINIO_BACKUP"))
)

V1_KEYS: Final = (
    V1Key("log.level", "log.level"),
    V1Key("log.console", "log.console"),
    V1Key("log.file.filename", "log.file.path", aliases=("log.file.rootPath",)),
    V1Key("log.file.maxSize", "log.file.maxSizeMiB"),
    V1Key("log.file.maxDays", "log.file.maxDays"),
    V1Key("log.file.maxBackups", "log.file.maxBackups"),
    V1Key("http.enabled", "service.http.enabled"),
    V1Key("http.debugMode", "server.debugMode", aliases=("http.debug_mode",)),
    V1Key("http.swaggerBasePath", "server.swaggerBasePath"),
    V1Key("cloud.address", "zillizCloud.endpoint"),
    V1Key("cloud.apikey", "zillizCloud.apiKey"),
    V1Key("milvus.address", "milvus.grpc.address", "MILVUS_ADDRESS"),
    V1Key("milvus.port", "milvus.grpc.port", "MILVUS_PORT"),
    V1Key("milvus.user", "milvus.user", "MILVUS_USER"),
    V1Key("milvus.password", "milvus.password", "MILVUS_PASSWORD"),
    TLS_MODE,
    V1Key("milvus.caCertPath", "milvus.grpc.caCertPath", "MILVUS_CA_CERT_PATH"),
    V1Key("milvus.serverName", "milvus.grpc.serverName", "MILVUS_SERVER_NAME"),
    TLS_CERTIFICATE,
    TLS_KEY,
    V1Key("milvus.rpcChannelName", "milvus.replicate.rpcChannelName", "MILVUS_RPC_CHANNEL_NAME"),
    V1Key("milvus.etcd.endpoints", "milvus.etcd.endpoints"),
    V1Key("milvus.etcd.rootPath", "milvus.etcd.rootPath"),
    *_keys_of("milvus", "", "MINIO"),
    *_keys_of("backup", "backup", "MINIO_BACKUP"),
    *(key for side in SIDES for key in (side.provider, side.use_iam, *side.logins)),
    CROSS_STORAGE,
    V1Key("minio.multipartCopyThresholdMiB", "transfer.multipartCopyThresholdMiB"),
    V1Key("backup.parallelism.copydata", "transfer.concurrency", "BACKUP_PARALLELISM_COPYDATA"),
    V1Key(
        "backup.parallelism.backupCollection",
        "backup.concurrency.collections",
        "BACKUP_PARALLELISM_BACKUP_COLLECTION",
    ),
    V1Key("backup.parallelism.backupSegment", "backup.concurrency.segments"),
    V1Key(
        "backup.parallelism.restoreCollection",
        "restore.concurrency.collections",
        "BACKUP_PARALLELISM_RESTORE_COLLECTION",
    ),
    V1Key("backup.parallelism.importJob", "restore.concurrency.importJobs"),
    V1Key("backup.keepTempFiles", "restore.keepTempFiles", "BACKUP_KEEP_TEMP_FILES"),
    V1Key("backup.gcPause.enable", "backup.pauseGC", "BACKUP_GC_PAUSE_ENABLE"),
    V1Key("backup.gcPause.address", "milvus.management.endpoint", "BACKUP_GC_PAUSE_ADDRESS"),
)

RETIRED: Final = {
    "backup.maxSegmentGroupSize": "groups of segments are not split any more",
    "backup.gcPause.seconds": "a pause lasts as long as the backup",
    "http.simpleResponse": "the HTTP API answers in one form",
    "milvus.authorizationEnabled": "milvus.user and milvus.password say as whom to log in",
}
"""Keys of files of 0.3 and 0.4 that mean nothing any more, and why."""

V1_NAMES: Final = frozenset(
    {
        *(name.lower() for key in V1_KEYS for name in (*key.keys, key.variable) if name),
        *(name.lower() for name in RETIRED),
    }
)
"""Every key and variable of v1 in lower case."""

_TARGETS: Final = {
    name.lower(): key.target for key in V1_KEYS for name in (*key.keys, key.variable) if name
}


def replacement(name: str) -> str:
    """Return the key of v2 that replaces a key or variable of v1; empty if there is none."""
    return _TARGETS.get(name.lower(), "")


def nearest_v1(name: str, more: Iterable[str]) -> str:
    """Return the known key that is most like an unknown one of a v1 file; empty if none is near.

    Args:
        name: The unknown one.
        more: Keys that files of v1 may have besides.
    """
    return nearest(name, (*(key for known in V1_KEYS for key in known.keys), *more))
