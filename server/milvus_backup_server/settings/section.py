"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

_SPELLINGS: Final = (("Ssl", "SSL"), ("Mib", "MiB"), ("KeyId", "KeyID"), ("Gc", "GC"))


def _key(name: str) -> str:
    """Return the key of a field, spelled as the Go tool spells such keys."""
    camel = to_camel(name)
    for plain, spelled in _SPELLINGS:
        camel = camel.replace(plain, spelled)
    return camel


class Section(BaseModel):
    """Part of the settings. Never changes; its texts show no secret."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_key,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
    )
