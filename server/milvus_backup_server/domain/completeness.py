"""The one rule that tells whether a backup is complete."""

from __future__ import annotations

from collections.abc import Collection

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.layout import CLAIM, FULL_META, LEVEL_FILES, manifest_generation


def backup_state(meta_files: Collection[str]) -> tuple[BackupState, str]:
    """Decide from the names of the files that stand in ``meta/``.

    ``full_meta.json`` is written last and removed first, so where it stands the backup is complete.
    Without it, the
    four level files make a backup of an early Go tool, but only if nothing of ours stands beside
    them: then it is a backup of ours that did not get that far.

    Returns:
        COMPLETE, LEGACY or INCOMPLETE, and a sentence why, empty for COMPLETE.
    """
    if FULL_META in meta_files:
        return BackupState.COMPLETE, ""
    ours = CLAIM in meta_files or any(manifest_generation(file) is not None for file in meta_files)
    if ours:
        return BackupState.INCOMPLETE, (
            "a create or delete ended before its time: full_meta.json is not there"
        )
    missing = [file for file in LEVEL_FILES if file not in meta_files]
    if not missing:
        return BackupState.LEGACY, (
            "full_meta.json is not there: read from the four level files, as written by early "
            "versions of the Go tool"
        )
    return BackupState.INCOMPLETE, f"full_meta.json and {', '.join(missing)} are not there"
