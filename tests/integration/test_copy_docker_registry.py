"""Copies between two repositories and registries of distribution 2.8.2, read back by skopeo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from around import two_platforms
from copying import many
from equipment.sandbox import Sandbox
from program import program
from registries import DebianRegistry, Mode
from skopeo import Skopeo


def run(*words: str, folder: Path, code: int = 0) -> str:
    done = program(*words, "--plain-http", "--no-memory", cwd=folder, code=code)
    return done.stdout + done.stderr


def test_three_hundred_tags_are_read_back_and_cost_one_question_each_the_second_time(
    make_registry: Callable[[Mode], DebianRegistry], tmp_path: Path
) -> None:
    registry = make_registry(Mode())
    name, skopeo = f"{registry.host}/mirror/app", Skopeo(tmp_path / "skopeo")
    with Sandbox() as source:
        digests = many(source, 300, tmp_path)
        words = ("copy", f"{source.address}/src", name, "--all-tags", "--no-referrers")
        assert "300 tags: 300 copied" in run(*words, folder=tmp_path)
        assert skopeo.tags(f"docker://{name}") == sorted(f"1.{n}" for n in range(300))
        for number in (0, 150, 299):
            assert skopeo.digest(f"docker://{name}:1.{number}") == digests[number]
        registry.forget()
        source.traffic.clear()
        assert "300 tags: 300 unchanged; 0 B sent" in run(*words, folder=tmp_path)
        methods = [one.method for one in registry.requests()]
        assert (methods.count("HEAD"), methods.count("GET"), len(methods)) == (300, 1, 301)
        assert len(source.traffic.requests) == 301


def test_an_image_is_copied_as_skopeo_copies_it_and_its_signature_beside_it(
    open_registry: DebianRegistry, tmp_path: Path
) -> None:
    layout = two_platforms(tmp_path / "image")
    source, target = (f"{open_registry.host}/copy/{name}" for name in ("src", "dst"))
    skopeo = Skopeo(tmp_path / "skopeo")
    run("push", f"oci:{layout.path}", f"{source}:1", folder=tmp_path)
    signature = f"{layout.digest.replace(':', '-')}.sig"
    run("push", f"oci:{two_platforms(tmp_path / 'other', seed=7).path}", f"{source}:{signature}", folder=tmp_path)
    said = run("copy", f"{source}:1", f"{target}:1,stable", folder=tmp_path)
    assert "with 1 referrer: 1 signature" in said
    assert skopeo.tags(f"docker://{target}") == ["1", signature, "stable"]
    for tag in ("1", signature):
        assert skopeo.raw(f"docker://{target}:{tag}") == skopeo.raw(f"docker://{source}:{tag}")
    skopeo.copy(f"docker://{target}:stable", f"oci:{tmp_path / 'back'}:x")  # every blob is there
    run("copy", f"{source}:1", f"{target}:arm", "--platform", "linux/arm64", "--no-referrers", folder=tmp_path)
    assert json.loads(skopeo.raw(f"docker://{target}:arm"))["layers"]
    said = run(
        "copy", f"{source}:1", f"{target}-sparse:1", "--platform", "linux/arm64", "--sparse", folder=tmp_path, code=5
    )
    assert "this registry wants all of an index" in said
