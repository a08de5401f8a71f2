"""What a backup must be that is restored, exported or verified."""

import pytest

from milvus_backup_server.domain.backups import Backup, BackupFormat, BackupState
from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.service.checks import require_restorable


@pytest.mark.parametrize("state", [BackupState.COMPLETE, BackupState.LEGACY])
def test_a_whole_backup_can_be_restored(state: BackupState) -> None:
    require_restorable(Backup("b", state, format=BackupFormat.BINLOG))


@pytest.mark.parametrize(
    ("backup", "message"),
    [
        (Backup("b", BackupState.DELETING), "backup 'b' is deleting: it must be complete"),
        (
            Backup("b", BackupState.INCOMPLETE, notes=("no full_meta.json", "and more")),
            "backup 'b' is incomplete: no full_meta.json; and more",
        ),
    ],
)
def test_another_one_is_refused_with_the_reason(backup: Backup, message: str) -> None:
    with pytest.raises(BackupNotRestorable) as caught:
        require_restorable(backup)
    assert caught.value.message == message
