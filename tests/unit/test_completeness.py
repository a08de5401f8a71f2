"""The one rule that tells whether a backup is complete."""

from collections.abc import Sequence

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.completeness import backup_state

LEVELS = ("backup_meta.json", "collection_meta.json", "partition_meta.json", "segment_meta.json")
FULL = "full_meta.json"
CLAIM = "claim.json"
HEAD = "manifest.1.json"
STOPPED = "a create or delete ended before its time: full_meta.json is not there"


@pytest.mark.parametrize(
    ("files", "state", "why"),
    [
        ([*LEVELS, FULL], BackupState.COMPLETE, ""),
        ([FULL], BackupState.COMPLETE, ""),
        ([*LEVELS, FULL, CLAIM, HEAD], BackupState.COMPLETE, ""),
        (LEVELS, BackupState.LEGACY, "full_meta.json is not there: read from the four level files"),
        ([*LEVELS, "channel_cp_meta.json"], BackupState.LEGACY, "full_meta.json is not there"),
        ([*LEVELS, CLAIM], BackupState.INCOMPLETE, STOPPED),
        ([*LEVELS, HEAD], BackupState.INCOMPLETE, STOPPED),
        ([*LEVELS, "manifest.7.json"], BackupState.INCOMPLETE, STOPPED),
        ([CLAIM], BackupState.INCOMPLETE, STOPPED),
        (LEVELS[:3], BackupState.INCOMPLETE, "full_meta.json and segment_meta.json are not there"),
        (LEVELS[1:], BackupState.INCOMPLETE, "full_meta.json and backup_meta.json are not there"),
        ([LEVELS[0]], BackupState.INCOMPLETE, "collection_meta.json, partition_meta.json"),
        ([], BackupState.INCOMPLETE, "are not there"),
        (["Full_Meta.json", *LEVELS[1:]], BackupState.INCOMPLETE, "are not there"),
    ],
)
def test_the_files_in_meta_decide(files: Sequence[str], state: BackupState, why: str) -> None:
    found, reason = backup_state(files)
    assert found is state
    assert why in reason
    assert bool(reason) == (state is not BackupState.COMPLETE)


def test_whatever_is_missing_of_ours_it_is_not_complete_without_the_full_file() -> None:
    ours = (*LEVELS, CLAIM, HEAD, "manifest.1.collections.jsonl", "manifest.1/42.jsonl")
    for number in range(len(ours) + 1):
        written, left = ours[:number], ours[number:]
        assert backup_state([CLAIM, *written])[0] is BackupState.INCOMPLETE
        assert backup_state([CLAIM, *left])[0] is BackupState.INCOMPLETE
