from __future__ import annotations

import json
import subprocess
import sys

import milvus_backup_client

PUBLIC = """
AliasAlreadyExists AlreadyExists ArchiveInvalid BackupAlreadyExists BackupClient BackupCorrupt BackupNameLost
BackupNotFound BackupNotRestorable BackupServiceError BinlogsNotInstalled BucketNotFound CollectionNotFound
DatabaseNotFound DeadlineExceeded FieldViolation ImportFailed ImportOutcomeUnknown InternalError InvalidRequest
LeftBehind MethodUnsupported MilvusDenied MilvusRefused MilvusUnavailable MilvusVersionUnsupported
NotABackup NotFound OperationCancelled OperationConflict OperationEnded OperationInterrupted
OperationNotFound OperationNotResumable OperationPartiallySucceeded OperationStalled PartitionNotFound
PreconditionFailed RequestIdReused RetryPolicy RowCountMismatch RowsDiffer ServerStopping ServiceUnreachable
SourceInconsistent SourceStorageMismatch StorageDenied StorageNotConfigured StorageRefused StorageUnavailable
TargetAlreadyExists TargetUnfit TooManyOperations Unavailable WorkSpaceUnavailable channel_options error_of
from_rpc_error from_status has_ended is_final
"""
ALLOWED = {"google", "grpc", "grpc_status", "milvus_backup", "milvus_backup_client"}
# grpc imports its own extensions where they are installed: they are there before.
IMPORTS = """
import grpc, json, sys
before = set(sys.modules)
import milvus_backup_client
milvus_backup_client.BackupClient, milvus_backup_client.from_status  # loads what they need
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_public_names_stay() -> None:
    assert milvus_backup_client.__all__ == PUBLIC.split()
    for name in PUBLIC.split():
        assert hasattr(milvus_backup_client, name)


def test_the_client_imports_its_four_libraries_only() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "milvus_backup_client" in loaded
    assert loaded - ALLOWED - sys.stdlib_module_names == set()


def test_every_error_is_drawn() -> None:
    drawing = milvus_backup_client.errors.__doc__ or ""
    names = [
        name
        for name in milvus_backup_client.__all__
        if isinstance(getattr(milvus_backup_client, name), type)
        and issubclass(getattr(milvus_backup_client, name), Exception)
    ]
    assert len(names) > 30
    assert [name for name in names if name not in drawing] == []
