"""What an archive of a backup may hold, and in which order its metadata is written."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.archive import ArchivePaths, is_part, writing_order
from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.tar import TarEntry

LOG = "binlogs/insert_log/1/2/3/3/100/5"


def placed(*paths: str) -> list[str]:
    archive = ArchivePaths()
    return [archive.place(TarEntry(path, 1)) for path in paths]


def refusal(*paths: str, directory: bool = False) -> str:
    archive = ArchivePaths()
    for path in paths[:-1]:
        archive.place(TarEntry(path, 1))
    with pytest.raises(ArchiveInvalid) as caught:
        archive.place(TarEntry(paths[-1], 0, is_directory=directory))
    assert caught.value.metadata["entry"] == paths[-1][:200]
    return caught.value.message


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"b/{LOG}", LOG),
        ("b/binlogs/insert_log/1/2/3/100/5", "binlogs/insert_log/1/2/3/100/5"),
        ("b/binlogs/delta_log/1/2/3/3/5", "binlogs/delta_log/1/2/3/3/5"),
        ("b/binlogs/delta_log/1/-1/3/5", "binlogs/delta_log/1/-1/3/5"),
        ("b/meta/full_meta.json", "meta/full_meta.json"),
        ("b/meta/channel_cp_meta.json", "meta/channel_cp_meta.json"),
        ("b/meta/manifest.7.json", "meta/manifest.7.json"),
        ("b/meta/manifest.7.collections.jsonl", "meta/manifest.7.collections.jsonl"),
        ("b/meta/manifest.7/449577000000000001.jsonl", "meta/manifest.7/449577000000000001.jsonl"),
        ("./b/meta/full_meta.json", "meta/full_meta.json"),
        ("././b/meta/full_meta.json", "meta/full_meta.json"),
        # as archives of metadata alone have it
        ("b/full_meta.json", "meta/full_meta.json"),
        ("b/segment_meta.json", "meta/segment_meta.json"),
        # the claim belongs to who wrote the backup where it was
        ("b/meta/claim.json", ""),
        ("any thing/meta/full_meta.json", "meta/full_meta.json"),
    ],
)
def test_where_files_belong(path: str, key: str) -> None:
    assert placed(path) == [key]


@pytest.mark.parametrize("path", [".", "./", "b", "b/", "./b/meta", "b/binlogs/insert_log/1/"])
def test_directories_are_not_kept(path: str) -> None:
    assert ArchivePaths().place(TarEntry(path, 0, is_directory=True)) == ""


def test_the_top_directory_is_the_one_of_the_first_entry() -> None:
    archive = ArchivePaths()
    assert archive.top == ""
    archive.place(TarEntry("./", 0, is_directory=True))
    assert archive.top == ""
    archive.place(TarEntry("./nightly/", 0, is_directory=True))
    assert archive.top == "nightly"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/b/meta/full_meta.json", "has an absolute path"),
        ("//b/meta/full_meta.json", "has an absolute path"),
        ("../b/meta/full_meta.json", "'..' in its path"),
        ("b/../meta/full_meta.json", "'..' in its path"),
        ("b/meta/../../full_meta.json", "'..' in its path"),
        ("b/meta/./full_meta.json", "'..' in its path"),
        ("b//meta/full_meta.json", "an empty part"),
        ("b/meta/full_meta.json/", "an empty part"),
        ("", "an empty part"),
        (".", "an empty part"),
        ("b", "is no part of a backup"),
        ("b/readme.txt", "is no part of a backup"),
        ("b/meta/claim.json.exe", "is no part of a backup"),
        ("b/meta/._full_meta.json", "is no part of a backup"),
        ("b/meta/.json", "is no part of a backup"),
        ("b/meta/a/b.json", "is no part of a backup"),
        ("b/meta/full_meta.json\n", "is no part of a backup"),
        ("b/meta\\full_meta.json", "is no part of a backup"),
        ("b/channel_cp_meta.json", "is no part of a backup"),
        ("b/binlogs/insert_log/1/2/3/3/100/x", "is no part of a backup"),
        ("b/binlogs/insert_log/1/2/3/3/100/٣", "is no part of a backup"),
        ("b/binlogs/stats_log/1/2/3/100/5", "is no part of a backup"),
        ("b/insert_log/1/2/3/3/100/5", "is no part of a backup"),
        ("b/bundle/snapshots/1/metadata/2.json", "is no part of a backup"),
        (f"b/.milvus-backup/{LOG}", "is no part of a backup"),
    ],
)
def test_what_no_backup_holds_is_refused(path: str, why: str) -> None:
    assert why in refusal(path)


@pytest.mark.parametrize("path", ["b/.git", "b/bundle/x", "../b", "/b", "b/../c"])
def test_foreign_directories_are_refused(path: str) -> None:
    refusal(path, directory=True)


def test_all_entries_lie_in_one_top_directory() -> None:
    text = refusal("b/meta/full_meta.json", "c/meta/backup_meta.json")
    assert text == (
        "the archive's entry 'c/meta/backup_meta.json' lies outside of 'b', where the others are"
    )


@pytest.mark.parametrize(
    "paths",
    [
        ["./meta/full_meta.json", f"./{LOG}"],
        [f"./{LOG}"],
        ["./meta/channel_cp_meta.json"],
        ["./meta/manifest.7/1.jsonl"],
    ],
)
def test_a_backup_packed_from_inside_is_refused_with_what_would_be_right(paths: list[str]) -> None:
    assert refusal(*paths).endswith(": the archive must hold one directory named as the backup")


def test_directories_of_a_backup_packed_from_inside_are_refused_likewise() -> None:
    text = refusal("./binlogs/insert_log/", directory=True)
    assert text.endswith(": the archive must hold one directory named as the backup")


def test_long_names_are_shown_in_part() -> None:
    assert len(refusal("b/" + "x" * 100_000)) < 300


@given(st.text(max_size=60))
def test_no_key_leads_out_of_the_backup(path: str) -> None:
    try:
        (key,) = placed(path)
    except ArchiveInvalid:
        return
    assert key.startswith(("meta/", "binlogs/")) or key == ""
    assert ".." not in key.split("/")
    assert not key or is_part(key)


ORDER = [
    "channel_cp_meta.json",
    "manifest.7/1.jsonl",
    "manifest.7/2.jsonl",
    "manifest.7.collections.jsonl",
    "manifest.7.json",
    "collection_meta.json",
    "partition_meta.json",
    "segment_meta.json",
    "backup_meta.json",
    "full_meta.json",
]


def test_the_order_of_writing() -> None:
    for files in itertools.islice(itertools.permutations(ORDER), 0, 3_628_800, 9973):
        assert sorted(files, key=writing_order) == ORDER
