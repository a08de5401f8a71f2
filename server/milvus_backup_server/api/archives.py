"""The stream of an import, from the messages of the contract to the bytes of an archive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from milvus_backup.v1.backup_service_pb2 import ImportBackupRequest
from milvus_backup_server.api.mapping import read_place
from milvus_backup_server.api.texts import MAX_MESSAGE_BYTES
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import Place


@dataclass(frozen=True, slots=True)
class SentArchive:
    """An archive that a caller sends, and the name and place that it gave for the backup."""

    backup_name: str
    chunks: AsyncIterator[bytes]
    place: Place


async def read_archive(requests: AsyncIterator[ImportBackupRequest]) -> SentArchive:
    """Read the first message of an import.

    Raises:
        InvalidRequest: There is none. The chunks raise it for messages that are not as they should be.
    """
    first = await anext(requests, None)
    if first is None:
        raise InvalidRequest(FieldViolation("chunk", "is required: no message was sent"))
    return SentArchive(first.backup_name, _chunks(first, requests), read_place(first.place))


async def _chunks(
    first: ImportBackupRequest, rest: AsyncIterator[ImportBackupRequest]
) -> AsyncIterator[bytes]:
    yield _checked(first.chunk)
    async for message in rest:
        if message.backup_name:
            fault = "may stand in the first message only"
            raise InvalidRequest(FieldViolation("backup_name", fault))
        if message.HasField("place"):
            raise InvalidRequest(FieldViolation("place", "may stand in the first message only"))
        yield _checked(message.chunk)


def _checked(chunk: bytes) -> bytes:
    if len(chunk) > MAX_MESSAGE_BYTES:
        fault = f"has {len(chunk)} bytes; at most {MAX_MESSAGE_BYTES} are allowed"
        raise InvalidRequest(FieldViolation("chunk", fault))
    return chunk
