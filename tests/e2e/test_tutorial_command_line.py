"""The tutorial on the command line, with nothing running but Milvus and its object store."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import Environment
from tests.support.readme import assert_shown
from tests.support.tutorial import Tutorial, tutorial

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

DURATION = re.compile(r"duration:\d+\.\d\d s")


@pytest.fixture
def followed(environment: Environment, tmp_path: Path) -> Iterator[Tutorial]:
    with tutorial(environment, tmp_path) as prepared:
        yield prepared


def output(followed: Tutorial, command: str, **environment: str) -> list[str]:
    """Run a command that succeeds, and return the lines of its standard output."""
    ended = followed.run(command, **environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_the_tutorial_on_the_command_line(followed: Tutorial) -> None:
    assert output(followed, "milvus-backup check")[-1] == "Success!"
    followed.example("prepare_data.py").check_returncode()
    created = output(followed, "milvus-backup create -n my_backup")
    assert created[0] == "create backup success"
    assert DURATION.fullmatch(created[1])
    assert_listed_and_described(followed)

    output(followed, "milvus-backup export -n my_backup")
    with tarfile.open(followed.folder / "my_backup.tar") as archive:
        assert archive.getnames()[-1] == "my_backup/meta/full_meta.json"
    assert output(followed, "milvus-backup delete -n my_backup") == ["delete backup done"]
    (imported,) = output(followed, "milvus-backup import my_backup.tar")
    assert imported.startswith("imported my_backup: 2 collections, ")

    (restored,) = output(followed, "milvus-backup restore -n my_backup -s _recover")
    assert DURATION.fullmatch(restored)
    verified = followed.example("verify_data.py", "--all")
    assert verified.stdout.splitlines() == [
        "hello_milvus_recover: all 3000 rows are as prepared",
        "hello_milvus2_recover: all 3000 rows are as prepared",
    ]
    assert verified.returncode == 0, verified.stderr
    assert_shown("Without a server", followed.seen)


def assert_listed_and_described(followed: Tutorial) -> None:
    """Assert what list and get print; list finds the configuration by `$MILVUSCONF`."""
    configs = str((followed.folder / "configs").rename(followed.folder / "elsewhere"))
    assert output(followed, "milvus-backup list", MILVUSCONF=configs) == [
        ">> Backups:",
        "my_backup",
    ]
    Path(configs).rename(followed.folder / "configs")
    described = json.loads("\n".join(output(followed, "milvus-backup get -n my_backup")))
    assert described["name"] == "my_backup"
    names = [it["collection_name"] for it in described["collection_backups"]]
    assert sorted(names) == ["hello_milvus", "hello_milvus2"]
