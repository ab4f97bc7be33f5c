"""The commands of other programs on the page about signing do what it says, with an image that we have signed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from images import layer, make_layout
from judges import ALONE, PASSPHRASE, judge
from pages.pageblocks import DOCS, Block, blocks
from program import program
from programs import ProgramError, clean_environment, run
from registries import DebianRegistry
from signingkeys import pair

ROOT = Path(__file__).parents[2]
SHOWN = "registry.example.com"
"""The registry of the page, for which Debian's stands here."""
ALL = blocks(DOCS / "signing.md")
RUN = [one for one in ALL if one.why_not.endswith("; the gate runs it")]
FILES = {one.file or one.why_not.partition(" ")[0]: one for one in ALL if one.file or one.why_not.endswith(" with it")}


@pytest.fixture
def folder(open_registry: DebianRegistry, tmp_path: Path) -> Path:
    """Give a folder with what a reader has by then: keys, the page's files, and an image signed and attested."""
    pair(tmp_path, "signing")
    for file, block in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(block.text.replace(SHOWN, open_registry.host))
    name = f"{open_registry.host}/team/app:1.4.2"
    image = make_layout(tmp_path / "image", layer(1))
    program("push", f"oci:{image.path}", name, "--sign", "signing.key", "--plain-http", cwd=tmp_path)
    line = ("attest", name, "--type", "spdxjson", "--predicate", "sbom.json", "--key", "signing.key")
    program(*line, "--plain-http", cwd=tmp_path)
    return tmp_path


def run_block(block: Block, folder: Path, registry: DebianRegistry) -> None:
    """Run a block's commands with the programs that it speaks of; raises `ProgramError` where one fails."""
    containers = folder / "home" / ".config" / "containers"
    containers.mkdir(parents=True)
    (containers / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    (folder / "bin").mkdir()
    programs = {
        "cosign": judge("cosign2" if "cosign 2" in block.why_not else "cosign3"),
        "skopeo": judge("skopeo"),
        "oci-push": f"{sys.executable} -m oci_push",
    }
    for name, command in programs.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    env = clean_environment(folder / "home", {"COSIGN_PASSWORD": PASSPHRASE, "PYTHONPATH": str(ROOT), **ALONE})
    env["PATH"] = f"{folder / 'bin'}:{env['PATH']}"
    digest = program("digest", f"{registry.host}/team/app:1.4.2", "--plain-http", cwd=folder).stdout.strip()
    text = block.text.replace(SHOWN, registry.host).replace("sha256:…", digest)
    script = "\n".join(line.removeprefix("$ ") for line in text.splitlines())
    run(["sh", "-euc", script], env=env, cwd=folder)


@pytest.mark.parametrize("block", RUN, ids=[one.place for one in RUN])
def test_other_programs_do_what_the_page_says(block: Block, folder: Path, open_registry: DebianRegistry) -> None:
    run_block(block, folder, open_registry)


@pytest.mark.parametrize("block", [one for one in RUN if " sign " not in one.text], ids=lambda block: block.place)
def test_other_programs_refuse_another_key_as_the_page_shows_them(
    block: Block, folder: Path, open_registry: DebianRegistry
) -> None:
    pair(folder, "signing")
    with pytest.raises(ProgramError, match=r"no matching|Source image rejected"):
        run_block(block, folder, open_registry)


def test_each_judge_is_on_the_page() -> None:
    assert len(RUN) == 4
    assert list(FILES) == ["sbom.json", "policy.yaml", "policy.json", "registries.d/example.yaml"]
