"""The files of the manifest: heads, lines, and the key that links `full_meta.json` to them."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import BackupCorrupt, BackupNotRestorable
from milvus_backup_server.domain.manifest import (
    FULL_META_KEY,
    ManifestCollection,
    ManifestHead,
    ManifestObject,
    ManifestSource,
    canonical_json,
    dump_line,
    full_meta_suffix,
    load_json,
    parse_head,
    parse_link,
)

HEAD_LINE = (
    b'{"format_version":1,"writer":"milvus-backup 0.1.0","operation":"op","generation":1,'
    b'"create_time":"2026-01-31T12:00:00+00:00","end_time":"2026-01-31T12:00:01+00:00",'
    b'"milvus_version":"v2.3.5","source":{"cluster":"default","endpoint":"http://h:9000",'
    b'"bucket":"a-bucket","root_path":"files"},"labels":{"who":"me"},"collection_count":0,'
    b'"object_count":0,"size":0,"row_count":0,"exact":false,'
    b'"collections_file":"manifest.1.collections.jsonl","files":{"full_meta.json":"ab"}}\n'
)
HEAD = ManifestHead(
    writer="milvus-backup 0.1.0",
    operation="op",
    generation=1,
    create_time="2026-01-31T12:00:00+00:00",
    end_time="2026-01-31T12:00:01+00:00",
    milvus_version="v2.3.5",
    source=ManifestSource(
        cluster="default", endpoint="http://h:9000", bucket="a-bucket", root_path="files"
    ),
    labels={"who": "me"},
    collections_file="manifest.1.collections.jsonl",
    files={"full_meta.json": "ab"},
)


def test_a_head_is_one_line_of_canonical_json() -> None:
    assert dump_line(HEAD) == HEAD_LINE
    assert parse_head(HEAD_LINE, "manifest.1.json") == HEAD


def test_an_object_line() -> None:
    line = (
        b'{"key":"binlogs/insert_log/1/2/3/3/100/5","location":".",'
        b'"source_key":"files/insert_log/1/2/3/100/5","source_etag":"e1","size":0,"etag":"e2",'
        b'"hash":"ab","algorithm":"md5"}\n'
    )
    item = ManifestObject(
        key="binlogs/insert_log/1/2/3/3/100/5",
        source_key="files/insert_log/1/2/3/100/5",
        source_etag="e1",
        size=0,
        etag="e2",
        hash="ab",
        algorithm="md5",
    )
    assert dump_line(item) == line
    assert ManifestObject.from_json(json.loads(line)) == item


def test_a_collection_line_keeps_large_timestamps_exact() -> None:
    item = ManifestCollection(
        collection_id=449577000000000001,
        db_name="default",
        collection_name="c",
        moment=470638909122936841,
        record={"created_timestamp": 470638909122936842},
    )
    line = dump_line(item)
    assert b'"moment":470638909122936841,' in line
    assert b'"record":{"created_timestamp":470638909122936842}' in line
    assert b'"object_count":0,"size":0,"row_count":0' in line
    assert ManifestCollection.from_json(json.loads(line)) == item


def test_text_is_written_as_utf_8_without_escapes() -> None:
    assert canonical_json({"name": "größe <&> 名"}) == '{"name":"größe <&> 名"}'.encode()


@pytest.mark.parametrize("version", [0, 1])
def test_a_reader_reads_its_own_version_and_those_before(version: int) -> None:
    data = dump_line(HEAD).replace(b'"format_version":1', b'"format_version":%d' % version)
    assert parse_head(data, "manifest.1.json").format_version == version


def test_a_newer_version_is_refused_by_name() -> None:
    data = dump_line(HEAD).replace(b'"format_version":1', b'"format_version":2')
    with pytest.raises(BackupNotRestorable) as caught:
        parse_head(data, "manifest.1.json")
    assert caught.value.message == (
        "manifest.1.json has format version 2; this service reads up to 1: use a newer one"
    )
    assert caught.value.metadata == {"subject": "manifest.1.json", "format_version": "2"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "should be an object"),
        (b"1", "should be an object"),
        (b'{"format_version":"1"}', "manifest.1.json.format_version should be an integer"),
        (b'{"files":{"x":1}}', "manifest.1.json.files.x should be a string"),
    ],
)
def test_a_damaged_head_is_corrupt_and_named(data: bytes, why: str) -> None:
    with pytest.raises(BackupCorrupt) as caught:
        parse_head(data, "manifest.1.json")
    assert why in caught.value.message
    assert "manifest.1.json" in caught.value.message


def test_loading_names_the_file() -> None:
    with pytest.raises(BackupCorrupt) as caught:
        load_json(b"no", "backup_meta.json")
    assert caught.value.metadata == {"file": "backup_meta.json"}


def test_our_key_takes_the_place_of_the_last_brace() -> None:
    suffix = full_meta_suffix("manifest.1.json", "00ff")
    assert suffix == (b',"milvus_backup_service":{"manifest":"manifest.1.json","sha256":"00ff"}}')
    whole = json.loads(b'{"id":"x"' + suffix)
    assert list(whole) == ["id", FULL_META_KEY]
    assert parse_link(whole[FULL_META_KEY]) == ("manifest.1.json", "00ff")


@pytest.mark.parametrize(
    "link",
    [
        None,
        "manifest.1.json",
        [],
        {},
        {"manifest": "m"},
        {"sha256": "s"},
        {"manifest": 1, "sha256": "s"},
        {"manifest": "m", "sha256": None},
    ],
)
def test_a_damaged_key_is_corrupt(link: Any) -> None:
    with pytest.raises(BackupCorrupt) as caught:
        parse_link(link)
    assert caught.value.metadata == {"key": "milvus_backup_service"}


@given(st.integers(0, len(HEAD_LINE) - 1), st.integers(1, 255))
def test_any_byte_changed_in_a_head_changes_its_hash(place: int, change: int) -> None:
    changed = bytearray(HEAD_LINE)
    changed[place] ^= change
    link = full_meta_suffix("manifest.1.json", hashlib.sha256(HEAD_LINE).hexdigest())
    assert hashlib.sha256(changed).hexdigest().encode() not in link
