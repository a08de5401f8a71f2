"""The servers, the data sets and the comparison that the other end-to-end tests stand on."""

import gzip
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.clients import connected
from tests.support.collection_builder import Dataset
from tests.support.datasets import make_empty_one, make_versioned, versioned_row
from tests.support.environment import BACKUP_BUCKET, Environment
from tests.support.milvus import MilvusStandalone
from tests.support.processes import StartError
from tests.support.rows import assert_same_rows, fetch_rows, load_expected
from tests.support.s3 import S3Objects
from tests.support.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

SIZES = {
    "hello_milvus": 3_000,
    "all_types": 795,
    "bin_vec": 300,
    "churn": 1_850,
    "groups": 1_391,
    "orders": 400,
}

OWNER_THAT_DIES = """
import os, signal
from pathlib import Path
from tests.support.processes import ChildProcess, run_directory
directory = run_directory("orphan")
child = ChildProcess(["/bin/sleep", "600"], directory=directory, log=directory / "log")
print(child.pid, directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("collection", SIZES)
def test_fetched_rows_are_the_expected_ones(
    environment: Environment, datasets: dict[str, Dataset], collection: str
) -> None:
    made = datasets[collection]

    rows = fetch_rows(environment.milvus.uri, made.database, collection)

    assert len(rows) == SIZES[collection]
    assert_same_rows(made.rows, rows)


def test_a_collection_without_rows_and_index_can_be_read(environment: Environment) -> None:
    uri = environment.milvus.uri
    make_empty_one(uri, name="nothing")

    assert fetch_rows(uri, "default", "nothing") == {}


def test_changed_missing_and_extra_rows_are_named(environment: Environment) -> None:
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


def test_recorded_rows_are_read_by_key(tmp_path: Path) -> None:
    path = tmp_path / "default.some.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.write('{"id": "a", "b": [{"hex": "00ff"}]}\n{"id": "ü", "b": null}\n')

    assert load_expected(path, key="id") == {
        "a": {"id": "a", "b": [{"hex": "00ff"}]},
        "ü": {"id": "ü", "b": None},
    }


@pytest.mark.torture
def test_more_rows_than_one_query_may_return(environment: Environment) -> None:
    uri = environment.milvus.uri
    made = make_versioned(uri, "many", range(-8_500, 8_500))

    assert_same_rows(made.rows, fetch_rows(uri, "default", "many"))


@pytest.mark.torture
def test_second_milvus_is_apart_and_survives_sigkill(environment: Environment) -> None:
    second = environment.second_milvus()
    address = second.address
    made = make_versioned(second.uri, "only_here", range(10))
    with connected(environment.milvus.uri) as first:
        assert not first.has_collection("only_here")
    assert any("insert_log" in key for key in environment.seaweed.objects.keys(second.bucket))

    second.restart()

    assert environment.second_milvus() is second
    assert second.address == address
    assert_same_rows(made.rows, fetch_rows(second.uri, "default", "only_here"))


def test_milvus_reads_its_shipped_configuration(environment: Environment) -> None:
    log = environment.milvus.process.log.read_text(errors="replace")

    assert "Read config failed" not in log
    assert "[interval=1h0m0s] [missingTolerance=1h0m0s] [dropTolerance=3h0m0s]" in log


def test_start_failure_says_why(environment: Environment) -> None:
    broken = MilvusStandalone(
        environment.seaweed, "broken", overrides={"mq": {"type": "carrier pigeon"}}
    )
    with pytest.raises(StartError, match=r"milvus ended during its start:\s+panic"), broken:
        pytest.fail("started")
    assert not broken.directory.exists()


def test_taken_ports_are_refused(environment: Environment) -> None:
    with pytest.raises(StartError, match="ports taken"):
        environment.milvus.launch()


@pytest.mark.parametrize("access_key", ["right", "wrong"])
def test_wrong_credentials_are_refused(environment: Environment, access_key: str) -> None:
    seaweed = environment.seaweed
    key = seaweed.access_key if access_key == "right" else "nobody"
    stranger = S3Objects(seaweed.endpoint, key, "wrong", seaweed.region)
    try:
        with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
            list(stranger.keys(BACKUP_BUCKET))
    finally:
        stranger.close()


@pytest.mark.torture
def test_objects_survive_a_kill_of_a_stopped_store() -> None:
    with SeaweedFS() as seaweed:
        seaweed.make_bucket("kept")
        seaweed.objects.write("kept", "a/b", b"bytes")
        seaweed.process.send_signal(signal.SIGSTOP)
        seaweed.kill()
        seaweed.start()
        assert list(seaweed.objects.keys("kept")) == ["a/b"]
        assert seaweed.objects.read("kept", "a/b") == b"bytes"
    assert not seaweed.directory.exists()


def test_nothing_outlives_an_owner_that_is_killed() -> None:
    owner = subprocess.run(
        [sys.executable, "-c", OWNER_THAT_DIES],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    pid, directory = owner.stdout.split()
    assert owner.returncode == -signal.SIGKILL

    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() or Path(directory).exists():
        assert time.monotonic() < deadline, f"process {pid} or {directory} is still there"
        time.sleep(0.05)
