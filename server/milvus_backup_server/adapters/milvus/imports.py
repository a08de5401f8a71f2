"""Import jobs: what Milvus is asked to import, and what it tells about its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from milvus_backup_server.adapters.milvus.answers import Answer, meaning, short
from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2, milvus_pb2
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
    physical_milliseconds,
)

_STATES: Mapping[int, ImportState] = {
    common_pb2.ImportPending: ImportState.PENDING,
    common_pb2.ImportFailed: ImportState.FAILED,
    common_pb2.ImportFailedAndCleaned: ImportState.FAILED,
    common_pb2.ImportCompleted: ImportState.COMPLETED,
}


_REST_STATES: Mapping[str, ImportState] = {
    "Pending": ImportState.PENDING,
    "Failed": ImportState.FAILED,
    "Completed": ImportState.COMPLETED,
}


def import_request(
    collection: CollectionName,
    partition: str,
    sources: Sequence[ImportSource],
    options: ImportOptions,
) -> Message:
    """Return the request for one job.

    Raises:
        ValueError: There is not exactly one source; this call of Milvus takes no more.
    """
    (source,) = sources
    files = [source.delta] if options.l0 else [source.insert, source.delta]
    return milvus_pb2.ImportRequest(
        db_name=collection.database,
        collection_name=collection.name,
        partition_name=partition,
        # Milvus 2.3 wants both; later ones take an empty path for one that holds everything.
        files=[path for path in files if path] if options.hybrid_end_ts else files,
        options=[
            common_pb2.KeyValuePair(key=key, value=value)
            for key, value in import_options(options).items()
        ],
    )


def import_body(
    collection: CollectionName,
    partition: str,
    sources: Sequence[ImportSource],
    options: ImportOptions,
) -> dict[str, object]:
    """Return the REST request for one job."""
    body: dict[str, object] = {
        "dbName": collection.database,
        "collectionName": collection.name,
        "files": [[path for path in (source.insert, source.delta) if path] for source in sources],
        "options": import_options(options),
    }
    return body | ({"partitionName": partition} if partition else {})


def import_options(options: ImportOptions) -> dict[str, str]:
    """Return the options in the words of that version of Milvus."""
    values = {"l0_import" if options.l0 else "backup": "true", "skip_disk_quota_check": "true"}
    if options.moment is not None:
        milliseconds = physical_milliseconds(options.moment)
        values["end_ts"] = str(options.moment if options.hybrid_end_ts else milliseconds)
    if options.storage_version:
        values["storage_version"] = str(options.storage_version)
    return values


def is_unknown_job(error: BackupError) -> bool:
    """Tell whether an error says that Milvus does not know a job."""
    return "import job does not exist" in error.message


def rest_job_id(data: Mapping[str, Any]) -> str:
    """Return what ``jobs/import/create`` says."""
    return str(data["jobId"])


def rest_jobs(data: Mapping[str, Any]) -> list[ImportJob]:
    """Return what ``jobs/import/list`` says."""
    return [rest_job(record) for record in data.get("records", [])]


def rest_job(data: Mapping[str, Any]) -> ImportJob:
    """Return what ``jobs/import/describe`` or an entry of ``jobs/import/list`` says."""
    reason = str(data.get("reason", ""))
    return ImportJob(
        job_id=str(data["jobId"]),
        state=_REST_STATES.get(str(data.get("state")), ImportState.RUNNING),
        rows=int(data.get("importedRows", 0)),
        progress=int(data.get("progress", 0)),
        reason=short(reason),
    )


def import_job(job_id: str, answer: Message) -> ImportJob:
    """Return what GetImportState answered.

    Milvus answers about a job that it does not know with state 0, which would be pending.
    """
    if meaning(answer.status) is not Answer.OK:
        return ImportJob(job_id, ImportState.UNKNOWN)
    told = {pair.key: pair.value for pair in answer.infos}
    progress = told.get("progress_percent", "")
    return ImportJob(
        job_id=job_id,
        state=_STATES.get(answer.state, ImportState.RUNNING),
        rows=answer.row_count,
        progress=int(progress) if progress.isdigit() else 0,
        reason=short(told.get("failed_reason", "")),
        files=tuple(file for file in told.get("files", "").split(",") if file),
        collection_id=answer.collection_id,
        partition=told.get("partition", ""),
    )
