"""Directories as stores: of the backups, and of a Milvus that keeps its data in files."""

from pathlib import Path

import pytest

from tests.support.settings_files import faults_v2, read_v2

LOCAL = "milvus: {storage: {provider: local, rootPath: /data/milvus}}\n"


@pytest.mark.parametrize(
    ("backup", "milvus_sees", "backups_seen"),
    [
        ("rootPath: /data/backups", "/data/milvus", ""),
        ("rootPath: /data/backups, localPath: /mnt/backups/", "/data/milvus", "/mnt/backups"),
        ("provider: minio, rootPath: b", "/data/milvus", ""),
    ],
)
def test_what_milvus_sees(tmp_path: Path, backup: str, milvus_sees: str, backups_seen: str) -> None:
    loaded = read_v2(tmp_path, f"{LOCAL}backup: {{storage: {{{backup}}}}}")
    assert loaded.warnings == ()
    assert loaded.settings.milvus.storage.mount == milvus_sees
    assert loaded.settings.backup_mount == backups_seen


def test_milvus_may_see_its_directory_elsewhere(tmp_path: Path) -> None:
    text = """
milvus: {storage: {provider: local, rootPath: /volumes/milvus, localPath: /var/lib/milvus/data}}
backup: {storage: {rootPath: /volumes/backups}}
"""
    storage = read_v2(tmp_path, text).settings.milvus.storage
    assert (storage.directory, storage.mount) == ("/volumes/milvus", "/var/lib/milvus/data")


@pytest.mark.parametrize(
    "root", ["/data", "/", "/data/milvus/insert_log", "/data/milvus/delta_log/backups"]
)
def test_backups_keep_out_of_the_data_of_milvus(tmp_path: Path, root: str) -> None:
    found = faults_v2(tmp_path, f"{LOCAL}backup: {{storage: {{rootPath: {root}}}}}")
    assert list(found) == ["backup.storage.rootPath"]


@pytest.mark.parametrize("root", ["/data/backups", "/data/milvus/backups", "/data/milvus2"])
def test_directories_of_their_own(tmp_path: Path, root: str) -> None:
    assert read_v2(tmp_path, f"{LOCAL}backup: {{storage: {{rootPath: {root}}}}}").warnings == ()


def test_the_directory_of_milvus_itself_is_not_wise(tmp_path: Path) -> None:
    loaded = read_v2(tmp_path, f"{LOCAL}backup: {{storage: {{rootPath: /data/milvus}}}}")
    assert "better is one of its own" in loaded.warnings[0]


def test_what_milvus_sees_is_a_whole_path(tmp_path: Path) -> None:
    text = "milvus: {storage: {provider: local, rootPath: /data/milvus, localPath: data}}"
    assert faults_v2(tmp_path, text)["milvus.storage.localPath"].startswith(
        "expected a directory from the root on"
    )


def test_a_directory_is_copied_directly_into_a_directory_alone(tmp_path: Path) -> None:
    direct = f"{LOCAL}transfer: {{mode: direct}}\n"
    read_v2(tmp_path, f"{direct}backup: {{storage: {{rootPath: /b}}}}")
    found = faults_v2(tmp_path, f"{direct}backup: {{storage: {{provider: minio, rootPath: b}}}}")
    assert list(found) == ["transfer.mode"]
