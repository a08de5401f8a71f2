"""Where the log lies, and how its records look as bytes.

Below ``{root}/.milvus-backup/``:

    operations/{name}.json   one record each: what has not ended, and the newest of what has
    history/{pack}.jsonl     ended records, many in one object that never changes, one in a line
    details/{name}.json      what is too long for a record
    requests/{sha256}.json   to which operation a request id belongs
    owners/{instance}.json   a sign of life; its time is the object's own
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from milvus_backup_server.domain.layout import SERVICE_DIRECTORY, heartbeat_key, join
from milvus_backup_server.domain.manifest import canonical_json
from milvus_backup_server.domain.operation_record import (
    OperationRecord,
    record_of,
    record_values,
)
from milvus_backup_server.domain.value_codec import NotDecodable

_JSON = ".json"


class LogKeys:
    """The keys of a log below a repository's root."""

    def __init__(self, root: str) -> None:
        self._root = root
        base = join(root, SERVICE_DIRECTORY)
        self.operations = f"{base}/operations/"
        self.history = f"{base}/history/"
        self.owners = f"{base}/owners/"
        self._details = f"{base}/details/"
        self._requests = f"{base}/requests/"

    def operation(self, name: str) -> str:
        """Return the key of a record."""
        return f"{self.operations}{name}{_JSON}"

    def details(self, name: str) -> str:
        """Return the key of what is too long for a record."""
        return f"{self._details}{name}{_JSON}"

    def request(self, request_id: str) -> str:
        """Return the key of a request id: its hash, as it may be any text."""
        return f"{self._requests}{hashlib.sha256(request_id.encode()).hexdigest()}{_JSON}"

    def owner(self, instance: str) -> str:
        """Return the key of an owner."""
        return heartbeat_key(self._root, instance)


def name_in(key: str) -> str:
    """Return the operation or instance that a key is of."""
    return key.rpartition("/")[2].removesuffix(_JSON)


def record_data(record: OperationRecord) -> bytes:
    """Return a record as it is stored."""
    return canonical_json(record_values(record))


def parse_record(data: bytes, *, brief: bool = False) -> OperationRecord:
    """Read a record.

    Args:
        data: As ``record_data`` made it.
        brief: Without what is long, and needed of the few alone that are shown.

    Raises:
        NotDecodable: It is damaged or of a newer service.
    """
    try:
        values: Any = json.loads(data)
    except ValueError as error:
        raise NotDecodable(str(error)) from error
    if not isinstance(values, dict):
        raise NotDecodable("it is no object")
    return record_of(values, brief=brief)


def pack_data(records: Iterable[OperationRecord]) -> bytes:
    """Return many records as one object."""
    return b"".join(record_data(record) + b"\n" for record in records)


def parse_pack(data: bytes) -> Iterator[tuple[OperationRecord, bytes]]:
    """Yield the records of a pack in brief, each with its line; lines that cannot be read are passed over."""
    for line in data.splitlines():
        try:
            yield parse_record(line, brief=True), line
        except NotDecodable:
            continue
