"""The commands about operations and the service: watch, cancel, operations, check."""

from __future__ import annotations

import click

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.operation_service_pb2 import ListOperationsResponse
from milvus_backup.v1.server_service_pb2 import (
    CHECK_STATE_FAILED,
    CheckItem,
    CheckState,
)
from milvus_backup_client.cli.displays import JsonLines
from milvus_backup_client.cli.follow import conclude, follow, outcome
from milvus_backup_client.cli.outcomes import ExitCode
from milvus_backup_client.cli.session import Session, service_command
from milvus_backup_client.cli.texts import enum_text, state_text, time_text, title
from milvus_backup_client.errors import from_status


@click.command()
@click.argument("operation")
@service_command
async def watch(session: Session, *, operation: str) -> ExitCode:
    """Follow an operation to its end. JSON is one line for each change."""
    if session.json:
        return await follow(session, operation, JsonLines(session.say), outcome)
    return await follow(session, operation, session.display(), conclude)


@click.command()
@click.argument("operation")
@service_command
async def cancel(session: Session, *, operation: str) -> ExitCode:
    """Ask an operation to stop and to remove what it made. Does not wait for that."""
    state = await session.client.cancel_operation(operation)
    if session.json:
        session.say_message(state)
    else:
        session.say(f"{operation}: {state_text(state)}")
    return ExitCode.OK


@click.command()
@click.option("-n", "--name", default="", help="Only those of this backup.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, the newest first.",
)
@service_command
async def operations(session: Session, *, name: str, limit: int) -> ExitCode:
    """List the operations that the service knows."""
    found: list[Operation] = []
    async for operation in session.client.list_operations(
        backup_name=name, page_size=min(limit, 50)
    ):
        found.append(operation)
        if len(found) == limit:
            break
    if session.json:
        session.say_message(ListOperationsResponse(operations=found))
        return ExitCode.OK
    width = max((len(operation.name) for operation in found), default=0)
    for operation in found:
        session.say(
            f"{operation.name:<{width}}  {time_text(operation.create_time)}  "
            f"{state_text(operation):<19}  {title(operation)}"
        )
    return ExitCode.OK


@click.command()
@service_command
async def check(session: Session) -> ExitCode:
    """Let the service try Milvus and its stores. Writes a probe object and removes it."""
    found = await session.client.check()
    if session.json:
        session.say_message(found)
    else:
        for item in found.items:
            session.say(_check_line(item))
    if found.ok:
        return ExitCode.OK
    failed = sum(item.state == CHECK_STATE_FAILED for item in found.items)
    session.note(f"Error: {failed} of {len(found.items)} checks failed")
    return ExitCode.FAILED


def _check_line(item: CheckItem) -> str:
    state = enum_text(CheckState.DESCRIPTOR, item.state)
    text = str(from_status(item.error)) if item.HasField("error") else item.message
    return f"{state:<8} {item.name:<21} {text}".rstrip()
