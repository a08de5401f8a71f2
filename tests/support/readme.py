"""The console sessions of the README: their commands, and what stands under them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parents[2] / "README.md"
OPERATION = re.compile(r"\d{8}t\d{6}_[0-9a-f]{8}")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What the command line writes to standard error; how often differs from run to run.
_PROGRESS = re.compile(
    r"^(\w+ backup \w+: operation .*|(planning|flushing|listing|copying|checking|writing metadata|verifying"
    r"|staging|importing|finishing|deleting|succeeded)\b.*)\n",
    re.MULTILINE,
)
_HEADING = re.compile(r"^##+ (.*)\n", re.MULTILINE)


class Step(NamedTuple):
    """A command of a console session and the output under it."""

    command: str
    output: str


def block(heading: str, language: str) -> str:
    """Return the first code block of a language under a heading of the README."""
    parts = _HEADING.split(README.read_text(encoding="utf-8"))
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = re.search(rf"```{language}\n(.*?)```", sections[heading], re.DOTALL)
    assert found, f"no {language} block under {heading!r}"
    return found[1]


def steps(session: str) -> Iterator[Step]:
    """Yield the steps of a console session."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(n for n in range(1, len(lines) + 1) if _is_whole("".join(lines[:n])))
        yield Step("".join(lines[:end]).rstrip(), "".join(lines[end:]))


def alike(text: str) -> str:
    """Make alike what differs from run to run: ids, times, sizes, counts of changes."""
    text = _UUID.sub("id", OPERATION.sub("id", text))
    return re.sub(r"\d+", "0", text).strip()


def assert_shown(heading: str, seen: Mapping[str, Sequence[str]]) -> None:
    """Assert that a console session shows only commands that were run and outputs that were seen.

    Args:
        heading: Of the README.
        seen: The outputs of each command, by the command made `alike`. A README may leave out
            the middle or the end of one, as "...", and show lines of progress between the others.
    """
    for step in steps(block(heading, "console")):
        outputs = seen.get(alike(step.command), [])
        assert outputs, f"not run: {step.command}"
        shown = _PROGRESS.sub("", step.output)
        assert any(_shows(shown, output) for output in outputs), f"{step}\n{outputs}"


def _shows(shown: str, output: str) -> bool:
    shown, output = alike(shown), alike(output)
    head, left_out, tail = shown.partition("...")
    if left_out:
        return output.startswith(head.rstrip()) and output.endswith(tail.lstrip())
    return shown == output


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:  # a quotation goes on in the next line
        return False
    return not command.endswith("\\\n")
