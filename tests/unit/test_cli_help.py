"""Help, shell completion, and how little both load."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from milvus_backup_client.cli.app import app
from milvus_backup_client.cli.commands import LazyCommand
from milvus_backup_client.cli.exits import EXIT_CODES, ExitCode
from tests.support.command_line import run

COMMANDS = {
    *("create", "list", "get", "restore", "verify", "delete", "export", "import"),
    *("watch", "operations", "resume", "retry", "sweep", "cancel", "check"),
    *("completion", "server", "config"),
}
# What a command of Python's needs to load a module that shall not be loaded.
LOADED = """
import sys
from milvus_backup_client.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"grpc", "google", "rich", "milvus_backup", "milvus_backup_server"} & set(sys.modules)
print(sorted(heavy), file=sys.stderr)
"""


LAZY = [command for command in app.commands.values() if isinstance(command, LazyCommand)]


async def test_the_help_tells_the_commands() -> None:
    done = await run("", "--help")
    assert done.exit_code == 0
    told = set(re.findall(r"^  ([a-z]+)  +[A-Z]", done.stdout, re.MULTILINE))
    assert told == COMMANDS


async def test_the_help_tells_the_exit_codes() -> None:
    done = await run("", "--help")
    told = [int(line.split()[0]) for line in EXIT_CODES.splitlines()[2:]]
    assert told == list(ExitCode) == [0, 1, 2, 3, 4, 5, 6, 130]
    assert "      6  the operation ended, some collections failed\n" in done.stdout


@pytest.mark.parametrize("command", LAZY, ids=lambda command: command.name)
async def test_the_list_of_commands_says_what_each_says_itself(command: LazyCommand) -> None:
    assert command.name is not None
    loaded = command.load()
    assert loaded.name == command.name
    assert loaded.get_short_help_str(200) == command.short_help
    done = await run("", command.name, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: milvus-backup {command.name} ")


@pytest.mark.parametrize("name", ["create", "restore", "verify", "get", "completion"])
async def test_the_examples_of_a_command_can_be_taken_apart(name: str) -> None:
    done = await run("", name, "--help")
    examples = done.stdout.partition("Examples:\n")[2].splitlines()
    assert examples
    for example in examples:
        program, command, *arguments = re.sub(" > .*", "", example).replace("'", "").split()
        assert (program, command) == ("milvus-backup", name)
        lazy = app.commands[name]
        with lazy.make_context(name, arguments, parent=click.Context(app)) as context:
            assert context.params


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["completion", "zsh"], []])
def test_help_loads_neither_grpc_nor_rich(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("milvus-backup re", {"restore", "resume", "retry"}),
        ("milvus-backup o", {"operations"}),
        (
            "milvus-backup restore --re",
            {"--rename", "--rebuild_index", "--request-id", "--replicas"},
        ),
        ("milvus-backup list --output ", {"text", "wide", "json"}),
        ("milvus-backup completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_a_shell_completes(typed: str, expected: set[str]) -> None:
    asked = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "_MILVUS_BACKUP_COMPLETE": "bash_complete",
    }
    program = "from milvus_backup_client.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=asked
    )
    assert done.stderr == ""
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_the_completion_of_a_shell(shell: str) -> None:
    done = await run("", "completion", shell)
    assert (done.stderr, done.exit_code) == ("", 0)
    assert f"_MILVUS_BACKUP_COMPLETE={shell}_complete" in done.stdout
    assert "milvus-backup" in done.stdout
