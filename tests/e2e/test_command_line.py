"""The command line against real servers: operations that are left, taken up again, and cancelled."""

import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.clients import connected
from tests.support.collection_builder import Dataset
from tests.support.command_line import Program, run
from tests.support.datasets import make_hello_milvus
from tests.support.environment import BACKUP_BUCKET, Environment, as_yaml, service_settings
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, Service, running_service, settings_of

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

COLLECTION, BACKUP, ROOT = "cli_hello", "cli_backup", "cli"


@dataclass(frozen=True)
class Place:
    """A running service, and a file with which another can be started."""

    environment: Environment
    service: Service
    data: Dataset
    config: Path

    async def start(self, *words: str, own: bool = False) -> Program:
        """Start a command that talks to the running service, or to one of its own."""
        where = ("--config", str(self.config)) if own else ("--address", self.service.app.address)
        return await Program.start(*where, *words, TERM="dumb")

    async def run(self, *words: str) -> Result:
        """Run a command in this process, which takes less time to start."""
        return await run(self.service.app.address, *words)

    def collections(self) -> set[str]:
        """The collections of the default database of Milvus."""
        with connected(self.environment.milvus.uri) as client:
            return set(client.list_collections())

    def staged(self) -> set[str]:
        """What restores have staged and not removed."""
        bucket = self.environment.milvus.bucket
        return set(self.environment.seaweed.objects.keys(bucket, "files/milvus-backup-staging"))


@pytest.fixture(scope="module")
async def place(
    environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    data = make_hello_milvus(environment.milvus.uri, name=COLLECTION)
    values = service_settings(environment.seaweed, environment.milvus, backup_root=ROOT)
    config = tmp_path_factory.mktemp("cli") / "backup.yaml"
    config.write_text(as_yaml(values), encoding="utf-8")
    async with running_service(settings_of({**values, "service": FAST})) as service:
        place = Place(environment, service, data, config)
        create = ("create", "-n", BACKUP, "--filter", COLLECTION, "--output", "json")
        made = await (await place.start(*create)).end()
        assert (made.code, made.stderr) == (0, "")
        assert json.loads(made.stdout)["create_backup"]["row_count"] == "3000"
        yield place


async def test_a_restore_that_is_left_goes_on_and_can_be_watched(place: Place) -> None:
    program = await place.start("restore", "-n", BACKUP, "-s", "_left", "--rebuild_index")
    await program.shows("importing")
    program.process.send_signal(signal.SIGINT)
    left = await program.end()
    assert (left.code, left.stdout) == (130, "")
    watch = re.search(r"watch it:  milvus-backup (--address \S+ watch \S+)", left.stderr)
    assert watch

    watched = await (await Program.start(*watch[1].split(), TERM="dumb")).end()
    assert watched.code == 0
    assert re.fullmatch(r"duration:\d+\.\d\d s\n", watched.stdout)
    rows = fetch_rows(place.environment.milvus.uri, "default", f"{COLLECTION}_left")
    assert_same_rows(place.data.rows, rows)
    listed = await place.run("operations", "-n", BACKUP)
    words = [line.split()[3:] for line in listed.stdout.splitlines()]
    assert [found for found in words if found[0] == "succeeded"] == [
        ["succeeded", "restore", "backup", BACKUP],
        ["succeeded", "create", "backup", BACKUP],
    ]


async def test_ctrl_c_cancels_a_restore_in_a_service_of_its_own(place: Place) -> None:
    before = place.collections()
    program = await place.start("restore", "-n", BACKUP, "-s", "_gone", own=True)
    await program.shows("importing")
    program.process.send_signal(signal.SIGINT)
    ended = await program.end()
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.splitlines()[-2:] == [
        "Error: cancelled on request (OPERATION_CANCELLED)",
        "Nothing of it remains.",
    ]
    assert place.collections() == before
    assert place.staged() == set()


async def test_check_finds_all_well(place: Place) -> None:
    ended = await place.run("check")
    assert (ended.exit_code, ended.stderr) == (0, "")
    *items, last = ended.stdout.splitlines()
    assert last == "Success!"
    assert {line.split()[0] for line in items} <= {"STATE", "ok", "warning"}


async def test_delete(place: Place) -> None:
    made = await place.run("create", "--filter", COLLECTION, "--detach")
    ended = await place.run("watch", made.stdout.strip())
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (0, "create backup success")
    name = next(name for name in (await place.run("list")).stdout.split() if "backup_" in name)
    assert re.fullmatch(r"backup_\d{4}(_\d\d){5}_\d+", name)
    deleted = await place.run("delete", "-n", name)
    assert (deleted.exit_code, deleted.stdout) == (0, "delete backup done\n")
    assert (await place.run("list")).stdout == f">> Backups:\n{BACKUP}\n"
    keys = set(place.environment.seaweed.objects.keys(BACKUP_BUCKET, f"{ROOT}/{name}"))
    assert keys == set()
