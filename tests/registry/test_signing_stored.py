"""What is stored without a push is signed as oci-push.yaml says of its registry: before any tag names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from around import children_of, pushed, two_platforms
from equipment.faults import Answer, Fault
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program
from published import check_json
from signingkeys import pair

from oci_push.engine.artifacts.push import ArtifactPush
from oci_push.engine.editing.image import ImageEdit
from oci_push.engine.editing.index_store import IndexChange


@pytest.fixture(autouse=True)
def entry(sandbox: Sandbox, tmp_path: Path) -> None:
    pair(tmp_path, "one")
    configure(sandbox, tmp_path)


def configure(sandbox: Sandbox, tmp_path: Path, **sign: object) -> None:
    entry = {"name": "here", "domain": sandbox.address, "sign": {"keys": ["one.key"], **sign}}
    (tmp_path / "named.yaml").write_text(json.dumps({"registries": [entry]}))


def run(tmp_path: Path, *words: str, code: int = 0) -> str:
    done = program(*words, "--config", "named.yaml", cwd=tmp_path, code=code)
    return done.stdout if not code else done.stderr


@pytest.fixture
def name(sandbox: Sandbox, tmp_path: Path) -> str:
    """Push an index of two platforms, unsigned, under the tag 1; gives the repository."""
    return pushed(sandbox, two_platforms(tmp_path / "index"), "1")


WAYS = {
    "index create": ("index", "create", "NAME:new", "NAME:1"),
    "index add": ("index", "add", "NAME:1", "oci:other=linux/riscv64", "--tag", "new"),
    "index remove": ("index", "remove", "NAME:1", "linux/arm64", "--tag", "new"),
    "index annotate": ("index", "annotate", "NAME:1", "a=b", "--tag", "new"),
    "annotate": ("annotate", "NAME:1", "a=b", "--tag", "new"),
    "mutate": ("mutate", "NAME:1", "--label", "a=b", "--tag", "new"),
    "mutate elsewhere": ("mutate", "oci:other", "NAME:new", "--label", "a=b"),
    "artifact push": ("artifact", "push", "named.yaml", "NAME:new", "--type", "application/x.a"),
}
FORMS = {"index": IndexChange, "annotate": ImageEdit, "mutate": ImageEdit, "artifact": ArtifactPush}


def line_of(way: str, name: str, tmp_path: Path) -> tuple[str, ...]:
    make_layout(tmp_path / "other", layer(7))
    return tuple(word.replace("NAME", name) for word in WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_what_is_made_is_signed_before_it_is_tagged(way: str, name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    line = line_of(way, name, tmp_path)
    told = run(tmp_path, *line, "--json")
    check_json(told, FORMS[line[0]])
    signed = json.loads(told)["signed"]
    assert [one["file"] for one in signed] == ["signature (bundle)", "signature (sig)"]
    digest = json.loads(told)["digest"]
    order = [one.path.rpartition("/")[2] for one in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]
    mine = [digest, signed[0]["digest"], f"{digest.replace(':', '-')}.sig", "new"]
    assert [one for one in order if one in mine] == mine
    program("verify", f"{name}:new", "--key", "one.pub", cwd=tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_signed_gets_no_tag(way: str, name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(Fault("PUT", r"manifests/sha256-.*\.sig", times=0, action=Answer(403)))
    said = run(tmp_path, *line_of(way, name, tmp_path), code=5)
    assert "signature (sig) is not there" in said
    assert "new" not in sandbox.store.tags("team/app")


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_is_missing_is_told_before_anything_is_sent(
    way: str, name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    configure(sandbox, tmp_path, keys=["none.key"])
    assert "none.key: cannot be read" in run(tmp_path, *line_of(way, name, tmp_path), code=2)
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}


def test_each_image_of_an_index_that_is_made_is_signed_where_that_is_said(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    configure(sandbox, tmp_path, recursive=True)
    told = program("index", "create", f"{name}:new", f"{name}:1", "--config", "named.yaml", cwd=tmp_path)
    assert told.stderr.count("  signature (bundle)  ") == 3
    listed = [str(one["digest"]) for one in children_of(Layout(tmp_path / "index", index_digest(tmp_path), {}))]
    for digest in listed:
        assert f"{name}@{digest}  signature (sig)  " in told.stderr
        program("verify", f"{name}@{digest}", "--key", "one.pub", cwd=tmp_path)


def index_digest(tmp_path: Path) -> str:
    return str(json.loads((tmp_path / "index" / "index.json").read_text())["manifests"][0]["digest"])


def test_made_again_it_is_not_signed_again(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    for _ in range(2):
        told = json.loads(run(tmp_path, "index", "annotate", f"{name}:1", "a=b", "--json"))
        sandbox.traffic.clear()
    run(tmp_path, "index", "annotate", f"{name}:1", "a=b")
    assert [one["outcome"] for one in told["signed"]] == ["exists", "exists"]
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}


def test_what_says_something_of_an_image_is_not_signed_itself(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    line = ("artifact", "push", "named.yaml", name, "--subject", "1", "--type", "application/x.a", "--json")
    assert "signed" not in json.loads(run(tmp_path, *line))
    assert sandbox.store.tags("team/app") == ("1",)


def test_an_index_that_others_add_to_at_the_same_time_is_signed(name: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "other", layer(7))
    run(tmp_path, "index", "add", f"{name}:1", "oci:other=linux/riscv64", "--shared")
    program("verify", f"{name}:1", "--key", "one.pub", cwd=tmp_path)


def test_where_no_entry_says_it_nothing_more_is_asked_or_told(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    told = program("index", "annotate", f"{name}:1", "a=b", "--json", cwd=tmp_path).stdout
    assert "signed" not in json.loads(told)
    puts = sandbox.traffic.select(method="PUT")
    assert [one.path.rpartition("/")[2] for one in puts] == ["1"]
