"""The command line of the server: what it refuses, in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from milvus_backup_server.__main__ import server_command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grpc-port", "70000"], ["--grpc-port: expected at most 65535 (command line)"]),
        (["--host", "http://x"], ["--host: expected a host name or address alone"]),
        (["-p", "https"], ["--port: expected a whole number (command line)"]),
        (["--port", "70000"], ["--port: expected at most 65535 (command line)"]),
        (["--set", "log.level=loud"], ["log.level: expected one of"]),
        (["--set", "log.level"], ["--set: expected KEY=VALUE"]),
        (
            ["--set", "milvus.grpc.port=1", "--config", "bad.yaml"],
            ["log.level: expected one of"],
        ),
        (["--config", "gone.yaml"], ["--config: no such file: gone.yaml, configs/gone.yaml"]),
        (
            ["--config", "bad.yaml"],
            ["log.level: expected one of", "milvus.grpc.port: expected at least 1 (bad.yaml line"],
        ),
    ],
    ids=[
        "grpc port",
        "host",
        "no port",
        "http port",
        "set",
        "no value",
        "set and file",
        "file",
        "settings",
    ],
)
def test_faults_are_one_line_each(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "configVersion: v2\nlog: {level: loud}\nmilvus: {grpc: {port: 0}}\n"
    (tmp_path / "bad.yaml").write_text(text)
    assert server_command(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for line, part in zip(err.splitlines(), said, strict=True):
        assert line.startswith(f"milvus-backup server: {part}")


def test_unknown_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        server_command(["--grpc-prot", "1"])
    assert "--grpc-prot" in capsys.readouterr().err
