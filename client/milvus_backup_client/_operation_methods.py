"""The methods of OperationService, and waiting for an operation's end."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable

from google.protobuf.duration_pb2 import Duration
from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import (
    Operation,
    OperationCollection,
    OperationKind,
    OperationState,
)
from milvus_backup.v1.operation_service_pb2 import (
    CancelOperationRequest,
    GetOperationRequest,
    ListOperationCollectionsRequest,
    ListOperationProblemsRequest,
    ListOperationsRequest,
    ResumeOperationRequest,
    RetryOperationRequest,
    SweepRequest,
    WatchOperationRequest,
    WatchOperationsRequest,
)
from milvus_backup.v1.verification_pb2 import Problem
from milvus_backup_client._connection import Connection
from milvus_backup_client._watch import follow
from milvus_backup_client.errors.reading import from_status
from milvus_backup_client.operations import error_of, has_ended, is_final, name_of


class OperationMethods:
    """Part of BackupClient: operations looked at, watched, waited for and cancelled."""

    _connection: Connection

    async def get_operation(
        self, operation: Operation | str, *, timeout_seconds: float | None = None
    ) -> Operation:
        """Return the present state of an operation, given by name or as a message."""
        request = GetOperationRequest(name=name_of(operation))
        return await self._connection.call(
            self._connection.operations.GetOperation, request, timeout_seconds
        )

    async def list_operations(
        self,
        *,
        backup_name: str = "",
        kinds: Iterable[OperationKind.ValueType] = (),
        states: Iterable[OperationState.ValueType] = (),
        page_size: int = 0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Operation, None]:
        """Yield operations, newest first.

        Args:
            backup_name: Only those of this backup; empty: of all.
            kinds: Only those of these kinds; none: of all.
            states: Only those in these states; none: in all.
            page_size: Operations per call; 0 leaves it to the service.
            timeout_seconds: The time of each page.

        Raises:
            StorageUnavailable, StorageDenied, StorageRefused: The records cannot be read. What the
                service remembers without them was yielded before.
        """
        request = ListOperationsRequest(
            backup_name=backup_name, kinds=kinds, states=states, page_size=page_size
        )
        method = self._connection.operations.ListOperations
        records_error: Status | None = None
        async for page in self._connection.pages(method, request, timeout_seconds):
            for operation in page.operations:
                yield operation
            if page.HasField("records_error"):
                records_error = page.records_error
        if records_error is not None:
            raise from_status(records_error)

    async def list_operation_collections(
        self,
        operation: Operation | str,
        *,
        page_size: int = 0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[OperationCollection, None]:
        """Yield all collections of an operation; arguments as in ``list_operations``."""
        request = ListOperationCollectionsRequest(name=name_of(operation), page_size=page_size)
        method = self._connection.operations.ListOperationCollections
        async for page in self._connection.pages(method, request, timeout_seconds):
            for collection in page.collections:
                yield collection

    async def list_operation_problems(
        self,
        operation: Operation | str,
        *,
        page_size: int = 0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Problem, None]:
        """Yield what a verification found, the first 1,000; arguments as in ``list_backups``."""
        request = ListOperationProblemsRequest(name=name_of(operation), page_size=page_size)
        method = self._connection.operations.ListOperationProblems
        async for page in self._connection.pages(method, request, timeout_seconds):
            for problem in page.problems:
                yield problem

    async def cancel_operation(
        self, operation: Operation | str, *, timeout_seconds: float | None = None
    ) -> Operation:
        """Ask an operation to stop and to remove what it made; return its state then.

        Raises:
            OperationEnded: It has ended already.
        """
        request = CancelOperationRequest(name=name_of(operation))
        return await self._connection.call(
            self._connection.operations.CancelOperation, request, timeout_seconds, repeat=False
        )

    async def sweep(
        self,
        *,
        apply: bool = False,
        min_age_seconds: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin to look for what operations left behind; the operation's result tells of it.

        Args:
            apply: Remove it too.
            min_age_seconds: What is younger is left alone; None leaves it to the service: a day.
            timeout_seconds: See the class.
        """
        request = SweepRequest(apply=apply)
        if min_age_seconds is not None:
            request.min_age.FromNanoseconds(round(min_age_seconds * 1e9))
        return await self._connection.call(
            self._connection.operations.Sweep, request, timeout_seconds, repeat=False
        )

    async def resume_operation(
        self, operation: Operation | str, *, timeout_seconds: float | None = None
    ) -> Operation:
        """Go on with an operation that was interrupted, under its own name; return its state then.

        Raises:
            OperationNotResumable: It is not interrupted, or its kind cannot be resumed.
            OperationConflict: Another service was faster, or another operation is in the way.
        """
        request = ResumeOperationRequest(name=name_of(operation))
        return await self._connection.call(
            self._connection.operations.ResumeOperation, request, timeout_seconds, repeat=False
        )

    async def retry_operation(
        self,
        operation: Operation | str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin a new operation that does what one that has ended did not do.

        Args:
            operation: The one that failed, in whole or in part; by name or as a message.
            request_id: The same id gives the same operation. Default: a new one.
            timeout_seconds: See the class.

        Raises:
            OperationConflict: It has not ended.
            OperationEnded: There is nothing to retry.
        """
        given = uuid.uuid4().hex if request_id is None else request_id
        request = RetryOperationRequest(name=name_of(operation), request_id=given)
        return await self._connection.call(
            self._connection.operations.RetryOperation,
            request,
            timeout_seconds,
            repeat=bool(given),
        )

    def watch(
        self, operation: Operation | str, *, min_interval_seconds: float | None = None
    ) -> AsyncGenerator[Operation, None]:
        """Yield the present state of an operation, then the newest after each change.

        The last state is always yielded: final, or INTERRUPTED. A broken connection is made again
        without a state being yielded twice. An operation that is final already is yielded as given.

        Args:
            operation: By name or as a message.
            min_interval_seconds: The shortest time between two states; the service's default is
                0.25. A slow reader skips states.

        Raises:
            ServiceUnreachable: The connection stayed broken for ``reconnect_seconds``. The
                operation goes on.
        """
        if isinstance(operation, Operation) and is_final(operation):
            return _just(operation)
        request = WatchOperationRequest(
            name=name_of(operation), min_interval=_duration(min_interval_seconds)
        )
        return follow(
            lambda: self._connection.stream(self._connection.operations.WatchOperation, request),
            self._connection.reconnect(),
            is_last=lambda state: state is not None and has_ended(state),
        )

    def watch_operations(
        self,
        operations: Iterable[Operation | str] = (),
        *,
        min_interval_seconds: float | None = None,
    ) -> AsyncGenerator[Operation, None]:
        """Yield the states of many operations, each as ``watch`` does.

        Args:
            operations: At most 1,000, by name or as messages; it ends when all have ended. None:
                all that the service knows and will begin, without an end.
            min_interval_seconds: As in ``watch``, for each operation.
        """
        request = WatchOperationsRequest(
            names=[name_of(operation) for operation in operations],
            min_interval=_duration(min_interval_seconds),
        )
        return follow(
            lambda: self._connection.stream(self._connection.operations.WatchOperations, request),
            self._connection.reconnect(),
            is_last=lambda _: True,
        )

    async def wait(self, operation: Operation | str, *, raise_on_failure: bool = True) -> Operation:
        """Wait until an operation has ended and return its last state.

        It waits as long as it takes; ``asyncio.timeout`` around it stops the waiting alone.

        Args:
            operation: By name or as a message.
            raise_on_failure: Raise the operation's error, as ``error_of`` makes it, unless all of
                it succeeded. Otherwise look at the state of what is returned.
        """
        last = Operation()
        async for state in self.watch(operation, min_interval_seconds=1):
            last = state
        error = error_of(last)
        if error is not None and raise_on_failure:
            raise error
        return last


async def _just(operation: Operation) -> AsyncGenerator[Operation, None]:
    yield operation


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
