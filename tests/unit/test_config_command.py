"""The commands `config show` and `config migrate`: what they print, write and refuse."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from milvus_backup_server.config_command import config_command
from milvus_backup_server.settings import load

FIXTURES = Path(__file__).parents[1] / "fixtures" / "config"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MILVUSCONF", "MILVUS_USER", "MILVUS_PASSWORD", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def columns(out: str) -> dict[str, list[str]]:
    """Return the lines of a table by their first column."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines()}


# --- show


def test_show_says_where_each_value_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "backup.yaml").write_text(
        "configVersion: v2\n"
        "milvus: {grpc: {address: m}, etcd: {endpoints: [a:1, b:2]}, storage: {port: 9001}}\n"
        "something: 1\n"
    )
    monkeypatch.setenv("MILVUS_PASSWORD", "geheim-geheim")
    monkeypatch.setenv("SERVER_PORT", "8081")
    sets = ["--set", "transfer.mode=streaming", "--set", "MILVUS_USER=me,milvus.grpc.port=1"]
    assert config_command(["show", *sets]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["PARAMETER", "VALUE", "SOURCE", "SOURCE_KEY"]
    assert lines[1].split() == ["---------", "-----", "------", "----------"]
    assert lines[0].index("VALUE") == lines[1].index(" -----") + 1
    rows = columns(out)
    assert rows["milvus.user"] == ["me", "override", "MILVUS_USER"]
    assert rows["milvus.password"] == ["ge****im", "env", "MILVUS_PASSWORD"]
    assert rows["milvus.grpc.address"] == ["m", "config", "milvus.grpc.address"]
    assert rows["milvus.grpc.port"] == ["1", "override", "milvus.grpc.port"]
    assert rows["milvus.etcd.endpoints"] == ["a:1,b:2", "config", "milvus.etcd.endpoints"]
    assert rows["backup.storage.port"] == ["9001", "config", "milvus.storage.port"]
    assert rows["backup.storage.auth.secretAccessKey"] == ["mi****in", "default"]
    assert rows["milvus.storage.useSSL"] == ["false", "default"]
    assert rows["milvus.storage.region"] == ["default"]
    assert rows["transfer.mode"] == ["streaming", "override", "transfer.mode"]
    assert rows["service.http.port"] == ["8081", "env", "SERVER_PORT"]
    assert err.splitlines() == [
        "milvus-backup config: unknown setting something is ignored (backup.yaml line 3)",
        (
            "milvus-backup config: accepted, no effect: milvus.etcd.endpoints: only restores into a "
            "secondary cluster need it, which are not made here"
        ),
    ]
    assert "geheim" not in out + err


def test_show_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "backup.yaml").write_text("milvus: {port: 1, password: abc}\nminio: {useIAM: true}")
    assert config_command(["show", "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["file", "parameters", "warnings"]
    assert shown["file"] == "backup.yaml"
    assert shown["warnings"][0].startswith("backup.yaml has the older form v1")
    rows = {row.pop("parameter"): row for row in shown["parameters"]}
    assert rows["milvus.grpc.port"] == {"value": 1, "source": "config", "source_key": "milvus.port"}
    assert rows["milvus.password"]["value"] == "****"
    assert rows["backup.pauseGC"] == {"value": True, "source": "default", "source_key": ""}
    assert rows["milvus.etcd.endpoints"]["value"] == ["localhost:2379"]
    assert rows["backup.storage.auth.type"]["source_key"] == "minio.useIAM"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "gone.yaml"], ["--config: no such file: gone.yaml, configs/gone.yaml"]),
        (["--set", "geheim"], ["--set: expected KEY=VALUE"]),
        (
            ["--set", "milvus.grpc.port=0", "--set", "log.level=x"],
            [
                "milvus.grpc.port: expected at least 1 (--set)",
                (
                    "log.level: expected one of 'debug', 'info', 'warn', 'error', 'panic' or 'fatal' "
                    "(--set)"
                ),
            ],
        ),
    ],
    ids=["file", "set", "values"],
)
def test_show_tells_every_fault_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: list[str]
) -> None:
    assert config_command(["show", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(err.splitlines()) == sorted(f"milvus-backup config: {line}" for line in said)


def test_a_misspelled_key_is_told_beside_the_fault_that_it_causes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backup.yaml"
    text = "configVersion: v2\nmilvus: {grpc: {tlsMode: mutual, mtlsCertPth: /c, mtlsKeyPath: ''}}"
    file.write_text(text, encoding="utf-8")
    assert config_command(["show", "--config", str(file)]) == 2
    assert (
        f"milvus-backup config: unknown setting milvus.grpc.mtlsCertPth is ignored ({file} line 2); "
        "did you mean milvus.grpc.mtlsCertPath?"
    ) in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("arguments", [[], ["shwo"], ["show", "--output", "xml"], ["show", "x"]])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        config_command(arguments)
    assert "usage: milvus-backup config" in capsys.readouterr().err


# --- migrate


@pytest.mark.parametrize("name", ["v1_0_3", "v1_0_4", "v1_0_5", "v1_declared"])
def test_a_migrated_file_means_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = FIXTURES / f"{name}.yaml"
    assert config_command(["migrate", "--config", str(old), "-o", "new.yaml"]) == 0
    assert capsys.readouterr().out == ""
    new = load("new.yaml", environ={})
    assert new.settings == load(str(old), environ={}).settings
    assert not [warning for warning in new.warnings if "unknown" in warning or "v1" in warning]


def test_migrate_writes_a_whole_file_to_stdout(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "backup.yaml").write_text(
        "milvus: {user: me, password: 'a: \"b\"', tlsMode: 2, adress: x}\n"
        "minio: {storageType: AWS, useSSL: 'true', accessKeyID: key, backupUseIAM: true}\n"
        "http: {enabled: false}\n"
    )
    monkeypatch.setenv("MINIO_SECRET_KEY", "geheim")
    monkeypatch.setenv("MINIO_ACCESS_KEY", "key-of-env")
    monkeypatch.setenv("MILVUS_USER", "user-of-env")
    monkeypatch.setenv("SERVER_PORT", "8081")
    assert config_command(["migrate", "--set", "milvus.port=1"]) == 0
    out, err = capsys.readouterr()
    assert out == MIGRATED
    assert err.splitlines() == [f"milvus-backup config: {line}" for line in REPORT]


MIGRATED = """\
# Written by milvus-backup config migrate from backup.yaml.
configVersion: v2

log:
  level: info
  console: true
  file:
    # path: not set, no log file is written
    maxSizeMiB: 300
    maxDays: 0
    maxBackups: 0

server:
  debugMode: false
  swaggerBasePath: ""

milvus:
  user: user-of-env
  password: "a: \\"b\\""
  grpc:
    address: localhost
    port: 1
    tlsMode: server
    caCertPath: ""
    serverName: ""
    mtlsCertPath: ""
    mtlsKeyPath: ""
  rest:
    endpoint: ""
  management:
    endpoint: http://localhost:9091
  replicate:
    rpcChannelName: by-dev-replicate-msg
  etcd:
    endpoints: [localhost:2379]
    rootPath: by-dev
  storage:
    provider: aws
    address: localhost
    port: 9000
    region: ""
    useSSL: true
    bucketName: a-bucket
    rootPath: files
    milvusAddress: ""
    milvusPort: 0
    auth:
      type: static
      accessKeyID: key-of-env
      # secretAccessKey: set the environment variable MILVUS_STORAGE_AUTH_SECRET_ACCESS_KEY
      sessionToken: ""

backup:
  storage:
    provider: aws
    address: localhost
    port: 9000
    region: ""
    useSSL: true
    bucketName: a-bucket
    rootPath: files
    milvusAddress: ""
    milvusPort: 0
    auth:
      type: iam
      endpoint: ""
  concurrency:
    collections: 4
    segments: 1024
  pauseGC: true

restore:
  concurrency:
    collections: 2
    importJobs: 768
  maxSegmentsPerImportJob: 256
  keepTempFiles: false

transfer:
  mode: auto
  concurrency: 128
  multipartCopyThresholdMiB: 500

zillizCloud:
  endpoint: https://api.cloud.zilliz.com
  apiKey: ""

service:
  http:
    enabled: false
"""

REPORT = [
    "milvus.tlsMode 2 is taken as 1: milvus.mtlsCertPath and milvus.mtlsKeyPath are not both set",
    "unknown setting milvus.adress is ignored (backup.yaml line 1); did you mean milvus.address?",
    (
        "backup.storage.rootPath is Milvus's own rootPath ('files'): its directories show among the "
        "backups; better is one of its own, such as backup"
    ),
    (
        "milvus.storage.auth.accessKeyID is written as the environment variable MINIO_ACCESS_KEY has it: "
        "v2 does not read that variable"
    ),
    (
        "milvus.storage.auth.secretAccessKey is not written, because it came from the environment "
        "variable MINIO_SECRET_KEY: with v2 set MILVUS_STORAGE_AUTH_SECRET_ACCESS_KEY"
    ),
]


def test_the_file_is_for_its_owner_alone(folder: Path) -> None:
    (folder / "backup.yaml").write_text("milvus: {password: geheim}")
    assert config_command(["migrate", "-o", "new.yaml"]) == 0
    assert stat.S_IMODE((folder / "new.yaml").stat().st_mode) == 0o600
    assert "geheim" in (folder / "new.yaml").read_text()


def test_a_file_that_is_there_is_replaced_by_force_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = folder / "backup.yaml"
    old.write_text("milvus: {port: 1}")
    assert config_command(["migrate", "--output", "backup.yaml"]) == 1
    assert old.read_text() == "milvus: {port: 1}"
    assert "backup.yaml exists; --force replaces it" in capsys.readouterr().err
    old.chmod(0o644)
    assert config_command(["migrate", "--output", "backup.yaml", "--force"]) == 0
    assert load(environ={}).settings.milvus.grpc.port == 1
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["backup.yaml"]


def test_a_place_where_nothing_can_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "backup.yaml").touch()
    assert config_command(["migrate", "-o", "gone/new.yaml"]) == 1
    assert "No such file or directory: 'gone/new.yaml'" in capsys.readouterr().err


def test_what_is_not_valid_is_written_unless_it_must_be(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "backup.yaml").write_text(
        "minio: {storageType: azure, accessKeyID: name, secretAccessKey: key, port: x,\n"
        "        backupUseIAM: true, backupStorageType: gcpnative, gcpCredentialJSON: a.json,\n"
        "        backupGcpCredentialJSON: b.json}"
    )
    assert config_command(["migrate", "--strict", "-o", "new.yaml"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "milvus-backup config: nothing was written"
    assert [line.split(": ")[1:3] for line in said if "not valid" in line] == [
        ["not valid", "minio.storageType"],
        ["not valid", "minio.port"],
        ["not valid", "minio.backupStorageType"],
    ]
    assert not (folder / "new.yaml").exists()
    assert config_command(["migrate"]) == 0
    out = capsys.readouterr().out
    milvus, _, backup = out.partition("\nbackup:\n")
    for line in (
        "provider: azure",
        "port: x",
        "accountName: name",
        "type: sharedKey",
        "accountKey: key",
    ):
        assert f"  {line}\n" in milvus
    for line in ("provider: gcpnative", "type: serviceAccount", "credentialsFile: b.json"):
        assert f"  {line}\n" in backup
    assert "accessKeyID" not in out
    assert "port: x" not in backup


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "two.yaml"], "configVersion: is v2 already in two.yaml"),
        (["--config", "gone.yaml"], "--config: no such file: gone.yaml"),
        (["--config", ""], "--config: there is no file to migrate"),
        ([], "--config: there is no file to migrate"),
    ],
    ids=["v2", "gone", "empty", "none"],
)
def test_what_cannot_be_migrated(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "two.yaml").write_text("configVersion: v2")
    assert config_command(["migrate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"milvus-backup config: {said}")
