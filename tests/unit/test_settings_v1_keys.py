"""Every key of v1: its environment variable, and the key of v2 with its value.

The table is written from the reference of the Go tool's configuration, not from our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from milvus_backup_server.settings.showing import entries
from milvus_backup_server.settings.v1 import RETIRED, V1_KEYS
from tests.support.settings_files import read


class Row(NamedTuple):
    """A key of v1.

    Attributes:
        given: A value.
        target: The key of v2.
        expected: Its value then; None for the same, as text.
        variable: The environment variable; empty if there is none.
        beside: What must be there beside it, as ``--set`` takes it.
    """

    key: str
    given: str
    target: str
    expected: object = None
    variable: str = ""
    beside: tuple[str, ...] = ()


FILES = ("milvus.tlsMode=2", "milvus.mtlsCertPath=a.pem", "milvus.mtlsKeyPath=a.pem")


def side(section: str, prefix: str, variable: str) -> list[Row]:
    """Return the keys of one store; those of the backups' begin with ``backup``."""

    def key(name: str) -> str:
        return f"minio.backup{name[0].upper()}{name[1:]}" if prefix else f"minio.{name}"

    return [
        Row(key("address"), "x", f"{section}.address", None, f"{variable}_ADDRESS"),
        Row(key("port"), "7", f"{section}.port", 7, f"{variable}_PORT"),
        Row(key("region"), "eu", f"{section}.region", None, f"{variable}_REGION"),
        Row(key("useSSL"), "true", f"{section}.useSSL", True, f"{variable}_USE_SSL"),
        Row(key("bucketName"), "b", f"{section}.bucketName", None, f"{variable}_BUCKET_NAME"),
        Row(key("rootPath"), "r", f"{section}.rootPath", None, f"{variable}_ROOT_PATH"),
        Row(key("accessKeyID"), "k", f"{section}.auth.accessKeyID", None, f"{variable}_ACCESS_KEY"),
        Row(
            key("secretAccessKey"),
            "pw",
            f"{section}.auth.secretAccessKey",
            None,
            f"{variable}_SECRET_KEY",
        ),
        Row(key("token"), "t", f"{section}.auth.sessionToken", None, f"{variable}_TOKEN"),
        Row(key("useIAM"), "true", f"{section}.auth.type", "iam", f"{variable}_USE_IAM"),
    ]


ROWS = [
    Row("log.level", "warn", "log.level"),
    Row("log.console", "false", "log.console", False),
    Row("log.file.filename", "x.log", "log.file.path"),
    Row("log.file.maxSize", "7", "log.file.maxSizeMiB", 7),
    Row("log.file.maxDays", "7", "log.file.maxDays", 7),
    Row("log.file.maxBackups", "7", "log.file.maxBackups", 7),
    Row("http.enabled", "false", "service.http.enabled", False),
    Row("http.debugMode", "true", "server.debugMode", True),
    Row("http.swaggerBasePath", "/x", "server.swaggerBasePath"),
    Row("cloud.address", "http://x", "zillizCloud.endpoint"),
    Row("cloud.apikey", "pw", "zillizCloud.apiKey"),
    Row("milvus.address", "x", "milvus.grpc.address", None, "MILVUS_ADDRESS"),
    Row("milvus.port", "7", "milvus.grpc.port", 7, "MILVUS_PORT"),
    Row("milvus.user", "me", "milvus.user", None, "MILVUS_USER"),
    Row("milvus.password", "pw", "milvus.password", None, "MILVUS_PASSWORD"),
    Row("milvus.tlsMode", "1", "milvus.grpc.tlsMode", "server", "MILVUS_TLS_MODE"),
    Row("milvus.caCertPath", "a.pem", "milvus.grpc.caCertPath", None, "MILVUS_CA_CERT_PATH"),
    Row("milvus.serverName", "x", "milvus.grpc.serverName", None, "MILVUS_SERVER_NAME"),
    Row("milvus.mtlsCertPath", "a.pem", "milvus.grpc.mtlsCertPath", None, "MILVUS_MTLS_CERT_PATH"),
    Row("milvus.mtlsKeyPath", "a.pem", "milvus.grpc.mtlsKeyPath", None, "MILVUS_MTLS_KEY_PATH"),
    Row(
        "milvus.rpcChannelName",
        "x",
        "milvus.replicate.rpcChannelName",
        None,
        "MILVUS_RPC_CHANNEL_NAME",
    ),
    Row("milvus.etcd.endpoints", '"a:1,b:2"', "milvus.etcd.endpoints", ("a:1", "b:2")),
    Row("milvus.etcd.rootPath", "x", "milvus.etcd.rootPath"),
    Row("minio.storageType", "s3", "milvus.storage.provider"),
    Row("storage.storageType", "s3", "milvus.storage.provider"),
    Row("minio.cloudProvider", "s3", "milvus.storage.provider"),
    *side("milvus.storage", "", "MINIO"),
    Row("minio.backupStorageType", "s3", "backup.storage.provider"),
    Row("storage.backupStorageType", "s3", "backup.storage.provider"),
    *side("backup.storage", "backup", "MINIO_BACKUP"),
    Row("minio.crossStorage", "true", "transfer.mode", "streaming"),
    Row("minio.multipartCopyThresholdMiB", "7", "transfer.multipartCopyThresholdMiB", 7),
    Row(
        "backup.parallelism.copydata", "7", "transfer.concurrency", 7, "BACKUP_PARALLELISM_COPYDATA"
    ),
    Row(
        "backup.parallelism.backupCollection",
        "7",
        "backup.concurrency.collections",
        7,
        "BACKUP_PARALLELISM_BACKUP_COLLECTION",
    ),
    Row("backup.parallelism.backupSegment", "7", "backup.concurrency.segments", 7),
    Row(
        "backup.parallelism.restoreCollection",
        "7",
        "restore.concurrency.collections",
        7,
        "BACKUP_PARALLELISM_RESTORE_COLLECTION",
    ),
    Row("backup.parallelism.importJob", "7", "restore.concurrency.importJobs", 7),
    Row("backup.keepTempFiles", "true", "restore.keepTempFiles", True, "BACKUP_KEEP_TEMP_FILES"),
    Row("backup.gcPause.enable", "false", "backup.pauseGC", False, "BACKUP_GC_PAUSE_ENABLE"),
    Row(
        "backup.gcPause.address",
        "http://x",
        "milvus.management.endpoint",
        None,
        "BACKUP_GC_PAUSE_ADDRESS",
    ),
]

OF_STORES_THAT_ARE_REFUSED = {
    "minio.gcpCredentialJSON": "GCP_KEY_JSON",
    "minio.backupGcpCredentialJSON": "BACKUP_GCP_KEY_JSON",
    "minio.iamEndpoint": "MINIO_IAM_ENDPOINT",
    "minio.backupIamEndpoint": "MINIO_BACKUP_IAM_ENDPOINT",
}
"""Keys that mean nothing with the stores and logins that this service has, and their variables."""

OLD_SPELLINGS = {"log.file.rootPath": "log.file.filename", "http.debug_mode": "http.debugMode"}

MEAN_NOTHING = {
    "backup.maxSegmentGroupSize",
    "backup.gcPause.seconds",
    "http.simpleResponse",
    "milvus.authorizationEnabled",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pem").touch()
    return tmp_path


def value(folder: Path, row: Row, text: str, environ: dict[str, str]) -> object:
    found = read(folder, text, environ).settings.values_by_key()[row.target]
    return found.get_secret_value() if hasattr(found, "get_secret_value") else found


def test_every_key_has_a_row() -> None:
    rows = {row.key for row in ROWS}
    assert len(rows) == len(ROWS)
    known = {name for key in V1_KEYS for name in key.keys}
    assert {*rows, *OF_STORES_THAT_ARE_REFUSED, *OLD_SPELLINGS} == known
    assert set(RETIRED) == MEAN_NOTHING


def test_every_variable_has_a_row() -> None:
    rows = {row.variable for row in ROWS} | set(OF_STORES_THAT_ARE_REFUSED.values())
    assert rows == {key.variable for key in V1_KEYS} | {""}


@pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])
def test_a_key_of_v1(folder: Path, row: Row) -> None:
    expected = row.given if row.expected is None else row.expected
    assert value(folder, row, "", {}) != expected
    assert value(folder, row, f"{row.key}: {row.given}", {}) == expected


@pytest.mark.parametrize("row", [it for it in ROWS if it.variable], ids=lambda row: row.variable)
def test_a_variable_of_v1(folder: Path, row: Row) -> None:
    expected = row.given if row.expected is None else row.expected
    assert value(folder, row, "", {row.variable: row.given}) == expected


@pytest.mark.parametrize("row", [it for it in ROWS if not it.variable], ids=lambda row: row.key)
def test_other_keys_have_no_variable(folder: Path, row: Row) -> None:
    name = row.key.replace(".", "_").upper()
    assert value(folder, row, "", {name: row.given}) == value(folder, row, "", {})


@pytest.mark.parametrize("key", sorted({*OF_STORES_THAT_ARE_REFUSED, *MEAN_NOTHING}))
def test_the_start_says_of_a_key_that_it_has_no_effect(folder: Path, key: str) -> None:
    loaded = read(folder, f"{key}: x\nminio.backupRootPath: b")
    assert [it.split(": ")[:2] for it in loaded.warnings[1:]] == [["accepted, no effect", key]]
    plain = read(folder, "minio.backupRootPath: b")
    assert loaded.settings == plain.settings


def test_what_is_shown_names_the_keys_of_v1(tmp_path: Path) -> None:
    loaded = read(tmp_path, "minio: {useIAM: true}", {"MILVUS_PORT": "1"}, ["MILVUS_USER=me"])
    shown = {entry.parameter: (entry.source, entry.source_key) for entry in entries(loaded)}
    assert shown["milvus.user"] == ("override", "MILVUS_USER")
    assert shown["milvus.grpc.port"] == ("env", "MILVUS_PORT")
    assert shown["milvus.storage.auth.type"] == ("config", "minio.useIAM")
    assert shown["backup.storage.auth.type"] == ("config", "minio.useIAM")
    assert shown["backup.storage.rootPath"] == ("default", "")
    assert shown["milvus.grpc.address"] == ("default", "")
