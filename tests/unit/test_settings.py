"""Settings: what is read, what is refused, and what is never shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Loaded, load
from milvus_backup_server.settings_models import Settings, known_keys, mask
from milvus_backup_server.settings_sources import CREDENTIALS, Given

SAMPLE = Path(__file__).parents[2] / "configs" / "backup.yaml"
NO_ENVIRONMENT: Mapping[str, str] = {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path, text: str, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Loaded:
    path = folder / "backup.yaml"
    path.write_text(f"configVersion: v2\n{text}", encoding="utf-8")
    return load(str(path), environ=environ)


def faults(folder: Path, text: str, environ: Mapping[str, str] = NO_ENVIRONMENT) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        read(folder, text, environ)
    return {fault.field: fault.description for fault in caught.value.violations}


# --- the sample


def test_the_sample_has_the_defaults() -> None:
    assert load(str(SAMPLE), environ={}).settings == Settings()
    assert load(str(SAMPLE), environ={}).warnings == ()


def test_the_sample_names_every_setting() -> None:
    def keys(tree: Mapping[str, object], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for name, value in tree.items():
            key = f"{prefix}{name}"
            found |= keys(value, f"{key}.") if isinstance(value, dict) else {key}
        return found

    named = keys(yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))) - {"configVersion"}
    only_for_other_providers = {
        f"{section}.storage.{name}"
        for section in ("milvus", "backup")
        for name in (
            "accountName",
            "localPath",
            "auth.accountKey",
            "auth.credentialsFile",
            "auth.endpoint",
        )
    }
    assert named == set(known_keys()) - only_for_other_providers


def test_some_defaults() -> None:
    settings = Settings()
    assert (settings.milvus.storage.bucket_name, settings.milvus.storage.root_path) == (
        "a-bucket",
        "files",
    )
    assert settings.backup.storage.root_path == "backup"
    assert (settings.service.grpc.host, settings.service.grpc.port) == ("127.0.0.1", 50051)
    assert settings.copies_in_flight == 64


# --- finding the file


def test_without_a_file_the_defaults_hold(folder: Path) -> None:
    assert load(environ={}) == Loaded(Settings())
    (folder / "backup.yaml").write_text("nonsense", encoding="utf-8")
    assert load("", environ={}) == Loaded(Settings())


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("backup.yaml", None),
        ("other.yaml", "other.yaml"),
        ("conf/backup.yaml", None),
        ("conf/other.yaml", "elsewhere/other.yaml"),
        ("configs/backup.yaml", None),
        ("configs/other.yaml", "other.yaml"),
    ],
)
def test_places_of_the_file(folder: Path, place: str, config: str | None) -> None:
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("configVersion: v2\nmilvus: {user: me}", encoding="utf-8")
    loaded = load(config, environ={"MILVUSCONF": str(folder / "conf")})
    assert loaded.settings.milvus.user == "me"
    assert loaded.file is not None
    assert loaded.file.resolve() == path


@pytest.mark.usefixtures("folder")
def test_a_file_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(
        InvalidSettings, match=r"--config: no such file: my\.yaml, configs/my\.yaml"
    ):
        load("my.yaml", environ={})


# --- versions, unknown keys, damaged files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milvus: {address: localhost}", "a later release will read"),
        ("", "a later release will read"),
        ("configVersion: v1", "will be read by a later release"),
        ("configVersion: V1", "will be read by a later release"),
        ("configVersion: v3", r"expected v2 \(.*backup.yaml line 1\)"),
        ("configVersion: 2", "expected v2"),
    ],
    ids=["none", "empty", "v1", "V1", "v3", "number"],
)
def test_other_versions_are_refused(folder: Path, text: str, said: str) -> None:
    path = folder / "backup.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSettings, match=said) as caught:
        load(environ={})
    assert [fault.field for fault in caught.value.violations] == ["configVersion"]


def test_keys_and_enums_in_any_case(folder: Path) -> None:
    text = "MILVUS: {Storage: {USESSL: true, provider: AWS}}\ntransfer: {mode: Streaming}"
    settings = read(folder, text.replace("configVersion", "CONFIGVERSION")).settings
    assert settings.milvus.storage.use_ssl
    assert (settings.milvus.storage.provider, settings.transfer.mode) == ("aws", "streaming")


def test_unknown_keys_are_told_with_the_nearest_known_one(folder: Path) -> None:
    loaded = read(folder, "milvus:\n  grpc: {adress: here}\nsomething: 1")
    place = folder / "backup.yaml"
    misspelt, other = loaded.warnings
    assert misspelt.startswith(f"unknown setting milvus.grpc.adress is ignored ({place} line 3)")
    assert misspelt.endswith("; did you mean milvus.grpc.address?")
    assert other == f"unknown setting something is ignored ({place} line 4)"
    assert loaded.settings == Settings()


def test_keys_of_the_go_tool_without_effect_are_told_in_one_line(folder: Path) -> None:
    loaded = read(folder, "restore: {keepTempFiles: true}\nmilvus: {etcd: {endpoints: [a, b]}}")
    assert loaded.warnings == (
        "settings without effect in this service: restore.keepTempFiles, milvus.etcd.endpoints",
    )


def test_a_mode_of_copying_that_is_not_there_yet_is_told(folder: Path) -> None:
    (warning,) = read(folder, "transfer: {mode: streaming}").warnings
    assert warning.startswith("transfer.mode streaming has no effect yet")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milvus: {user: [unclosed, password: geheim", "line 2 is not YAML"),
        ("milvus: {user: *nobody}", "line 2 is not YAML"),
        ("milvus: {password: !!python/object:os.system geheim}", "line 2 is not YAML"),
        ("milvus:\n  user: a\n  USER: b", "is set twice"),
        ("milvus: just text", "expected settings below it"),
    ],
    ids=["syntax", "alias", "tag", "twice", "section"],
)
def test_damaged_files(folder: Path, text: str, said: str) -> None:
    found = faults(folder, text)
    assert any(said in description for description in found.values()), found
    assert "geheim" not in str(found)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"- a\n- b\n", b"just text"])
def test_what_is_no_mapping(folder: Path, data: bytes) -> None:
    (folder / "backup.yaml").write_bytes(data)
    with pytest.raises(InvalidSettings, match=r"not UTF-8|not a mapping"):
        load(environ={})


def test_a_null_leaf_is_not_set_and_an_anchor_is_read(folder: Path) -> None:
    text = "x: &auth {accessKeyID: me}\nmilvus: {user: null, storage: {auth: {<<: *auth}}}"
    settings = read(folder, text).settings
    assert (settings.milvus.user, settings.milvus.storage.auth.access_key_id) == ("", "me")


# --- values


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("milvus: {grpc: {port: 0}}", "milvus.grpc.port", "at least 1"),
        ("milvus: {grpc: {port: 65536}}", "milvus.grpc.port", "at most 65535"),
        ("milvus: {grpc: {port: true}}", "milvus.grpc.port", "a number"),
        ("milvus: {grpc: {port: 1.5}}", "milvus.grpc.port", "a whole number"),
        ("milvus: {grpc: {port: tcp}}", "milvus.grpc.port", "a whole number"),
        ("milvus: {grpc: {address: 'http://x'}}", "milvus.grpc.address", "a host name"),
        ("milvus: {grpc: {address: ''}}", "milvus.grpc.address", "a host name"),
        ("milvus: {grpc: {tlsMode: 1}}", "milvus.grpc.tlsMode", "one of 'disabled', 'server'"),
        ("milvus: {user: 5}", "milvus.user", "put it in quotes"),
        ("milvus: {storage: {useSSL: perhaps}}", "milvus.storage.useSSL", "true or false"),
        ("milvus: {storage: {rootPath: a/../b}}", "milvus.storage.rootPath", "without empty"),
        ("milvus: {storage: {bucketName: a/b}}", "milvus.storage.bucketName", "expected letters"),
        ("milvus: {storage: {bucketName: ''}}", "milvus.storage.bucketName", "expected letters"),
        ("milvus: {storage: {provider: azure}}", "milvus.storage.provider", "azure has no S3 API"),
        ("backup: {storage: {provider: gcpnative}}", "backup.storage.provider", "no S3 API"),
        ("milvus: {storage: {provider: local}}", "milvus.storage.provider", "backup.storage only"),
        ("backup: {storage: {provider: local, rootPath: ''}}", "backup.storage.rootPath", "direct"),
        ("backup: {storage: {localPath: /x}}", "backup.storage.localPath", "local only"),
        ("backup: {storage: {accountName: x}}", "backup.storage.accountName", "azure only"),
        ("backup: {concurrency: {collections: 0}}", "backup.concurrency.collections", "at least 1"),
        ("transfer: {mode: fast}", "transfer.mode", "one of 'auto', 'direct' or 'streaming'"),
        ("log: {level: loud}", "log.level", "one of 'debug', 'info'"),
        ("service: {grpc: {port: -1}}", "service.grpc.port", "at least 0"),
        ("service: {shutdownGraceSeconds: .nan}", "service.shutdownGraceSeconds", "at least 0"),
        ("service: {milvus: {pollSeconds: 0}}", "service.milvus.pollSeconds", "more than 0"),
    ],
)
def test_wrong_values(folder: Path, text: str, field: str, said: str) -> None:
    found = faults(folder, text)
    assert list(found) == [field]
    assert said in found[field]
    assert found[field].endswith(f"({folder / 'backup.yaml'} line 2)")


def test_a_socket_path_has_its_bound(folder: Path) -> None:
    found = faults(folder, f"service: {{grpc: {{socket: /{'x' * 100}}}}}")
    assert "at most 100 bytes" in found["service.grpc.socket"]


def test_numbers_in_quotes_are_numbers(folder: Path) -> None:
    assert read(folder, "milvus: {grpc: {port: '19531'}}").settings.milvus.grpc.port == 19531


def test_all_faults_come_together(folder: Path) -> None:
    text = """
milvus:
  grpc: {port: 0, tlsMode: mutual}
  storage: {provider: azure, port: 0, auth: {type: iam, accessKeyID: me}}
transfer: {concurrency: 0}
"""
    assert list(faults(folder, text)) == [
        "milvus.grpc.port",
        "milvus.storage.provider",
        "milvus.storage.port",
        "transfer.concurrency",
        "milvus.grpc.mtlsCertPath",
        "milvus.grpc.mtlsKeyPath",
        "milvus.storage.auth.accessKeyID",
    ]


# --- inheritance and credentials


def test_the_backup_storage_takes_over_what_is_not_set(folder: Path) -> None:
    text = """
milvus:
  storage:
    {provider: aws, address: store, port: 443, region: r, useSSL: true, bucketName: b, rootPath: x,
     auth: {accessKeyID: me, secretAccessKey: geheim, sessionToken: token}}
backup: {storage: {bucketName: other, useSSL: false}}
"""
    storage = read(folder, text).settings.backup.storage
    assert (storage.provider, storage.address, storage.port, storage.region) == (
        "aws",
        "store",
        443,
        "r",
    )
    assert (storage.bucket_name, storage.use_ssl, storage.root_path) == ("other", False, "backup")
    assert storage.auth.access_key_id == "me"
    assert storage.auth.secret_access_key == SecretStr("geheim")


def test_inherited_credentials_are_no_fault_of_another_type(folder: Path) -> None:
    text = """
milvus: {storage: {auth: {accessKeyID: me, secretAccessKey: geheim}}}
backup: {storage: {auth: {type: iam}}}
"""
    assert read(folder, text).settings.backup.storage.auth.type == "iam"


def test_a_local_backup_needs_a_directory_alone(folder: Path) -> None:
    text = "backup: {storage: {provider: local, rootPath: /var/backups}}"
    storage = read(folder, text).settings.backup.storage
    assert (storage.provider, storage.root_path, storage.prefix) == ("local", "/var/backups", "")


def test_slashes_around_a_root_path_mean_nothing(folder: Path) -> None:
    storage = read(folder, "milvus: {storage: {rootPath: /a/b/}}").settings.milvus.storage
    assert storage.prefix == "a/b"


def test_the_environment_wins_over_the_file(folder: Path) -> None:
    environ = {
        "MILVUS_USER": "env",
        "MILVUS_PASSWORD": "",
        "MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": "env-key",
        "BACKUP_STORAGE_AUTH_SECRET_ACCESS_KEY": "env-secret",
        "MILVUS_PORT": "tcp://10.0.0.1:19530",
    }
    text = "milvus: {user: file, password: file, storage: {auth: {accessKeyID: file}}}"
    settings = read(folder, text, environ).settings
    assert (settings.milvus.user, settings.milvus.password.get_secret_value()) == ("env", "")
    assert settings.milvus.storage.auth.access_key_id == "env-key"
    assert settings.backup.storage.auth.access_key_id == "env-key"
    assert settings.backup.storage.auth.secret_access_key.get_secret_value() == "env-secret"
    assert settings.milvus.storage.auth.secret_access_key.get_secret_value() == "minioadmin"


def test_an_empty_variable_counts_as_set(folder: Path) -> None:
    found = faults(folder, "", {"MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": ""})
    assert found["milvus.storage.auth.accessKeyID"] == (
        "is required when type is static (environment variable MILVUS_STORAGE_AUTH_ACCESS_KEY_ID)"
    )


def test_the_command_line_wins_over_everything(folder: Path) -> None:
    (folder / "backup.yaml").write_text("configVersion: v2\nservice: {grpc: {port: 1}}")
    overrides = {"service.grpc.port": Given("--grpc-port", 70000, "command line")}
    with pytest.raises(
        InvalidSettings, match=r"--grpc-port: expected at most 65535 \(command line"
    ):
        load(overrides=overrides, environ={})
    overrides = {"service.grpc.port": Given("--grpc-port", 0, "command line")}
    assert load(overrides=overrides, environ={}).settings.service.grpc.port == 0


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
def test_credentials_that_do_not_go_together(folder: Path, auth: str, field: str) -> None:
    found = faults(folder, f"backup: {{storage: {{auth: {auth}}}}}")
    assert list(found) == [f"backup.storage.auth.{field}"]
    assert "geheim" not in str(found)


@pytest.mark.parametrize(
    ("milvus", "backup"),
    [
        ("files", "files"),
        ("files", '""'),
        ("files/one", "files"),
        ("files", "files/insert_log"),
        ("files", "files/delta_log/deeper"),
        ('""', "index_files"),
    ],
)
def test_backups_lie_apart_from_the_data_of_milvus(folder: Path, milvus: str, backup: str) -> None:
    text = (
        f"milvus: {{storage: {{rootPath: {milvus}}}}}\nbackup: {{storage: {{rootPath: {backup}}}}}"
    )
    found = faults(folder, text)
    assert list(found) == ["backup.storage.rootPath"]
    assert "Milvus's own data" in found["backup.storage.rootPath"]


@pytest.mark.parametrize(
    "backup",
    ["{rootPath: backup}", "{rootPath: files/backup}", "{bucketName: other, rootPath: files}"],
)
def test_backups_may_lie_in_the_bucket_of_milvus(folder: Path, backup: str) -> None:
    assert read(folder, f"backup: {{storage: {backup}}}").settings.backup.storage.root_path


def test_mutual_tls(folder: Path) -> None:
    text = "milvus: {grpc: {tlsMode: mutual, caCertPath: ca.pem, mtlsCertPath: c.pem}}"
    assert list(faults(folder, text)) == [
        "milvus.grpc.mtlsKeyPath",
        "milvus.grpc.caCertPath",
        "milvus.grpc.mtlsCertPath",
    ]


# --- secrets


def test_no_text_shows_a_secret(folder: Path) -> None:
    environ = dict.fromkeys(CREDENTIALS, "geheim-geheim")
    for name in [*environ]:
        if name.endswith(("ACCOUNT_NAME", "ACCOUNT_KEY", "CREDENTIALS_FILE", "KEY_ID", "USER")):
            del environ[name]
    loaded = read(folder, "milvus: {user: me}", environ)
    for text in (repr(loaded), str(loaded.settings), repr(loaded.settings.milvus.storage.auth)):
        assert "geheim" not in text
    shown = loaded.settings.shown()
    assert shown["milvus.password"] == "ge****im"
    assert shown["milvus.user"] == "me"
    assert "geheim" not in str(shown)
    assert "geheim" not in repr(Given("milvus.password", "geheim", "somewhere"))


@pytest.mark.parametrize(
    ("secret", "shown"), [("", ""), ("a", "****"), ("abcd", "****"), ("abcde", "ab****de")]
)
def test_mask(secret: str, shown: str) -> None:
    assert mask(secret) == shown


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().log.level = "debug"
