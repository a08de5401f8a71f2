"""What the log of a service of our own tells: JSON lines, and plain ones from before there is a log."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from milvus_backup_client.cli.exits import ExitCode, SettingsFailure, StartFailure

# What precedes the faults that the service tells before it has a log.
_SPEAKERS = ("milvus-backup server: ", "Error: ")
_WITHOUT_EFFECT = "accepted, no effect"
# Where a service of our own listens is not up to the settings.
_LISTENING = re.compile(r"\bservice\.(grpc|http)\.")


class ServiceLog:
    """The log of one service.

    Args:
        file: Where it is written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def warnings(self, shown_by: str) -> Iterator[str]:
        """Yield what the service warned of when it started.

        A file that was written for the Go tool may have many settings without effect here: they
        are one line together.

        Args:
            shown_by: The command that shows them.
        """
        without_effect = 0
        for warning in self._start_warnings():
            if warning.startswith(_WITHOUT_EFFECT):
                without_effect += 1
            else:
                yield warning
        if without_effect:
            yield f"{without_effect} settings have no effect; see: {shown_by}"

    def _start_warnings(self) -> Iterator[str]:
        entries = (_entry(line) for line in self._lines())
        warnings = (str(entry.get("warning", "")) for entry in entries)
        return (found for found in warnings if found and not _LISTENING.search(found))

    def last(self) -> str:
        """Return the last line, as far as it is meant for people."""
        lines = self._lines()
        if not lines:
            return "its log is empty"
        entry = _entry(lines[-1])
        return str(entry.get("event", lines[-1]))

    def start_failure(self, code: int) -> StartFailure:
        """Return why a service did not start.

        Args:
            code: Its exit code: with USAGE it has told the faults of its settings, a line each.
        """
        faults = [_plain(line) for line in self._lines() if not _entry(line)]
        if code == ExitCode.USAGE and faults:
            return SettingsFailure(*faults)
        return StartFailure(f"the service did not start: {_plain(self.last())}")

    def keep(self) -> Path:
        """Copy the log to where it stays, and return that place."""
        number, name = tempfile.mkstemp(prefix="milvus-backup-", suffix=".log")
        os.close(number)
        shutil.copyfile(self._file, name)
        return Path(name)

    def _lines(self) -> list[str]:
        text = self._file.read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines() if line.strip()]


def _entry(line: str) -> dict[str, Any]:
    """Return a line of the log as what it tells; nothing if it is none of the service's."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _plain(line: str) -> str:
    for speaker in _SPEAKERS:
        line = line.removeprefix(speaker)
    return line
