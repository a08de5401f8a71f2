"""The REST face of a simulated Milvus: what `/v2/vectordb` and the management port answer."""

import base64
import binascii
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from milvus_backup_server.adapters.milvus.stubs import Message, schema_pb2
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.milvus_types import data_type_name
from tests.support.simulator.imports import COMPLETED, FAILED, ImportJobs, Job
from tests.support.simulator.model import Collection, Fault, Segment, SimulatedMilvus

_TICKETS = MilvusVersion(2, 6, 8)
_CREATE_TIME = MilvusVersion(2, 6, 0)
_DESCRIBE = MilvusVersion(2, 4, 14)
_SEGMENTS = MilvusVersion(2, 5, 8)
_FLUSHED, _L1, _L0 = 4, 2, 1
_LEVELS = ("Strong", "Session", "Bounded", "Eventually", "Customized")

Answer = Awaitable[dict[str, Any]]
Handler = Callable[[dict[str, Any]], Answer]


class RestFace:
    """Answers REST requests.

    Attributes:
        down: whether it is not to be reached: every request gets a 404 as of another server.
        lost: how many of the next answers to a create get lost.
        calls: the paths asked for.
    """

    def __init__(self, milvus: SimulatedMilvus, jobs: ImportJobs) -> None:
        self._milvus = milvus
        self._jobs = jobs
        self.down = False
        self.lost = 0
        self.calls: list[str] = []

    def application(self) -> web.Application:
        """Return what serves it."""
        app = web.Application()
        handlers: Mapping[str, Handler] = {
            "jobs/import/create": self._create,
            "jobs/import/get_progress": self._describe,
            "jobs/import/list": self._list,
            "collections/describe": self._collection,
        }
        if self._milvus.version >= _DESCRIBE:
            handlers = {**handlers, "jobs/import/describe": self._describe}
        if self._milvus.version >= _SEGMENTS:
            handlers = {**handlers, "segments/describe": self._segments}
        for path, handler in handlers.items():
            app.router.add_post(f"/v2/vectordb/{path}", self._answering(handler))
        return app

    def _answering(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self.calls.append(request.path)
            if self.down:
                return web.Response(status=404, text="404 page not found")
            try:
                body = await handler(_body(await request.text()))
            except Fault as fault:
                body = {"code": fault.code, "message": fault.message}
            if self.lost and request.path.endswith("/create"):
                self.lost -= 1
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(body, dumps=_compact)

        return answer

    async def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        _require(body, "ImportReq", "collectionName", "files")
        collection = self._milvus.collection(body.get("dbName", ""), body["collectionName"])
        job = await self._jobs.create(
            collection, body.get("partitionName", ""), body["files"], body.get("options", {})
        )
        return {"code": 0, "data": {"jobId": str(job.job_id)}}

    async def _describe(self, body: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(body.get("jobId", ""), str):
            raise _mistyped("number", "JobIDReq.jobId", "string")
        _require(body, "JobIDReq", "jobId")
        try:
            number = int(body["jobId"])
        except ValueError:
            failed = f'strconv.ParseInt: parsing "{body["jobId"]}": invalid syntax'
            says = ":" if self._milvus.version >= _CREATE_TIME else ", err=%w"
            says = f"parse job id failed{says}{' ' if says == ':' else ''}{failed}"
            raise Fault(2100, f"{says}: importing data failed") from None
        return {"code": 0, "data": self._told(await self._jobs.look(number))}

    async def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("collectionName")
        wanted = self._milvus.collection(body.get("dbName", ""), name) if name else None
        records = [
            {"collectionName": job.collection.name, **_record(job)}
            for job in self._jobs.jobs.values()
            if wanted is None or job.collection is wanted
        ]
        return {"code": 0, "data": {"records": records}}

    async def _segments(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = body.get("segmentIDs", [])
        if any(not isinstance(item, int) for item in ids):
            raise _mistyped("string", "GetSegmentsInfoReq.segmentIDs", "int64")
        if not ids:
            return {"code": 0, "data": {"segmentInfos": []}}
        collection = self._milvus.by_id(body["collectionID"])
        known = {item.segment_id: item for item in collection.segments}
        for number in ids:
            if number not in known:
                raise Fault(600, f"segment not found[segment={number}]")
        infos = [_segment(collection, known[number]) for number in ids]
        return {"code": 0, "data": {"segmentInfos": infos}}

    async def _collection(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self._milvus.collection(body.get("dbName", ""), body["collectionName"])
        message = "" if found.indexes else f"index not found[collection={found.name}];"
        return {"code": 0, "data": _described(found), "message": message}

    def _told(self, job: Job) -> dict[str, Any]:
        created = {"createTime": job.created} if self._milvus.version >= _CREATE_TIME else {}
        done = job.state == COMPLETED and bool(job.rows)
        size = 0 if job.l0 else sum(file.size for file in job.files)
        told = {
            **_record(job),
            **created,
            "collectionName": job.collection.name,
            "completeTime": job.completed,
            "details": [_detail(job, at) for at in range(len(job.files))] if done else [],
            "fileSize": size if done else 0,
            "importedRows": job.rows,
            "totalRows": job.rows,
        }
        return dict(sorted(told.items()))


class ManagementFace:
    """Answers on the management port: garbage collection, health.

    Attributes:
        asked: how many pauses were asked for.
        paused: leases by ticket, or by `""` where there are none: collection id and seconds.
        resumed: tickets that were resumed.
        refuse: the status with which every request is refused; 0 for none.
    """

    def __init__(self, milvus: SimulatedMilvus) -> None:
        self._milvus = milvus
        self.asked = 0
        self.paused: dict[str, tuple[int, int]] = {}
        self.resumed: list[str] = []
        self.refuse = 0

    def application(self) -> web.Application:
        """Return what serves it."""
        app = web.Application()
        path = "/management/datacoord/garbage_collection"
        app.router.add_route("*", f"{path}/pause", self._pause)
        app.router.add_route("*", f"{path}/resume", self._resume)
        app.router.add_get("/healthz", self._health)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _pause(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.refuse:
            return _text(f"refused with {self.refuse}", self.refuse)
        try:
            seconds = _number(request.query.get("pause_seconds", ""))
        except Fault as fault:
            reason = f"pause duration not valid, {fault.message}"
            return _text(f"failed to pause garbage collection, {reason}", 500)
        collection = int(request.query.get("collection_id", "-1"))
        if self._milvus.version < _TICKETS:
            self.paused[""] = collection, seconds
            return _text("OK")
        token = {"collection_id": str(collection), "token": str(uuid.uuid4())}
        ticket = base64.b64encode(_compact(token).encode()).decode()
        self.paused[ticket] = collection, seconds
        return web.Response(text=f'{{"msg": "OK", "ticket": "{ticket}"}}')

    async def _resume(self, request: web.Request) -> web.Response:
        if self.refuse:
            return _text(f"refused with {self.refuse}", self.refuse)
        ticket = request.query.get("ticket", "")
        if self._milvus.version < _TICKETS:
            self.paused.clear()
            self.resumed.append("")
            return _text("OK")
        try:
            decoded = json.loads(base64.b64decode(ticket, validate=True) or b"{}")
            _number(decoded.get("collection_id", ""))
        except binascii.Error:
            return _text("failed to decode ticket, illegal base64 data at input byte 0", 400)
        except Fault as fault:
            return _text(f"failed to resume garbage collection, {fault.message}", 500)
        self.paused.pop(ticket, None)
        self.resumed.append(ticket)
        return _text("OK")


def _text(message: str, status: int = 200) -> web.Response:
    return web.Response(text=f'{{"msg": "{message}"}}', status=status)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Fault(0, f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _body(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Fault(1801, f"can only accept json format request, error: {error}") from None
    if not isinstance(found, dict):
        raise Fault(1801, "can only accept json format request, error: no object")
    return found


def _require(body: Mapping[str, Any], kind: str, *names: str) -> None:
    for name in names:
        if body.get(name) is None:
            label = {"jobId": "JobID"}.get(name, name[:1].upper() + name[1:])
            raise Fault(
                1802,
                f"missing required parameters, error: Key: '{kind}.{label}' Error:"
                f"Field validation for '{label}' failed on the 'required' tag",
            )


def _mistyped(given: str, field: str, wanted: str) -> Fault:
    text = f"json: cannot unmarshal {given} into Go struct field {field} of type {wanted}"
    return Fault(1801, f"can only accept json format request, error: {text}")


def _record(job: Job) -> dict[str, Any]:
    reason = {"reason": job.reason} if job.state == FAILED else {}
    state = {"jobId": str(job.job_id), "progress": job.progress, "state": job.state}
    return {**state, **reason}


def _detail(job: Job, at: int) -> dict[str, Any]:
    file = job.files[at]
    return {
        "completeTime": job.read_at,
        "fileName": str(file),
        "fileSize": 0 if job.l0 else file.size,
        "importedRows": 0 if job.l0 else file.rows,
        "progress": 0 if job.l0 else 100,
        "state": COMPLETED,
        "totalRows": file.rows,
    }


def _segment(collection: Collection, segment: Segment) -> dict[str, Any]:
    return {
        "collectionID": collection.collection_id,
        "deltaLogs": _logs(segment.deltalogs),
        "insertLogs": _logs(segment.binlogs),
        "isSorted": False,
        "level": _L0 if segment.l0 else _L1,
        "numRows": segment.num_rows,
        "partitionID": segment.partition_id,
        "segmentID": segment.segment_id,
        "state": _FLUSHED,
        "statsLogs": [],
        "vChannel": segment.channel,
    }


def _logs(by_field: Mapping[int, Any]) -> list[dict[str, Any]]:
    return [{"fieldID": number, "logIDs": list(ids)} for number, ids in by_field.items()]


def _described(found: Collection) -> dict[str, Any]:
    fields = [item for item in found.schema.fields if not item.is_dynamic]
    return {
        "aliases": [],
        "autoId": found.schema.autoID,
        "collectionID": found.collection_id,
        "collectionName": found.name,
        "consistencyLevel": _LEVELS[found.consistency_level],
        "description": found.schema.description,
        "enableDynamicField": found.schema.enable_dynamic_field,
        "fields": [_field(item) for item in fields],
        "functions": [],
        "indexes": [_index(found, item) for item in found.indexes],
        "load": f"LoadState{found.load}",
        "partitionsNum": len(found.partitions),
        "properties": _pairs(found.properties),
        "shardsNum": found.shards,
    }


def _index(found: Collection, index: Message) -> dict[str, Any]:
    # It shows the metric of the first vector index for every index.
    params = [{pair.key: pair.value for pair in item.params} for item in found.indexes]
    metric = next((item["metric_type"] for item in params if "metric_type" in item), "")
    return {"fieldName": index.field_name, "indexName": index.index_name, "metricType": metric}


def _field(field: Message) -> dict[str, Any]:
    told: dict[str, Any] = {
        "autoId": field.autoID,
        "clusteringKey": field.is_clustering_key,
        "description": field.description,
        "id": field.fieldID,
        "name": field.name,
        "nullable": field.nullable,
        "partitionKey": field.is_partition_key,
        "primaryKey": field.is_primary_key,
        "type": data_type_name(field.data_type),
    }
    if field.type_params:
        told["params"] = _pairs({item.key: item.value for item in field.type_params})
    if field.data_type == schema_pb2.DataType.Array:
        told["elementType"] = data_type_name(field.element_type)
    if field.HasField("default_value"):
        kind = field.default_value.WhichOneof("data")
        name = "".join(part.capitalize() for part in kind.split("_"))
        told["defaultValue"] = {"Data": {name: getattr(field.default_value, kind)}}
    return dict(sorted(told.items()))


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
