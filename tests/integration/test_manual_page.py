"""The manual page as groff sees it, which is installed where this runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from program import program


def test_groff_finds_nothing_wrong_with_the_manual_page(tmp_path: Path) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"],
        input=program("man", cwd=tmp_path).stdout,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    assert "--all-or-nothing" in shown
    assert "match('${{CF_BRANCH}}', '^release/', false)" in shown
