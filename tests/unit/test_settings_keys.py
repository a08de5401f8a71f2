"""Every key of the settings: its default, and what it changes; or that the start says it changes nothing.

The tables are written from the reference of the Go tool's configuration, not from our models.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Loaded, Settings
from milvus_backup_server.settings.keys import VARIABLES
from milvus_backup_server.settings.models import known_keys
from tests.support.settings_effects import EFFECTS
from tests.support.settings_files import read_v2
from tests.support.settings_seen import Row

TESTS = Path(__file__).parents[1]

SEEN_ELSEWHERE = {
    "service.grpc.host": ("127.0.0.1", "integration/test_settings_listen.py::test_grpc_host"),
    "service.grpc.port": (50051, "integration/test_settings_listen.py::test_grpc_port"),
    "service.grpc.socket": ("", "integration/test_settings_listen.py::test_grpc_socket"),
    "service.http.enabled": (True, "integration/test_settings_listen.py::test_http_enabled"),
    "service.http.host": ("127.0.0.1", "integration/test_settings_listen.py::test_http_host"),
    "service.http.port": (8080, "integration/test_settings_listen.py::test_http_port"),
    "service.http.allowedHosts": (
        (),
        "integration/test_settings_listen.py::test_http_allowed_hosts",
    ),
    "service.http.maxBodyMiB": (4, "integration/test_settings_listen.py::test_http_max_body"),
    "server.swaggerBasePath": ("", "integration/test_settings_listen.py::test_swagger_base_path"),
    "service.shutdownGraceSeconds": (
        30.0,
        (
            "integration/test_api_stop.py::test_what_does_not_end_in_time_is_interrupted_and_its_"
            "watchers_see_it"
        ),
    ),
}
"""Default, and the test that shows the effect."""

WITHOUT_EFFECT = {
    "server.debugMode": (False, "true"),
    "milvus.replicate.rpcChannelName": ("by-dev-replicate-msg", "x"),
    "milvus.etcd.endpoints": (("localhost:2379",), "x:1"),
    "milvus.etcd.rootPath": ("by-dev", "x"),
    "milvus.storage.milvusAddress": ("", "x"),
    "milvus.storage.milvusPort": (0, "1"),
    "backup.storage.milvusAddress": ("", "x"),
    "backup.storage.milvusPort": (0, "1"),
    "backup.concurrency.segments": (1024, "1"),
    "restore.concurrency.collections": (2, "1"),
    "restore.keepTempFiles": (False, "true"),
    "zillizCloud.endpoint": ("https://api.cloud.zilliz.com", "http://x"),
    "zillizCloud.apiKey": ("", "pw"),
    "backup.storage.localPath": ("", "/x"),
}
"""Default, and another value."""

REFUSED = {
    f"{section}.storage.{name}": ""
    for section in ("milvus", "backup")
    for name in ("accountName", "auth.accountKey", "auth.credentialsFile", "auth.endpoint")
} | {"milvus.storage.localPath": ""}
"""Default; any value is refused, as the stores that they are for are."""

BESIDE = {
    "milvus.storage.milvusPort": ("milvus.storage.milvusAddress=x",),
    "backup.storage.milvusPort": ("backup.storage.milvusAddress=x",),
    "backup.storage.localPath": ("backup.storage.provider=local",),
}

SECRETS = {
    "milvus.password",
    "milvus.storage.auth.secretAccessKey",
    "milvus.storage.auth.sessionToken",
    "milvus.storage.auth.accountKey",
    "backup.storage.auth.secretAccessKey",
    "backup.storage.auth.sessionToken",
    "backup.storage.auth.accountKey",
    "zillizCloud.apiKey",
}

ENVIRONMENT = {
    "MILVUS_USER": "milvus.user",
    "MILVUS_PASSWORD": "milvus.password",
    "MILVUS_STORAGE_ACCOUNT_NAME": "milvus.storage.accountName",
    "MILVUS_STORAGE_AUTH_ACCESS_KEY_ID": "milvus.storage.auth.accessKeyID",
    "MILVUS_STORAGE_AUTH_SECRET_ACCESS_KEY": "milvus.storage.auth.secretAccessKey",
    "MILVUS_STORAGE_AUTH_SESSION_TOKEN": "milvus.storage.auth.sessionToken",
    "MILVUS_STORAGE_AUTH_ACCOUNT_KEY": "milvus.storage.auth.accountKey",
    "MILVUS_STORAGE_AUTH_CREDENTIALS_FILE": "milvus.storage.auth.credentialsFile",
    "BACKUP_STORAGE_ACCOUNT_NAME": "backup.storage.accountName",
    "BACKUP_STORAGE_AUTH_ACCESS_KEY_ID": "backup.storage.auth.accessKeyID",
    "BACKUP_STORAGE_AUTH_SECRET_ACCESS_KEY": "backup.storage.auth.secretAccessKey",
    "BACKUP_STORAGE_AUTH_SESSION_TOKEN": "backup.storage.auth.sessionToken",
    "BACKUP_STORAGE_AUTH_ACCOUNT_KEY": "backup.storage.auth.accountKey",
    "BACKUP_STORAGE_AUTH_CREDENTIALS_FILE": "backup.storage.auth.credentialsFile",
    "ZILLIZ_CLOUD_API_KEY": "zillizCloud.apiKey",
}

DEFAULTS: dict[str, object] = {
    **{row.key: row.default for row in EFFECTS},
    **{key: default for key, (default, _) in SEEN_ELSEWHERE.items()},
    **{key: default for key, (default, _) in WITHOUT_EFFECT.items()},
    **REFUSED,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pem").touch()
    yield tmp_path
    logger.handlers[:], logger.level = handlers, level
    structlog.reset_defaults()


def given(folder: Path, key: str, value: str, beside: tuple[str, ...] = ()) -> Loaded:
    return read_v2(folder, f"{key}: {value}", sets=beside)


def test_every_key_has_a_row() -> None:
    rows = [row.key for row in EFFECTS]
    assert len(rows) == len(set(rows))
    others = len(SEEN_ELSEWHERE) + len(WITHOUT_EFFECT) + len(REFUSED)
    assert len(DEFAULTS) == len(rows) + others, "no key is in two tables"
    assert set(DEFAULTS) == set(known_keys())


@pytest.mark.parametrize("key", DEFAULTS)
def test_defaults(key: str) -> None:
    value = Settings().values_by_key()[key]
    assert (value.get_secret_value() if key in SECRETS else value) == DEFAULTS[key]


@pytest.mark.parametrize("row", EFFECTS, ids=[row.key for row in EFFECTS])
def test_a_key_changes_what_is_done(folder: Path, row: Row) -> None:
    without = read_v2(folder, "", sets=[it for it in row.beside if "tls" not in it]).settings
    assert row.seen(without) != row.expected
    for path in Path("logs").glob("*"):
        path.unlink()
    loaded = given(folder, row.key, row.given, row.beside)
    assert row.seen(loaded.settings) == row.expected
    assert not [it for it in loaded.warnings if "no effect" in it and row.key in it]


@pytest.mark.parametrize("key", SEEN_ELSEWHERE)
def test_a_key_is_seen_to_change_something_by_another_test(key: str) -> None:
    file, _, name = SEEN_ELSEWHERE[key][1].partition("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("key", WITHOUT_EFFECT)
def test_the_start_says_of_a_key_that_it_has_no_effect(folder: Path, key: str) -> None:
    loaded = given(folder, key, WITHOUT_EFFECT[key][1], BESIDE.get(key, ()))
    (warning,) = [it for it in loaded.warnings if key in it]
    assert warning.startswith("accepted, no effect: ")
    assert len(warning.rpartition(": ")[2]) > 20, "the reason"


@pytest.mark.parametrize("key", WITHOUT_EFFECT)
def test_a_key_without_effect_changes_nothing_else(folder: Path, key: str) -> None:
    beside = BESIDE.get(key, ())
    without = read_v2(folder, "", sets=beside).settings.values_by_key()
    values = given(folder, key, WITHOUT_EFFECT[key][1], beside).settings.values_by_key()
    assert [it for it, value in values.items() if value != without[it]] == [key]


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_is_refused_or_empty(folder: Path, key: str) -> None:
    assert given(folder, key, '""').warnings == ()
    with pytest.raises(InvalidSettings) as caught:
        given(folder, key, "x")
    assert [fault.field for fault in caught.value.violations] == [key]


def test_variables() -> None:
    assert ENVIRONMENT == VARIABLES


def test_secrets() -> None:
    values = Settings().values_by_key()
    assert {key for key in values if hasattr(values[key], "get_secret_value")} == SECRETS
