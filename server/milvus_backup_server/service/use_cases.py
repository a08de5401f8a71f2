"""The use cases that every face of the service calls."""

from __future__ import annotations

from dataclasses import dataclass

from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.create_backup import CreateBackup
from milvus_backup_server.service.delete_backup import DeleteBackup
from milvus_backup_server.service.diagnostics import Diagnostics
from milvus_backup_server.service.export_backup import ExportBackup
from milvus_backup_server.service.import_backup import ImportBackup
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.retrying import RetryOperation
from milvus_backup_server.service.sweep import Sweep
from milvus_backup_server.service.verify_backup import VerifyBackup


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the faces need, built once in ``app``."""

    create: CreateBackup
    restore: RestoreBackup
    delete: DeleteBackup
    catalog: Catalog
    operations: OperationManager
    diagnostics: Diagnostics
    export: ExportBackup
    import_: ImportBackup
    verify: VerifyBackup
    sweep: Sweep
    directory: OperationDirectory
    control: OperationControl
    retry: RetryOperation
