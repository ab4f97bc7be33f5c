"""Artifacts on Debian's registry, which keeps no list of referrers: four writers at once, and skopeo as the reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from images import layer, make_layout
from program import program
from programs import clean_environment
from registries import DebianRegistry
from skopeo import Skopeo

from oci_push.model.digest import Digest
from oci_push.protocol.referrers import fallback_tag

ROOT = Path(__file__).parents[2]
WRITERS, EACH = 4, 3


def attaching(folder: Path, name: str, number: int) -> subprocess.Popen[str]:
    """Start a writer that attaches its own files; a crowd is not what coverage should be counted in."""
    files = [f"{number}-{one}.json" for one in range(EACH)]
    for file in files:
        (folder / file).write_text(json.dumps({"spdxVersion": "SPDX-2.3", "name": file}))
    home = folder / f"home-{number}"
    home.mkdir()
    env = clean_environment(home, {"PYTHONPATH": str(ROOT)})
    return subprocess.Popen(
        [sys.executable, "-m", "oci_push", "attach", f"{name}:1", *files, "--json", "--plain-http"],
        env={key: value for key, value in env.items() if not key.startswith("COVERAGE_")},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_four_writers_at_once_none_is_lost(open_registry: DebianRegistry, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = f"{open_registry.host}/attach/many"
    program("push", f"oci:{layout.path}", f"{name}:1", "--no-memory", "--plain-http", cwd=tmp_path)
    writers = [attaching(tmp_path, name, number) for number in range(WRITERS)]
    ends = [(*writer.communicate(timeout=300), writer.returncode) for writer in writers]
    assert [code for _, _, code in ends] == [0] * WRITERS, ends
    made = {one["digest"] for out, _, _ in ends for one in json.loads(out)["attached"]}
    assert len(made) == WRITERS * EACH
    tag = fallback_tag(Digest.parse(layout.digest))
    listed = json.loads(Skopeo(tmp_path / "skopeo").raw(f"docker://{name}:{tag}"))
    assert {one["digest"] for one in listed["manifests"]} == made
    assert len(listed["manifests"]) == len(made)
    assert {one["artifactType"] for one in listed["manifests"]} == {"application/spdx+json"}
    tree = json.loads(program("referrers", f"{name}:1", "--json", "--plain-http", cwd=tmp_path).stdout)
    assert {one["digest"] for one in tree["referrers"]} == made


def test_skopeo_reads_and_copies_what_was_pushed(open_registry: DebianRegistry, tmp_path: Path) -> None:
    (tmp_path / "foo.txt").write_text("foo\n")
    (tmp_path / "manuals").mkdir()
    (tmp_path / "manuals" / "x").write_text("x")
    name = f"{open_registry.host}/attach/files"
    words = ("foo.txt:text/plain", "manuals", f"{name}:1", "--type", "application/vnd.example")
    pushed = program("artifact", "push", *words, "--json", "--plain-http", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    assert skopeo.digest(f"docker://{name}:1") == json.loads(pushed.stdout)["digest"]
    skopeo.copy(f"docker://{name}:1", f"oci:{tmp_path / 'copy'}:1")
    program("artifact", "pull", "oci:copy", "--output", "out", cwd=tmp_path)
    assert (tmp_path / "out" / "foo.txt").read_text() == "foo\n"
    assert (tmp_path / "out" / "manuals" / "x").read_text() == "x"


def test_an_image_is_pushed_with_its_sbom(open_registry: DebianRegistry, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    (tmp_path / "bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.5"}')
    name = f"{open_registry.host}/attach/pushed"
    words = ("--attach", "bom.json", "--verify", "--no-memory", "--plain-http")
    program("push", f"oci:{layout.path}", f"{name}:1", *words, cwd=tmp_path)
    assert "application/vnd.cyclonedx+json" in program("referrers", f"{name}:1", "--plain-http", cwd=tmp_path).stdout
    assert Skopeo(tmp_path / "skopeo").digest(f"docker://{name}:1") == layout.digest
