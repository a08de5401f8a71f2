"""Backups and restores by logins with the least rights, and between two servers."""

from collections.abc import Iterator
from typing import Any

import pytest

from milvus_backup.v1.server_service_pb2 import CHECK_STATE_FAILED
from tests.support.collection_builder import Dataset
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.policies import SECRET
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, Service, running_service, settings_of
from tests.support.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

NAME = "churn"


@pytest.fixture(scope="module")
def other() -> Iterator[SeaweedFS]:
    """Another server, with keys of its own."""
    with SeaweedFS() as server:
        server.make_bucket(BACKUP_BUCKET)
        yield server


def settings_by(environment: Environment, milvus: str, backup: str) -> dict[str, Any]:
    """Return settings with two logins of those that docs/stores.md describes."""
    values = service_settings(environment.seaweed, environment.milvus)
    values["service"] = FAST
    for side, login in (("milvus", milvus), ("backup", backup)):
        keys = {"type": "static", "accessKeyID": login, "secretAccessKey": SECRET}
        values[side]["storage"]["auth"] = keys
    return values


async def round_trip(service: Service, name: str, churn: Dataset, uri: str) -> list[str]:
    """Back up and restore a collection, and return the warnings of both."""
    client = service.client
    assert CHECK_STATE_FAILED not in {item.state for item in (await client.check()).items}
    made = await client.wait(await client.create_backup(name, collections=[NAME]))
    restored = await client.wait(
        await client.restore_backup(name, renames={f"default.{NAME}": f"default.{name}"})
    )
    assert restored.restore_backup.staged_object_count > 0
    assert restored.restore_backup.content_checked_count > 0
    assert_same_rows(churn.rows, fetch_rows(uri, "default", name))
    await client.wait(await client.delete_backup(name))
    return [warning.message for warning in (*made.warnings, *restored.warnings)]


async def test_the_rights_of_the_page_are_enough(
    environment: Environment, datasets: dict[str, Dataset]
) -> None:
    settings = settings_of(settings_by(environment, "milvus", "backup"))
    async with running_service(settings) as service:
        warnings = await round_trip(service, "least_rights", datasets[NAME], environment.milvus.uri)
    assert warnings == []


async def test_without_the_rights_to_copy_the_bytes_pass_through_with_a_warning(
    environment: Environment, datasets: dict[str, Dataset]
) -> None:
    settings = settings_of(settings_by(environment, "milvus-apart", "backup-apart"))
    async with running_service(settings) as service:
        warnings = await round_trip(service, "apart", datasets[NAME], environment.milvus.uri)
    assert len(warnings) == 2
    assert "from bucket 'milvus-one' to 'backups' by itself" in warnings[0]
    assert "the credentials of backup.storage" in warnings[0]
    assert "from bucket 'backups' to 'milvus-one' by itself" in warnings[1]
    assert "the credentials of milvus.storage" in warnings[1]


async def test_between_two_servers_with_other_keys(
    environment: Environment, other: SeaweedFS, datasets: dict[str, Dataset]
) -> None:
    values = service_settings(environment.seaweed, environment.milvus)
    values["backup"] = service_settings(other, environment.milvus)["backup"]
    async with running_service(settings_of({**values, "service": FAST})) as service:
        warnings = await round_trip(service, "two_servers", datasets[NAME], environment.milvus.uri)
    assert warnings == []
