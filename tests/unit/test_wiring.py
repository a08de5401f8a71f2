"""Settings as the adapters get them."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from milvus_backup_server.adapters.milvus import TlsMode
from milvus_backup_server.adapters.s3 import S3Profile
from milvus_backup_server.domain.errors import BinlogsNotInstalled
from milvus_backup_server.domain.places import HOME, AllowedPlaces, Place
from milvus_backup_server.settings.models import Settings, StorageSettings
from milvus_backup_server.settings.stores import StoreAccessSettings
from milvus_backup_server.wiring import (
    MIB,
    binlog_reader,
    gateway_settings,
    http_options,
    open_adapters,
    operation_limits,
    place_storage,
    place_storages,
    s3_profile,
    transfer_settings,
    work_limits,
)


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def profile_of(storage: Any, access: Any = MappingProxyType({})) -> S3Profile:
    return s3_profile(
        StorageSettings.model_validate(storage), StoreAccessSettings.model_validate(access)
    )


def test_http_shows_settings_as_a_file_has_them() -> None:
    shown = http_options(settings(milvus={"password": "Milvus"}), "1.2.3").settings
    assert shown["milvus.password"] == "Mi****us"
    assert shown["milvus.grpc.port"] == "19530"
    assert shown["milvus.storage.useSSL"] == "false"
    assert shown["milvus.etcd.endpoints"] == "localhost:2379"
    assert shown["service.http.allowedHosts"] == ""


@pytest.mark.parametrize(
    ("storage", "url", "addressing"),
    [
        ({}, "http://localhost:9000", "path"),
        ({"useSSL": True, "port": 443, "address": "minio"}, "https://minio:443", "path"),
        ({"provider": "aws", "address": "s3.amazonaws.com", "useSSL": True}, "", "auto"),
        (
            {"provider": "aliyun", "address": "oss.aliyuncs.com", "port": 443, "useSSL": True},
            "https://oss.aliyuncs.com:443",
            "virtual",
        ),
        (
            {"provider": "gcp", "address": "storage.googleapis.com", "port": 443, "useSSL": True},
            "https://storage.googleapis.com:443",
            "path",
        ),
    ],
    ids=["minio", "tls", "aws", "aliyun", "gcp"],
)
def test_endpoints(storage: dict[str, Any], url: str, addressing: str) -> None:
    profile = profile_of(storage)
    assert (profile.endpoint_url, profile.addressing) == (url, addressing)


def test_credentials() -> None:
    static = profile_of({"auth": {"sessionToken": "t"}})
    assert static.credentials is not None
    assert (static.credentials.secret_key, static.credentials.session_token) == ("minioadmin", "t")
    assert profile_of({"auth": {"type": "iam"}}).credentials is None


def test_gateway() -> None:
    grpc = {"tlsMode": "mutual", "caCertPath": "ca.pem", "serverName": "m"}
    made = gateway_settings(settings(milvus={"user": "me", "password": "geheim", "grpc": grpc}))
    assert (made.host, made.port, made.user, made.password) == ("localhost", 19530, "me", "geheim")
    assert (made.tls, made.ca, made.key) == (TlsMode.MUTUAL, Path("ca.pem"), None)


def test_limits() -> None:
    chosen = settings(
        backup={"concurrency": {"collections": 3}},
        transfer={"concurrency": 16, "multipartCopyThresholdMiB": 7},
        service={
            "checkTimeoutSeconds": 1,
            "operations": {"concurrent": 5},
            "limits": {"memoryMiB": 100},
            "milvus": {"importJobMaxMiB": 2, "allowUntestedVersions": True},
            "storage": {"createBackupBucket": False},
        },
    )
    work = work_limits(chosen)
    assert (work.collections, work.check_seconds, work.import_job_bytes) == (3, 1, 2 * MIB)
    assert (work.allow_untested_versions, work.create_bucket) == (True, False)
    assert operation_limits(chosen).concurrent == 5
    transfer = transfer_settings(chosen)
    assert (transfer.workers, transfer.bytes_in_flight) == (16, 100 * MIB)
    assert transfer.copy_threshold_bytes == 7 * MIB


@pytest.mark.parametrize(
    ("restore", "segments"),
    [
        ({}, 256),
        ({"maxSegmentsPerImportJob": 5}, 5),
        ({"maxSegmentsPerImportJob": 257}, 256),
    ],
)
def test_an_import_job_has_as_many_segments_as_milvus_takes(
    restore: dict[str, int], segments: int
) -> None:
    assert work_limits(settings(restore=restore)).import_job_segments == segments


@pytest.mark.parametrize(("mebibytes", "objects"), [(32, 4), (100, 8), (1000, 8)])
def test_no_more_objects_are_read_at_once_than_memory_allows(mebibytes: int, objects: int) -> None:
    work = work_limits(settings(service={"limits": {"memoryMiB": mebibytes}}))
    assert work.objects_read == objects
    assert work.objects_read * work.part_bytes <= mebibytes * MIB


def test_never_more_copies_than_requests() -> None:
    chosen = settings(service={"limits": {"requestsInFlight": 8}})
    assert transfer_settings(chosen).workers == 8


async def test_a_directory_for_the_backups(tmp_path: Path) -> None:
    storage = {"provider": "local", "rootPath": str(tmp_path / "backups")}
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, settings(backup={"storage": storage}))
        assert adapters.backup_store.location.bucket == str(tmp_path / "backups")
        assert adapters.milvus_store.location.endpoint == "http://localhost:9000"
        assert adapters.gateway.address == "localhost:19530"


async def test_places_are_reached_as_the_backups_are_and_share_their_client() -> None:
    chosen = Settings.model_validate(
        {
            "backup": {"storage": {"bucketName": "b", "rootPath": "backup"}},
            "service": {"storage": {"allowedPlaces": ["c/team/", "d/", "/old"]}},
        }
    )
    c, d, old = Place("c", "team"), Place("d"), Place("b", "old")
    assert chosen.places == AllowedPlaces(Place("b", "backup"), (c, d, old))
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, chosen)
        locations = {place: store.location for place, store in adapters.place_stores.items()}
        ours = adapters.backup_store.location
        assert {place: it.bucket for place, it in locations.items()} == {c: "c", d: "d", old: "b"}
        assert all(it.same_endpoint(ours) for it in locations.values())
        roots = {place: it.root for place, it in place_storages(chosen, adapters).items()}
        assert roots == {c: "team", d: "", old: "old"}
    # There is a client for each profile that differs in more than the bucket.
    access, storages = chosen.service.storage.backup, [place_storage(chosen, it) for it in (c, d)]
    profiles = {replace(s3_profile(it, access), bucket="") for it in storages}
    assert profiles == {replace(s3_profile(chosen.backup.storage, access), bucket="")}


async def test_the_places_of_directories_are_directories(tmp_path: Path) -> None:
    chosen = Settings.model_validate(
        {
            "backup": {"storage": {"provider": "local", "rootPath": f"{tmp_path}/backups"}},
            "service": {"storage": {"allowedPlaces": [f"{tmp_path}/more"]}},
        }
    )
    (more,) = chosen.places.prefixes
    assert chosen.places.find(Place("", f"{tmp_path}/backups/")).place == HOME
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, chosen)
        (storage,) = place_storages(chosen, adapters).values()
        assert (storage.root, storage.mount) == ("", "")
        assert adapters.place_stores[more].location.bucket == f"{tmp_path}/more"


def test_without_pyarrow_the_reader_of_rows_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [it for it in sys.modules if it.startswith("milvus_backup_server.adapters.binlog")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BinlogsNotInstalled) as missing:
        binlog_reader()
    assert "pip install 'milvus-backup[binlogs]'" in missing.value.message
    assert missing.value.metadata == {"subject": "pyarrow"}


def test_with_pyarrow_there_is_a_reader_of_rows() -> None:
    assert type(binlog_reader()).__name__ == "ArrowBinlogReader"
