"""Every RPC says which right it needs."""

from __future__ import annotations

import pytest

from milvus_backup.v1 import backup_service_pb2, operation_service_pb2, server_service_pb2
from milvus_backup_server.api.permissions import PERMISSIONS, Permission, permission_for

CONTRACT = (backup_service_pb2, operation_service_pb2, server_service_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}"
    for file in CONTRACT
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_every_rpc_has_a_row_and_every_row_an_rpc() -> None:
    assert set(PERMISSIONS) == METHODS


def test_what_only_shows_needs_no_more_than_view() -> None:
    shows = {
        name for name in METHODS if name.rpartition("/")[2].startswith(("Get", "List", "Watch"))
    }
    assert {PERMISSIONS[name] for name in shows} == {Permission.VIEW}
    others = METHODS - shows
    assert Permission.VIEW not in {PERMISSIONS[name] for name in others}


def test_health_and_reflection_are_open() -> None:
    assert permission_for("/grpc.health.v1.Health/Check") is None


def test_an_rpc_without_a_row_is_not_served() -> None:
    with pytest.raises(KeyError):
        permission_for("/milvus_backup.v1.BackupService/Forgotten")
