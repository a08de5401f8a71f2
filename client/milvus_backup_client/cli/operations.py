"""The commands about operations: watch, cancel, resume, retry, operations."""

from __future__ import annotations

from collections.abc import Sequence

import click

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.operation_service_pb2 import ListOperationsResponse
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.follow import conclude, outcome, start
from milvus_backup_client.cli.options import DETACH, REQUEST_ID
from milvus_backup_client.cli.session import Session, calling_service
from milvus_backup_client.cli.texts import state_text, time_text, title
from milvus_backup_client.cli.watching import watch_to_its_end
from milvus_backup_client.errors import BackupServiceError

_running_service_command = calling_service(running_only=True)


@click.command(cls=Command)
@click.argument("operation")
@_running_service_command
async def watch(session: Session, *, operation: str) -> ExitCode:
    """Follow an operation to its end.

    JSON is one line for each change. Ctrl-C leaves the operation running.
    """
    last = await watch_to_its_end(session, operation, json_lines=True)
    return outcome(session, last) if session.json else conclude(session, last)


@click.command(cls=Command)
@click.argument("operation")
@_running_service_command
async def cancel(session: Session, *, operation: str) -> ExitCode:
    """Ask an operation to stop and to remove what it made.

    Does not wait for that; watch does.
    """
    state = await session.client.cancel_operation(operation)
    if session.json:
        session.say_message(state)
    else:
        session.say(f"{operation}: {state_text(state)}")
    return ExitCode.OK


@click.command(cls=Command)
@click.argument("operation")
@DETACH
@calling_service()
async def resume(session: Session, *, operation: str, detach: bool) -> ExitCode:
    """Go on with an operation that was interrupted, and follow it to its end."""
    return await start(session, session.client.resume_operation(operation), detach=detach)


@click.command(cls=Command)
@click.argument("operation")
@REQUEST_ID
@DETACH
@calling_service()
async def retry(
    session: Session, *, operation: str, request_id: str | None, detach: bool
) -> ExitCode:
    """Do what an operation did not do, and follow that to its end.

    It is a new operation with the request of the old one. Of a restore it restores the targets that
    were not restored.
    """
    call = session.client.retry_operation(operation, request_id=request_id)
    return await start(session, call, detach=detach)


@click.command(cls=Command)
@click.option("-n", "--name", default="", help="Only those of this backup.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, the newest first.",
)
@calling_service()
async def operations(session: Session, *, name: str, limit: int) -> ExitCode:
    """List the operations on record, those of other services and of earlier ones too."""
    found: list[Operation] = []
    try:
        async for operation in session.client.list_operations(
            backup_name=name, page_size=min(limit, 50)
        ):
            found.append(operation)
            if len(found) == limit:
                break
    except BackupServiceError:  # such as for records that cannot be read
        if found:
            _show(session, found)
        raise
    _show(session, found)
    return ExitCode.OK


def _show(session: Session, found: Sequence[Operation]) -> None:
    if session.json:
        session.say_message(ListOperationsResponse(operations=found))
        return
    width = max((len(operation.name) for operation in found), default=0)
    for operation in found:
        session.say(
            f"{operation.name:<{width}}  {time_text(operation.create_time)}  "
            f"{state_text(operation):<19}  {title(operation)}"
        )
