"""The session of the README on settings is run, word for word."""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from pathlib import Path

from tests.support.readme import block, steps


def test_the_session_on_settings(tmp_path: Path) -> None:
    session = list(steps(block("Settings", "console")))
    (tmp_path / "old.yaml").write_text(session[0].output, encoding="utf-8")
    exports = ""
    for step in session:
        scripts = shlex.quote(sysconfig.get_path("scripts"))
        run = subprocess.run(
            ["/bin/bash", "-c", f"PATH={scripts}:$PATH; {exports} {step.command}"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert run.stdout == step.output, step.command
        if step.command.startswith("export "):
            exports = f"{step.command};"
