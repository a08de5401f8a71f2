"""What ``--set KEY=VALUE`` sets.

The Go tool reads each argument as one line of CSV, so that a comma begins another setting unless all
is in quotes. Here a comma does so only where a name that is known and an equals sign follow it: a
value may hold commas as it is, and every argument that the Go tool understood means the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings
from milvus_backup_server.settings.keys import KEYS, VARIABLES
from milvus_backup_server.settings.sources import Given
from milvus_backup_server.settings.v1 import V1_NAMES

OPTION: Final = "--set"
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"(?:,|$)')
_NAMES: Final = frozenset({*KEYS, *(name.lower() for name in VARIABLES), *V1_NAMES})


def assignments(texts: Sequence[str]) -> dict[str, Given]:
    """Return what ``--set`` sets, by lower-case name; of a name that comes twice the last counts.

    Args:
        texts: The arguments, each ``KEY=VALUE`` or several with commas between them. A key is a key
            of the settings file or an environment variable.

    Raises:
        InvalidSettings: One has no equals sign or no key.
    """
    fields = [field for text in texts for field in _fields(text)]
    # A field without a key may be a part of a password: it is not shown.
    if any(not _name(field) for field in fields):
        raise InvalidSettings(FieldViolation(OPTION, "expected KEY=VALUE"))
    return {_name(field): _given(field) for field in fields}


def _given(field: str) -> Given:
    key, _, value = field.partition("=")
    return Given(key.strip(), value, OPTION)


def _name(field: str) -> str:
    """Return the lower-case key of a field; empty if it has none."""
    key, equals, _ = field.partition("=")
    return key.strip().lower() if equals else ""


def _fields(text: str) -> Iterator[str]:
    while text:
        if quoted := _QUOTED.match(text):
            yield quoted[1].replace('""', '"')
            text = text[quoted.end() :]
        else:
            end = _end(text)
            yield text[:end]
            text = text[end + 1 :]


def _end(text: str) -> int:
    """Return where the first field ends: at the first comma before a known name."""
    commas = (match.start() for match in re.finditer(",", text))
    return next((comma for comma in commas if _begins_field(text[comma + 1 :])), len(text))


def _begins_field(text: str) -> bool:
    return _name(text.removeprefix('"')) in _NAMES
