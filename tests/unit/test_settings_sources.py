"""Where settings come from: which source wins, how --set is read, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Given, assignments, load
from milvus_backup_server.settings.models import mask
from milvus_backup_server.settings.showing import entries
from tests.support.settings_files import faults_v2, read_v2

# --- precedence


def test_the_environment_wins_over_the_file_for_credentials_only(tmp_path: Path) -> None:
    environ = {
        "MILVUS_USER": "env",
        "MILVUS_PASSWORD": "",
        "MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": "env-key",
        "BACKUP_STORAGE_AUTH_SECRET_ACCESS_KEY": "env-secret",
        "MILVUS_PORT": "tcp://10.0.0.1:19530",
        "MILVUS_GRPC_PORT": "7",
        "MINIO_ACCESS_KEY": "of v1",
    }
    text = "milvus: {user: file, password: file, storage: {auth: {accessKeyID: file}}}"
    settings = read_v2(tmp_path, text, environ).settings
    assert (settings.milvus.user, settings.milvus.password.get_secret_value()) == ("env", "")
    assert settings.milvus.grpc.port == 19530
    assert settings.milvus.storage.auth.access_key_id == "env-key"
    assert settings.backup.storage.auth.access_key_id == "env-key"
    assert settings.backup.storage.auth.secret_access_key.get_secret_value() == "env-secret"
    assert settings.milvus.storage.auth.secret_access_key.get_secret_value() == "minioadmin"


def test_an_empty_variable_counts_as_set(tmp_path: Path) -> None:
    found = faults_v2(tmp_path, "", {"MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": ""})
    assert found["milvus.storage.auth.accessKeyID"] == (
        "is required when type is static (environment variable MILVUS_STORAGE_AUTH_ACCESS_KEY_ID)"
    )


def test_the_port_of_http_comes_from_the_command_line_the_environment_the_file(
    tmp_path: Path,
) -> None:
    def port(environ: dict[str, str], sets: list[str], text: str) -> int:
        return read_v2(tmp_path, text, environ, sets).settings.service.http.port

    file, environ, sets = (
        "service: {http: {port: 1}}",
        {"SERVER_PORT": "2"},
        ["service.http.port=3"],
    )
    assert port(environ, sets, file) == 3
    assert port(environ, [], file) == 2
    assert port({}, [], file) == 1
    assert port({"SERVER_PORT": ""}, [], "") == 8080


def test_what_kubernetes_sets_is_explained() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load("", environ={"SERVER_PORT": "tcp://10.0.0.1:8080"})
    assert str(caught.value) == (
        "invalid settings: service.http.port: expected a whole number (environment variable "
        "SERVER_PORT); Kubernetes sets such a variable for a service of that name: "
        "enableServiceLinks: false in the pod stops it"
    )


def test_the_command_line_wins_over_everything(tmp_path: Path) -> None:
    text = "milvus: {user: file}\nservice: {grpc: {port: 1}}"
    sets = ["milvus.user=set", "MILVUS_PASSWORD=set", "SERVICE.GRPC.PORT=0"]
    environ = {"MILVUS_USER": "env", "MILVUS_PASSWORD": "env"}
    settings = read_v2(tmp_path, text, environ, sets).settings
    assert (settings.milvus.user, settings.milvus.password.get_secret_value()) == ("set", "set")
    assert settings.service.grpc.port == 0


def test_an_option_of_its_own_is_named_in_its_fault() -> None:
    overrides = {"service.grpc.port": Given("--grpc-port", "70000", "command line")}
    with pytest.raises(
        InvalidSettings, match=r"--grpc-port: expected at most 65535 \(command line"
    ):
        load("", overrides, {})


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    found = faults_v2(tmp_path, 'service: {grpc: {socket: "\\ud83d"}}', {"MILVUS_USER": "\udcff"})
    assert found == {
        "service.grpc.socket": f"expected text in UTF-8 ({tmp_path / 'backup.yaml'} line 2)",
        "milvus.user": "expected text in UTF-8 (environment variable MILVUS_USER)",
    }


# --- inheritance


def test_the_backup_storage_takes_over_what_is_not_set(tmp_path: Path) -> None:
    text = """
milvus:
  storage:
    {provider: aws, address: store, port: 443, region: r, useSSL: true, bucketName: b, rootPath: x,
     milvusAddress: m, milvusPort: 9,
     auth: {accessKeyID: me, secretAccessKey: geheim, sessionToken: token}}
backup: {storage: {bucketName: other, useSSL: false}}
"""
    storage = read_v2(tmp_path, text).settings.backup.storage
    assert (storage.provider, storage.address, storage.port, storage.region) == (
        "aws",
        "store",
        443,
        "r",
    )
    assert (storage.bucket_name, storage.use_ssl, storage.root_path) == ("other", False, "backup")
    assert (storage.milvus_address, storage.milvus_port, storage.local_path) == ("", 0, "")
    assert storage.auth.access_key_id == "me"
    assert storage.auth.secret_access_key == SecretStr("geheim")
    assert storage.auth.session_token == SecretStr("token")


def test_inherited_credentials_are_no_fault_of_another_type(tmp_path: Path) -> None:
    text = """
milvus: {storage: {auth: {accessKeyID: me, secretAccessKey: geheim}}}
backup: {storage: {auth: {type: iam}}}
"""
    assert read_v2(tmp_path, text).settings.backup.storage.auth.type == "iam"


# --- --set


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["milvus.user=me"], {"milvus.user": "me"}),
        (["MILVUS.User = me "], {"milvus.user": " me "}),
        (["MILVUS_USER=me"], {"milvus_user": "me"}),
        (["milvus.user="], {"milvus.user": ""}),
        (["milvus.password=a=b"], {"milvus.password": "a=b"}),
        (["milvus.user=a", "milvus.user=b"], {"milvus.user": "b"}),
        (["unknown.key=a"], {"unknown.key": "a"}),
        ([], {}),
        ([""], {}),
        # A comma belongs to the value,
        (["milvus.password=a,b"], {"milvus.password": "a,b"}),
        (["milvus.password=,a,,b,"], {"milvus.password": ",a,,b,"}),
        (["milvus.password=a,b=c"], {"milvus.password": "a,b=c"}),
        (['milvus.password=a,"b"'], {"milvus.password": 'a,"b"'}),
        (['milvus.password=a"b'], {"milvus.password": 'a"b'}),
        (["milvus.etcd.endpoints=a:1,b:2"], {"milvus.etcd.endpoints": "a:1,b:2"}),
        # but before a name that is known, as with the Go tool,
        (["milvus.user=a,milvus.password=b"], {"milvus.user": "a", "milvus.password": "b"}),
        (["milvus.user=a,MINIO_PORT=1"], {"milvus.user": "a", "minio_port": "1"}),
        (["milvus.password=a,b,milvus.user=c"], {"milvus.password": "a,b", "milvus.user": "c"}),
        # and everything in quotes is one, as with the Go tool.
        (['"milvus.password=a,b"'], {"milvus.password": "a,b"}),
        (['"milvus.password=a""b"'], {"milvus.password": 'a"b'}),
        (
            ['"milvus.password=a,milvus.user=b"'],
            {"milvus.password": "a,milvus.user=b"},
        ),
        (
            ['milvus.user=c,"milvus.password=a,milvus.user=b",milvus.grpc.port=1'],
            {"milvus.user": "c", "milvus.password": "a,milvus.user=b", "milvus.grpc.port": "1"},
        ),
    ],
)
def test_set_is_read_as_the_go_tool_reads_it_and_commas_may_stay(
    arguments: list[str], expected: dict[str, str]
) -> None:
    assert {name: row.value for name, row in assignments(arguments).items()} == expected


@pytest.mark.parametrize("argument", ["geheim", "=geheim", " =geheim", "geheim,milvus.user=x"])
def test_set_needs_a_key_and_a_value(argument: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        assignments(["milvus.user=x", argument])
    assert str(caught.value) == "invalid settings: --set: expected KEY=VALUE"


def test_faults_and_unknown_names_of_set(tmp_path: Path) -> None:
    found = faults_v2(tmp_path, "", sets=["milvus.grpc.port=x", "MILVUS_USER=ok"])
    assert found == {"milvus.grpc.port": "expected a whole number (--set)"}
    loaded = read_v2(tmp_path, "", sets=["milvus.grpc.prot=1", "MINIO_PORT=1", "what=1"])
    assert loaded.warnings == (
        "unknown setting milvus.grpc.prot is ignored (--set); did you mean milvus.grpc.port?",
        "unknown setting MINIO_PORT is ignored (--set); did you mean milvus.storage.port?",
        "unknown setting what is ignored (--set)",
    )


def test_the_key_wins_over_its_variable_in_set(tmp_path: Path) -> None:
    for sets in (["MILVUS_USER=a", "milvus.user=b"], ["milvus.user=b", "MILVUS_USER=a"]):
        assert read_v2(tmp_path, sets=sets).settings.milvus.user == "b"


# --- what has no effect because of other settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log: {file: {maxDays: 1}}", "log.file.maxDays: no log file is written without"),
        ("milvus: {grpc: {serverName: x}}", "milvus.grpc.serverName: milvus.grpc.tlsMode is dis"),
        ("milvus: {grpc: {mtlsKeyPath: x}}", "milvus.grpc.mtlsKeyPath: milvus.grpc.tlsMode is not"),
        (
            "service: {grpc: {socket: /x, port: 1, host: x}}",
            "service.grpc.port, service.grpc.host: with service.grpc.socket the service listens",
        ),
        (
            "service: {http: {enabled: false, port: 1}}\nserver: {swaggerBasePath: /x}",
            "service.http.port, server.swaggerBasePath: service.http.enabled is false",
        ),
    ],
)
def test_settings_that_others_take_the_effect_from(tmp_path: Path, text: str, said: str) -> None:
    (warning,) = read_v2(tmp_path, text).warnings
    assert warning.startswith(f"accepted, no effect: {said}")


def test_what_the_command_line_takes_the_effect_from_is_not_told(tmp_path: Path) -> None:
    sets = ["service.http.enabled=false", "service.grpc.socket=/x"]
    text = "service: {http: {port: 1}, grpc: {port: 2}}"
    assert read_v2(tmp_path, text, {"SERVER_PORT": "3"}, sets).warnings == ()
    (warning,) = read_v2(tmp_path, text, sets=[*sets, "service.http.host=x"]).warnings
    assert warning.startswith("accepted, no effect: service.http.host: ")


# --- secrets

SECRETS = {
    "MILVUS_PASSWORD": "milvus.password",
    "MILVUS_STORAGE_AUTH_SECRET_ACCESS_KEY": "milvus.storage.auth.secretAccessKey",
    "MILVUS_STORAGE_AUTH_SESSION_TOKEN": "milvus.storage.auth.sessionToken",
    "BACKUP_STORAGE_AUTH_SECRET_ACCESS_KEY": "backup.storage.auth.secretAccessKey",
    "BACKUP_STORAGE_AUTH_SESSION_TOKEN": "backup.storage.auth.sessionToken",
    "ZILLIZ_CLOUD_API_KEY": "zillizCloud.apiKey",
}


def test_no_text_shows_a_secret(tmp_path: Path) -> None:
    environ = dict.fromkeys(SECRETS, "geheim-geheim")
    loaded = read_v2(tmp_path, "milvus: {user: me}", environ)
    for text in (repr(loaded), str(loaded.settings), repr(loaded.settings.milvus.storage.auth)):
        assert "geheim" not in text
    shown = {entry.parameter: entry.value for entry in entries(loaded)}
    assert {key: shown[key] for key in SECRETS.values()} == dict.fromkeys(
        SECRETS.values(), "ge****im"
    )
    assert shown["milvus.user"] == "me"
    assert "geheim" not in str(shown)
    assert "geheim" not in repr(Given("milvus.password", "geheim", "somewhere"))


def test_no_fault_shows_a_secret(tmp_path: Path) -> None:
    text = """
milvus: {grpc: {port: geheim}, storage: {provider: geheim, auth: {type: geheim}}}
backup: {storage: {provider: minio}}
"""
    environ = {
        "BACKUP_STORAGE_AUTH_ACCOUNT_KEY": "geheim",
        "MILVUS_STORAGE_ACCOUNT_NAME": "geheim",
        "SERVER_PORT": "geheim",
    }
    found = faults_v2(tmp_path, text, environ, ["transfer.mode=geheim"])
    assert set(found) == {
        "milvus.grpc.port",
        "milvus.storage.provider",
        "backup.storage.auth.accountKey",
        "service.http.port",
        "transfer.mode",
    }
    assert "geheim" not in str(found)


@pytest.mark.parametrize(
    ("secret", "shown"), [("", ""), ("a", "****"), ("abcd", "****"), ("abcde", "ab****de")]
)
def test_mask(secret: str, shown: str) -> None:
    assert mask(secret) == shown
