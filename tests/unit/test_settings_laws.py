"""Laws of the settings, for whatever is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Settings, assignments, load
from milvus_backup_server.settings.keys import KEYS, VARIABLES
from milvus_backup_server.settings.migration import migrate
from milvus_backup_server.settings.v1 import RETIRED, V1_KEYS

NAMES_V1 = sorted({*(name for key in V1_KEYS for name in key.keys), *RETIRED})
STORES = ("milvus.storage.", "backup.storage.")
VARIABLES_V1 = sorted({key.variable for key in V1_KEYS if key.variable})

WORDS = """
true false 0 1 2 8081 x local azure gcpnative ali iam static minio streaming direct http://x:1 a,b
null ~ tcp://1.2.3.4:5
"""
words = st.sampled_from(WORDS.split())
texts = words | st.text(max_size=8)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*KEYS.values(), *NAMES_V1, "configVersion", "milvus", "minio"]) | texts
versions = st.sampled_from([{}, {"configVersion": "v1"}, {"configVersion": "v2"}])
environments = st.dictionaries(
    st.sampled_from([*VARIABLES, *VARIABLES_V1, "SERVER_PORT"]), texts, max_size=4
)

quick = settings(deadline=None, max_examples=40)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "backup.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return str(path)


def outcome(
    config: str, environ: Mapping[str, str] | None = None, sets: tuple[str, ...] = ()
) -> Settings | set[str]:
    """Return the settings, or what is at fault."""
    try:
        return load(config, assignments(sets), environ or {}).settings
    except InvalidSettings as error:
        return {fault.field for fault in error.violations}


# --- whatever is given ends in settings or in faults


@quick
@given(versions, st.dictionaries(names, trees, max_size=6), environments)
def test_any_mapping_of_names(
    folder: Path, version: dict[str, str], tree: dict[str, Any], environ: dict[str, str]
) -> None:
    text = json.dumps({**tree, **version}, default=str)
    assert outcome(written(folder, text), environ) is not None


@quick
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_file(folder: Path, data: str | bytes) -> None:
    assert outcome(written(folder, data)) is not None


@quick
@given(st.lists(st.text(alphabet='ab=,". milvus.user', max_size=30), max_size=3))
def test_any_assignments(sets: list[str]) -> None:
    assert outcome("", {}, tuple(sets)) is not None


@quick
@given(versions, st.dictionaries(names, trees, max_size=6), environments)
def test_a_migration_ends_in_a_file_or_in_faults(
    folder: Path, version: dict[str, str], tree: dict[str, Any], environ: dict[str, str]
) -> None:
    text = json.dumps({**tree, **version}, default=str)
    try:
        made = migrate(written(folder, text), {}, environ)
    except InvalidSettings:
        return
    assert outcome(written(folder, made.text), environ) is not None


# --- who wins

_TEXT_KEYS = {
    "milvus.user": "MILVUS_USER",
    "milvus.storage.auth.accessKeyID": "MILVUS_STORAGE_AUTH_ACCESS_KEY_ID",
    "backup.storage.auth.accessKeyID": "BACKUP_STORAGE_AUTH_ACCESS_KEY_ID",
}
some = st.none() | st.sampled_from(["a", "b", "c", "d"])


@quick
@given(st.sampled_from([*_TEXT_KEYS]), some, some, some)
def test_the_command_line_wins_over_the_environment_over_the_file(
    folder: Path, key: str, in_file: str | None, in_environ: str | None, in_sets: str | None
) -> None:
    file = {} if in_file is None else {key: in_file}
    config = written(folder, json.dumps({"configVersion": "v2", **file}))
    environ = {} if in_environ is None else {_TEXT_KEYS[key]: in_environ}
    sets = () if in_sets is None else (f"{key}={in_sets}",)
    found = outcome(config, environ, sets)
    assert isinstance(found, Settings)
    default = Settings().values_by_key()[key]
    given_values = [it for it in (in_sets, in_environ, in_file) if it is not None]
    assert found.values_by_key()[key] == (given_values or [default])[0]


@quick
@given(st.sampled_from([*KEYS.values()]), texts, texts)
def test_what_loses_is_not_even_looked_at(folder: Path, key: str, loser: str, winner: str) -> None:
    plain = written(folder, json.dumps({"configVersion": "v2"}))
    without = outcome(plain, {}, (f'"{key}={winner.replace(chr(34), chr(34) * 2)}"',))
    both = written(folder, json.dumps({"configVersion": "v2", key: loser}))
    assert outcome(both, {}, (f'"{key}={winner.replace(chr(34), chr(34) * 2)}"',)) == without


@quick
@given(st.sampled_from([*KEYS.values()]), texts, st.sampled_from([str.upper, str.lower, str]))
def test_the_case_of_a_key_means_nothing(folder: Path, key: str, value: str, case: Any) -> None:
    one = outcome(written(folder, json.dumps({"configVersion": "v2", key: value})))
    other = outcome(written(folder, json.dumps({"configVersion": "v2", case(key): value})))
    if isinstance(one, set) and isinstance(other, set):
        assert {it.lower() for it in one} == {it.lower() for it in other}
    else:
        assert one == other


# --- a migration means the same

_values = st.sampled_from(
    ["true", "false", "0", "1", "2", "8081", "x", "local", "azure", "ali", "s3", "http://x:1"]
) | st.text(max_size=6)


@quick
@given(st.dictionaries(st.sampled_from(NAMES_V1), _values, max_size=8))
def test_a_migrated_file_means_the_same(folder: Path, tree: dict[str, str]) -> None:
    old = written(folder, json.dumps(tree))
    before = outcome(old)
    try:
        made = migrate(old, {}, {})
    except InvalidSettings:  # a key in two spellings, a value that is no text
        assert isinstance(before, set)
        return
    assert bool(made.faults) == isinstance(before, set)
    after = outcome(written(folder, made.text))
    if isinstance(before, Settings):
        assert after == before
    # What is at fault in the translation itself cannot be in the file.
    elif before - {"milvus.tlsMode", "minio.useIAM", "minio.backupUseIAM", "minio.crossStorage"}:
        assert isinstance(after, set)


LOGINS = sorted(
    {name for key in V1_KEYS if key.target.startswith(STORES) for name in key.keys}
    - {"minio.port", "minio.backupPort"}
)
LOGIN_VARIABLES = sorted({key.variable for key in V1_KEYS if key.target.startswith(STORES)} - {""})


@quick
@given(
    st.dictionaries(
        st.sampled_from(LOGINS), st.sampled_from(["true", "false", "x", "s3"]), max_size=6
    ),
    st.dictionaries(st.sampled_from(LOGIN_VARIABLES), st.sampled_from(["true", "y"]), max_size=4),
)
def test_a_migrated_file_means_the_same_with_the_variables_that_the_report_names(
    folder: Path, tree: dict[str, str], environ: dict[str, str]
) -> None:
    old = written(folder, json.dumps(tree))
    before = outcome(old, environ)
    if not isinstance(before, Settings):
        return
    made = migrate(old, {}, environ)
    renamed = [line for line in made.report if "is not written" in line]
    new = {line.split(": with v2 set ")[1]: environ[_variable(line)] for line in renamed}
    assert outcome(written(folder, made.text), new) == before


def _variable(line: str) -> str:
    return line.split("the environment variable ")[1].split(":", maxsplit=1)[0]
