"""pymilvus clients for the tests, closed in time."""

import contextlib
from collections.abc import Iterator

from pymilvus import DataType, MilvusClient

_FLAT = {DataType.FLOAT_VECTOR: ("FLAT", "L2"), DataType.BINARY_VECTOR: ("BIN_FLAT", "HAMMING")}


@contextlib.contextmanager
def connected(uri: str, database: str = "default", *, token: str = "") -> Iterator[MilvusClient]:
    """Yield a blocking client of one existing database."""
    # Not use_database: it asks for DescribeDatabase, which Milvus 2.3 does not have.
    client = MilvusClient(uri=uri, token=token, db_name=database)
    try:
        yield client
    finally:
        client.close()


def make_database(uri: str, database: str, *, token: str = "") -> None:
    """Make a database; one that is there already is fine."""
    with connected(uri, token=token) as client:
        if database not in client.list_databases():
            client.create_database(database)


def make_queryable(client: MilvusClient, collection: str) -> None:
    """Load a collection, after giving a brute-force index to vector fields without one."""
    indexed = {
        client.describe_index(collection, name)["field_name"]
        for name in client.list_indexes(collection)
    }
    missing = client.prepare_index_params()
    for field in client.describe_collection(collection)["fields"]:
        if field["type"] in _FLAT and field["name"] not in indexed:
            index_type, metric_type = _FLAT[field["type"]]
            missing.add_index(field["name"], index_type=index_type, metric_type=metric_type)
    if len(missing) > 0:
        client.create_index(collection, missing)
    client.load_collection(collection)
