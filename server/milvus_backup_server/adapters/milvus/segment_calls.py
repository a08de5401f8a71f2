"""The calls about segments: what there is, and from Milvus 2.5.8 on by REST of which logs it consists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from milvus_backup_server.adapters.milvus import mapping
from milvus_backup_server.adapters.milvus.connection import MilvusConnection
from milvus_backup_server.adapters.milvus.rest import RestConnection
from milvus_backup_server.adapters.milvus.stubs import milvus_pb2
from milvus_backup_server.domain.milvus import CollectionName, FlushAll, SegmentInfo, SegmentLogIds

_SEGMENTS_AT_ONCE = 500
_FLUSH_ALL_SECONDS = 30.0
"""What a flush of everything may take beyond the time of a call: it goes through every channel."""


class SegmentCalls:
    """Part of GrpcMilvusGateway."""

    _connection: MilvusConnection
    _rest: RestConnection

    async def list_segments(self, collection: CollectionName) -> list[SegmentInfo]:
        """Return the segments that are flushed or being flushed now."""
        request = milvus_pb2.GetPersistentSegmentInfoRequest(
            dbName=collection.database, collectionName=collection.name
        )
        answer = await self._connection.call("GetPersistentSegmentInfo", request, collection)
        return mapping.segments(answer)

    async def segment_logs(
        self, collection: CollectionName, collection_id: int, segments: Sequence[int]
    ) -> dict[int, SegmentLogIds]:
        """Return of which logs segments consist; only from Milvus 2.5.8 on."""
        found: dict[int, SegmentLogIds] = {}
        for begin in range(0, len(segments), _SEGMENTS_AT_ONCE):
            body = {
                "dbName": collection.database,
                "collectionID": collection_id,
                "segmentIDs": list(segments[begin : begin + _SEGMENTS_AT_ONCE]),
            }
            found |= await self._rest.call("segments/describe", body, collection, _logs)
        return found

    async def flush_all(self) -> FlushAll:
        """Flush everything in Milvus; does not wait. Only from 2.6.11 on."""
        request = milvus_pb2.FlushAllRequest()
        answer = await self._connection.call("FlushAll", request, seconds=_FLUSH_ALL_SECONDS)
        return mapping.flush_all(answer)

    async def is_all_flushed(self, flush: FlushAll) -> bool:
        """Tell whether everything of a flush of everything is written to the object store."""
        request = milvus_pb2.GetFlushAllStateRequest(flush_all_tss=flush.moments)
        return bool((await self._connection.call("GetFlushAllState", request)).flushed)


def _logs(data: Mapping[str, Any]) -> dict[int, SegmentLogIds]:
    return {
        int(info["segmentID"]): SegmentLogIds(
            inserts=_ids(info.get("insertLogs")),
            deltas=frozenset(_flat(info.get("deltaLogs"))),
            channel=str(info.get("vChannel", "")),
            delta_field=max(_ids(info.get("deltaLogs")), default=0),
        )
        for info in data.get("segmentInfos", [])
    }


def _ids(logs: Iterable[Mapping[str, Any]] | None) -> dict[int, frozenset[int]]:
    return {int(item["fieldID"]): frozenset(item["logIDs"]) for item in logs or ()}


def _flat(logs: Iterable[Mapping[str, Any]] | None) -> Iterable[int]:
    return (number for item in logs or () for number in item["logIDs"])
