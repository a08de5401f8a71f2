"""An operation begun, followed to its end and told of, from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from milvus_backup.v1.operation_pb2 import (
    OPERATION_KIND_CREATE_BACKUP,
    OPERATION_KIND_DELETE_BACKUP,
    OPERATION_KIND_IMPORT_BACKUP,
    OPERATION_KIND_RESTORE_BACKUP,
    OPERATION_STATE_CANCELLED,
    Operation,
)
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.outcomes import (
    error_line,
    exit_code,
    failed_collection_lines,
    warning_lines,
)
from milvus_backup_client.cli.plans import plan_lines
from milvus_backup_client.cli.session import Session
from milvus_backup_client.cli.swept import swept_lines
from milvus_backup_client.cli.texts import duration_seconds
from milvus_backup_client.cli.verified import problem_lines, verified_lines
from milvus_backup_client.cli.watching import cancel_and_watch, left_over, watch_to_its_end
from milvus_backup_client.errors import BackupServiceError
from milvus_backup_client.operations import error_of, is_final

# What scripts for the Go tool look for; the last is ours.
_SUCCESS = {
    OPERATION_KIND_CREATE_BACKUP: "create backup success",
    OPERATION_KIND_DELETE_BACKUP: "delete backup done",
    OPERATION_KIND_IMPORT_BACKUP: "import backup success",
}
_TIMED = {OPERATION_KIND_CREATE_BACKUP, OPERATION_KIND_RESTORE_BACKUP}


async def start(
    session: Session,
    call: Coroutine[Any, Any, Operation],
    *,
    detach: bool = False,
    tell_name: bool = False,
) -> ExitCode:
    """Begin an operation and follow it to its end.

    Args:
        session: The run of the command.
        call: Begins the operation.
        detach: Do not follow it; tell its name.
        tell_name: The service made the backup's name.
    """
    begun = asyncio.ensure_future(call)
    try:
        operation = await asyncio.shield(begun)
    except asyncio.CancelledError:
        if session.service.own is None:
            where = session.command("operations")
            session.note(f"Left. Whether the operation began is not known; see: {where}")
            raise
        return conclude(session, await cancel_and_watch(session, await begun))
    if tell_name and not session.json and not detach:
        session.say(f"backup name: {operation.backup_name}")
    if is_final(operation):  # only a plan was asked for, or the same request_id came before
        return conclude(session, operation)
    if detach:
        return _detached(session, operation)
    return conclude(session, await watch_to_its_end(session, operation))


def conclude(session: Session, operation: Operation) -> ExitCode:
    """Tell how an operation ended, in the Go tool's words where it has some."""
    if session.json:
        session.say_message(operation)
    lines = (
        *warning_lines(operation),
        *problem_lines(operation),
        *failed_collection_lines(operation),
    )
    for line in lines:
        session.note(line)
    planned = [] if session.json else list(plan_lines(operation))
    for line in planned:  # also of what something stands in the way
        session.say(line)
    code = outcome(session, operation)
    if code is ExitCode.OK and not session.json and not planned:
        _success(session, operation)
    return code


def outcome(session: Session, operation: Operation) -> ExitCode:
    """Return the exit code of an operation that has ended; a failure is told in one line."""
    error: BackupServiceError | None = error_of(operation)
    if error is None:
        return ExitCode.OK
    session.note(error_line(error, session.service.title))
    if operation.state == OPERATION_STATE_CANCELLED and not session.json:
        session.note(_remains(session, operation))
    return exit_code(error)


def _remains(session: Session, operation: Operation) -> str:
    if operation.kind == OPERATION_KIND_DELETE_BACKUP:
        return left_over(session, operation)
    if operation.warning_count:
        return "What remains is in the warnings."
    return "Nothing of it remains."


def _success(session: Session, operation: Operation) -> None:
    told = [*verified_lines(operation), *swept_lines(operation)]
    for line in told:
        session.say(line)
    if told:
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
