"""tag and delete: what is written, what goes, what goes with it, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from around import asked, pushed, short, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from published import check_json

from oci_push.engine.editing.change import Deletion, Tagging
from oci_push.secret import Secret


def test_a_tag_is_made_of_the_very_bytes_and_nothing_else_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    done = program("tag", f"{name}:1", "stable", cwd=tmp_path)
    assert done.stdout == f"{name}:stable  {layout.digest}\n"
    assert asked(sandbox) == ["GET team/app/manifests/1", "PUT team/app/manifests/stable"]
    assert sandbox.store.manifest("team/app", "stable") == sandbox.store.manifest("team/app", "1")


def test_several_tags_go_in_one_request_where_the_registry_can(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=SandboxOptions(multi_tag=True)) as sandbox:
        name = pushed(sandbox, layout, "1")
        program("tag", f"{name}@{layout.digest}", "a", f"{name}:b", "a", cwd=tmp_path)
        digest = short(layout.digest)
        assert asked(sandbox) == [f"GET team/app/manifests/{digest}", f"PUT team/app/manifests/{digest}?tag=a&tag=b"]
        assert sandbox.store.tags("team/app") == ("1", "a", "b")


def test_a_tag_that_may_not_move_is_told_of_and_the_others_are_made(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        name = pushed(sandbox, layout, "1")
        done = program("tag", f"{name}:1", "1", "2", "--json", cwd=tmp_path, code=1)
        alone = program("tag", f"{name}:1", "1", cwd=tmp_path, code=5)
    check_json(done.stdout, Tagging)
    assert [one["error"] is None for one in json.loads(done.stdout)["tags"]] == [False, True]
    assert "may not be moved" in alone.stderr


def test_a_tag_is_deleted_by_its_name_and_its_image_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1", "2")
    done = program("delete", f"{name}:1", "--yes", cwd=tmp_path)
    assert done.stdout == f"deleted {name}:1\n"
    assert done.stderr == f"{name}:1  {layout.digest}\n"
    assert asked(sandbox) == ["HEAD team/app/manifests/1", "DELETE team/app/manifests/1"]
    assert sandbox.store.tags("team/app") == ("2",)


def test_globs_are_listed_first_and_a_dry_run_deletes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "pr-1", "pr-2", "main")
    shown = program("delete", f"{name}:pr-*", "--dry-run", cwd=tmp_path).stdout
    assert shown.splitlines() == [f"{name}:pr-1  {layout.digest}", f"{name}:pr-2  {layout.digest}"]
    assert not sandbox.traffic.count(method="DELETE")
    printed = program("delete", f"{name}:pr-*", "--yes", "--json", cwd=tmp_path).stdout
    check_json(printed, Deletion)
    assert [one["outcome"] for one in json.loads(printed)["deleted"]] == ["deleted", "deleted"]
    assert sandbox.store.tags("team/app") == ("main",)
    none = program("delete", f"{name}:pr-*", "--yes", cwd=tmp_path)
    assert "no tag matches" in none.stderr


def test_nothing_is_deleted_where_one_thing_is_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    failed = program("delete", f"{name}:1", f"{name}:2", "--yes", cwd=tmp_path, code=5).stderr
    assert f"{name}:2: is not there" in failed
    assert not sandbox.traffic.count(method="DELETE")


def test_a_digest_takes_its_tags_along_and_says_so_before(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    pushed(sandbox, two_platforms(tmp_path / "other"), "other")
    name = pushed(sandbox, layout, "1", "latest")
    done = program("delete", f"{name}@{layout.digest}", "--yes", cwd=tmp_path)
    assert "and with it the tags 1, latest" in done.stderr
    assert sandbox.store.tags("team/app") == ("other",)
    requests = asked(sandbox)
    assert len(requests) == len(set(requests))


def test_by_digest_is_refused_where_a_manifest_has_a_tag_that_was_not_named(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        name = pushed(sandbox, layout, "1", "latest")
        sandbox.faults.add(
            Fault(method="DELETE", path="manifests/(1|latest)$", action=Answer(400, code="DIGEST_INVALID"), times=0)
        )
        failed = program("delete", f"{name}:1", "--yes", cwd=tmp_path, code=5).stderr
        assert "cannot delete a tag by its name" in failed
        assert "--by-digest" in failed
        refused = program("delete", f"{name}:1", "--by-digest", "--yes", cwd=tmp_path, code=2).stderr
        assert "is named by latest, too" in refused
        assert sandbox.store.tags("team/app") == ("1", "latest")
        program("delete", f"{name}:1", f"{name}:latest", "--by-digest", "--yes", cwd=tmp_path)
        assert sandbox.store.tags("team/app") == ()


def test_a_registry_that_deletes_nothing_is_told_of(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=SandboxOptions(delete=False)) as sandbox:
        name = pushed(sandbox, layout, "1", "2")
        failed = program("delete", f"{name}@{layout.digest}", "--yes", cwd=tmp_path, code=5).stderr
        some = program("delete", f"{name}:1", f"{name}:2", "--yes", "--json", cwd=tmp_path, code=1)
    assert "405 UNSUPPORTED" in failed
    assert "deletes nothing" in failed
    assert "storage.delete.enabled" in failed
    assert [one["outcome"] for one in json.loads(some.stdout)["deleted"]] == ["failed", "failed"]


def test_a_registry_that_does_not_list_its_tags_is_no_hindrance(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    sandbox.faults.add(Fault(path="tags/list", action=Answer(404, code="UNSUPPORTED"), times=0))
    done = program("delete", f"{name}@{layout.digest}", "--yes", cwd=tmp_path)
    assert "does not list its tags" in done.stderr
    assert sandbox.store.tags("team/app") == ()


def test_deleting_takes_the_right_to_delete(tmp_path: Path) -> None:
    options = SandboxOptions(auth="bearer", username="robot", password=Secret("secret-word"))
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=options) as sandbox:
        words = ("-u", "robot", "--password-stdin")
        name = f"{sandbox.address}/team/app"
        program("push", f"oci:{layout.path}", f"{name}:1", *words, cwd=tmp_path, stdin="secret-word")
        program("tag", f"{name}:1", "2", *words, cwd=tmp_path, stdin="secret-word")
        program("delete", f"{name}:1", "--yes", *words, cwd=tmp_path, stdin="secret-word")
        assert sandbox.store.tags("team/app") == ("2",)


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ()), ("n\n", 1, ("1",)), ("\x04", 1, ("1",))])
def test_at_a_terminal_it_asks_first(answer: str, code: int, left: tuple[str, ...], tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        name = pushed(sandbox, layout, "1")
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode())
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        words = [sys.executable, "-m", "oci_push", "delete", f"{name}:1"]
        done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, env=env, check=False, timeout=60)
        os.close(ours)
        os.close(theirs)
        assert "Delete this? [y/N]" in done.stdout + done.stderr
        assert (done.returncode, sandbox.store.tags("team/app")) == (code, left), done.stderr
        assert "Traceback" not in done.stderr


def test_a_name_that_is_no_tag_never_gets_into_a_url(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    names = json.dumps({"tags": ["1", "../../other/manifests/1", "1 x", "a?b"]}).encode()
    answer = Answer(200, headers={"Content-Type": "application/json"}, body=names)
    sandbox.faults.add(Fault(path="tags/list", action=answer, times=0))
    program("delete", f"{name}:*", "--yes", cwd=tmp_path)
    assert asked(sandbox)[1:] == ["HEAD team/app/manifests/1", "DELETE team/app/manifests/1"]
    program("tags", name, "--sort", "date", cwd=tmp_path)
    assert not sandbox.traffic.count(path_pattern="other|x$|b$")


def test_of_very_many_tags_it_says_that_some_were_not_looked_at(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    stored, raw = sandbox.store.find_manifest("team/app", "1"), sandbox.store.manifest("team/app", "1")
    assert stored is not None
    assert raw is not None
    sandbox.store.add_manifest("team/app", stored, raw, tuple(f"n{number}" for number in range(1002)))
    done = program("delete", f"{name}@{layout.digest}", "--dry-run", cwd=tmp_path)
    assert "3 more tags of the repository were not looked at" in done.stderr
    refused = program("delete", f"{name}:1", "--by-digest", "--yes", cwd=tmp_path, code=2)
    assert "is named by n0, n1, " in refused.stderr
    assert not sandbox.traffic.count(method="DELETE")


@pytest.mark.parametrize("text", ["app:1", "localhost:1/App:1", "localhost:1/app:1@sha256:0", "localhost:1/app:.x"])
def test_what_names_nothing_that_can_be_deleted_is_refused(text: str, tmp_path: Path) -> None:
    assert "hint: write HOST" in program("delete", text, "--yes", cwd=tmp_path, code=2).stderr
