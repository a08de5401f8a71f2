"""Retrying an operation that failed, in whole or in part: a new operation that does what failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from milvus_backup_server.domain.errors import OperationConflict, OperationEnded
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    CollectionState,
    Operation,
    OperationState,
)
from milvus_backup_server.domain.requests import CreateRequest, Request, RestoreRequest
from milvus_backup_server.service.create_backup import CreateBackup
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.restore_backup import RestoreBackup

_PAGE: Final = 1000


class RetryOperation:
    """The use case: ask again for what an operation did not do.

    Args:
        directory: What is on record.
        create: Begins creates.
        restore: Begins restores.
    """

    def __init__(
        self, directory: OperationDirectory, create: CreateBackup, restore: RestoreBackup
    ) -> None:
        self._directory = directory
        self._create = create
        self._restore = restore

    async def start(self, name: str, request_id: str, caller: Caller) -> Operation:
        """Begin a new operation that does what one that has ended did not do.

        Args:
            name: That one.
            request_id: Makes the call safe to repeat.
            caller: Who asks.

        Raises:
            OperationNotFound: It is not on record.
            OperationConflict: It has not ended.
            OperationEnded: There is nothing to retry.
            BackupError: As of the call that began it.
        """
        operation = await self._directory.get(name)
        _require_retriable(operation)
        request = await self._request(operation)
        if isinstance(request, CreateRequest):
            return await self._create.start(_again(request, operation, request_id), caller)
        if isinstance(request, RestoreRequest):
            again = replace(
                request,
                request_id=request_id,
                retry_of=operation.name,
                only_targets=await self._undone(operation),
            )
            return await self._restore.start(again, caller)
        raise _nothing(operation, "its kind is not retried: ask for it anew")

    async def _request(self, operation: Operation) -> Request | object:
        running = self._directory.running(operation.name)
        if running is not None:
            return running.request.original
        stored = await self._directory.stored(operation.name)
        return stored.record.request if stored else None

    async def _undone(self, operation: Operation) -> tuple[CollectionName, ...]:
        """Return the collections that it did not finish, by their targets; none if it did not come so far.

        Raises:
            OperationEnded: It finished them all, and failed after that.
        """
        found: list[CollectionName] = []
        after, known = "0", 0
        while after:
            page = await self._directory.collections(operation.name, int(after), _PAGE)
            states = {it.target: it.state for it in page.items if it.target is not None}
            known += len(states)
            found += (it for it, state in states.items() if state is not CollectionState.SUCCEEDED)
            after = page.next_key
        if known and not found:
            raise _nothing(operation, "its collections are restored, all of them")
        return tuple(found)


def _again(request: CreateRequest, operation: Operation, request_id: str) -> CreateRequest:
    """Return the request for the same backup; what is whole in it is kept, by the plan of the first try."""
    return replace(
        request,
        backup_name=operation.backup_name,
        request_id=request_id,
        retry_of=operation.name,
        first_try=request.first_try or operation.name,
    )


def _require_retriable(operation: Operation) -> None:
    if operation.state is OperationState.INTERRUPTED:
        raise _in_the_way(operation, "was interrupted; resume it or cancel it")
    if not operation.state.final:
        raise _in_the_way(operation, "has not ended; wait for it or cancel it")
    if operation.state is OperationState.SUCCEEDED:
        raise _nothing(operation, "nothing of it failed")


def _in_the_way(operation: Operation, why: str) -> OperationConflict:
    return OperationConflict(
        f"operation {operation.name} {why}",
        operation=operation.name,
        backup=operation.backup_name,
    )


def _nothing(operation: Operation, why: str) -> OperationEnded:
    state = operation.state.value.replace("_", " ")
    return OperationEnded(
        f"operation {operation.name} has {state} and cannot be retried: {why}",
        subject=operation.name,
        state=operation.state.value,
    )
