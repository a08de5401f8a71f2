"""Which bucket and path a caller may name, and what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.places import HOME, AllowedPlaces, FoundPlace, Place

A_BUCKET = Place("a-bucket", "backup")
ALLOWED = AllowedPlaces(A_BUCKET, (Place("archive", "team"), Place("a-bucket", "old/one")))
DIRECTORY = AllowedPlaces(Place("", "srv/backups"), (Place("", "mnt/more"),))

NO_PATH = (
    "is no path: expected names between /, none of ., .., .milvus-backup, binlogs, bundle, meta, at most "
    "512 bytes"
)
NO_BUCKET = "is no name of a bucket: expected letters, digits, ., _ and -"
RIGHT = "(service.storage.allowedPlaces): expected one in or below archive/team, a-bucket/old/one"
AROUND = "lies among the backups of the settings, or around them; expected a path beside theirs"


@pytest.mark.parametrize(
    "asked",
    [
        Place(),
        Place("a-bucket"),
        Place("a-bucket", "backup"),
        Place("", "backup"),
        Place("", "/backup/"),
    ],
)
def test_the_repository_of_the_settings_has_one_name(asked: Place) -> None:
    assert ALLOWED.find(asked) == FoundPlace(HOME, HOME, "")
    assert AllowedPlaces(A_BUCKET).find(asked).place == HOME


@pytest.mark.parametrize(
    ("allowed", "asked", "place", "prefix", "below"),
    [
        (ALLOWED, Place("archive", "team"), "archive/team", "archive/team", ""),
        (ALLOWED, Place("archive", "/team/a/b/"), "archive/team/a/b", "archive/team", "a/b"),
        (ALLOWED, Place("", "old/one"), "a-bucket/old/one", "a-bucket/old/one", ""),
        (ALLOWED, Place("a-bucket", "old/one/x"), "a-bucket/old/one/x", "a-bucket/old/one", "x"),
        (DIRECTORY, Place("", "/mnt/more/x"), "/mnt/more/x", "/mnt/more", "x"),
        # A whole bucket; without a path it is that of the settings there.
        (AllowedPlaces(A_BUCKET, (Place("b"),)), Place("b"), "b/backup", "b/", "backup"),
        (AllowedPlaces(A_BUCKET, (Place("b"),)), Place("b", "x"), "b/x", "b/", "x"),
    ],
)
def test_what_is_allowed(
    allowed: AllowedPlaces, asked: Place, place: str, prefix: str, below: str
) -> None:
    found = allowed.find(asked)
    assert (str(found.place), str(found.prefix), found.below) == (place, prefix, below)
    assert allowed.find(found.place) == found


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        (Place("other"), "bucket_name", f"'other' is not what the operator allows {RIGHT}"),
        (Place("other", "team"), "bucket_name", f"'other' is not what the operator allows {RIGHT}"),
        # The bucket is one that is allowed, the settings' path in it is not.
        (Place("archive"), "bucket_name", f"'archive' is not what the operator allows {RIGHT}"),
        (Place("archive", "teams"), "path", f"'teams' is not what the operator allows {RIGHT}"),
        (Place("", "old"), "path", f"'old' is not what the operator allows {RIGHT}"),
        (Place("archive", "team/../x"), "path", NO_PATH),
        (Place("archive", "team//x"), "path", NO_PATH),
        (Place("archive", "team/."), "path", NO_PATH),
        (Place("archive", "team/.milvus-backup"), "path", NO_PATH),
        (Place("archive", "team/nightly/binlogs"), "path", NO_PATH),
        (Place("archive", "team\\x"), "path", NO_PATH),
        (Place("archive", "team/\n"), "path", NO_PATH),
        (Place("archive", "team/" + "x" * 508), "path", NO_PATH),
        (Place("archive", "team/\ud800"), "path", NO_PATH),
        (Place("http://evil", "team"), "bucket_name", NO_BUCKET),
        (Place("../archive", "team"), "bucket_name", NO_BUCKET),
    ],
)
def test_what_is_refused_and_what_would_be_right(asked: Place, field: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ALLOWED.find(asked)
    (fault,) = caught.value.violations
    assert (fault.field, fault.description) == (f"place.{field}", said)


@pytest.mark.parametrize("path", ["backup/nightly", "backup/x/y"])
def test_no_place_lies_among_the_backups_of_the_settings(path: str) -> None:
    allowed = AllowedPlaces(A_BUCKET, (Place("a-bucket"),))
    with pytest.raises(InvalidRequest) as caught:
        allowed.find(Place("", path))
    assert caught.value.violations[0].description == f"{path!r} {AROUND}"
    assert allowed.find(Place("", "backups")).below == "backups"
    deep = AllowedPlaces(Place("a-bucket", "a/backup"), (Place("a-bucket"),))
    with pytest.raises(InvalidRequest, match="or around them"):
        deep.find(Place("", "a"))


def test_nothing_is_allowed_by_default() -> None:
    for asked in (Place("archive"), Place("", "x"), Place("a-bucket", "x")):
        with pytest.raises(InvalidRequest, match="leave it empty"):
            AllowedPlaces(A_BUCKET).find(asked)


def test_a_directory_has_no_bucket() -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIRECTORY.find(Place("b", "mnt/more"))
    assert caught.value.violations[0].field == "place.bucket_name"


_STEPS = st.sampled_from(
    ["team", "a", "..", ".", "", "x/y", "meta", "backup", "\\", "é", "old", "one"]
)
_PATHS = st.lists(_STEPS, max_size=5).map("/".join) | st.text(max_size=12)


@given(st.sampled_from(["", "archive", "a-bucket", "other", "a/b"]) | st.text(max_size=5), _PATHS)
def test_whatever_is_asked_for_lies_in_or_below_what_is_allowed(bucket: str, path: str) -> None:
    try:
        found = ALLOWED.find(Place(bucket, path))
    except InvalidRequest:
        return
    if found.place == HOME:
        assert bucket in {"", "a-bucket"}
        assert path.strip("/") in {"", "backup"}
        return
    assert found.prefix in ALLOWED.prefixes
    assert found.place.bucket == found.prefix.bucket
    assert f"{found.place.root}/".startswith(f"{found.prefix.root}/")
    assert not {"..", ".", ""} & set(found.place.root.split("/"))
