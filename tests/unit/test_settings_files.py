"""Settings files: where they are looked for, and what is said of those that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Loaded, Settings, load
from milvus_backup_server.settings.models import known_keys
from tests.support.settings_files import faults, faults_v2, read, read_v2

SAMPLE = Path(__file__).parents[2] / "configs" / "backup.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the sample


def test_the_sample_has_the_defaults() -> None:
    assert load(str(SAMPLE), environ={}).settings == Settings()


def test_the_sample_has_nothing_without_effect() -> None:
    assert load(str(SAMPLE), environ={}).warnings == ()


def test_the_sample_names_every_setting() -> None:
    def keys(tree: Mapping[str, object], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for name, value in tree.items():
            key = f"{prefix}{name}"
            found |= keys(value, f"{key}.") if isinstance(value, dict) else {key}
        return found

    text = SAMPLE.read_text(encoding="utf-8")
    set_there = keys(yaml.safe_load(text))
    in_comments = {key for key in known_keys() if f"# {key}: " in text}
    assert (set_there | in_comments) - {"configVersion"} == set(known_keys())


def test_the_sample_names_the_values_of_helm_and_the_operator() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    assert (
        "bucketName: a-bucket # Milvus in Docker; installed by Helm or the Operator: milvus-bucket"
        in text
    )
    assert "rootPath: files # Milvus in Docker; installed by Helm or the Operator: file" in text


# --- finding the file


def test_without_a_file_the_defaults_hold(folder: Path) -> None:
    found = load(environ={})
    assert (found.settings, found.file, found.given) == (Settings(), None, {})
    (warning,) = found.warnings
    assert warning.startswith("no settings file found (backup.yaml, also in $MILVUSCONF and ./con")
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


def test_the_nearer_place_wins(folder: Path) -> None:
    for place in ("conf", "configs"):
        (folder / place).mkdir()
        (folder / place / "backup.yaml").write_text(f"configVersion: v2\nmilvus: {{user: {place}}}")
    assert load(environ={"MILVUSCONF": "conf"}).settings.milvus.user == "conf"
    assert load(environ={"MILVUSCONF": ""}).settings.milvus.user == "configs"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("my.yaml", "no such file: my.yaml, configs/my.yaml"),
        (".", "no such file: ., configs"),
        ("x" * 300, "File name too long"),
    ],
    ids=["absent", "directory", "long"],
)
def test_a_file_that_was_asked_for_must_be_there(config: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(config, environ={})
    assert f"--config: {said}" in str(caught.value)


def test_a_device_or_a_pipe_is_a_file() -> None:
    assert str(load("/dev/null", environ={}).file) == "/dev/null"
    reading, writing = os.pipe()
    try:
        os.write(writing, b"configVersion: v2\nmilvus: {user: me}")
        os.close(writing)
        assert load(f"/dev/fd/{reading}", environ={}).settings.milvus.user == "me"
    finally:
        os.close(reading)


# --- versions


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("configVersion: v2\nmilvus: {grpc: {port: 1}}", 1),
        ("CONFIGVERSION: V2\nmilvus: {grpc: {port: 1}}", 1),
        ("configVersion: v1\nmilvus: {port: 2}", 2),
        ("configVersion: V1\nmilvus: {port: 2}", 2),
        ("milvus: {port: 2}", 2),
        ("configVersion:\nmilvus: {port: 2}", 2),
        ("", 19530),
        ("# nothing but this", 19530),
    ],
)
def test_a_file_is_of_one_version(folder: Path, text: str, port: int) -> None:
    assert read(folder, text).settings.milvus.grpc.port == port


@pytest.mark.parametrize("version", ["v3", "2", "''", "[v2]"])
def test_other_versions_are_refused(folder: Path, version: str) -> None:
    assert faults(folder, f"milvus: {{port: 0}}\nconfigVersion: {version}") == {
        "configVersion": f"expected v1 or v2 ({folder / 'backup.yaml'} line 2)"
    }


# --- what is in it


def test_keys_and_enums_in_any_case(folder: Path) -> None:
    text = "MILVUS: {Storage: {USESSL: true, provider: AWS}}\ntransfer: {mode: Streaming}"
    settings = read_v2(folder, text).settings
    assert settings.milvus.storage.use_ssl
    assert (settings.milvus.storage.provider, settings.transfer.mode) == ("aws", "streaming")


def test_keys_with_dots(folder: Path) -> None:
    assert read_v2(
        folder, "milvus.grpc.port: 1\nmilvus: {grpc.address: m}"
    ).settings.milvus.grpc == (
        Settings().milvus.grpc.model_copy(update={"port": 1, "address": "m"})
    )


def test_what_is_written_is_text_until_its_key_says_otherwise(folder: Path) -> None:
    text = "milvus: {user: 0123, password: 1e3, grpc: {port: '19531', address: 2024-13-45}}"
    milvus = read_v2(folder, text).settings.milvus
    assert (milvus.user, milvus.password.get_secret_value()) == ("0123", "1e3")
    assert (milvus.grpc.port, milvus.grpc.address) == (19531, "2024-13-45")


def test_a_file_may_be_json(folder: Path) -> None:
    text = '{"configVersion": "v2", "milvus": {"user": "\\ud83d\\ude00 \\u00e9", "password": null}}'
    assert read(folder, text).settings.milvus.user == "\N{GRINNING FACE} é"


def test_a_null_leaf_is_not_set_and_an_anchor_is_read(folder: Path) -> None:
    text = "x: &auth {accessKeyID: me}\nmilvus: {user: null, grpc: , storage: {auth: {<<: *auth}}}"
    settings = read_v2(folder, text).settings
    assert (settings.milvus.user, settings.milvus.storage.auth.access_key_id) == ("", "me")


def test_what_stands_by_itself_wins_over_what_is_merged(folder: Path) -> None:
    text = """
x: {one: &one {address: a, port: 1}, two: &two {<<: *one, port: 2, region: r}}
milvus: {storage: &s {<<: [*two, *one], bucketName: b}}
backup: {storage: {<<: *s, bucketName: c, rootPath: d}}
"""
    settings = read_v2(folder, text).settings
    milvus, backup = settings.milvus.storage, settings.backup.storage
    assert (milvus.address, milvus.port, milvus.region, milvus.bucket_name) == ("a", 2, "r", "b")
    assert (backup.address, backup.port, backup.region, backup.bucket_name) == ("a", 2, "r", "c")


def test_a_mapping_that_merges_itself_ends(folder: Path) -> None:
    assert read_v2(folder, "milvus: &m {<<: *m, user: me}").settings.milvus.user == "me"


def test_unknown_keys_are_told_with_the_nearest_known_one(folder: Path) -> None:
    text = "milvus:\n  grpc: {adress: here}\nsomething: 1\nminio: {bucketName: b}"
    loaded = read_v2(folder, text)
    place = folder / "backup.yaml"
    assert loaded.warnings == (
        (
            f"unknown setting milvus.grpc.adress is ignored ({place} line 3); did you mean "
            "milvus.grpc.address?"
        ),
        f"unknown setting something is ignored ({place} line 4)",
        (
            f"unknown setting minio.bucketName is ignored ({place} line 5); did you mean "
            "milvus.storage.bucketName?"
        ),
    )
    assert loaded.settings == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milvus: {user: [unclosed, password: geheim", "line 2 is not YAML"),
        ("milvus: {password: *geheim}", "line 2 is not YAML: found undefined alias"),
        ("milvus: {password: !geheim x}", "line 2 is not YAML: a tag that settings do not have"),
        ("milvus: {password: !!python/object:os.system geheim}", "line 2 is not YAML"),
        ("milvus: {password: !!binary geheim}", "line 2 is not YAML"),
        ("milvus: {[geheim]: 1}", "line 2 is not YAML: a name of settings must be text"),
        ("milvus: " + "[" * 500, "is nested too deeply"),
        ("milvus:\n  user: a\n  USER: b", "is set twice"),
        ("milvus: just text", "expected settings below it"),
        ("milvus: [a, b]", "expected settings below it"),
        ("milvus: {user: [geheim]}", "expected one value"),
        ("milvus: {grpc: {port: [1]}}", "expected a whole number"),
        ("milvus: {etcd: {endpoints: [{a: b}]}}", "expected one value"),
        ("milvus: {etcd: {endpoints: &e [*e]}}", "is nested too deeply"),
        ("---\na: b\n---\nc: geheim", "is not YAML: but found another document"),
        ("milvus: {user: \x07geheim}", "is not YAML"),
    ],
    ids=[
        "syntax",
        "alias",
        "tag",
        "python",
        "binary",
        "name",
        "deep",
        "twice",
        "section",
        "list for a section",
        "list for a text",
        "list for a number",
        "mapping in a list",
        "list in itself",
        "two documents",
        "control character",
    ],
)
def test_damaged_files(folder: Path, text: str, said: str) -> None:
    found = faults_v2(folder, text)
    assert any(said in description for description in found.values()), found
    assert "geheim" not in str(found)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"- a\n- b\n", b"just text"])
def test_what_is_no_mapping(folder: Path, data: bytes) -> None:
    (folder / "backup.yaml").write_bytes(data)
    with pytest.raises(InvalidSettings, match=r"not UTF-8|not a mapping"):
        load(environ={})
