"""The gRPC face of a simulated Milvus."""
# ruff: noqa: N802 - the methods are called as in the contract of Milvus

from typing import Any

from milvus_backup_server.adapters.milvus.stubs import (
    Message,
    common_pb2,
    milvus_pb2,
    milvus_pb2_grpc,
)
from milvus_backup_server.domain.capabilities import BULK_FLUSH_FROM, RBAC_FROM
from milvus_backup_server.domain.milvus import physical_milliseconds
from milvus_backup_server.domain.milvus_types import is_vector
from tests.support.simulator.access import add_access
from tests.support.simulator.answers import answer, failed, ok, status_of
from tests.support.simulator.imports import COMPLETED, FAILED, PENDING, ImportJobs, Job
from tests.support.simulator.model import NOT_LOADED, Collection, Fault, SimulatedMilvus, pairs
from tests.support.simulator.queries import query

_ALL = 100
_STATES = {PENDING: 0, FAILED: 1, COMPLETED: 6}
_STARTED = 2

CHANNELS = tuple(f"by-dev-rootcoord-dml_{number}" for number in range(16))
_CONTROL = f"{CHANNELS[0]}_vcchan"
_UNKNOWN = Fault(65535, "unknown method")

Servicer: Any = milvus_pb2_grpc.MilvusServiceServicer


class GrpcFace(Servicer):  # type: ignore[misc] # the generated classes come without types
    """Answers gRPC requests; what it does not know is UNIMPLEMENTED."""

    def __init__(self, milvus: SimulatedMilvus, jobs: ImportJobs) -> None:
        self._milvus = milvus
        self._jobs = jobs
        self.calls: list[str] = []

    async def Connect(self, request: Message, _: Any) -> Message:
        return milvus_pb2.ConnectResponse(status=ok(), identifier=7)

    async def GetVersion(self, request: Message, _: Any) -> Message:
        return milvus_pb2.GetVersionResponse(status=ok(), version=self._milvus.version_text)

    async def AllocTimestamp(self, request: Message, _: Any) -> Message:
        return milvus_pb2.AllocTimestampResponse(status=ok(), timestamp=self._milvus.clock.tick())

    async def ListDatabases(self, request: Message, _: Any) -> Message:
        names = sorted(self._milvus.databases)
        return milvus_pb2.ListDatabasesResponse(status=ok(), db_names=names)

    async def CreateDatabase(self, request: Message, _: Any) -> Message:
        given = {item.key: item.value for item in request.properties}
        return status_of(lambda: self._milvus.create_database(request.db_name, given))

    async def DescribeDatabase(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            self._milvus.database(request.db_name)
            return milvus_pb2.DescribeDatabaseResponse(
                status=ok(),
                db_name=request.db_name,
                dbID=self._milvus.database_ids[request.db_name],
                properties=pairs(self._milvus.properties[request.db_name]),
            )

        return answer(milvus_pb2.DescribeDatabaseResponse, found)

    async def BackupRBAC(self, request: Message, _: Any) -> Message:
        if self._milvus.version < RBAC_FROM:
            return milvus_pb2.BackupRBACMetaResponse(status=failed(_UNKNOWN))
        return milvus_pb2.BackupRBACMetaResponse(status=ok(), RBAC_meta=self._milvus.access)

    async def RestoreRBAC(self, request: Message, _: Any) -> Message:
        if self._milvus.version < RBAC_FROM:
            return failed(_UNKNOWN)
        return status_of(lambda: add_access(self._milvus, request.RBAC_meta))

    async def DropDatabase(self, request: Message, _: Any) -> Message:
        def drop() -> None:
            if self._milvus.database(request.db_name):
                raise Fault(65535, f"database:{request.db_name} not empty")
            del self._milvus.databases[request.db_name]

        return status_of(drop)

    async def ShowCollections(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            names = sorted(self._milvus.database(request.db_name))
            return milvus_pb2.ShowCollectionsResponse(status=ok(), collection_names=names)

        return answer(milvus_pb2.ShowCollectionsResponse, found)

    async def HasCollection(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            self._of(request)
            return milvus_pb2.BoolResponse(status=ok(), value=True)

        return answer(milvus_pb2.BoolResponse, found)

    async def DescribeCollection(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            return self._described(self._of(request))

        return answer(milvus_pb2.DescribeCollectionResponse, found)

    async def CreateCollection(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.create_collection(request))

    async def AddCollectionField(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.add_field(self._of(request), request.schema))

    async def AlterCollection(self, request: Message, _: Any) -> Message:
        def alter() -> None:
            if bool(request.properties) == bool(request.delete_keys):
                raise Fault(65535, "properties and deletekeys: one of them is expected")
            found = self._of(request)
            found.properties.update({item.key: item.value for item in request.properties})
            for key in request.delete_keys:
                found.properties.pop(key, None)

        return status_of(alter)

    async def DropCollection(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.drop(self._of(request)))

    async def RenameCollection(self, request: Message, _: Any) -> Message:
        def rename() -> None:
            found = self._milvus.collection(request.db_name, request.oldName)
            self._milvus.rename(found, request.newName)

        return status_of(rename)

    async def CreateAlias(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.create_alias(request))

    async def AlterAlias(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.alter_alias(request))

    async def DropAlias(self, request: Message, _: Any) -> Message:
        self._milvus.aliases.pop((request.db_name or "default", request.alias), None)
        return ok()

    async def ShowPartitions(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            partitions = self._of(request).partitions
            return milvus_pb2.ShowPartitionsResponse(
                status=ok(), partition_names=partitions, partitionIDs=partitions.values()
            )

        return answer(milvus_pb2.ShowPartitionsResponse, found)

    async def CreatePartition(self, request: Message, _: Any) -> Message:
        def create() -> None:
            found = self._of(request)
            if found.keyed:
                raise Fault(65535, "disable create partition if partition key mode is used")
            found.partitions.setdefault(request.partition_name, next(self._milvus.numbers))

        return status_of(create)

    async def DescribeIndex(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            collection = self._of(request)
            if not collection.indexes:
                raise Fault(700, f"index not found[collection={collection.name}]")
            return milvus_pb2.DescribeIndexResponse(
                status=ok(), index_descriptions=collection.indexes
            )

        return answer(milvus_pb2.DescribeIndexResponse, found)

    async def CreateIndex(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.create_index(request))

    async def DropIndex(self, request: Message, _: Any) -> Message:
        def drop() -> None:
            found = self._of(request)
            fields = dict(found.named_fields())
            for index in [it for it in found.indexes if it.index_name == request.index_name]:
                if found.load != NOT_LOADED and is_vector(fields[index.field_name].data_type):
                    raise Fault(1100, "vector index cannot be dropped on loaded collection")
                found.indexes.remove(index)

        return status_of(drop)

    async def GetLoadingProgress(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            collection = self._of(request)
            if not collection.is_loaded(request.partition_names):
                raise Fault(101, "collection not loaded")
            return milvus_pb2.GetLoadingProgressResponse(status=ok(), progress=_ALL)

        return answer(milvus_pb2.GetLoadingProgressResponse, found)

    async def LoadCollection(self, request: Message, _: Any) -> Message:
        return status_of(lambda: self._milvus.load(self._of(request), request.replica_number))

    async def LoadPartitions(self, request: Message, _: Any) -> Message:
        names = list(request.partition_names)
        return status_of(
            lambda: self._milvus.load(self._of(request), request.replica_number, names)
        )

    async def GetReplicas(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            collection = self._of(request)
            if collection.load == NOT_LOADED:
                raise Fault(400, f"replica not found[collection={collection.collection_id}]")
            replicas = [milvus_pb2.ReplicaInfo(replicaID=it) for it in range(collection.replicas)]
            return milvus_pb2.GetReplicasResponse(status=ok(), replicas=replicas)

        return answer(milvus_pb2.GetReplicasResponse, found)

    async def DescribeResourceGroup(self, request: Message, _: Any) -> Message:
        group = milvus_pb2.ResourceGroup(
            name=request.resource_group, num_available_node=self._milvus.query_nodes
        )
        return milvus_pb2.DescribeResourceGroupResponse(status=ok(), resource_group=group)

    async def Query(self, request: Message, _: Any) -> Message:
        return answer(milvus_pb2.QueryResults, lambda: query(self._of(request), request))

    async def GetPersistentSegmentInfo(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            collection = self._milvus.collection(request.dbName, request.collectionName)
            infos = [_segment(collection, item) for item in collection.segments]
            return milvus_pb2.GetPersistentSegmentInfoResponse(status=ok(), infos=infos)

        return answer(milvus_pb2.GetPersistentSegmentInfoResponse, found)

    async def Flush(self, request: Message, _: Any) -> Message:
        return answer(milvus_pb2.FlushResponse, lambda: self._flushed(request))

    async def GetFlushState(self, request: Message, _: Any) -> Message:
        return milvus_pb2.GetFlushStateResponse(status=ok(), flushed=True)

    async def FlushAll(self, request: Message, _: Any) -> Message:
        return answer(milvus_pb2.FlushAllResponse, self._all_flushed)

    async def GetFlushAllState(self, request: Message, _: Any) -> Message:
        waits = self._milvus.flushing_all > 0
        self._milvus.flushing_all -= waits
        told = len(request.flush_all_tss) == len(CHANNELS)
        return milvus_pb2.GetFlushAllStateResponse(status=ok(), flushed=told and not waits)

    async def Import(self, request: Message, _: Any) -> Message:
        options = {item.key: item.value for item in request.options}
        try:
            job = await self._jobs.create(
                self._of(request), request.partition_name, [list(request.files)], options
            )
        except Fault as fault:
            return milvus_pb2.ImportResponse(status=failed(fault))
        return milvus_pb2.ImportResponse(status=ok(), tasks=[job.job_id])

    async def GetImportState(self, request: Message, _: Any) -> Message:
        try:
            return _import_state(await self._jobs.look(request.task))
        except Fault as fault:
            return milvus_pb2.GetImportStateResponse(status=failed(fault))

    async def ListImportTasks(self, request: Message, _: Any) -> Message:
        def found() -> Message:
            wanted = self._of(request)
            jobs = [it for it in self._jobs.jobs.values() if it.collection is wanted]
            return milvus_pb2.ListImportTasksResponse(
                status=ok(), tasks=[_import_state(job) for job in jobs]
            )

        return answer(milvus_pb2.ListImportTasksResponse, found)

    def _of(self, request: Message) -> Collection:
        return self._milvus.collection(request.db_name, request.collection_name)

    def _described(self, found: Collection) -> Message:
        return milvus_pb2.DescribeCollectionResponse(
            status=ok(),
            schema=found.schema,
            collectionID=found.collection_id,
            virtual_channel_names=found.channels,
            physical_channel_names=[name.rsplit("_", 1)[0] for name in found.channels],
            created_timestamp=found.created,
            shards_num=found.shards,
            consistency_level=found.consistency_level,
            collection_name=found.name,
            aliases=[name for (_, name), it in self._milvus.aliases.items() if it is found],
            properties=pairs(found.properties),
            db_name=found.database,
            num_partitions=len(found.partitions),
        )

    def _all_flushed(self) -> Message:
        fault, self._milvus.flush_all_fault = self._milvus.flush_all_fault, None
        if self._milvus.version < BULK_FLUSH_FROM:
            fault = Fault(65535, "flush all is not supported")
        if fault:
            raise fault
        self._milvus.flushes_of_all += 1
        reply = milvus_pb2.FlushAllResponse(status=ok())
        for collection in self._milvus.collections():
            collection.seal()
        for channel in CHANNELS:
            moment = self._milvus.clock.tick()
            reply.flush_all_msgs[channel].CopyFrom(_flush_message(channel, moment))
            reply.flush_all_ts = moment
        reply.cluster_info.cchannel = _CONTROL
        reply.cluster_info.pchannels.extend(CHANNELS)
        self._milvus.flushed()
        return reply

    def _flushed(self, request: Message) -> Message:
        """L0 segments are not among what a flush answers.

        Of several collections the positions of the last one's channels are told, and no others. Source:
        the flush task of Milvus's proxy, 2.4 to 2.6.
        """
        if self._milvus.flushes_too_soon:
            self._milvus.flushes_too_soon -= 1
            text = "request is rejected by grpc RateLimiter middleware, please retry later"
            raise Fault(8, f"{text}: rate limit exceeded[rate=0.1]")
        self._milvus.flushes += 1
        reply = milvus_pb2.FlushResponse(status=ok(), db_name=request.db_name)
        for name in request.collection_names:
            moment = self._milvus.clock.tick()
            found = self._milvus.collection(request.db_name, name)
            reply.flush_coll_segIDs[name].data.extend(
                item.segment_id for item in found.segments if not item.l0
            )
            reply.coll_segIDs[name].data.extend(item.segment_id for item in found.seal())
            reply.coll_seal_times[name] = physical_milliseconds(moment) // 1000
            reply.coll_flush_ts[name] = moment
            reply.ClearField("channel_cps")
            for channel in found.channels:
                reply.channel_cps[channel].channel_name = channel
                reply.channel_cps[channel].timestamp = moment
        self._milvus.flushed()
        return reply


def _flush_message(channel: str, moment: int) -> Message:
    """Return the message that flushes a channel, with the properties that were seen in backups of 2.6.18."""
    virtual = _CONTROL if channel == CHANNELS[0] else channel
    properties = {"_t": "37", "_v": "2", "_tt": _base36(moment), "_vc": virtual}
    identity = common_pb2.MessageID(id=_base36(moment), WAL_name=1)
    return common_pb2.ImmutableMessage(id=identity, properties=properties)


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return text


def _segment(collection: Collection, segment: Any) -> Message:
    return milvus_pb2.PersistentSegmentInfo(
        segmentID=segment.segment_id,
        collectionID=collection.collection_id,
        partitionID=segment.partition_id,
        num_rows=segment.num_rows,
        state=common_pb2.Flushed,
        level=common_pb2.SegmentLevel.L0 if segment.l0 else common_pb2.SegmentLevel.L1,
        storage_version=segment.storage_version,
    )


def _import_state(job: Job) -> Message:
    infos = {"progress_percent": str(job.progress), "failed_reason": job.reason}
    return milvus_pb2.GetImportStateResponse(
        status=ok(),
        state=_STATES.get(job.state, _STARTED),
        row_count=job.rows,
        infos=pairs(infos),
        id=job.job_id,
        collection_id=job.collection.collection_id,
    )
