"""Files of v1, the form of the Go tool up to 0.5: what each setting becomes in v2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from milvus_backup_server.settings import Loaded, Settings, load
from milvus_backup_server.settings.migration import migrate
from tests.support.settings_files import faults, read

FIXTURES = Path(__file__).parents[1] / "fixtures" / "config"


def plain(loaded: Loaded) -> dict[str, object]:
    """Return every setting by its key, secrets in the clear."""
    values = loaded.settings.values_by_key()
    return {
        key: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for key, value in values.items()
    }


def differing(loaded: Loaded) -> dict[str, object]:
    """Return the settings that are not the defaults of v2."""
    defaults = plain(Loaded(Settings()))
    return {key: value for key, value in plain(loaded).items() if value != defaults[key]}


# --- files of each shape


def test_a_file_of_0_3() -> None:
    assert differing(load(str(FIXTURES / "v1_0_3.yaml"), environ={})) == {
        "log.level": "warn",
        "log.file.path": "logs/old.log",
        "milvus.user": "root",
        "milvus.password": "Milvus",
        "milvus.grpc.address": "milvus.old",
        "milvus.grpc.port": 19531,
        "milvus.grpc.tlsMode": "server",
        "milvus.storage.provider": "aws",
        "milvus.storage.address": "s3.old",
        "milvus.storage.port": 443,
        "milvus.storage.useSSL": True,
        "milvus.storage.bucketName": "old-bucket",
        "milvus.storage.rootPath": "old-files",
        "milvus.storage.auth.accessKeyID": "old-key",
        "milvus.storage.auth.secretAccessKey": "old-secret",
        "backup.storage.provider": "aws",
        "backup.storage.address": "s3.old",
        "backup.storage.port": 443,
        "backup.storage.useSSL": True,
        "backup.storage.bucketName": "old-backups",
        "backup.storage.rootPath": "old-backup",
        "backup.storage.auth.accessKeyID": "old-key",
        "backup.storage.auth.secretAccessKey": "old-secret",
    }


def test_a_file_of_0_4() -> None:
    assert differing(load(str(FIXTURES / "v1_0_4.yaml"), environ={})) == {
        "log.file.path": "logs/backup.log",
        "milvus.user": "root",
        "milvus.password": "Milvus",
        "backup.storage.provider": "aliyun",
        "backup.storage.address": "oss.example.com",
        "backup.storage.port": 443,
        "backup.storage.useSSL": True,
        "backup.storage.bucketName": "ali-backups",
        "backup.storage.auth.accessKeyID": "ali-key",
        "backup.storage.auth.secretAccessKey": "ali-secret",
        "backup.concurrency.collections": 8,
        "backup.pauseGC": False,
        "restore.concurrency.collections": 3,
        "transfer.mode": "streaming",
        "transfer.concurrency": 64,
    }


def test_a_file_of_0_5() -> None:
    assert differing(load(str(FIXTURES / "v1_0_5.yaml"), environ={})) == {
        "log.level": "debug",
        "log.console": False,
        "log.file.path": "logs/backup.log",
        "log.file.maxSizeMiB": 10,
        "log.file.maxDays": 7,
        "log.file.maxBackups": 3,
        "server.debugMode": True,
        "server.swaggerBasePath": "/milvus/api/v1",
        "milvus.user": "root",
        "milvus.password": "Milvus",
        "milvus.grpc.address": "milvus",
        "milvus.grpc.port": 19532,
        "milvus.grpc.tlsMode": "server",
        "milvus.grpc.serverName": "milvus.example.com",
        "milvus.management.endpoint": "http://milvus:9091",
        "milvus.etcd.endpoints": ("etcd-0:2379", "etcd-1:2379"),
        "milvus.etcd.rootPath": "by-test",
        "milvus.storage.address": "minio",
        "milvus.storage.port": 9001,
        "milvus.storage.region": "eu",
        "milvus.storage.useSSL": True,
        "milvus.storage.bucketName": "milvus-bucket",
        "milvus.storage.rootPath": "file",
        "milvus.storage.auth.accessKeyID": "key",
        "milvus.storage.auth.secretAccessKey": "secret",
        "milvus.storage.auth.sessionToken": "token",
        "backup.storage.address": "minio-backup",
        "backup.storage.port": 9002,
        "backup.storage.region": "us",
        "backup.storage.bucketName": "backups",
        "backup.storage.auth.accessKeyID": "backup-key",
        "backup.storage.auth.secretAccessKey": "backup-secret",
        "backup.storage.auth.sessionToken": "backup-token",
        "backup.concurrency.collections": 5,
        "backup.concurrency.segments": 512,
        "restore.concurrency.collections": 4,
        "restore.concurrency.importJobs": 100,
        "restore.keepTempFiles": True,
        "transfer.concurrency": 32,
        "transfer.multipartCopyThresholdMiB": 100,
        "zillizCloud.endpoint": "https://cloud.example.com",
        "zillizCloud.apiKey": "cloud-key",
        "service.http.enabled": False,
    }


def test_a_file_that_says_v1() -> None:
    loaded = load(str(FIXTURES / "v1_declared.yaml"), environ={})
    assert differing(loaded) == {"backup.storage.rootPath": "files"}


@pytest.mark.parametrize("name", ["v1_0_3", "v1_0_4", "v1_0_5", "v1_declared"])
def test_the_start_says_that_a_file_is_old(name: str) -> None:
    path = FIXTURES / f"{name}.yaml"
    assert load(str(path), environ={}).warnings[0] == (
        f"{path} has the older form v1, which was translated; milvus-backup config migrate writes "
        "it anew"
    )


# --- rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # TLS
        ("milvus: {tlsMode: 0}", {}),
        ("milvus: {tlsMode: 1}", {"milvus.grpc.tlsMode": "server"}),
        ("milvus: {tlsMode: 2}", {"milvus.grpc.tlsMode": "server"}),
        (
            "milvus: {tlsMode: 2, mtlsCertPath: CERT}",
            {"milvus.grpc.tlsMode": "server", "milvus.grpc.mtlsCertPath": "CERT"},
        ),
        (
            "milvus: {tlsMode: '2', mtlsCertPath: CERT, mtlsKeyPath: CERT}",
            {
                "milvus.grpc.tlsMode": "mutual",
                "milvus.grpc.mtlsCertPath": "CERT",
                "milvus.grpc.mtlsKeyPath": "CERT",
            },
        ),
        # Who copies
        ("minio: {crossStorage: true}", {"transfer.mode": "streaming"}),
        ("minio: {crossStorage: 'True'}", {"transfer.mode": "streaming"}),
        ("minio: {crossStorage: false}", {}),
        # Names of providers
        ("minio: {storageType: ali}", {"milvus.storage.provider": "aliyun"}),
        ("minio: {storageType: Alibaba}", {"milvus.storage.provider": "aliyun"}),
        ("minio: {storageType: alicloud}", {"milvus.storage.provider": "aliyun"}),
        ("minio: {storageType: aliyun}", {"milvus.storage.provider": "aliyun"}),
        ("minio: {storageType: tc}", {"milvus.storage.provider": "tencent"}),
        ("minio: {storageType: tencent}", {"milvus.storage.provider": "tencent"}),
        ("minio: {cloudProvider: gcp}", {"milvus.storage.provider": "gcp"}),
        ("storage: {storageType: hwc}", {"milvus.storage.provider": "hwc"}),
        ("minio: {storageType: s3, cloudProvider: gcp}", {"milvus.storage.provider": "s3"}),
        (
            "minio: {storageType: s3}\nstorage: {storageType: aws}",
            {"milvus.storage.provider": "aws"},
        ),
        # Login by the machine: the keys that files of v1 still have beside it mean nothing
        (
            "minio: {useIAM: true, accessKeyID: a, secretAccessKey: b, token: c}",
            {"milvus.storage.auth.type": "iam", "backup.storage.auth.type": "iam"},
        ),
        ("minio: {backupUseIAM: true}", {"backup.storage.auth.type": "iam"}),
        ("minio: {useIAM: true, backupUseIAM: false}", {"milvus.storage.auth.type": "iam"}),
        (
            "minio: {useIAM: true, accessKeyID: a, secretAccessKey: b, backupUseIAM: false}",
            {
                "milvus.storage.auth.type": "iam",
                "backup.storage.auth.accessKeyID": "a",
                "backup.storage.auth.secretAccessKey": "b",
            },
        ),
        # What the backups' store does not say is as in that of Milvus, but for the file of GCP
        (
            "minio: {accessKeyID: a, backupSecretAccessKey: b}",
            {
                "milvus.storage.auth.accessKeyID": "a",
                "backup.storage.auth.accessKeyID": "a",
                "backup.storage.auth.secretAccessKey": "b",
            },
        ),
        # A directory
        (
            "minio: {backupStorageType: local, backupRootPath: /x, accessKeyID: a}",
            {
                "backup.storage.provider": "local",
                "backup.storage.rootPath": "/x",
                "milvus.storage.auth.accessKeyID": "a",
                "backup.storage.auth.accessKeyID": "a",
            },
        ),
        # Old spellings
        ("http: {debug_mode: true}", {"server.debugMode": True}),
        ("log: {file: {rootPath: LOG}}", {"log.file.path": "LOG"}),
        ("log: {file: {rootPath: a, filename: LOG}}", {"log.file.path": "LOG"}),
        ("milvus: {etcd: {endpoints: ' a:1 ,b:2,'}}", {"milvus.etcd.endpoints": ("a:1", "b:2")}),
        # Our own, and case
        ("service: {grpc: {port: 1}}", {"service.grpc.port": 1}),
        ("MILVUS: {Port: 1}", {"milvus.grpc.port": 1}),
    ],
)
def test_rules(tmp_path: Path, text: str, expected: Mapping[str, object]) -> None:
    certificate = tmp_path / "c.pem"
    certificate.touch()
    loaded = read(tmp_path, text.replace("CERT", str(certificate)))
    found = differing(loaded)
    milvus, backup = "milvus.storage.provider", "backup.storage.provider"
    if milvus in expected:
        assert found.pop(backup) == expected[milvus]
    if "backupRootPath" not in text:
        assert found.pop("backup.storage.rootPath") == "files"
    assert found == {
        key: str(certificate) if value == "CERT" else value for key, value in expected.items()
    }


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", "files"),
        ("minio: {rootPath: milvus}", "milvus"),
        ("minio: {rootPath: milvus, backupRootPath: }", "milvus"),
        ("minio: {rootPath: '', backupBucketName: other}", "backup"),
        ("minio: {rootPath: milvus, backupRootPath: mine}", "mine"),
        ("minio: {backupRootPath: '', backupBucketName: other}", ""),
    ],
)
def test_an_unset_root_path_of_backups_is_that_of_milvus(
    tmp_path: Path, text: str, root: str
) -> None:
    assert read(tmp_path, text).settings.backup.storage.root_path == root


def test_what_is_said_of_translations(tmp_path: Path) -> None:
    text = """
milvus: {tlsMode: 2, adress: x, grpc: {port: 1}}
minio: {useIAM: true, accessKeyID: a, iamEndpoint: "", backupRootPath: b}
backup: {maxSegmentGroupSize: 2G}
service: {grpc: {prot: 1}}
"""
    place = tmp_path / "backup.yaml"
    assert read(tmp_path, text).warnings[1:] == (
        "milvus.tlsMode 2 is taken as 1: milvus.mtlsCertPath and milvus.mtlsKeyPath are not both set",
        "accepted, no effect: backup.maxSegmentGroupSize: groups of segments are not split any more",
        "accepted, no effect: minio.accessKeyID: not what this provider and its login need",
        f"unknown setting milvus.adress is ignored ({place} line 2); did you mean milvus.address?",
        (
            f"unknown setting milvus.grpc.port is ignored ({place} line 2); it is a key of "
            "configVersion v2, which this file is not"
        ),
        (
            f"unknown setting service.grpc.prot is ignored ({place} line 5); did you mean "
            "service.grpc.port?"
        ),
    )


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("milvus: {tlsMode: 3}", "milvus.tlsMode", "expected 0 (no TLS), 1"),
        ("milvus: {tlsMode: server}", "milvus.tlsMode", "expected 0 (no TLS), 1"),
        ("minio: {useIAM: perhaps}", "minio.useIAM", "expected true or false"),
        ("minio: {crossStorage: perhaps}", "minio.crossStorage", "expected true or false"),
        ("minio: {storageType: azure}", "minio.storageType", "azure has no S3 API"),
        ("minio: {storageType: gcpnative}", "minio.storageType", "gcpnative has no S3 API"),
        ("minio: {backupStorageType: azure}", "minio.backupStorageType", "azure has no S3 API"),
        ("minio: {port: 0}", "minio.port", "expected at least 1"),
        ("milvus: {port: x}", "milvus.port", "expected a whole number"),
        ("backup: {gcPause: {address: x}}", "backup.gcPause.address", "such as http://"),
        ("minio: text", "minio", "expected settings below it"),
        ("milvus: text", "milvus", "expected settings below it"),
    ],
)
def test_faults_name_the_key_of_v1(tmp_path: Path, text: str, field: str, said: str) -> None:
    found = faults(tmp_path, text)
    assert list(found) == [field]
    assert said in found[field]
    assert found[field].endswith(f"({tmp_path / 'backup.yaml'} line 1)")


def test_faults_between_settings_name_both_keys(tmp_path: Path) -> None:
    assert faults(tmp_path, "minio: {backupSecretAccessKey: ''}") == {
        "backup.storage.auth.secretAccessKey": "is required when type is static "
        f"(minio.backupSecretAccessKey, {tmp_path / 'backup.yaml'} line 1)"
    }


@pytest.mark.parametrize(
    ("port", "written"),
    [("0", "0"), ("65536", "65536"), ("-1", "-1"), ("1.5", "1.5"), ("x", "x"), ("'0 '", '"0 "')],
)
def test_a_faulty_number_is_migrated_as_a_number(tmp_path: Path, port: str, written: str) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(f"minio: {{port: {port}}}", encoding="utf-8")
    made = migrate(str(old), {}, {})
    assert f"\n    port: {written}\n" in made.text
    (fault,) = made.faults
    assert fault.field == "minio.port"
    assert fault.description.endswith(f"({old} line 1); in v2 it is milvus.storage.port")


@pytest.mark.parametrize("provider", ["ali", "tc", "hwc"])
def test_a_login_that_is_asked_for_is_at_fault_and_not_its_provider(
    tmp_path: Path, provider: str
) -> None:
    found = faults(tmp_path, f"minio: {{storageType: {provider}, useIAM: true}}")
    assert "(minio.useIAM, " in found["milvus.storage.auth.type"]


def test_a_key_that_became_two_is_named_as_the_one_that_is_at_fault(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("minio: {storageType: azure}", encoding="utf-8")
    (fault,) = migrate(str(old), {}, {}).faults
    assert fault.field == "minio.storageType"
    assert fault.description.endswith("; in v2 it is milvus.storage.provider")


@pytest.mark.parametrize("name", ["9" * 5000, "2026-13-45", "...", "-", "on", "~"])
def test_a_name_that_looks_like_something_else_is_migrated_as_text(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "old.yaml").write_text(f"milvus: {{user: '{name}'}}", encoding="utf-8")
    made = migrate(str(tmp_path / "old.yaml"), {}, {})
    assert f'\n  user: "{name}"\n' in made.text
    assert plain(Loaded(read(tmp_path, made.text).settings))["milvus.user"] == name


# --- sources


def test_the_environment_of_v1_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "MILVUS_ADDRESS": "env",
        "MILVUS_PASSWORD": "",
        "MINIO_SECRET_KEY": "env-secret",
        "MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": "of v2",
        "SERVER_PORT": "99",
    }
    text = "milvus: {address: file, password: file}\nminio: {accessKeyID: file}"
    settings = read(tmp_path, text, environ).settings
    milvus = settings.milvus
    assert (milvus.grpc.address, milvus.password.get_secret_value()) == ("env", "")
    for storage in (settings.milvus.storage, settings.backup.storage):
        assert storage.auth.access_key_id == "file"
        assert storage.auth.secret_access_key.get_secret_value() == "env-secret"
    assert settings.service.http.port == 99


def test_set_takes_names_of_v1_and_then_those_of_v2(tmp_path: Path) -> None:
    environ = {"MILVUS_ADDRESS": "env", "MINIO_PORT": "1"}
    sets = ["milvus.address=set", "minio_port=2", "transfer.mode=streaming", "MILVUS_USER=me"]
    loaded = read(tmp_path, "minio: {backupRootPath: b}", environ, [*sets, "milvus.grpc.port=3"])
    settings = loaded.settings
    assert (settings.milvus.grpc.address, settings.milvus.grpc.port) == ("set", 3)
    assert (settings.milvus.storage.port, settings.backup.storage.port) == (2, 2)
    assert (settings.transfer.mode, settings.milvus.user) == ("streaming", "me")
    assert len(loaded.warnings) == 1


def test_what_kubernetes_sets_is_explained(tmp_path: Path) -> None:
    found = faults(tmp_path, "", {"MILVUS_PORT": "tcp://10.0.0.1:19530"})
    assert found["milvus.port"].startswith(
        "expected a whole number (environment variable MILVUS_PORT); Kubernetes sets"
    )
