"""Settings of configuration v1 turned into those of v2, each still naming where it came from.

Source of the rules: what the Go tool does with files of v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.settings.sources import Given, Rows, Source, from_variable
from milvus_backup_server.settings.translation import Translation, Values, text_of
from milvus_backup_server.settings.v1 import (
    BACKUP_ROOT_PATH,
    CROSS_STORAGE,
    RETIRED,
    ROOT_PATH,
    TLS_CERTIFICATE,
    TLS_KEY,
    TLS_MODE,
    V1_KEYS,
    V1Key,
)
from milvus_backup_server.settings.v1_stores import translate_stores

_TLS_MODES: Final = {"0": "disabled", "1": "server", "2": "mutual"}
_ROOT_PATH_OF_MILVUS: Final = "files"


def collect(file: Rows, environ: Mapping[str, str], overrides: Rows) -> dict[V1Key, Given]:
    """Return what was given: command line over environment over file."""
    found = {}
    for key in V1_KEYS:
        names = (*key.keys, key.variable)
        row = _first(overrides, names)
        if row is None and key.variable in environ:
            row = from_variable(key.variable, key.name, environ)
        row = row or _first(file, key.keys)
        if row is not None:
            found[key] = row
    return found


def translate(values: Values) -> Translation:
    """Return the settings of v2 that mean the same."""
    made = Translation()
    for key, row in values.items():
        if key.renamed:
            made.put(key.target, row)
    _translate_tls(values, made)
    _translate_cross_storage(values, made)
    translate_stores(values, made)
    _inherit_root_path(values, made)
    return made


def retired(file: Rows) -> list[tuple[Given, str]]:
    """Return the keys of a file that mean nothing any more, and why."""
    reasons = {name.lower(): reason for name, reason in RETIRED.items()}
    return [(row, reasons[key]) for key, row in file.items() if key in reasons]


def _first(rows: Rows, names: tuple[str, ...]) -> Given | None:
    return next((rows[name.lower()] for name in names if name.lower() in rows), None)


def _translate_tls(values: Values, made: Translation) -> None:
    row = values.get(TLS_MODE)
    if row is None:
        return
    mode = _TLS_MODES.get(str(row.value).strip())
    if mode is None:
        fault = (
            "expected 0 (no TLS), 1 (check Milvus's certificate) or 2 (show one of our own, too)"
        )
        made.faults.append(FieldViolation(row.key, f"{fault} ({row.origin})"))
        return
    if mode == "mutual" and not (text_of(values, TLS_CERTIFICATE) and text_of(values, TLS_KEY)):
        mode = "server"
        made.notes.append(
            f"{TLS_MODE.name} 2 is taken as 1: {TLS_CERTIFICATE.name} and {TLS_KEY.name} are not "
            "both set"
        )
    made.put(TLS_MODE.target, row, mode)


def _translate_cross_storage(values: Values, made: Translation) -> None:
    row = values.get(CROSS_STORAGE)
    if row is not None:
        made.put(CROSS_STORAGE.target, row, "streaming" if made.boolean(row) else "auto")


def _inherit_root_path(values: Values, made: Translation) -> None:
    """Put backups where v1 puts them: an unset root path is that of Milvus, and only then a name."""
    if BACKUP_ROOT_PATH in values:
        return
    row = values.get(ROOT_PATH)
    if row is None:
        origin = f"default of {ROOT_PATH.name}"
        row = Given(ROOT_PATH.name, _ROOT_PATH_OF_MILVUS, origin, Source.DEFAULT)
    if row.value != "":
        made.put(BACKUP_ROOT_PATH.target, replace(row, inherited=True))
