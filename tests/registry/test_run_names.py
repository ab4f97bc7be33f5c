"""An image that is pushed on by its push step keeps its own name: without the first registry's host and prefix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from running import Running

STEPS = """
version: '1.0'
steps:
  b: {type: build, image_name: codefresh/app}
  p: {type: push, candidate: '${{b}}', registry: first}
  q: {type: push, candidate: '%s', registry: second, tag: x%s}
"""


def config(one: str, other: str) -> dict[str, object]:
    first = {"name": "first", "domain": one, "repositoryPrefix": "team-a"}
    return {"registries": [first, {"name": "second", "domain": other, "repositoryPrefix": "team-b"}]}


@pytest.mark.parametrize(
    ("candidate", "more", "path"),
    [
        ("${{p}}", "", "team-b/codefresh/app"),
        ("${{p.imageId}}", "", "team-b/codefresh/app"),
        ("${{steps.p.imageRepoDigest}}", "", "team-b/codefresh/app"),
        ("${{p}}", ", image_name: other/name", "team-b/other/name"),
    ],
)
def test_plan_rehearsal_and_run_agree_on_the_name(candidate: str, more: str, path: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    text = STEPS % (candidate, more)
    (tmp_path / "p.yml").write_text(text)
    with Sandbox() as one, Sandbox() as other:
        described = config(one.address, other.address)
        (tmp_path / "oci-push.yaml").write_text(json.dumps(described))
        plan = json.loads(program("plan", "p.yml", "--json", cwd=tmp_path).stdout)
        assert plan["steps"][2]["targets"] == [f"{other.address}/{path}:x"]
        rehearsed = program("run", "p.yml", "--sandbox", "--candidate", "b=oci:image", cwd=tmp_path).stdout
        assert f"/{other.address.replace(':', '-')}/{path}:x@sha256:" in rehearsed
        assert one.traffic.count() + other.traffic.count() == 0
        done = Running(config=described, candidates={"b": f"oci:{tmp_path / 'image'}"}).run(text)
        assert done.exit_code == 0
        assert one.store.tags("team-a/codefresh/app") == ("latest",)
        assert other.store.tags(path) == ("x",)


def test_the_name_travels_through_three_registries(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    with Sandbox() as one, Sandbox() as other:
        text = STEPS % ("${{p}}", "") + "  r: {type: push, candidate: '${{q}}', registry: first, tag: z}\n"
        described = config(one.address, other.address)
        Running(config=described, candidates={"b": f"oci:{image.path}"}).run(text)
        assert set(one.store.tags("team-a/codefresh/app")) == {"latest", "z"}
