"""The `jq` lines of docs/output.md, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout

from oci_push.runtime.phases import PHASES

PAGE = (Path(__file__).parents[2] / "docs/output.md").read_text(encoding="utf-8")
LINES = [
    line.replace("\n", " ")
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in re.sub(r"(?m)^#.*\n", "", block).replace("|\n", "| ").strip().splitlines()
]


@pytest.mark.parametrize("line", LINES)
def test_lines_of_the_page_print_what_they_say(line: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1), layer(2))
    with Sandbox() as sandbox:
        check(line, sandbox, tmp_path)


def check(line: str, sandbox: Sandbox, folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/oci-push").write_text(f'#!/bin/sh\nexec {sys.executable} -m oci_push "$@" --no-memory\n')
    (folder / "bin/oci-push").chmod(0o755)
    line = line.replace("registry.example.com", sandbox.address)
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=True)
    digest = json.loads((folder / "image/index.json").read_text())["manifests"][0]["digest"]
    name = f"{sandbox.address}/app"
    sent = sum(request.received_bytes for request in sandbox.traffic.requests if "/blobs/" in request.path)
    expected = {
        "cut": f"{digest}\n",
        "repository)@": f"{name}@{digest}\n",
        "bytes_sent": f"{sent}\n",
        "select(.error)": "",
        "totals.retries": "0\n",
        "tag_done": f"{name}:1 {digest}\n",
    }
    if "totals.phases" in line:
        assert json.loads(done.stdout) in PHASES
        return
    assert done.stdout == next(text for sign, text in expected.items() if sign in line)
