"""The calls about import jobs: by gRPC, and from Milvus 2.4 on by REST."""

from __future__ import annotations

from collections.abc import Sequence

from milvus_backup_server.adapters.milvus import imports
from milvus_backup_server.adapters.milvus.answers import Answer
from milvus_backup_server.adapters.milvus.connection import MilvusConnection
from milvus_backup_server.adapters.milvus.rest import RestConnection
from milvus_backup_server.adapters.milvus.stubs import milvus_pb2
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
)

_NOBODY = CollectionName("", "")
_NO_JOB = "1"
_NO_SUCH_CALL = "404"
_DESCRIBE, _DESCRIBE_OLD = "jobs/import/describe", "jobs/import/get_progress"
_ENDED = frozenset({ImportState.COMPLETED, ImportState.FAILED, ImportState.UNKNOWN})


class ImportCalls:
    """Part of GrpcMilvusGateway.

    A job is asked for where it was made. After a restart of this service that is not known any more;
    then gRPC is asked, which knows the jobs of both.
    """

    _connection: MilvusConnection
    _rest: RestConnection

    def __init__(self) -> None:
        self._old_name = False
        self._rest_jobs: set[str] = set()
        self._rest_targets: set[CollectionName] = set()

    async def rest_fault(self) -> MilvusUnavailable | MilvusRefused | None:
        """Return why Milvus's REST API cannot be used; None if it answers."""
        try:
            await self._described(_NO_JOB)
        except (MilvusUnavailable, MilvusRefused) as error:
            return error
        return None

    async def submit_import(
        self,
        collection: CollectionName,
        partition: str,
        sources: Sequence[ImportSource],
        options: ImportOptions,
    ) -> str:
        """Submit one import job and return its id. Never repeated by itself.

        Raises:
            ImportOutcomeUnknown: The answer was lost; the job may run. Look for it with
                ``list_imports``.
        """
        if options.rest:
            return await self._submit_by_rest(collection, partition, sources, options)
        request = imports.import_request(collection, partition, sources, options)
        answer = await self._connection.call_once("Import", request, collection)
        return str(answer.tasks[0])

    async def import_job(self, job_id: str) -> ImportJob:
        """Return how far a job is; state UNKNOWN if Milvus does not know it."""
        if job_id not in self._rest_jobs:
            request = milvus_pb2.GetImportStateRequest(task=int(job_id))
            unknown = frozenset({Answer.KEY_MISSING})
            answer = await self._connection.call("GetImportState", request, accept=unknown)
            return imports.import_job(job_id, answer)
        job = await self._described(job_id)
        if job.state in _ENDED:
            self._rest_jobs.discard(job_id)
        return job

    async def list_imports(self, collection: CollectionName) -> list[ImportJob]:
        """Return the import jobs into a collection, ended ones as long as Milvus keeps them."""
        if collection in self._rest_targets:
            return await self._listed(collection)
        request = milvus_pb2.ListImportTasksRequest(
            db_name=collection.database, collection_name=collection.name
        )
        answer = await self._connection.call("ListImportTasks", request, collection)
        return [imports.import_job(str(task.id), task) for task in answer.tasks]

    def forget_target(self, collection: CollectionName) -> None:
        """Forget that jobs into a collection were made by REST: it is not called so any more."""
        self._rest_targets.discard(collection)

    async def _submit_by_rest(
        self,
        collection: CollectionName,
        partition: str,
        sources: Sequence[ImportSource],
        options: ImportOptions,
    ) -> str:
        self._rest_targets.add(collection)
        body = imports.import_body(collection, partition, sources, options)
        path = "jobs/import/create"
        job_id = await self._rest.call_once(path, body, collection, imports.rest_job_id)
        self._rest_jobs.add(job_id)
        return job_id

    async def _described(self, job_id: str) -> ImportJob:
        try:
            return await self._told(job_id)
        except MilvusRefused as error:
            if imports.is_unknown_job(error):
                return ImportJob(job_id, ImportState.UNKNOWN)
            raise

    async def _told(self, job_id: str) -> ImportJob:
        """Ask for a job by the call's name; the older one is that of Milvus up to 2.4.13."""
        body = {"jobId": job_id}
        if not self._old_name:
            try:
                return await self._rest.call(_DESCRIBE, body, _NOBODY, imports.rest_job)
            except MilvusRefused as error:
                if error.metadata.get("code") != _NO_SUCH_CALL:
                    raise
        try:
            return await self._rest.call(_DESCRIBE_OLD, body, _NOBODY, imports.rest_job)
        except MilvusRefused as error:
            self._old_name = imports.is_unknown_job(error)
            raise

    async def _listed(self, collection: CollectionName) -> list[ImportJob]:
        body = {"dbName": collection.database, "collectionName": collection.name}
        jobs = await self._rest.call("jobs/import/list", body, collection, imports.rest_jobs)
        self._rest_jobs |= {job.job_id for job in jobs if job.state not in _ENDED}
        return jobs
