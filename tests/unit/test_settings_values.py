"""Values of settings: what is refused, with its key, its place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from milvus_backup_server.settings import Settings
from tests.support.settings_files import faults_v2, read_v2


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("log: {level: loud}", "log.level", "one of 'debug', 'info'"),
        ("log: {console: perhaps}", "log.console", "true or false"),
        ("log: {file: {maxSizeMiB: -1}}", "log.file.maxSizeMiB", "at least 0"),
        ("milvus: {grpc: {port: 0}}", "milvus.grpc.port", "at least 1"),
        ("milvus: {grpc: {port: 65536}}", "milvus.grpc.port", "at most 65535"),
        ("milvus: {grpc: {port: true}}", "milvus.grpc.port", "a whole number"),
        ("milvus: {grpc: {port: 1.5}}", "milvus.grpc.port", "a whole number"),
        ("milvus: {grpc: {port: tcp}}", "milvus.grpc.port", "a whole number"),
        pytest.param(
            f"milvus: {{grpc: {{port: {'9' * 5000}}}}}",
            "milvus.grpc.port",
            "a smaller number",
            id="digits",
        ),
        ("milvus: {grpc: {address: 'http://x'}}", "milvus.grpc.address", "a host name"),
        ("milvus: {grpc: {address: ''}}", "milvus.grpc.address", "a host name"),
        (
            "milvus: {grpc: {address: 'x:19530'}}",
            "milvus.grpc.address",
            "expected a host alone; the",
        ),
        (
            "service: {storage: {backup: {storageClass: glacier}}}",
            "service.storage.backup.storageClass",
            "such as STANDARD_IA: those of an archive cannot be restored from",
        ),
        (
            "service: {storage: {backup: {storageClass: a b}}}",
            "service.storage.backup.storageClass",
            "expected letters",
        ),
        (
            "service: {storage: {milvus: {encryption: aes}}}",
            "service.storage.milvus.encryption",
            "expected one of 'none', 'sse-s3' or 'sse-kms'",
        ),
        (
            "service: {storage: {milvus: {encryption: SSE-S3, kmsKeyID: k}}}",
            "service.storage.milvus.kmsKeyID",
            "is for encryption: SSE-KMS, and it is sse-s3",
        ),
        (
            "service: {storage: {milvus: {caCertPath: absent.pem}}}",
            "service.storage.milvus.caCertPath",
            "absent.pem: no such file",
        ),
        (
            "milvus: {storage: {provider: gcp, auth: {type: iam}}}",
            "milvus.storage.auth.type",
            "iam of gcp is its own and not supported; expected static",
        ),
        ("milvus: {storage: {address: 'x:9000'}}", "milvus.storage.address", "set by the port key"),
        (
            "backup: {storage: {address: '[::1]:9'}}",
            "backup.storage.address",
            "set by the port key",
        ),
        ("milvus: {grpc: {tlsMode: on}}", "milvus.grpc.tlsMode", "one of 'disabled', 'server'"),
        ("milvus: {grpc: {tlsMode: 1}}", "milvus.grpc.tlsMode", "expected server: 1 is how"),
        ("milvus: {rest: {endpoint: localhost}}", "milvus.rest.endpoint", "such as http://"),
        ("milvus: {management: {endpoint: 'ftp://x'}}", "milvus.management.endpoint", "http://"),
        ("milvus: {rest: {endpoint: 'http://['}}", "milvus.rest.endpoint", "such as http://"),
        ("milvus: {etcd: {endpoints: []}}", "milvus.etcd.endpoints", "at least one"),
        ("milvus: {storage: {useSSL: perhaps}}", "milvus.storage.useSSL", "true or false"),
        ("milvus: {storage: {rootPath: a/../b}}", "milvus.storage.rootPath", "without empty"),
        ("milvus: {storage: {bucketName: a/b}}", "milvus.storage.bucketName", "expected letters"),
        ("milvus: {storage: {bucketName: ''}}", "milvus.storage.bucketName", "expected letters"),
        ("milvus: {storage: {provider: [s3]}}", "milvus.storage.provider", "one of 'minio', 's3'"),
        ("milvus: {storage: {provider: azure}}", "milvus.storage.provider", "azure has no S3 API"),
        ("backup: {storage: {provider: gcpnative}}", "backup.storage.provider", "no S3 API"),
        ("milvus: {storage: {provider: ali}}", "milvus.storage.provider", "one of 'minio', 's3'"),
        (
            "milvus: {storage: {provider: local, rootPath: ''}}",
            "milvus.storage.rootPath",
            "localStorage.path",
        ),
        ("milvus: {storage: {milvusAddress: 'http://x'}}", "milvus.storage.milvusAddress", "alone"),
        ("milvus: {storage: {milvusPort: 9}}", "milvus.storage.milvusPort", "needs milvusAddress"),
        ("backup: {storage: {provider: local, rootPath: ''}}", "backup.storage.rootPath", "direct"),
        ("backup: {storage: {localPath: /x}}", "backup.storage.localPath", "local only"),
        ("backup: {storage: {accountName: x}}", "backup.storage.accountName", "azure only"),
        ("backup: {concurrency: {collections: 0}}", "backup.concurrency.collections", "at least 1"),
        ("backup: {concurrency: {segments: 0}}", "backup.concurrency.segments", "at least 1"),
        ("backup: {pauseGC: 2}", "backup.pauseGC", "true or false"),
        (
            "restore: {concurrency: {importJobs: 0}}",
            "restore.concurrency.importJobs",
            "at least 1",
        ),
        ("transfer: {mode: fast}", "transfer.mode", "one of 'auto', 'direct' or 'streaming'"),
        (
            "transfer: {multipartCopyThresholdMiB: 0}",
            "transfer.multipartCopyThresholdMiB",
            "at least 1",
        ),
        ("zillizCloud: {endpoint: cloud}", "zillizCloud.endpoint", "such as http://"),
        ("service: {grpc: {port: -1}}", "service.grpc.port", "at least 0"),
        ("service: {http: {port: 50051}}", "service.http.port", "is the port of service.grpc"),
        ("service: {http: {allowedHosts: [a/b]}}", "service.http.allowedHosts", "a host name"),
        ("service: {http: {allowedHosts: ['x:8080']}}", "service.http.allowedHosts", "host alone"),
        ("service: {http: {allowedHosts: [null]}}", "service.http.allowedHosts", "one value"),
        ("service: {http: {maxBodyMiB: 0}}", "service.http.maxBodyMiB", "at least 1"),
        ("service: {shutdownGraceSeconds: nan}", "service.shutdownGraceSeconds", "at least 0"),
        ("service: {shutdownGraceSeconds: x}", "service.shutdownGraceSeconds", "a number"),
        ("service: {milvus: {pollSeconds: 0}}", "service.milvus.pollSeconds", "more than 0"),
    ],
)
def test_wrong_values(tmp_path: Path, text: str, field: str, said: str) -> None:
    found = faults_v2(tmp_path, text)
    assert list(found) == [field]
    assert said in found[field]
    assert found[field].endswith(f"({tmp_path / 'backup.yaml'} line 2)")


def test_addresses_of_ipv6(tmp_path: Path) -> None:
    text = 'service: {http: {host: "::1", allowedHosts: ["fe80::1", "[::1]", "*"]}}'
    face = read_v2(tmp_path, text).settings.service.http
    assert (face.host, face.allowed_hosts) == ("::1", ("fe80::1", "[::1]", "*"))


def test_a_socket_path_has_its_bound(tmp_path: Path) -> None:
    found = faults_v2(tmp_path, f"service: {{grpc: {{socket: /{'x' * 100}}}}}")
    assert "at most 100 bytes" in found["service.grpc.socket"]


def test_all_faults_come_together(tmp_path: Path) -> None:
    text = """
milvus:
  grpc: {port: 0, tlsMode: mutual}
  storage: {provider: aws, port: 0, auth: {type: iam, accessKeyID: me}}
transfer: {concurrency: 0}
backup: text
"""
    assert list(faults_v2(tmp_path, text)) == [
        "backup",
        "milvus.grpc.port",
        "milvus.storage.port",
        "transfer.concurrency",
        "milvus.grpc.mtlsCertPath",
        "milvus.grpc.mtlsKeyPath",
        "milvus.storage.auth.accessKeyID",
    ]


def test_of_a_store_that_is_refused_the_login_is_not_judged(tmp_path: Path) -> None:
    text = """
milvus:
  storage: {provider: azure, port: 0, accountName: a, auth: {type: sharedKey, accountKey: k}}
"""
    assert list(faults_v2(tmp_path, text)) == ["milvus.storage.provider", "milvus.storage.port"]


# --- settings that exclude or demand each other


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ("{type: iam, accessKeyID: me}", "accessKeyID"),
        ("{type: default, secretAccessKey: geheim}", "secretAccessKey"),
        ("{type: iam, sessionToken: geheim}", "sessionToken"),
        ("{accountKey: geheim}", "accountKey"),
        ("{credentialsFile: x}", "credentialsFile"),
        ("{type: iam, endpoint: 'http://x'}", "endpoint"),
        ("{secretAccessKey: ''}", "secretAccessKey"),
        ("{type: sharedKey}", "type"),
    ],
)
def test_credentials_that_do_not_go_together(tmp_path: Path, auth: str, field: str) -> None:
    found = faults_v2(tmp_path, f"backup: {{storage: {{auth: {auth}}}}}")
    assert list(found) == [f"backup.storage.auth.{field}"]
    assert "geheim" not in str(found)


def test_how_the_store_of_the_backups_is_used_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    text = f"""
milvus: {{storage: {{useSSL: true}}}}
service:
  storage:
    milvus: {{caCertPath: {tmp_path}/ca.pem, encryption: SSE-KMS, kmsKeyID: k, storageClass: ONEZONE_IA}}
    backup: {{storageClass: STANDARD_IA, encryption: none}}
"""
    loaded = read_v2(tmp_path, text)
    backup = loaded.settings.service.storage.backup
    assert (backup.ca_cert_path, backup.kms_key_id) == (f"{tmp_path}/ca.pem", "k")
    assert (backup.storage_class, backup.encryption) == ("STANDARD_IA", "none")
    assert loaded.warnings == ()


def test_certificates_of_a_store_without_tls_have_no_effect(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    text = f"service: {{storage: {{milvus: {{caCertPath: {tmp_path}/ca.pem}}}}}}"
    assert read_v2(tmp_path, text).warnings == (
        "accepted, no effect: service.storage.milvus.caCertPath: milvus.storage.useSSL is false",
    )


def test_mutual_tls_needs_both_files(tmp_path: Path) -> None:
    text = "milvus: {grpc: {tlsMode: mutual, caCertPath: ca.pem, mtlsCertPath: c.pem}}"
    assert list(faults_v2(tmp_path, text)) == [
        "milvus.grpc.mtlsKeyPath",
        "milvus.grpc.caCertPath",
        "milvus.grpc.mtlsCertPath",
    ]


@pytest.mark.parametrize(
    ("backup", "refused"),
    [
        ("bucketName: other", False),
        ("rootPath: deeper/backup", False),
        ("port: 9001", True),
        ("address: elsewhere", True),
        ("region: r", True),
        ("useSSL: true", True),
        ("provider: s3", True),
        ("provider: local, rootPath: /x", True),
    ],
)
def test_direct_copies_need_one_address(tmp_path: Path, backup: str, refused: bool) -> None:
    text = f"transfer: {{mode: direct}}\nbackup: {{storage: {{{backup}}}}}"
    if refused:
        found = faults_v2(tmp_path, text)
        assert list(found) == ["transfer.mode"]
        assert "expected auto or streaming" in found["transfer.mode"]
    else:
        assert read_v2(tmp_path, text).settings.transfer.mode == "direct"


@pytest.mark.parametrize(
    "grpc", ["{port: 8080, socket: /x}", "{port: 8080, host: 127.0.0.2}", "{port: 0}"]
)
def test_ports_that_do_not_meet(tmp_path: Path, grpc: str) -> None:
    for http in ("{port: 8080}", "{port: 0}"):
        loaded = read_v2(tmp_path, f"service: {{grpc: {grpc}, http: {http}}}")
        assert loaded.settings.service.http.port in {0, 8080}


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().log.level = "debug"
