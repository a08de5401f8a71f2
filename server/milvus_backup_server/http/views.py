"""What the models of our own routes share."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class View(BaseModel):
    """Base of the models: made from the values of the domain."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def name_of(value: object) -> object:
    """Return the name of an enum's member, and anything else as it is."""
    return value.name if isinstance(value, Enum) else value


def names(kind: type[Enum]) -> Any:
    """Return what tells the API document the names of an enum."""
    return Field(json_schema_extra={"enum": [item.name for item in kind]})
