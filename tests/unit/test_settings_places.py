"""Where data and backups lie by the settings: what may lie beside what, directories, places of callers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.settings_files import faults_v2, read_v2

# --- where backups lie


@pytest.mark.parametrize(
    ("milvus", "backup"),
    [
        ("files", '""'),
        ("files/one", "files"),
        ("files", "files/insert_log"),
        ("files", "files/delta_log/deeper"),
        ('""', "index_files"),
    ],
)
def test_backups_lie_apart_from_the_data_of_milvus(
    tmp_path: Path, milvus: str, backup: str
) -> None:
    text = (
        f"milvus: {{storage: {{rootPath: {milvus}}}}}\nbackup: {{storage: {{rootPath: {backup}}}}}"
    )
    found = faults_v2(tmp_path, text)
    assert list(found) == ["backup.storage.rootPath"]
    assert "Milvus's own data" in found["backup.storage.rootPath"]


@pytest.mark.parametrize("one", ["provider: s3", "address: LocalHost", "provider: aws, region: eu"])
def test_one_bucket_is_known_by_its_address_alone(tmp_path: Path, one: str) -> None:
    found = faults_v2(tmp_path, f"backup: {{storage: {{{one}, rootPath: files/insert_log}}}}")
    assert list(found) == ["backup.storage.rootPath"]


@pytest.mark.parametrize("other", ["port: 9001", "address: elsewhere", "bucketName: other"])
def test_another_bucket_has_no_data_of_milvus(tmp_path: Path, other: str) -> None:
    storage = f"{{{other}, rootPath: files/insert_log}}"
    loaded = read_v2(tmp_path, f"backup: {{storage: {storage}}}")
    assert loaded.settings.backup.storage.root_path == "files/insert_log"


@pytest.mark.parametrize(
    "backup",
    ["{rootPath: backup}", "{rootPath: files/backup}", "{bucketName: other, rootPath: files}"],
)
def test_backups_may_lie_in_the_bucket_of_milvus(tmp_path: Path, backup: str) -> None:
    loaded = read_v2(tmp_path, f"backup: {{storage: {backup}}}")
    assert loaded.settings.backup.storage.root_path
    assert loaded.warnings == ()


@pytest.mark.parametrize("root", ["files", "/files/"])
def test_the_root_of_milvus_itself_is_possible_and_not_wise(tmp_path: Path, root: str) -> None:
    (warning,) = read_v2(tmp_path, f"backup: {{storage: {{rootPath: {root}}}}}").warnings
    assert warning.startswith("backup.storage.rootPath is Milvus's own rootPath ('files')")


def test_slashes_around_a_root_path_mean_nothing(tmp_path: Path) -> None:
    storage = read_v2(tmp_path, "milvus: {storage: {rootPath: /a/b/}}").settings.milvus.storage
    assert storage.prefix == "a/b"


# --- directories


def test_a_directory_needs_its_root_path_alone(tmp_path: Path) -> None:
    text = "backup: {storage: {provider: local, rootPath: /var/backups}}"
    loaded = read_v2(tmp_path, text)
    storage = loaded.settings.backup.storage
    assert (storage.provider, storage.root_path, storage.prefix) == ("local", "/var/backups", "")
    assert loaded.warnings == ()


def test_of_a_directory_address_bucket_and_login_are_not_judged(tmp_path: Path) -> None:
    text = """
backup:
  storage:
    {provider: Local, rootPath: /x, localPath: /y, port: 0, bucketName: "", address: "a b",
     auth: {type: iam, accessKeyID: me, secretAccessKey: ""}}
"""
    loaded = read_v2(tmp_path, text)
    assert loaded.settings.backup.storage.provider == "local"
    assert loaded.warnings == (
        (
            "accepted, no effect: backup.storage.localPath: Milvus does not read the directory of the "
            "backups"
        ),
        (
            "accepted, no effect: backup.storage.port, backup.storage.address, backup.storage.auth.type, "
            "backup.storage.auth.accessKeyID: a directory has no address, bucket or login"
        ),
    )


# --- places that callers may name


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ("[archive/team, other/, /old/one/]", ("archive/team", "other/", "/old/one")),
        ("archive/team, /old", ("archive/team", "/old")),
        ("[]", ()),
    ],
)
def test_places(tmp_path: Path, places: str, expected: tuple[str, ...]) -> None:
    text = (
        f"service: {{storage: {{allowedPlaces: {places!r}}}}}"
        if "[" not in places
        else (f"service: {{storage: {{allowedPlaces: {places}}}}}")
    )
    assert read_v2(tmp_path, text).settings.service.storage.allowed_places == expected


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("archive", "expected bucket/path each, such as archive/milvus, or /path"),
        ("../x/y", "expected bucket/path each, such as archive/milvus, or /path"),
        ("http://evil/x", "expected bucket/path each, such as archive/milvus, or /path"),
        ("b/x/../y", "expected paths without empty, . and .. parts, such as archive/milvus"),
        ("b//x", "expected paths without empty, . and .. parts, such as archive/milvus"),
        ("/", "a-bucket/ holds, or lies in, Milvus's own data; expected a path beside it"),
        (
            "/files",
            "a-bucket/files holds, or lies in, Milvus's own data; expected a path beside it",
        ),
        ("a-bucket/files/insert_log/x", "holds, or lies in, Milvus's own data"),
        ("/backup/x", "a-bucket/backup/x lies among the backups of the settings"),
        ("/backup", "a-bucket/backup lies among the backups of the settings"),
    ],
)
def test_what_is_no_place(tmp_path: Path, place: str, said: str) -> None:
    found = faults_v2(tmp_path, f"service: {{storage: {{allowedPlaces: [{place!r}]}}}}")
    assert list(found) == ["service.storage.allowedPlaces"]
    assert said in found["service.storage.allowedPlaces"]


def test_all_of_a_bucket_may_be_the_backups_of_the_settings(tmp_path: Path) -> None:
    backup = "backup: {storage: {bucketName: apart, rootPath: ''}}"
    found = faults_v2(tmp_path, f"{backup}\nservice: {{storage: {{allowedPlaces: [/team]}}}}")
    assert list(found) == ["service.storage.allowedPlaces"]
    assert "apart/team lies among the backups" in found["service.storage.allowedPlaces"]


def test_a_directory_has_no_buckets_beside_it(tmp_path: Path) -> None:
    storage = "backup: {storage: {provider: local, rootPath: /srv/backups}}"
    found = faults_v2(tmp_path, f"{storage}\nservice: {{storage: {{allowedPlaces: [b/x]}}}}")
    assert "expected another one, such as /srv/backups" in found["service.storage.allowedPlaces"]
