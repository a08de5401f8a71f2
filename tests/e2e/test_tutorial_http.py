"""The tutorial over HTTP, with the Go tool's curl calls word for word, against the real process."""

import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.support.clients import connected
from tests.support.curl import curl, request
from tests.support.environment import Environment
from tests.support.readme import assert_shown
from tests.support.tutorial import Tutorial, running_server, tutorial

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

SECONDS = 120
EXECUTING, SUCCESS = 1, 2

CREATE = r"""curl --location --request POST 'http://localhost:8080/api/v1/create' \
--header 'Content-Type: application/json' \
--data-raw '{
  "async": true,
  "backup_name": "my_backup",
  "collection_names": [
    "hello_milvus"
  ]
}'"""
LIST = r"""curl --location --request GET 'http://localhost:8080/api/v1/list' \
--header 'Content-Type: application/json'"""
GET_BACKUP = r"""curl --location --request GET \
'http://localhost:8080/api/v1/get_backup?backup_id=<id>&backup_name=my_backup' \
--header 'Content-Type: application/json'"""
RESTORE = r"""curl --location --request POST 'http://localhost:8080/api/v1/restore' \
--header 'Content-Type: application/json' \
--data-raw '{
    "async": true,
    "collection_names": [
    "hello_milvus"
  ],
    "collection_suffix": "_recover",
    "backup_name":"my_backup"
}'"""
GET_RESTORE = r"""curl --location --request GET 'http://localhost:8080/api/v1/get_restore?id=<id>' \
--header 'Content-Type: application/json'"""
DELETE = r"""curl --location --request DELETE \
'http://localhost:8080/api/v1/delete?backup_name=my_backup' \
--header 'Content-Type: application/json'"""
EXPORT = r"""curl --location --output my_backup.tar \
'http://localhost:8080/api/v1/backups/my_backup/archive'"""
IMPORT = r"""curl --location --request POST 'http://localhost:8080/api/v1/backups' \
--header 'Content-Type: application/x-tar' --data-binary @my_backup.tar"""


class Api:
    """The HTTP API of a running server, called by curl."""

    def __init__(self, followed: Tutorial, port: int) -> None:
        self._tutorial = followed
        self._address = f"localhost:{port}"

    def text(self, command: str) -> str:
        output = curl(self._ours(command), self._tutorial.folder).decode()
        self._tutorial.record(command, output)
        return output

    def __call__(self, command: str) -> dict[str, Any]:
        """Return the answer, which says that the call succeeded."""
        answer: dict[str, Any] = json.loads(self.text(command))
        assert "code" not in answer, answer
        return answer

    def without_curl(self, command: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(request(self._ours(command), self._tutorial.folder))
        return answer

    def ended(self, command: str) -> dict[str, Any]:
        """Ask until what is asked for has ended, and return its data."""
        deadline = time.monotonic() + SECONDS
        while (data := self(command)["data"])["state_code"] <= EXECUTING:
            assert time.monotonic() < deadline, data
            time.sleep(0.1)
        return dict(data)

    def _ours(self, command: str) -> str:
        return command.replace("localhost:8080", self._address)


@pytest.fixture
def followed(environment: Environment, tmp_path: Path) -> Iterator[Tutorial]:
    with tutorial(environment, tmp_path) as prepared:
        yield prepared


@pytest.fixture
def api(followed: Tutorial) -> Iterator[Api]:
    with running_server(followed.folder) as port:
        yield Api(followed, port)


def test_the_tutorial_over_http(followed: Tutorial, api: Api) -> None:
    followed.example("prepare_data.py").check_returncode()
    assert_a_backup_is_made_and_found(api)
    restored = restore(api, RESTORE)
    assert restored["collection_restore_tasks"][0]["target_collection_name"] == (
        "hello_milvus_recover"
    )
    assert_verified(followed)
    assert_altered_rows_are_named(followed)

    export_delete_and_import(followed, api)
    assert_clean(followed)
    restore(api, RESTORE.replace('"_recover"', '""'))
    assert_verified(followed, "--suffix", "")

    assert api(DELETE)["msg"] == "success"
    assert api(LIST)["data"] == []
    assert_shown("Over HTTP", followed.seen)


def assert_a_backup_is_made_and_found(api: Api) -> None:
    """Assert what the tutorial shows of create, list and get_backup."""
    assert api(CREATE) == {
        "requestId": ANY,
        "msg": "create backup is executing asynchronously",
        "data": None,
    }
    by_name = GET_BACKUP.replace("backup_id=<id>&", "")
    backup = api.ended(by_name)
    assert backup["state_code"] == SUCCESS, backup
    (collection,) = backup["collection_backups"]
    assert (collection["db_name"], collection["collection_name"]) == ("default", "hello_milvus")
    listed = api(LIST)["data"]
    assert listed == [
        {
            "id": backup["id"],
            "name": "my_backup",
            "size": backup["size"],
            "milvus_version": "v2.3.5-lite",
        }
    ]
    assert backup["size"] > 0
    by_both = GET_BACKUP.replace("<id>", backup["id"])
    for command in (by_both, by_both.replace("&backup_name=my_backup", "")):
        assert api(command)["data"] == backup
    assert api.without_curl(LIST)["data"] == listed


def restore(api: Api, command: str) -> dict[str, Any]:
    """Begin a restore and return what get_restore says of it in the end."""
    begun = api(command)
    assert begun["msg"] == "restore backup is executing asynchronously"
    identifier = begun["data"]["id"]
    ended = api.ended(GET_RESTORE.replace("<id>", identifier))
    assert ended == {
        "id": identifier,
        "state_code": SUCCESS,
        "start_time": ANY,
        "end_time": ANY,
        "progress": 100,
        "collection_restore_tasks": [
            {
                "state_code": SUCCESS,
                "start_time": ANY,
                "end_time": ANY,
                "progress": 100,
                "target_db_name": "default",
                "target_collection_name": ANY,
            }
        ],
    }
    return ended


def assert_verified(followed: Tutorial, *arguments: str) -> None:
    """Assert that the rows came back, and that the collection not restored is named as absent."""
    suffix = arguments[-1] if arguments else "_recover"
    verified = followed.example("verify_data.py", *arguments)
    assert verified.stdout.splitlines() == [
        f"hello_milvus{suffix}: all 3000 rows are as prepared",
        f"hello_milvus2{suffix}: not there",
    ]
    assert verified.returncode == 0, verified.stderr


def assert_altered_rows_are_named(followed: Tutorial) -> None:
    """Assert what verify_data.py says of a row altered, one deleted and one added."""
    name = "hello_milvus_recover"
    with connected(followed.uri) as client:
        (row,) = client.get(name, [17])
        client.upsert(name, [dict(row) | {"var": "altered"}])
        client.delete(name, ids=[18])
        client.insert(name, [dict(row) | {"pk": 4000}])

    verified = followed.example("verify_data.py", "--collections", "hello_milvus")

    assert verified.returncode == 1
    assert verified.stdout.splitlines() == [
        f"{name}: 1 missing: 18",
        f"{name}: 1 extra: 4000",
        f"{name}: 1 different: 17",
        f"{name}:   17: var is 'altered', was '17'",
    ]
    demanded = followed.example("verify_data.py", "--collections", "hello_milvus2")
    assert (demanded.returncode, demanded.stdout) == (1, "hello_milvus2_recover: not there\n")


def export_delete_and_import(followed: Tutorial, api: Api) -> None:
    """Take the backup out as one file, remove it, and bring it back."""
    api.text(EXPORT)
    with tarfile.open(followed.folder / "my_backup.tar") as archive:
        names = archive.getnames()
    assert names[-1] == "my_backup/meta/full_meta.json"
    assert api(DELETE)["msg"] == "success"
    assert api(LIST)["data"] == []
    api(IMPORT)
    assert [backup["name"] for backup in api(LIST)["data"]] == ["my_backup"]


def assert_clean(followed: Tutorial) -> None:
    """Drop the tutorial's collections, and assert that they are gone."""
    cleaned = followed.example("clean_data.py")
    assert cleaned.returncode == 0, cleaned.stderr
    with connected(followed.uri) as client:
        assert client.list_collections() == []
