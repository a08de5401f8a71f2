"""OperationService: map in, call the operation manager, map out."""

# Methods and their arguments are named by the contract.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from milvus_backup.v1 import operation_pb2, operation_service_pb2
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceServicer
from milvus_backup_server.api import mapping_operations as mapping
from milvus_backup_server.api.callers import Context, current_caller
from milvus_backup_server.api.mapping import read_enums
from milvus_backup_server.api.mapping_sweeps import sweep_request
from milvus_backup_server.api.mapping_verifications import problem_message
from milvus_backup_server.api.pages import PageSize, cut_by_key, cut_by_offset, read_position
from milvus_backup_server.api.status import error_status
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.service.operation_entries import Filter
from milvus_backup_server.service.shared_messages import SharedMessage, SharedMessages
from milvus_backup_server.service.use_cases import UseCases

OPERATION_PAGES = PageSize(default=50, largest=50)
COLLECTION_PAGES = PageSize(default=100, largest=500)


class OperationServicer(OperationServiceServicer):
    """Shows, streams, resumes, retries and cancels operations, and sweeps up behind them."""

    def __init__(self, use_cases: UseCases) -> None:
        self._operations = use_cases.directory
        self._control = use_cases.control
        self._retry = use_cases.retry
        self._sweep = use_cases.sweep
        self._messages = SharedMessages(_serialized)

    async def GetOperation(
        self, request: operation_service_pb2.GetOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Tell about one operation."""
        return mapping.operation_message(
            await self._operations.get(mapping.operation_name(request))
        )

    async def ListOperations(
        self, request: operation_service_pb2.ListOperationsRequest, context: Context
    ) -> operation_service_pb2.ListOperationsResponse:
        """List operations, newest first."""
        position = read_position(request, OPERATION_PAGES)
        kinds = read_enums("kinds", request.kinds, mapping.KINDS)
        states = read_enums("states", request.states, mapping.STATES)
        wanted = Filter(request.backup_name, kinds, states)
        page = await self._operations.list(position.key, position.limit, wanted)
        operations, next_key = cut_by_key(page, mapping.operation_message, lambda item: item.name)
        error = page.records_error
        return operation_service_pb2.ListOperationsResponse(
            operations=operations,
            next_page_token=position.token(next_key),
            records_error=None if error is None else error_status(error),
        )

    async def ListOperationCollections(
        self, request: operation_service_pb2.ListOperationCollectionsRequest, context: Context
    ) -> operation_service_pb2.ListOperationCollectionsResponse:
        """List the collections of an operation."""
        position = read_position(request, COLLECTION_PAGES)
        name = mapping.operation_name(request)
        page = await self._operations.collections(name, position.offset, position.limit)
        collections, next_key = cut_by_offset(page, mapping.collection_message, position.offset)
        return operation_service_pb2.ListOperationCollectionsResponse(
            collections=collections, next_page_token=position.token(next_key)
        )

    async def ListOperationProblems(
        self, request: operation_service_pb2.ListOperationProblemsRequest, context: Context
    ) -> operation_service_pb2.ListOperationProblemsResponse:
        """List the problems that a verification found."""
        position = read_position(request, COLLECTION_PAGES)
        name = mapping.operation_name(request)
        page = await self._operations.problems(name, position.offset, position.limit)
        problems, next_key = cut_by_offset(page, problem_message, position.offset)
        return operation_service_pb2.ListOperationProblemsResponse(
            problems=problems, next_page_token=position.token(next_key)
        )

    async def CancelOperation(
        self, request: operation_service_pb2.CancelOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Ask an operation to stop."""
        return mapping.operation_message(
            await self._control.cancel(mapping.operation_name(request))
        )

    async def ResumeOperation(
        self, request: operation_service_pb2.ResumeOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Go on with an interrupted operation."""
        return mapping.operation_message(
            await self._control.resume(mapping.operation_name(request))
        )

    async def RetryOperation(
        self, request: operation_service_pb2.RetryOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin a new operation that does what one did not do."""
        name = mapping.operation_name(request)
        begun = await self._retry.start(name, request.request_id, current_caller())
        return mapping.operation_message(begun)

    async def Sweep(
        self, request: operation_service_pb2.SweepRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin to look for what operations left behind."""
        operation = await self._sweep.start(sweep_request(request), current_caller())
        return mapping.operation_message(operation)

    async def WatchOperation(
        self, request: operation_service_pb2.WatchOperationRequest, context: Context
    ) -> AsyncIterator[Any]:
        """Stream an operation up to its last state."""
        interval = mapping.watch_interval(request)
        name = mapping.operation_name(request)
        message = self._messages.of(name)
        async for operation in self._operations.watch(name, interval):
            yield message.of(operation)

    async def WatchOperations(
        self, request: operation_service_pb2.WatchOperationsRequest, context: Context
    ) -> AsyncIterator[Any]:
        """Stream many operations."""
        interval = mapping.watch_interval(request)
        names = mapping.watched_names(request)
        messages: dict[str, SharedMessage] = {}
        async for operation in self._operations.watch_many(names, interval):
            name = operation.name
            message = messages.setdefault(name, self._messages.of(name))
            yield message.of(operation)
            if operation.state.ends_watch:
                del messages[name]


def _serialized(operation: Operation) -> bytes:
    return mapping.operation_message(operation).SerializeToString()
