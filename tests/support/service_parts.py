"""Parts of a service that its tests put together."""

import secrets

from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, TransferSettings
from milvus_backup_server.domain.operation_record import Owner
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Registry
from milvus_backup_server.service.journal import Journal
from milvus_backup_server.service.recording import RecordingLimits


def engine_of(registry: Registry, settings: TransferSettings) -> AsyncTransferEngine:
    """Return what copies between all stores of a registry."""
    milvus, backup = registry.cluster().storage, registry.repository().storage
    storages = [*([milvus] if milvus else []), backup, *registry.elsewhere.values()]
    return AsyncTransferEngine({it.profile: it.store for it in storages}, settings)


def journal_of(records: ObjectStore, recording: RecordingLimits) -> Journal:
    """Return the journal of a service of its own."""
    owner = Owner(secrets.token_hex(8), "host")
    return Journal(StoreOperationLog(records, "records"), owner, recording)
