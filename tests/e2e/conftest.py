"""Collections with known rows, for tests that only read them.

Each process that runs an end-to-end test starts servers and fills them. So the modules here belong
to one of two groups of about the same length, `milvus-one` and `milvus-two`, each with all tests
that share data sets, and a third process is left to the tests that need no servers.
"""

import pytest

from tests.support.collection_builder import Dataset
from tests.support.datasets import make_all
from tests.support.environment import Environment


@pytest.fixture(scope="session")
def datasets(environment: Environment) -> dict[str, Dataset]:
    """Every data set of the fixtures in the first Milvus, by the collection's name."""
    return {made.collection: made for made in make_all(environment.milvus.uri)}
