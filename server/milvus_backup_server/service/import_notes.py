"""What is written down of the imports into one collection: some in each file, so that a note rewrites few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from milvus_backup_server.domain.restore_journal import ImportEntry, ImportsFile, TargetEntry

IMPORTS_IN_FILE: Final = 32
"""More make each note longer, fewer make more files to read on a resume."""

ImportFiles = Mapping[int, Iterable[ImportEntry]]
"""Entries by the number of the file that they stand in."""


class ImportNotes:
    """The imports into one collection, in the order in which they were noted first.

    An entry stays in the file in which it was written first: a file of a later attempt hides the one of
    the same number, whichever of them the attempt came to write.

    Args:
        files: What an earlier run wrote.

    Attributes:
        unwritten: Numbers of files that are to be written: of this attempt, also those of earlier ones.
        in_target: Whether the entries stand in the file of the collection, as in format version 1.
    """

    def __init__(self, files: ImportFiles | None = None) -> None:
        self._files: dict[int, dict[tuple[str, str], ImportEntry]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._last = 0
        self.in_target = False
        for number in sorted(files or {}):
            for entry in (files or {})[number]:
                self._put(number, entry)
        self.unwritten = set(self._files)

    @classmethod
    def read(cls, target: TargetEntry, files: ImportFiles | None) -> ImportNotes:
        """Return what an earlier run noted of a collection; files do not count beside version 1."""
        if not target.imports:
            return cls(files)
        notes = cls()
        for entry in target.imports:
            notes.note(entry)
        notes.in_target = True
        return notes

    def entries(self) -> tuple[ImportEntry, ...]:
        """Return all of them."""
        return tuple(chain.from_iterable(self._files[it].values() for it in sorted(self._files)))

    def note(self, entry: ImportEntry) -> None:
        """Take down what is known now of an import."""
        number = self._numbers.get(entry.identity)
        if number is None:
            number = self._last
            if len(self._files.get(number, ())) >= IMPORTS_IN_FILE:
                number += 1
        self._put(number, entry)
        self.unwritten.add(number)

    def forget(self, entry: ImportEntry) -> None:
        """Take an import as never noted."""
        number = self._numbers.pop(entry.identity, None)
        if number is not None:
            del self._files[number][entry.identity]
            self.unwritten.add(number)

    def file(self, number: int) -> ImportsFile:
        """Return what a file is to hold."""
        return ImportsFile(imports=tuple(self._files[number].values()))

    def _put(self, number: int, entry: ImportEntry) -> None:
        self._files.setdefault(number, {})[entry.identity] = entry
        self._numbers[entry.identity] = number
        self._last = max(self._last, number)
