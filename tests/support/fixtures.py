"""The backups in `tests/fixtures`, which released versions of the Go tool made."""

import functools
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from milvus_backup_server.ports.object_store import ObjectStore

FIXTURES = Path(__file__).parent.parent / "fixtures"
ROWS = FIXTURES / "rows"

OF_MILVUS_2_3 = ("fx_go_0_3_3", "fx_go_0_4_3", "fx_go_0_4_30", "fx_go_0_5_16")
"""All collections but `groups`."""
GROUPS = ("fx_go_0_4_3_groups", "fx_go_0_5_16_groups")
"""The collection `groups`, in shared groups and with a group for each segment."""
OF_NEWER_MILVUS = ("fx_mv_2_5_27", "fx_mv_2_6_18", "fx_mv_2_6_18_types")
METADATA_ONLY = ("fx_mv_2_5_27_rbac", "fx_mv_2_6_18_rbac")
WITH_DATA = (*OF_MILVUS_2_3, *GROUPS, *OF_NEWER_MILVUS)
EVERY = (*WITH_DATA, *METADATA_ONLY)

LEVEL_FILES = ("backup_meta", "collection_meta", "partition_meta", "segment_meta")


def unpack(archive: str, directory: Path) -> Path:
    """Unpack a backup below a directory and return its own."""
    with tarfile.open(_path(archive)) as packed:
        packed.extractall(directory, filter="data")
    return directory / archive


def backup_objects(archive: str) -> Iterator[tuple[str, bytes]]:
    """Yield key (relative to the backup's directory) and content of every object of a backup."""
    yield from _contents(archive).items()


def backup_file(archive: str, key: str) -> bytes:
    """Return one object of a backup."""
    return _contents(archive)[key]


def metadata(archive: str, file: str = "full_meta") -> Any:
    """Return a metadata file of a backup as plain JSON values."""
    return json.loads(backup_file(archive, f"meta/{file}.json"))


async def put_backup(
    store: ObjectStore, root: str, archive: str, *, name: str = "", legacy: bool = False
) -> dict[str, bytes]:
    """Write a backup below a root, under its own or another name, and return the objects by key.

    With `legacy` it has no `full_meta.json`, as the earliest versions of the Go tool left it.
    """
    directory = f"{root}/{name or archive}" if root else name or archive
    written: dict[str, bytes] = {}
    for key, content in backup_objects(archive):
        if not (legacy and key == "meta/full_meta.json"):
            written[f"{directory}/{key}"] = content
            await store.put(f"{directory}/{key}", content)
    return written


@functools.cache
def _contents(archive: str) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(_path(archive)) as packed:
        for member in packed:
            content = packed.extractfile(member)
            if content is not None:
                key = member.name.removeprefix(f"{archive}/")
                found[key if "/" in key else f"meta/{key}"] = content.read()
    return found


def _path(archive: str) -> Path:
    return FIXTURES / f"{archive}.tar.gz"
