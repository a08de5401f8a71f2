"""All rows of a collection by primary key, and their comparison."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from pymilvus import MilvusClient

from tests.support.clients import connected, make_queryable

Key = int | str
Row = dict[str, object]
Rows = dict[Key, Row]

_PAGE = 4_000
_SHOWN_KEYS = 5
_SHOWN_CHARACTERS = 160


def normalised(value: object) -> object:
    """Return a value of a query's answer as plain JSON data, bytes as `{"hex": ...}`.

    32-bit floats are the 64-bit floats of exactly the same value.
    """
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {name: normalised(item) for name, item in value.items()}
    if isinstance(value, list):
        return [normalised(item) for item in value]
    return value


def fetch_rows(uri: str, database: str, collection: str, *, token: str = "") -> Rows:
    """Read every row of a collection that nobody writes to, with strong consistency.

    The collection has an index and is loaded afterwards, whatever it was before.

    Raises:
        AssertionError: the pages do not add up to `count(*)`, or a key came twice.
    """
    with connected(uri, database, token=token) as client:
        make_queryable(client, collection)
        rows = list(_read(client, collection))
        counted = _count(client, collection)
    by_key = dict(rows)
    assert len(by_key) == len(rows) == counted, (
        f"{collection}: {len(rows)} rows with {len(by_key)} keys read, count(*) is {counted}"
    )
    return by_key


def fetch_many(uri: str, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Rows]:
    """Read several collections, given by database and name, at the same time."""
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        rows = pool.map(lambda name: fetch_rows(uri, *name), names)
        return dict(zip(names, rows, strict=True))


def load_expected(path: Path, *, key: str = "pk") -> Rows:
    """Read a `.jsonl.gz` file of rows, one JSON object a line, into rows by the field `key`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows: list[Row] = [json.loads(line) for line in lines]
    return {cast("Key", row[key]): row for row in rows}


def assert_same_rows(expected: Mapping[Key, Row], actual: Mapping[Key, Row]) -> None:
    """Compare two sets of rows by primary key, every field exactly.

    Raises:
        AssertionError: names the first missing, extra and different keys, and the fields and
            values in which rows differ.
    """
    missing = [key for key in expected if key not in actual]
    extra = [key for key in actual if key not in expected]
    different = [key for key in expected if key in actual and expected[key] != actual[key]]
    if missing or extra or different:
        report = [f"{len(expected)} rows expected, {len(actual)} found"]
        report += _named("missing", missing)
        report += _named("extra", extra)
        report += _named("different", different)
        report += [_differences(key, expected[key], actual[key]) for key in different[:_SHOWN_KEYS]]
        raise AssertionError("\n".join(report))


def _read(client: MilvusClient, collection: str) -> Iterator[tuple[Key, Row]]:
    # By key, not by pymilvus's iterator: that one takes its timestamp from the client's clock,
    # because Milvus 2.3 does not send one. 2.3 answers in the order of the keys.
    key_field = _key_field(client, collection)
    after = ""
    while True:
        page = client.query(
            collection,
            filter=after,
            limit=_PAGE,
            output_fields=["*"],
            consistency_level="Strong",
        )
        for row in page:
            yield row[key_field], cast("Row", normalised(row))
        if len(page) < _PAGE:
            return
        after = f"{key_field} > {json.dumps(page[-1][key_field], ensure_ascii=False)}"


def _key_field(client: MilvusClient, collection: str) -> str:
    fields = client.describe_collection(collection)["fields"]
    return next(str(field["name"]) for field in fields if field.get("is_primary"))


def _count(client: MilvusClient, collection: str) -> int:
    answer = client.query(
        collection, filter="", output_fields=["count(*)"], consistency_level="Strong"
    )
    return int(answer[0]["count(*)"])


def _named(what: str, keys: list[Key]) -> list[str]:
    if not keys:
        return []
    shown = ", ".join(repr(key) for key in keys[:_SHOWN_KEYS])
    return [f"{len(keys)} {what}: {shown}{', ...' if len(keys) > _SHOWN_KEYS else ''}"]


def _differences(key: Key, expected: Row, actual: Row) -> str:
    absent = object()
    lines = [f"  {key!r}:"]
    for field in sorted(expected.keys() | actual.keys()):
        want, have = expected.get(field, absent), actual.get(field, absent)
        if want != have:
            shown = ["absent" if value is absent else _short(value) for value in (want, have)]
            lines.append(f"    {field}: expected {shown[0]}, found {shown[1]}")
    return "\n".join(lines)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
