"""Page sizes and page tokens."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup.v1.backup_pb2 import Backup
from milvus_backup.v1.backup_service_pb2 import ListBackupCollectionsRequest, ListBackupsRequest
from milvus_backup.v1.operation_service_pb2 import ListOperationsRequest
from milvus_backup_server.api.pages import (
    PageSize,
    cut_by_key,
    cut_by_offset,
    read_position,
    within,
)
from milvus_backup_server.domain.backups import Page
from milvus_backup_server.domain.errors import InvalidRequest

SIZE = PageSize(default=100, largest=500)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


def token_for(key: str, backup_name: str = "nightly") -> str:
    request = ListBackupCollectionsRequest(backup_name=backup_name)
    return read_position(request, SIZE).token(key)


def read_key(token: str, backup_name: str = "nightly") -> str:
    request = ListBackupCollectionsRequest(backup_name=backup_name, page_token=token)
    return read_position(request, SIZE).key


def faulty_fields(request: ListBackupsRequest | ListBackupCollectionsRequest) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        read_position(request, SIZE)
    return [fault.field for fault in caught.value.violations]


@pytest.mark.parametrize(
    ("asked", "limit"), [(0, 100), (1, 1), (500, 500), (501, 500), (2**31 - 1, 500)]
)
def test_page_size(asked: int, limit: int) -> None:
    position = read_position(ListBackupsRequest(page_size=asked), SIZE)
    assert (position.key, position.limit) == ("", limit)


def test_all_faults_are_told_together() -> None:
    request = ListBackupsRequest(page_size=-1, page_token="garbage")
    assert faulty_fields(request) == ["page_size", "page_token"]


def test_a_negative_page_size_is_told_with_what_is_right() -> None:
    expected = "^page_size: -1 is negative: expected 0 for the default \\(100\\), or more$"
    with pytest.raises(InvalidRequest, match=expected):
        read_position(ListBackupsRequest(page_size=-1), SIZE)


def test_the_last_page_has_no_token() -> None:
    assert token_for("") == ""


@given(KEYS)
def test_a_token_gives_its_key_back(key: str) -> None:
    token = token_for(key)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()
    assert read_key(token) == key


def test_a_token_holds_for_another_page_size() -> None:
    token = read_position(ListBackupsRequest(page_size=5), SIZE).token("b")
    assert read_position(ListBackupsRequest(page_size=7, page_token=token), SIZE).key == "b"


def test_a_token_of_other_fields_is_refused() -> None:
    request = ListBackupCollectionsRequest(backup_name="weekly", page_token=token_for("a"))
    assert faulty_fields(request) == ["page_token"]


def test_a_token_of_another_method_is_refused() -> None:
    token = read_position(ListOperationsRequest(), SIZE).token("a")
    assert faulty_fields(ListBackupsRequest(page_token=token)) == ["page_token"]


@given(KEYS, st.data())
def test_a_changed_token_is_refused(key: str, data: st.DataObject) -> None:
    token = token_for(key)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("AZaz09-_").filter(lambda it: it != token[place]))
    with pytest.raises(InvalidRequest):
        read_key(token[:place] + letter + token[place + 1 :])


@given(st.text(max_size=100).filter(bool))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_key(text.encode("utf-8", "replace").decode())


@pytest.mark.parametrize("text", ["=", "AAAA", base64.urlsafe_b64encode(b"x" * 12).decode(), "é"])
def test_short_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_key(text)


@pytest.mark.parametrize(("key", "offset"), [("", 0), ("50", 50)])
def test_offset(key: str, offset: int) -> None:
    request = ListBackupCollectionsRequest(page_token=token_for(key, "") if key else "")
    assert read_position(request, SIZE).offset == offset


@pytest.mark.parametrize("key", ["x", "-1", "٣", "1" * 5000])
def test_an_offset_that_is_no_number_is_refused(key: str) -> None:
    request = ListBackupCollectionsRequest(page_token=token_for(key, ""))
    position = read_position(request, SIZE)
    with pytest.raises(InvalidRequest):
        _ = position.offset


def backup(number: int) -> Backup:
    return Backup(name=f"b{number}", milvus_version="v" * 1000)


def test_a_page_that_fits_is_passed_on() -> None:
    page = Page((1, 2, 3), "b3")
    messages, key = cut_by_key(page, backup, lambda number: f"b{number}")
    assert ([item.name for item in messages], key) == (["b1", "b2", "b3"], "b3")


def test_a_page_that_is_too_large_is_cut_and_goes_on_where_it_was_cut() -> None:
    page = Page(tuple(range(5000)), "")
    messages, key = cut_by_key(page, backup, lambda number: f"b{number}")
    assert 0 < len(messages) < 5000
    assert sum(item.ByteSize() for item in messages) < 1024 * 1024
    assert key == messages[-1].name
    messages, key = cut_by_offset(page, backup, 700)
    assert key == str(700 + len(messages))


def test_one_message_is_always_in_a_page() -> None:
    assert len(list(within([backup(1), backup(2)], limit=10))) == 1


def test_no_more_is_made_than_fits() -> None:
    endless = map(backup, itertools.count())
    assert len(list(within(endless, limit=10_000))) == 9
