"""Compare the tutorial's restored collections with what was prepared, row by row.

Ends with 0 if all rows are the same, and with 1 if a row is missing, extra or different, or if a
collection that must be there is not.
"""

import argparse
from collections.abc import Iterator

from pymilvus import MilvusClient

from hello_milvus import (
    KEY,
    RECOVERED,
    VECTOR,
    Collection,
    Key,
    Row,
    argument_parser,
    run,
    tutorial_collections,
)

MOST_ROWS = 16_384  # that Milvus gives in answer to one query
SHOWN = 5  # keys of each kind of difference


def main() -> None:
    """Read the arguments and run."""
    names = list(tutorial_collections())
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--suffix",
        default=RECOVERED,
        help='that they were restored with, "" for none (default: %(default)s)',
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--collections",
        nargs="+",
        choices=names,
        metavar="NAME",
        help=f"{' or '.join(names)}, without the suffix (default: those that are there)",
    )
    which.add_argument("--all", action="store_true", help="both must be there")
    run(verify, parser.parse_args())


def verify(client: MilvusClient, options: argparse.Namespace) -> bool:
    """Check the collections that were asked for, or those of them that are there."""
    collections = tutorial_collections()
    asked_for = list(collections) if options.all else options.collections
    same = []
    absent = []
    for name in asked_for or collections:
        restored = name + options.suffix
        if client.has_collection(restored):
            same.append(check(client, restored, collections[name]))
        else:
            absent.append(restored)
            print(f"{restored}: not there")
    return bool(same) and all(same) and not (asked_for and absent)


def check(client: MilvusClient, name: str, prepared: Collection) -> bool:
    """Compare one collection with what was prepared, and say how they differ."""
    expected = prepared.remaining()
    make_searchable(client, name)
    faults = list(differences(expected, read_rows(client, name), count_rows(client, name)))
    if not faults:
        faults = list(search_faults(client, name, next(iter(expected.values()))))
    for fault in faults:
        print(f"{name}: {fault}")
    if not faults:
        print(f"{name}: all {len(expected)} rows are as prepared")
    return not faults


def make_searchable(client: MilvusClient, name: str) -> None:
    """Give the vectors an index, if they were restored without one, and load the collection."""
    if not client.list_indexes(name, field_name=VECTOR):
        index = client.prepare_index_params()
        index.add_index(VECTOR, index_type="IVF_FLAT", metric_type="L2", params={"nlist": 128})
        client.create_index(name, index)
    client.load_collection(name)


def read_rows(client: MilvusClient, name: str) -> dict[Key, Row]:
    """Return all rows by their keys; "Strong" sees every write before the query."""
    rows = client.query(name, limit=MOST_ROWS, output_fields=["*"], consistency_level="Strong")
    return {row[KEY]: dict(row) for row in rows}


def count_rows(client: MilvusClient, name: str) -> int:
    """Return how many rows there are; a key that is there twice counts twice."""
    answer = client.query(name, output_fields=["count(*)"], consistency_level="Strong")
    return int(answer[0]["count(*)"])


def differences(expected: dict[Key, Row], found: dict[Key, Row], count: int) -> Iterator[str]:
    """Say which rows are missing, extra and different."""
    yield from named("missing", [key for key in expected if key not in found])
    yield from named("extra", [key for key in found if key not in expected])
    different = [key for key in expected if key in found and found[key] != expected[key]]
    yield from named("different", different)
    for key in different[:SHOWN]:
        yield from changed_values(key, expected[key], found[key])
    if count != len(found):
        yield f"{count} rows with {len(found)} keys: some keys are there more than once"


def named(what: str, keys: list[Key]) -> Iterator[str]:
    """Say how many keys there are of a kind, and the first of them."""
    if keys:
        shown = ", ".join(repr(key) for key in keys[:SHOWN])
        yield f"{len(keys)} {what}: {shown}{', ...' if len(keys) > SHOWN else ''}"


def changed_values(key: Key, expected: Row, found: Row) -> Iterator[str]:
    """Say which values of a row differ."""
    for field in sorted(expected.keys() | found.keys()):
        if found.get(field) != expected.get(field):
            yield f"  {key!r}: {field} is {found.get(field)!r}, was {expected.get(field)!r}"


def search_faults(client: MilvusClient, name: str, row: Row) -> Iterator[str]:
    """Search for a row's own vector, to which no row is nearer than itself."""
    answers = client.search(
        name, data=[row[VECTOR]], limit=1, output_fields=[KEY], consistency_level="Strong"
    )
    nearest = [hit[KEY] for hit in answers[0]]
    if nearest != [row[KEY]]:
        yield f"a search for the vector of {row[KEY]!r} found {nearest}"


if __name__ == "__main__":
    main()
