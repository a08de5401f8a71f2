"""What the Go tool's routes answer, key by key.

Source: the response messages of zilliztech/milvus-backup's ``backup.proto``. Keys with a default are left
out when they have it; numbers of 64 bits are JSON numbers; enums are numbers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from milvus_backup_server.domain.records import CollectionBackupInfo, DatabaseBackupInfo
from milvus_backup_server.http.record_models import model_of

UNSET_TIME: Final = -62135596800
"""The Unix time of Go's zero time: how the Go tool tells of a time that has not come yet."""

COLLECTION_KEYS: Final = frozenset(
    {
        "id",
        "collection_id",
        "db_name",
        "collection_name",
        "schema",
        "shards_num",
        "backup_timestamp",
        "size",
        "has_index",
        "index_infos",
        "load_state",
        "backup_physical_timestamp",
        "channel_checkpoints",
        "properties",
    }
)
"""Keys of a collection that are shown: neither partitions nor segments."""

HIDDEN_KEYS: Final = frozenset({"ezk"})
"""Keys of a database that are not: an encryption key is not for everyone who may read."""

CollectionBrief = model_of(CollectionBackupInfo, "CollectionBackupInfoBrief", only=COLLECTION_KEYS)
DatabaseBrief = model_of(DatabaseBackupInfo, without=HIDDEN_KEYS)

_STATES: Final = "0 waits, 1 runs, 2 succeeded, 3 failed, was cancelled or interrupted (`errorMessage` says which)"


class State(IntEnum):
    """The Go tool's state of a task."""

    INITIAL = 0
    EXECUTING = 1
    SUCCESS = 2
    FAIL = 3


StateCode = Annotated[int, Field(ge=0, le=3, description=_STATES)]
Percent = Annotated[int, Field(ge=0, le=100, description="Percent done.")]
Seconds = Annotated[
    int, Field(description=f"Unix seconds; {UNSET_TIME} if it has not come yet, absent if unknown.")
]


class Answer(BaseModel):
    """Base of the models."""

    model_config = ConfigDict(frozen=True)


class Envelope(Answer):
    """Around every answer. Its HTTP status is 200 on business failures too: look at ``code``."""

    request_id: str = Field(
        default="", serialization_alias="requestId", description="The request's id."
    )
    code: int = Field(default=0, description="Absent on success; 3 failure, 400 wrong parameters.")
    msg: str = Field(default="", description="For people.")


class RpcChannel(Answer):
    """Milvus's replication channel when the backup was taken."""

    name: str = ""
    position: str = ""


class BackupInfoBrief(Answer):
    """A backup and its task."""

    id: str = ""
    state_code: StateCode
    error_message: str = Field(default="", serialization_alias="errorMessage")
    start_time: Seconds = 0
    end_time: Seconds = 0
    progress: Percent
    name: str = ""
    backup_timestamp: int = 0
    collection_backups: list[CollectionBrief] = []  # type: ignore[valid-type]
    size: int = Field(default=..., description="Bytes of the data.")
    milvus_version: str = ""
    rpc_channel_info: RpcChannel | None = None
    database_backups: list[DatabaseBrief] = []  # type: ignore[valid-type]
    meta_size: int = Field(default=..., description="Bytes of the metadata.")
    format: str = Field(default="", description="Empty for binlog.")


class BackupInfoResponse(Envelope):
    """One backup."""

    data: BackupInfoBrief | None


class BackupSummary(Answer):
    """One backup in a list."""

    id: str = ""
    name: str = ""
    size: int = Field(default=..., description="Bytes of the data.")
    milvus_version: str = ""


class ListBackupsResponse(Envelope):
    """All backups that can be restored."""

    data: list[BackupSummary] | None


class DeleteBackupResponse(Envelope):
    """A backup was removed, or why not."""


class RestoreCollectionTask(Answer):
    """One collection of a restore."""

    id: str = Field(default="", description="Always empty.")
    state_code: StateCode
    error_message: str = Field(default="", serialization_alias="errorMessage")
    start_time: Seconds = 0
    end_time: Seconds = 0
    progress: Percent
    target_db_name: str = ""
    target_collection_name: str = ""


class RestoreBackupTask(Answer):
    """A restore."""

    id: str = ""
    state_code: StateCode
    error_message: str = Field(default="", serialization_alias="errorMessage")
    start_time: Seconds = 0
    end_time: Seconds = 0
    progress: Percent
    collection_restore_tasks: list[RestoreCollectionTask] = []


class RestoreBackupResponse(Envelope):
    """A restore, or why there is none."""

    data: RestoreBackupTask | None


class Refusal(Answer):
    """Why a request was not even looked at."""

    error: str
    detail: str = ""
