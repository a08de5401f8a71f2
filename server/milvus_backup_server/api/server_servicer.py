"""ServerService: what the service is, and whether what it depends on works."""

# Methods and their arguments are named by the contract.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from milvus_backup.v1 import server_service_pb2
from milvus_backup.v1.server_service_pb2_grpc import ServerServiceServicer
from milvus_backup_server.api import mapping_server as mapping
from milvus_backup_server.api.callers import Context
from milvus_backup_server.service.diagnostics import Diagnostics


class ServerServicer(ServerServiceServicer):
    """Checks and describes the service."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    async def Check(
        self, request: server_service_pb2.CheckRequest, context: Context
    ) -> server_service_pb2.CheckResponse:
        """Try Milvus and both stores."""
        return mapping.check_message(await self._diagnostics.check())

    async def GetServerInfo(
        self, request: server_service_pb2.GetServerInfoRequest, context: Context
    ) -> server_service_pb2.GetServerInfoResponse:
        """Tell what the service is."""
        return mapping.info_message(await self._diagnostics.server_info())
