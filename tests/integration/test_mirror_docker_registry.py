"""mirror against distribution 2.8.2, by files that `skopeo sync` reads, too: the same tags must come of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from around import two_platforms
from images import layer, make_layout
from program import program
from registries import DebianRegistry
from skopeo import Skopeo

FILE = """\
{host}:
  tls-verify: false
  images:
    sync/base: []
    sync/app: ["1.0", latest, "{digest}"]
  images-by-tag-regex:
    sync/tool: ^2\\.[0-9]+$
"""


@pytest.fixture
def source(open_registry: DebianRegistry, tmp_path: Path) -> tuple[str, Path]:
    """Fill a registry, and write a file that names some of it."""
    host = open_registry.host
    one = make_layout(tmp_path / "one", layer(1), layer(2))
    two = two_platforms(tmp_path / "two")
    for layout, name in (
        (one, "sync/base:1,2"),
        (two, "sync/base:multi"),
        (two, "sync/app:latest,2.0"),
        (one, "sync/app:1.0"),
        (one, "sync/tool:1.9,2.1,2.22,2.3-rc"),
    ):
        program("push", f"oci:{layout.path}", f"{host}/{name}", "-q", "--plain-http", "--no-memory", cwd=tmp_path)
    (tmp_path / "sync.yml").write_text(FILE.format(host=host, digest=two.digest))
    return host, tmp_path / "sync.yml"


def below(skopeo: Skopeo, prefix: str) -> dict[str, dict[str, str]]:
    """Give the digest of each tag of the three repositories."""
    found = {}
    for name in ("base", "app", "tool"):
        repository = f"docker://{prefix}/{name}"
        found[name] = {tag: skopeo.digest(f"{repository}:{tag}") for tag in skopeo.tags(repository)}
    return found


def test_a_file_of_skopeos_gives_what_skopeo_gives(source: tuple[str, Path], tmp_path: Path) -> None:
    host, file = source
    skopeo = Skopeo(tmp_path / "skopeo")
    skopeo.sync(file, f"{host}/theirs")
    done = program("mirror", str(file), f"{host}/ours", "--plain-http", cwd=tmp_path)
    ours = below(skopeo, f"{host}/ours")
    assert ours == below(skopeo, f"{host}/theirs")
    assert {name: sorted(tags) for name, tags in ours.items()} == {
        "base": ["1", "2", "multi"],
        "app": ["1.0", "latest"],
        "tool": ["2.1", "2.22"],
    }
    assert len(done.stdout.splitlines()) == 8  # with the digest, which has no tag
    again = program("mirror", str(file), f"{host}/ours", "--plain-http", cwd=tmp_path)
    assert again.stdout.count("\n") <= 1
    assert "7 unchanged" in again.stderr


def test_our_form_and_regsyncs_copy_every_repository_of_a_registry(source: tuple[str, Path], tmp_path: Path) -> None:
    host, _ = source
    other = host.replace("127.0.0.1", "localhost")
    (tmp_path / "own.yml").write_text(f"images: [{{from: '{host}/sync/*', to: '{other}/own/{{name}}'}}]\n")
    (tmp_path / "regsync.yml").write_text(
        f"version: 1\ncreds: [{{registry: '{host}', tls: disabled}}]\n"
        f"sync: [{{source: '{host}', target: '{other}/rs', type: registry, repos: {{allow: ['sync/.*']}}}}]\n"
    )
    for file in ("own.yml", "regsync.yml"):
        program("mirror", file, "--plain-http", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    there = below(skopeo, f"{host}/sync")
    assert below(skopeo, f"{host}/own") == there
    assert below(skopeo, f"{host}/rs/sync") == there
