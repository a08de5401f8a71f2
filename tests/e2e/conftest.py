"""Collections with known rows, for tests that only read them.

Each process that runs an end-to-end test starts servers and fills them. So the modules here belong
to one of two groups of about the same length, `milvus-one` and `milvus-two`, each with all tests
that share data sets, and a third process is left to the tests that need no servers.
"""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from milvus_backup_server.domain.milvus import CollectionName
from tests.e2e.gateway_conformance import (
    FakeSubject,
    NewName,
    RealSubject,
    SimulatedSubject,
    Subject,
)
from tests.support.collection_builder import Dataset
from tests.support.datasets import make_all
from tests.support.environment import Environment


@pytest.fixture(scope="session")
def datasets(environment: Environment) -> dict[str, Dataset]:
    """Every data set of the fixtures in the first Milvus, by the collection's name."""
    return {made.collection: made for made in make_all(environment.milvus.uri)}


@pytest.fixture(
    scope="module", params=["fake", "simulated", pytest.param("real", marks=pytest.mark.e2e)]
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """One Milvus after another, for the conformance of those that are none to the real one."""
    made: Subject
    if request.param == "real":
        made = RealSubject(request.getfixturevalue("environment"))
    else:
        made = FakeSubject() if request.param == "fake" else await SimulatedSubject().start()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """Numbers that are given once."""
    return itertools.count()


@pytest.fixture
async def new_name(subject: Subject, numbers: Iterator[int]) -> AsyncIterator[NewName]:
    """Names for collections, which are dropped behind the test."""
    names: list[CollectionName] = []

    def make() -> CollectionName:
        names.append(CollectionName("default", f"conformance_{next(numbers)}"))
        return names[-1]

    yield make
    for name in names:
        await subject.gateway.drop_collection(name)
