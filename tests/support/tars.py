"""Archives for tests, made by the standard library, and a reader of them that is not ours."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Pack files by their paths, in their order."""
    return packed((entry(path, len(data)), data) for path, data in files.items())


def packed(
    entries: Iterable[tuple[tarfile.TarInfo, bytes]], *, format_: int = tarfile.PAX_FORMAT
) -> bytes:
    """Pack entries as they are given."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format_) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def entry(
    path: str, size: int = 0, type_: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    """Describe an entry."""
    info = tarfile.TarInfo(path)
    info.size, info.type, info.linkname = size, type_, link
    return info


def files_of(archive: bytes) -> dict[str, bytes]:
    """Unpack an archive, its files in their order."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed_:
        for member in packed_:
            content = packed_.extractfile(member)
            if content is not None:
                assert member.name not in found
                found[member.name] = content.read()
    return found


def gzipped(data: bytes) -> bytes:
    """Pack bytes with gzip."""
    return gzip.compress(data, mtime=0)


async def in_chunks(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """Yield bytes in chunks."""
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    """Read chunks to their end."""
    return b"".join([chunk async for chunk in chunks])


def go_backup(count: int, size: int, *, seed: int = 0) -> dict[str, bytes]:
    """Make a backup as the Go tool writes it, of one collection with so many objects of that size.

    Returns:
        Its files by their keys relative to its directory, in the order of writing.
    """
    logs = {f"binlogs/insert_log/1/2/3/3/100/{n}": _noise(size, seed + n) for n in range(count)}
    binlogs = [
        {"log_path": f"files/insert_log/1/2/3/100/{n}", "log_size": size, "log_id": n}
        for n in range(count)
    ]
    segment = {
        "segment_id": 3,
        "collection_id": 1,
        "partition_id": 2,
        "num_of_rows": 10,
        "binlogs": [{"fieldID": 100, "binlogs": binlogs}],
        "size": count * size,
        "group_id": 3,
    }
    partition = {"partition_id": 2, "partition_name": "_default", "collection_id": 1}
    collection = {
        "collection_id": 1,
        "db_name": "default",
        "collection_name": "c",
        "schema": {"name": "c", "fields": [{"name": "pk", "is_primary_key": True, "data_type": 5}]},
        "size": count * size,
    }
    head = {"id": "task", "name": "b", "size": count * size, "milvus_version": "v2.3.5"}
    whole = {**collection, "partition_backups": [{**partition, "segment_backups": [segment]}]}
    meta = {
        "collection_meta": {"infos": [{**collection, "partition_backups": [partition]}]},
        "partition_meta": {"infos": [partition]},
        "segment_meta": {"infos": [segment]},
        "backup_meta": head,
        "full_meta": {**head, "collection_backups": [whole]},
    }
    files = {f"meta/{name}.json": json.dumps(values).encode() for name, values in meta.items()}
    return {**logs, **files}


def below(top: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put files into a directory."""
    return {f"{top}/{key}": data for key, data in files.items()}


def _noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)
