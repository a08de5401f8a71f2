"""The command `check`."""

from __future__ import annotations

import click

from milvus_backup.v1.server_service_pb2 import CHECK_STATE_FAILED, CheckItem, CheckState
from milvus_backup_client.cli.commands import Command
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.session import Session, service_command
from milvus_backup_client.cli.tables import table_lines
from milvus_backup_client.cli.texts import enum_text
from milvus_backup_client.errors import from_status


@click.command("check config", cls=Command)
def check_config() -> None:
    """Do nothing: the settings are looked at by `config show`."""
    click.echo("Warning: check config is deprecated, use config show", err=True)


@click.command(cls=Command, alternatives={"config": check_config})
@service_command
async def check(session: Session) -> ExitCode:
    """Try Milvus and both stores, and tell what a restore would do.

    Writes probe objects of its own into the stores and removes them; changes nothing else.
    Exit code 1 if something does not work.
    """
    found = await session.client.check()
    if session.json:
        session.say_message(found)
    else:
        for line in table_lines([("STATE", "CHECK", "FOUND"), *map(_row, found.items)]):
            session.say(line)
    if found.ok:
        if not session.json:
            session.say("Success!")
        return ExitCode.OK
    failed = sum(item.state == CHECK_STATE_FAILED for item in found.items)
    session.note(f"Error: {failed} of {len(found.items)} checks failed")
    return ExitCode.FAILED


def _row(item: CheckItem) -> tuple[str, str, str]:
    state = enum_text(CheckState.DESCRIPTOR, item.state)
    text = str(from_status(item.error)) if item.HasField("error") else item.message
    return state, item.name, " ".join(text.split())
