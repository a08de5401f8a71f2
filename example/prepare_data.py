"""Make the tutorial's collections, hello_milvus and hello_milvus2, with 3,000 rows each.

Some more rows are inserted and deleted again. If a collection of these names is there already, it
is left alone, and nothing is made.
"""

import argparse

from pymilvus import MilvusClient

from hello_milvus import Collection, argument_parser, run, tutorial_collections

BATCH = 1_000


def main() -> None:
    """Read the arguments and run."""
    run(prepare, argument_parser(__doc__).parse_args())


def prepare(client: MilvusClient, _options: argparse.Namespace) -> bool:
    """Make all collections, or none if one of them is there already."""
    collections = tutorial_collections()
    present = [name for name in collections if client.has_collection(name)]
    if present:
        print(f"{' and '.join(present)}: there already; clean_data.py drops them")
        return False
    for collection in collections.values():
        make(client, collection)
    return True


def make(client: MilvusClient, collection: Collection) -> None:
    """Create one collection, insert its rows, and delete some of them again."""
    client.create_collection(collection.name, schema=collection.schema)
    rows = list(collection.inserted.values())
    for start in range(0, len(rows), BATCH):
        client.insert(collection.name, rows[start : start + BATCH])

    # A flush writes what Milvus holds in memory into the object store. Half of the deletes come
    # before it and half behind it. A backup flushes by itself, so it has the later ones too.
    half = len(collection.deleted) // 2
    client.delete(collection.name, ids=collection.deleted[:half])
    client.flush(collection.name)
    client.delete(collection.name, ids=collection.deleted[half:])

    print(f"{collection.name}: {len(rows)} rows inserted, {len(collection.deleted)} deleted")


if __name__ == "__main__":
    main()
