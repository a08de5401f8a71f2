"""An operation shown until its end, and what Ctrl-C does meanwhile.

It leaves alone the operation of a service at an address. A service that was started for the command
ends with the command: there Ctrl-C cancels the operation and waits until it has cleaned up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from milvus_backup.v1.operation_pb2 import (
    OPERATION_KIND_CREATE_BACKUP,
    OPERATION_KIND_DELETE_BACKUP,
    Operation,
)
from milvus_backup_client.cli.displays import Display
from milvus_backup_client.cli.options import place_words
from milvus_backup_client.cli.session import Session
from milvus_backup_client.errors import OperationEnded, Unavailable
from milvus_backup_client.operations import name_of


async def watch_to_its_end(
    session: Session, operation: Operation | str, *, json_lines: bool = False
) -> Operation:
    """Show an operation until it has ended, and return its last state.

    Args:
        session: The run of the command.
        operation: By name, if the service is at an address, or as a message.
        json_lines: With JSON, show each state as a line of it.
    """
    display = session.display(json_lines=json_lines)
    try:
        return await _shown(session, operation, display)
    except asyncio.CancelledError:
        if isinstance(operation, Operation) and session.service.own is not None:
            return await cancel_and_watch(session, operation, display)
        _how_to_go_on(session, operation, "Left; the operation goes on in the service.")
        raise
    except Unavailable:
        if session.service.own is None:
            _how_to_go_on(session, operation, "Lost; the operation goes on if the service does.")
        raise


async def cancel_and_watch(
    session: Session, operation: Operation, display: Display | None = None
) -> Operation:
    """Cancel an operation of a service of our own after Ctrl-C, and return its last state.

    Args:
        session: The run of the command.
        operation: The operation.
        display: What showed it so far; default: a new one.
    """
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()  # the command goes on
    session.note("Cancelling, and removing what was made; Ctrl-C again ends it at once.")
    try:
        with suppress(OperationEnded):
            await session.client.cancel_operation(operation)
        return await _shown(session, operation, display or session.display())
    except (asyncio.CancelledError, KeyboardInterrupt):
        session.note(f"Ended at once. {left_over(session, operation)}")
        raise


def left_over(session: Session, operation: Operation) -> str:
    """Return what remains of an operation that did not come to its end, as a sentence."""
    words = place_words(operation.place if operation.HasField("place") else None)
    removed_by = session.command("delete", "-n", operation.backup_name, *words)
    if operation.kind == OPERATION_KIND_DELETE_BACKUP:
        return f"A part of backup {operation.backup_name} may remain; {removed_by} removes it."
    if operation.kind == OPERATION_KIND_CREATE_BACKUP:
        return f"An incomplete backup may remain; {removed_by} removes it."
    return (
        f"Collections and staged objects may remain in Milvus and its bucket; "
        f"their names have {operation.name} in them."
    )


async def _shown(session: Session, operation: Operation | str, display: Display) -> Operation:
    last = Operation()
    with display:
        async for state in session.client.watch(operation):
            display.show(state)
            last = state
    return last


def _how_to_go_on(session: Session, operation: Operation | str, what: str) -> None:
    name = name_of(operation)
    session.note(what)
    session.note(f"  watch it:  {session.command('watch', name)}")
    session.note(f"  cancel it: {session.command('cancel', name)}")
