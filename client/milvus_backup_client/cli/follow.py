"""An operation begun, followed and told of, from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from milvus_backup.v1.operation_pb2 import (
    OPERATION_KIND_CREATE_BACKUP,
    OPERATION_KIND_DELETE_BACKUP,
    OPERATION_KIND_RESTORE_BACKUP,
    Operation,
)
from milvus_backup_client.cli.displays import Display
from milvus_backup_client.cli.outcomes import (
    ExitCode,
    error_line,
    exit_code,
    failed_collection_lines,
    warning_lines,
)
from milvus_backup_client.cli.plans import plan_lines
from milvus_backup_client.cli.session import Session
from milvus_backup_client.cli.texts import duration_seconds
from milvus_backup_client.errors import BackupServiceError, Unavailable
from milvus_backup_client.operations import error_of, is_final

# What scripts for the Go tool look for.
_SUCCESS = {
    OPERATION_KIND_CREATE_BACKUP: "create backup success",
    OPERATION_KIND_DELETE_BACKUP: "delete backup done",
}
_TIMED = {OPERATION_KIND_CREATE_BACKUP, OPERATION_KIND_RESTORE_BACKUP}


async def start(
    session: Session, call: Coroutine[Any, Any, Operation], *, detach: bool = False
) -> ExitCode:
    """Begin an operation and follow it to its end.

    Args:
        session: The run of the command.
        call: Begins the operation.
        detach: Do not follow it; tell its name.
    """
    try:
        operation = await call
    except asyncio.CancelledError:
        session.note(
            f"Left. Whether the operation began is not known; see: {session.command('operations')}"
        )
        raise
    if is_final(operation):  # only a plan was asked for, or the same request_id came before
        return conclude(session, operation)
    if detach:
        return _detached(session, operation)
    return await follow(session, operation, session.display(), conclude)


async def follow(
    session: Session,
    operation: Operation | str,
    display: Display,
    conclusion: Callable[[Session, Operation], ExitCode],
) -> ExitCode:
    """Show an operation until it has ended.

    Args:
        session: The run of the command.
        operation: By name or as a message.
        display: Shows it.
        conclusion: Tells of its end.
    """
    name = operation if isinstance(operation, str) else operation.name
    last = Operation()
    try:
        with display:
            async for state in session.client.watch(operation):
                display.show(state)
                last = state
    except asyncio.CancelledError:
        _how_to_go_on(session, name, "Left; the operation goes on in the service.")
        raise
    except Unavailable:
        _how_to_go_on(session, name, "Lost; the operation goes on if the service does.")
        raise
    return conclusion(session, last)


def conclude(session: Session, operation: Operation) -> ExitCode:
    """Tell how an operation ended, in the Go tool's words where it has some."""
    if session.json:
        session.say_message(operation)
    for line in (*warning_lines(operation), *failed_collection_lines(operation)):
        session.note(line)
    code = outcome(session, operation)
    if code is ExitCode.OK and not session.json:
        _success(session, operation)
    return code


def outcome(session: Session, operation: Operation) -> ExitCode:
    """Return the exit code of an operation that has ended; a failure is told in one line."""
    error: BackupServiceError | None = error_of(operation)
    if error is None:
        return ExitCode.OK
    session.note(error_line(error, session.address))
    return exit_code(error)


def _success(session: Session, operation: Operation) -> None:
    planned = list(plan_lines(operation))
    for line in planned:
        session.say(line)
    if planned:
        return
    if operation.kind in _SUCCESS:
        session.say(_SUCCESS[operation.kind])
    if operation.kind in _TIMED:
        session.say(f"duration:{duration_seconds(operation):.2f} s")


def _detached(session: Session, operation: Operation) -> ExitCode:
    if session.json:
        session.say_message(operation)
    else:
        session.say(operation.name)
        session.note(f"watch it: {session.command('watch', operation.name)}")
    return ExitCode.OK


def _how_to_go_on(session: Session, name: str, what: str) -> None:
    session.note(what)
    session.note(f"  watch it:  {session.command('watch', name)}")
    session.note(f"  cancel it: {session.command('cancel', name)}")
