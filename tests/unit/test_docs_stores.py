"""The settings that docs/stores.md shows are good ones."""

import re
from pathlib import Path

import pytest

from milvus_backup_server.settings import load
from tests.support.policies import PAGE, identities

BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS)
def test_settings(tmp_path: Path, text: str) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.touch()
    file = tmp_path / "backup.yaml"
    file.write_text(text.replace("/etc/ssl/certs/ca-certificates.crt", str(certificates)))
    assert load(str(file), environ={}).warnings == ()


def test_policies() -> None:
    rights = {login.access_key: login.actions for login in identities("m", "b")}
    assert rights["backup-apart"] == ("List:b", "Read:b/backup/*", "Write:b/backup/*")
    assert set(rights["milvus"]) - set(rights["milvus-apart"]) == {"Read:b/backup/*"}
