"""Collections with known rows, for tests that only read them."""

import pytest

from tests.support.collection_builder import Dataset
from tests.support.datasets import make_all
from tests.support.environment import Environment


@pytest.fixture(scope="session")
def datasets(environment: Environment) -> dict[str, Dataset]:
    """Every data set of the fixtures in the first Milvus, by the collection's name."""
    return {made.collection: made for made in make_all(environment.milvus.uri)}
