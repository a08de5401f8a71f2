"""Which failures of one collection concern the whole operation."""

import pytest

from milvus_backup_server.domain import errors
from milvus_backup_server.domain.errors import BackupError, FieldViolation
from milvus_backup_server.domain.failures import concerns_all


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        # the store or Milvus is down, or refuses us
        (errors.StorageUnavailable("x"), True),
        (errors.MilvusUnavailable("x"), True),
        (errors.ServerStopping("x"), True),
        (errors.WorkSpaceUnavailable("x"), True),
        (errors.StorageDenied("x"), True),
        (errors.MilvusDenied("x"), True),
        (errors.BucketNotFound("x"), True),
        (errors.StorageNotConfigured("x"), True),
        (errors.MilvusVersionUnsupported("x"), True),
        # the operation itself is over
        (errors.BackupNameLost("x"), True),
        (errors.OperationCancelled("x"), True),
        (errors.OperationInterrupted("x"), True),
        (errors.InternalError(), True),
        (errors.InvalidRequest(FieldViolation("x", "y")), True),
        (errors.OperationStalled("Milvus's clock stands still"), True),
        (errors.OperationStalled("import job 1 shows no progress", job="1"), True),
        # one collection
        (errors.OperationStalled("flush", collection="default.c"), False),
        (errors.CollectionNotFound("c"), False),
        (errors.DatabaseNotFound("d"), False),
        (errors.PartitionNotFound("c/p"), False),
        (errors.TargetAlreadyExists("c"), False),
        (errors.SourceInconsistent("x"), False),
        (errors.SourceStorageMismatch("x"), False),
        (errors.MilvusRefused("x"), False),
        (errors.StorageRefused("x"), False),
        (errors.ImportFailed("x"), False),
        (errors.ImportOutcomeUnknown("x"), False),
        (errors.RowCountMismatch("x"), False),
        (errors.BackupCorrupt("x"), False),
    ],
    ids=lambda value: f"{value.reason} {value.message}" if isinstance(value, BackupError) else "",
)
def test_what_concerns_all(error: BackupError, *, expected: bool) -> None:
    assert concerns_all(error) is expected
