"""A plan that asks, against distribution 2.8.2: nothing on its disk changes, and a push then does what was said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from images import LayoutWriter, config_of, noise
from program import program
from registries import DebianRegistry, Mode
from skopeo import Skopeo

from oci_push.model import media


def image(path: Path, *layers: bytes) -> str:
    writer = LayoutWriter(path)
    described = [writer.put(one, media.OCI_LAYER) for one in layers]
    config = writer.put(config_of(*layers), media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": described}, media.OCI_MANIFEST))
    return f"oci:{path}"


def files(folder: Path) -> set[str]:
    """Name everything that a registry has stored."""
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if not one.name.endswith(".log")}


def run(*words: str, cwd: Path) -> Any:
    return json.loads(program(*words, "--plain-http", "--json", cwd=cwd).stdout)


def test_a_plan_writes_nothing_and_comes_true(tmp_path: Path) -> None:
    shared, own = noise(300_000, 1), noise(400_000, 2)
    base, app = image(tmp_path / "base", shared), image(tmp_path / "app", shared, own)
    folder = tmp_path / "registry"
    with DebianRegistry(folder, Mode()) as registry:
        run("push", base, f"{registry.host}/base:1", cwd=tmp_path)
        run("push", base, f"{registry.host}/app:latest", "--no-memory", cwd=tmp_path)
        before = files(folder)
        assert any("/_uploads" in one or "/blobs/" in one for one in before)
        words = ("push", app, f"{registry.host}/app:latest,1", f"{registry.host}/new:1")
        planned = run(*words, "--plan", cwd=tmp_path)
        copied = run("copy", f"{registry.host}/base", f"{registry.host}/other", "--all-tags", "--plan", cwd=tmp_path)
        assert files(folder) == before
        pushed = run(*words, cwd=tmp_path)
        assert Skopeo(tmp_path / "skopeo").digest(f"docker://{registry.host}/new:1") == planned["digest"]
    for said, done in zip(planned["targets"], pushed["targets"], strict=True):
        assert said["amounts"]["send"]["blobs"] == done["counts"]["uploaded"]
        assert said["amounts"]["send"]["bytes"] == done["bytes_sent"] - done["bytes_resent"]
    moves = {one["tag"]: one["move"] for one in planned["targets"][0]["moves"]}
    assert moves == {"latest": "moves", "1": "new"}
    assert planned["targets"][1]["amounts"]["mount"]["blobs"] == 3
    assert copied["totals"]["mount"]["blobs"] == 2
