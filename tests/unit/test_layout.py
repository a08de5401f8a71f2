"""Where things lie in a backup and in Milvus's store."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.layout import (
    BackupLayout,
    LogKey,
    join,
    manifest_collections_file,
    manifest_file,
    manifest_generation,
    manifest_objects_file,
    parse_backup_key,
    parse_source_key,
    source_directories,
)
from milvus_backup_server.domain.milvus import ALL_PARTITIONS
from milvus_backup_server.domain.names import is_backup_name
from tests.support.fixtures import EVERY, WITH_DATA, backup_objects, metadata

ids = st.integers(0, 2**63 - 1)
inserts = st.builds(LogKey, ids, ids, ids, ids, ids)
deltas = st.builds(LogKey, ids, ids | st.just(ALL_PARTITIONS), ids, st.none(), ids)
logs = inserts | deltas
roots = st.sampled_from(["", "files", "a/b", "deep/er/still"])


@given(logs, roots)
def test_source_keys_read_as_they_are_written(log: LogKey, root: str) -> None:
    assert parse_source_key(log.source_key(root), root) == log


@given(logs)
def test_backup_keys_read_as_they_are_written(log: LogKey) -> None:
    assert parse_backup_key(log.backup_key()) == log


@given(logs)
def test_a_source_key_is_no_backup_key_and_the_other_way_round(log: LogKey) -> None:
    assert parse_backup_key(log.source_key("binlogs")) in (log, None)
    assert parse_source_key(log.backup_key(), "") is None


def test_source_keys_by_hand() -> None:
    insert = LogKey(1, 2, 3, 100, 5)
    delta = LogKey(1, 2, 3, None, 5)
    assert insert.source_key("files") == "files/insert_log/1/2/3/100/5"
    assert delta.source_key("files") == "files/delta_log/1/2/3/5"
    assert insert.source_key("") == "insert_log/1/2/3/100/5"
    assert insert.source_key("/files/") == "files/insert_log/1/2/3/100/5"
    assert not insert.is_delta
    assert delta.is_delta


def test_backup_keys_by_hand() -> None:
    assert LogKey(1, 2, 3, 100, 5).backup_key() == "binlogs/insert_log/1/2/3/3/100/5"
    assert LogKey(1, 2, 3, None, 5).backup_key() == "binlogs/delta_log/1/2/3/3/5"
    # Deletes of all partitions have no group level.
    assert LogKey(1, -1, 3, None, 5).backup_key() == "binlogs/delta_log/1/-1/3/5"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("binlogs/insert_log/1/2/9/3/100/5", LogKey(1, 2, 3, 100, 5)),  # a shared group
        ("binlogs/insert_log/1/2/3/100/5", LogKey(1, 2, 3, 100, 5)),  # no group
        ("binlogs/delta_log/1/2/9/3/5", LogKey(1, 2, 3, None, 5)),
        ("binlogs/delta_log/1/2/3/5", LogKey(1, 2, 3, None, 5)),
        ("binlogs/delta_log/1/-1/3/5", LogKey(1, -1, 3, None, 5)),
        ("binlogs/insert_log/1/-1/3/100/5", None),
        ("binlogs/insert_log/1/2/3/5", None),
        ("binlogs/insert_log/1/2/9/9/3/100/5", None),
        ("binlogs/stats_log/1/2/3/100/5", None),
        ("binlogs/insert_log/1/2/3/100/5/", None),
        ("binlogs/insert_log/1/2/3/100/x", None),
        ("binlogs/insert_log/1/2/3/100/5\n", None),
        ("x/binlogs/insert_log/1/2/3/100/5", None),
        ("meta/full_meta.json", None),
        ("", None),
    ],
)
def test_reading_backup_keys(key: str, expected: LogKey | None) -> None:
    assert parse_backup_key(key) == expected


@pytest.mark.parametrize(
    ("key", "root", "expected"),
    [
        ("files/insert_log/1/2/3/100/5", "files", LogKey(1, 2, 3, 100, 5)),
        ("files/insert_log/1/2/3/100/5", "/files/", LogKey(1, 2, 3, 100, 5)),
        ("insert_log/1/2/3/100/5", "", LogKey(1, 2, 3, 100, 5)),
        ("files/delta_log/1/-1/3/5", "files", LogKey(1, -1, 3, None, 5)),
        ("files/insert_log/1/2/3/100/5", "", None),
        ("files/insert_log/1/2/3/100/5", "file", None),
        ("filesinsert_log/1/2/3/100/5", "files", None),
        ("files/insert_log/1/2/3/5", "files", None),
        ("files/delta_log/1/2/3/100/5", "files", None),
        ("files/stats_log/1/2/3/100/5", "files", None),
        ("files/insert_log/1/2/3/100/", "files", None),
    ],
)
def test_reading_source_keys(key: str, root: str, expected: LogKey | None) -> None:
    assert parse_source_key(key, root) == expected


@pytest.mark.parametrize("archive", WITH_DATA)
def test_every_data_object_of_the_go_tool_is_read_as_the_log_it_is(archive: str) -> None:
    recorded: set[str] = set()
    for collection in metadata(archive)["collection_backups"]:
        recorded |= set(re.findall(r'"log_path": "([^"]+)"', json.dumps(collection)))
    root = next(iter(recorded)).partition("/")[0]
    found = {
        log.source_key(root)
        for key, _ in backup_objects(archive)
        if key.startswith("binlogs/") and (log := parse_backup_key(key))
    }
    assert found == recorded


def test_keys_of_a_backup() -> None:
    layout = BackupLayout("backup", "nightly")
    assert layout.directory == "backup/nightly/"
    assert layout.meta_directory == "backup/nightly/meta/"
    assert layout.data_directory == "backup/nightly/binlogs/"
    assert layout.meta("full_meta.json") == "backup/nightly/meta/full_meta.json"
    assert layout.key("meta/x") == "backup/nightly/meta/x"
    assert layout.collection_data(7) == (
        "backup/nightly/binlogs/insert_log/7/",
        "backup/nightly/binlogs/delta_log/7/",
    )
    assert BackupLayout("", "nightly").directory == "nightly/"
    assert BackupLayout("/a//b/", "nightly").directory == "a//b/nightly/"


def test_directories_of_a_collection_in_milvus_s_store() -> None:
    assert source_directories("files", 7) == ("files/insert_log/7/", "files/delta_log/7/")
    assert source_directories("", 7) == ("insert_log/7/", "delta_log/7/")


def test_joining_leaves_out_what_is_empty() -> None:
    assert join("", "/a/", "/", "b") == "a/b"
    assert join("", "") == ""


def test_files_of_a_manifest() -> None:
    assert manifest_file(3) == "manifest.3.json"
    assert manifest_collections_file(3) == "manifest.3.collections.jsonl"
    assert manifest_objects_file(3, 42) == "manifest.3/42.jsonl"


@pytest.mark.parametrize(
    ("file", "generation"),
    [
        ("manifest.1.json", 1),
        ("manifest.12.json", 12),
        ("manifest.json", None),
        ("manifest.1.jsonl", None),
        ("manifest.1/42.jsonl", None),
        ("manifest.1.collections.jsonl", None),
        ("xmanifest.1.json", None),
        ("full_meta.json", None),
    ],
)
def test_only_a_head_tells_a_generation(file: str, generation: int | None) -> None:
    assert manifest_generation(file) == generation


@pytest.mark.parametrize("archive", EVERY)
def test_the_go_tool_has_no_files_that_we_would_take_for_ours(archive: str) -> None:
    names = [key.removeprefix("meta/") for key, _ in backup_objects(archive)]
    assert not any(manifest_generation(name) is not None for name in names)
    assert "claim.json" not in names


def test_our_own_directory_can_be_no_backup() -> None:
    assert not is_backup_name(".milvus-backup")
