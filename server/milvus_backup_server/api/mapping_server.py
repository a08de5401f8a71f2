"""What the service tells about itself, from the domain to the contract."""

from __future__ import annotations

from collections.abc import Sequence

from milvus_backup.v1 import server_service_pb2
from milvus_backup_server.api.mapping import timestamp
from milvus_backup_server.api.status import error_status
from milvus_backup_server.api.texts import fit
from milvus_backup_server.domain.diagnostics import (
    CheckItem,
    CheckState,
    ClusterInfo,
    ServerInfo,
    StoreInfo,
)

STATES = {
    state: server_service_pb2.CheckState.Value(f"CHECK_STATE_{state.name}") for state in CheckState
}


def check_message(items: Sequence[CheckItem]) -> server_service_pb2.CheckResponse:
    """Return the outcome of the checks as the contract shows it."""
    return server_service_pb2.CheckResponse(
        ok=all(item.state is not CheckState.FAILED for item in items), items=map(_item, items)
    )


def info_message(info: ServerInfo) -> server_service_pb2.GetServerInfoResponse:
    """Return what the service is as the contract shows it."""
    return server_service_pb2.GetServerInfoResponse(
        version=fit(info.version),
        start_time=timestamp(info.start_time),
        cluster=_cluster(info.cluster),
        repository=_store(info.repository),
        running_operation_count=info.running_operations,
        pending_operation_count=info.pending_operations,
    )


def _item(item: CheckItem) -> server_service_pb2.CheckItem:
    return server_service_pb2.CheckItem(
        name=item.name,
        state=STATES[item.state],
        message=fit(item.message),
        error=None if item.error is None else error_status(item.error),
    )


def _cluster(cluster: ClusterInfo) -> server_service_pb2.ClusterInfo:
    return server_service_pb2.ClusterInfo(
        name=fit(cluster.name),
        address=fit(cluster.address),
        milvus_version=fit(cluster.milvus_version),
        error=None if cluster.error is None else error_status(cluster.error),
        supported=cluster.supported,
        capabilities=[fit(name) for name in cluster.capabilities],
        storage=None if cluster.storage is None else _store(cluster.storage),
    )


def _store(store: StoreInfo) -> server_service_pb2.StoreInfo:
    return server_service_pb2.StoreInfo(
        provider=fit(store.location.provider),
        endpoint=fit(store.location.endpoint),
        bucket=fit(store.location.bucket),
        root_path=fit(store.root_path),
    )
