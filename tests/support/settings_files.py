"""Settings files for tests: written, loaded, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from milvus_backup_server.domain.errors import InvalidSettings
from milvus_backup_server.settings import Loaded, assignments, load

NO_ENVIRONMENT: Mapping[str, str] = {}


def read(
    folder: Path,
    text: str,
    environ: Mapping[str, str] = NO_ENVIRONMENT,
    sets: Sequence[str] = (),
) -> Loaded:
    """Load a file with this text, as it is, from a folder."""
    path = folder / "backup.yaml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), assignments(sets), environ)


def read_v2(
    folder: Path,
    text: str = "",
    environ: Mapping[str, str] = NO_ENVIRONMENT,
    sets: Sequence[str] = (),
) -> Loaded:
    """Load a file of v2; its first line is the version."""
    return read(folder, f"configVersion: v2\n{text}", environ, sets)


def faults(
    folder: Path,
    text: str,
    environ: Mapping[str, str] = NO_ENVIRONMENT,
    sets: Sequence[str] = (),
) -> dict[str, str]:
    """Return the faults of a file with this text by what they are about."""
    with pytest.raises(InvalidSettings) as caught:
        read(folder, text, environ, sets)
    return {fault.field: fault.description for fault in caught.value.violations}


def faults_v2(
    folder: Path,
    text: str,
    environ: Mapping[str, str] = NO_ENVIRONMENT,
    sets: Sequence[str] = (),
) -> dict[str, str]:
    """Return the faults of a file of v2."""
    return faults(folder, f"configVersion: v2\n{text}", environ, sets)
