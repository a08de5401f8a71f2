"""What a translation of settings gives: rows of configuration v2, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import TypeAdapter, ValidationError

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.settings.sources import Given
from milvus_backup_server.settings.v1 import V1Key

_BOOLEAN: Final = TypeAdapter(bool)

Values = Mapping[V1Key, Given]
"""What was given for each setting of v1."""


@dataclass(slots=True)
class Translation:
    """Settings of v2 by lower-case key, and what is to be said of how they came about.

    Attributes:
        rows: The settings.
        notes: What became of those that have no simple counterpart.
        useless: Logins that do not apply to their store, as v1 left them aside too.
        faults: What cannot be translated.
    """

    rows: dict[str, Given] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    useless: list[Given] = field(default_factory=list)
    faults: list[FieldViolation] = field(default_factory=list)

    def put(self, target: str, row: Given, value: object = None) -> None:
        """Set a key of v2 as somebody gave it in v1, or to what that means now."""
        self.rows[target.lower()] = row if value is None else replace(row, value=value)

    def boolean(self, row: Given | None) -> bool:
        """Return what a row says; no if there is none or it says something else."""
        if row is None:
            return False
        try:
            return _BOOLEAN.validate_python(row.value)
        except ValidationError:
            fault = f"expected true or false ({row.origin})"
            self.faults.append(FieldViolation(row.key, fault))
            return False


def text_of(values: Values, key: V1Key) -> str:
    """Return what was given for a setting of v1 as text; empty if nothing was."""
    return str(values[key].value) if key in values else ""
