"""The servers, the data sets and the comparison that the other end-to-end tests stand on."""

import signal
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.support.clients import connected
from tests.support.datasets import Dataset, make_all, make_versioned, versioned_row
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.milvus import MilvusStandalone
from tests.support.processes import StartError
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.s3 import S3Objects
from tests.support.seaweedfs import SeaweedFS

pytestmark = pytest.mark.e2e

SIZES = {
    "hello_milvus": 3_000,
    "all_types": 795,
    "bin_vec": 300,
    "empty_one": 0,
    "churn": 1_850,
    "groups": 1_391,
    "orders": 400,
}


@pytest.fixture(scope="module")
def datasets(environment: Environment) -> dict[str, Dataset]:
    return {made.collection: made for made in make_all(environment.milvus.uri)}


@pytest.mark.parametrize("collection", SIZES)
def test_fetched_rows_are_the_expected_ones(
    environment: Environment, datasets: dict[str, Dataset], collection: str
) -> None:
    made = datasets[collection]

    rows = fetch_rows(environment.milvus.uri, made.database, collection)

    assert len(rows) == SIZES[collection]
    assert_same_rows(made.rows, rows)


def test_changed_missing_and_extra_rows_are_named(
    environment: Environment, datasets: dict[str, Dataset]
) -> None:
    uri = environment.milvus.uri
    expected = make_versioned(uri, "altered", range(20)).rows
    with connected(uri) as client:
        client.upsert("altered", [versioned_row(3, "v1")])
        client.delete("altered", ids=[5])
        client.insert("altered", [versioned_row(77, "v1")])

    with pytest.raises(AssertionError) as caught:
        assert_same_rows(expected, fetch_rows(uri, "default", "altered"))

    report = str(caught.value)
    assert "20 rows expected, 20 found" in report
    assert "1 missing: 5" in report
    assert "1 extra: 77" in report
    assert "1 different: 3" in report
    assert "version: expected 'v0', found 'v1'" in report


def test_more_rows_than_one_query_may_return(environment: Environment) -> None:
    uri = environment.milvus.uri
    made = make_versioned(uri, "many", range(-10_000, 10_000))

    assert_same_rows(made.rows, fetch_rows(uri, "default", "many"))
    with connected(uri) as client:
        client.drop_collection("many")


def test_second_milvus_has_its_own_bucket_and_rows(environment: Environment) -> None:
    second = environment.second_milvus()
    made = make_versioned(second.uri, "only_here", range(10))

    with connected(environment.milvus.uri) as first:
        assert not first.has_collection("only_here")
    assert_same_rows(made.rows, fetch_rows(second.uri, "default", "only_here"))
    assert any("insert_log" in key for key in environment.seaweed.objects.keys(second.bucket))
    assert environment.second_milvus() is second


def test_milvus_keeps_rows_and_address_over_sigkill(environment: Environment) -> None:
    second = environment.second_milvus()
    address = second.address
    made = make_versioned(second.uri, "survivor", range(100))

    second.restart()

    assert second.address == address
    assert_same_rows(made.rows, fetch_rows(second.uri, "default", "survivor"))


@pytest.mark.parametrize("access_key", ["right", "wrong"])
def test_wrong_credentials_are_refused(environment: Environment, access_key: str) -> None:
    seaweed = environment.seaweed
    key = seaweed.access_key if access_key == "right" else "nobody"
    stranger = S3Objects(seaweed.endpoint, key, "wrong", seaweed.region)
    try:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch|InvalidAccessKeyId"):
            list(stranger.keys(BACKUP_BUCKET))
    finally:
        stranger.close()


def test_objects_survive_a_kill_of_the_store() -> None:
    with SeaweedFS() as seaweed:
        seaweed.make_bucket("kept")
        seaweed.objects.write("kept", "a/b", b"bytes")
        seaweed.kill()
        seaweed.start()
        assert list(seaweed.objects.keys("kept")) == ["a/b"]
        assert seaweed.objects.read("kept", "a/b") == b"bytes"
    assert not seaweed.directory.exists()


def test_start_failure_shows_the_log(environment: Environment) -> None:
    broken = MilvusStandalone(
        environment.seaweed, "broken", overrides={"minio": {"port": 1}, "etcd": {"endpoints": ""}}
    )
    try:
        with pytest.raises(StartError, match=r"(?s)milvus ended during its start:.*panic"):
            broken.start()
    finally:
        broken.stop()


def test_a_stopped_process_is_killed_too() -> None:
    with SeaweedFS() as seaweed:
        seaweed.process.send_signal(signal.SIGSTOP)
        guarded = seaweed.process
    assert not guarded.running


def test_settings_are_the_servers_own(environment: Environment) -> None:
    settings = service_settings(environment.seaweed, environment.milvus)

    assert settings["milvus"]["grpc"]["port"] == environment.milvus.port
