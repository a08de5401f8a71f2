"""Fixtures for all tests: nobody's AWS settings, and real servers that are started once a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.environment import Environment
from tests.support.seaweedfs import SeaweedFS

# Tests are not timed: on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the AWS settings of whoever runs the tests away from botocore."""
    nothing = tmp_path_factory.mktemp("aws") / "nothing"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(nothing))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nothing))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """One SeaweedFS and one Milvus for the run (of each xdist process)."""
    with Environment() as running:
        yield running


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedFS]:
    """A SeaweedFS without a Milvus in it, with the buckets `suite-one` and `suite-two`."""
    with SeaweedFS() as server:
        for bucket in ("suite-one", "suite-two"):
            server.make_bucket(bucket)
        yield server


@pytest.fixture
def own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for spools where no other test has any."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
