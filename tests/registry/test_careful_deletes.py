"""delete does no more than was asked, and says what is so: indexes, lists that lack tags, lost and false answers."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from around import asked, children_of, pushed, two_platforms
from equipment.faults import Answer, AnswerAfter, DropReply, Fault, Stall
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program, until


@pytest.fixture
def name(sandbox: Sandbox, tmp_path: Path) -> str:
    return pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1", "latest")


def test_by_digest_is_refused_for_a_part_of_an_index_that_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "index")
    name = pushed(sandbox, layout, "1")
    child = str(children_of(layout)[0]["digest"])
    program("tag", f"{name}@{child}", "1-amd64", cwd=tmp_path)
    refused = program("delete", f"{name}:1-amd64", "--by-digest", "--yes", cwd=tmp_path, code=2).stderr
    assert "is a part of 1, too" in refused
    told = program("delete", f"{name}@{child}", "--dry-run", cwd=tmp_path).stderr
    assert "is a part of what 1 names, which will lack it" in told
    assert not sandbox.traffic.count(method="DELETE")
    program("delete", f"{name}:1", f"{name}:1-amd64", "--by-digest", "--yes", cwd=tmp_path)
    assert sandbox.store.tags("team/app") == ()


@pytest.mark.parametrize("tags", [None, [], ["latest"], "1"])
def test_by_digest_is_refused_where_the_list_lacks_a_tag_that_is_there(
    tags: object, sandbox: Sandbox, name: str, tmp_path: Path
) -> None:
    body = json.dumps({"tags": tags}).encode()
    answer = Answer(200, headers={"Content-Type": "application/json"}, body=body)
    sandbox.faults.add(Fault(path="tags/list", action=answer, times=0))
    refused = program("delete", f"{name}:1", "--by-digest", "--yes", cwd=tmp_path, code=5).stderr
    assert "list of tags lacks 1, which is there; nothing was deleted" in refused
    assert not sandbox.traffic.count(method="DELETE")


@pytest.mark.parametrize("action", [DropReply(), AnswerAfter(503), AnswerAfter(404)])
def test_what_was_deleted_by_a_try_without_an_answer_is_deleted(
    action: DropReply | AnswerAfter, sandbox: Sandbox, name: str, tmp_path: Path
) -> None:
    sandbox.faults.add(Fault(method="DELETE", path="manifests/1$", action=action))
    assert program("delete", f"{name}:1", "--yes", cwd=tmp_path).stdout == f"deleted {name}:1\n"
    assert sandbox.store.tags("team/app") == ("latest",)


def test_a_404_for_what_is_still_there_is_a_failure(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    sandbox.faults.add(Fault(method="DELETE", path="manifests/1$", action=Answer(404), times=0))
    assert "DELETE answered 404" in program("delete", f"{name}:1", "--yes", cwd=tmp_path, code=5).stderr


@pytest.mark.parametrize("answer", [Answer(200, body=b"<html>"), Answer(303, headers={"Location": "/v2/"})])
def test_a_page_in_the_place_of_an_answer_has_deleted_nothing(
    answer: Answer, sandbox: Sandbox, name: str, tmp_path: Path
) -> None:
    sandbox.faults.add(Fault(method="DELETE", path="manifests/1$", action=answer, times=0))
    failed = program("delete", f"{name}:1", "--yes", cwd=tmp_path, code=5)
    assert "and it is still there" in failed.stderr
    assert "deleted" not in failed.stdout


def test_what_was_deleted_until_a_stop_is_told(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    sandbox.faults.add(Fault(method="DELETE", path="manifests/latest$", action=Stall(600)))
    words = [sys.executable, "-m", "oci_push", "delete", f"{name}:*", "--yes", "--json"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        until(lambda: sandbox.traffic.count(method="DELETE", path_pattern="latest$") > 0)
        running.send_signal(signal.SIGTERM)
        printed = running.stdout.read()
    rows = json.loads(printed)["deleted"]
    assert running.returncode == 143
    assert [(one["tag"], one["outcome"]) for one in rows] == [("1", "deleted"), ("latest", "failed")]


def test_a_dry_run_and_a_refusal_to_ask_send_nothing_that_writes(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    digest = program("digest", f"{name}:1", cwd=tmp_path).stdout.strip()
    for words in ((f"{name}:*",), (f"{name}@{digest}",), (f"{name}:*", "--by-digest"), (f"{name}:1", "--json")):
        program("delete", *words, "--dry-run", "--yes", cwd=tmp_path)
        program("delete", *words, cwd=tmp_path, code=2)
    assert {one.partition(" ")[0] for one in asked(sandbox)} <= {"GET", "HEAD"}


@contextmanager
def asking(name: str, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run delete at a terminal until it asks; gives the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "oci_push", "delete", f"{name}:1"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    try:
        with subprocess.Popen(
            words, env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as running:
            said = b""
            while b"[y/N]" not in said:
                more = os.read(running.stderr.fileno(), 4096)
                assert more, said
                said += more
            yield running, ours
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_changes_while_it_asks_is_not_deleted(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    with asking(name, tmp_path) as (running, terminal):
        pushed(sandbox, two_platforms(tmp_path / "other"), "1")
        os.write(terminal, b"y\n")
        rest = running.stderr.read()
    assert running.returncode == 2
    assert b"has changed meanwhile; nothing was deleted" in rest
    assert sandbox.store.tags("team/app") == ("1", "latest")


def test_a_stop_while_it_asks_ends_it_without_an_answer(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    with asking(name, tmp_path) as (running, _):
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 130, rest
    assert not sandbox.traffic.count(method="DELETE")
