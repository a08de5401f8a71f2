"""Settings read and checked: the command line over the environment over a file over the defaults.

The only module that reads the environment of the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings.checks import concerns
from milvus_backup_server.settings.effects import without_effect
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.settings.resolution import V1, resolve
from milvus_backup_server.settings.sources import DEFAULT_FILE, Given, Rows
from milvus_backup_server.settings.validation import check, with_inherited

_NO_FILE: Final = (
    f"no settings file found ({DEFAULT_FILE}, also in $MILVUSCONF and ./configs): "
    "defaults are used; --config '' asks for none"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and how they came about.

    Attributes:
        settings: The settings.
        file: The file that was read, if there was one.
        warnings: What was given and has no effect, or is not wise.
        given: What was given, by lower-case key; of the rest the defaults hold.
    """

    settings: Settings
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    given: Rows = field(default_factory=dict)


def load(
    config: str | None = None,
    overrides: Mapping[str, Given] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read and check the settings.

    Args:
        config: The file; empty for none, None for ``backup.yaml`` if there is one.
        overrides: What the command line sets, by lower-case key or variable.
        environ: Instead of the environment of the process.

    Raises:
        InvalidSettings: With every fault: its key, what would be right, and where it came from.
    """
    resolved = resolve(config, overrides or {}, os.environ if environ is None else environ)
    given = with_inherited(resolved.rows)
    settings, faults, _ = check(given)
    if faults or resolved.faults:
        raise InvalidSettings(*resolved.faults, *faults, hints=tuple(resolved.unknown))
    ignored = [*resolved.warnings, *resolved.unknown]
    warnings = [*ignored, *without_effect(settings, given), *concerns(settings)]
    if resolved.file is None and config is None:
        warnings.insert(0, _NO_FILE)
    if resolved.version == V1:
        hint = "milvus-backup config migrate writes it anew"
        warnings.insert(0, f"{resolved.file} has the older form v1, which was translated; {hint}")
    return Loaded(settings, resolved.file, tuple(warnings), given)
