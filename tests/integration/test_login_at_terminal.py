"""Logging in at a terminal: what is asked, and what comes of not answering."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from terminal import terminal

from oci_push.secret import Secret

PROGRAM = [sys.executable, "-m", "oci_push"]


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "end of file"])
def test_a_question_that_is_not_answered_ends_it_with_an_error(key: str, tmp_path: Path) -> None:
    with terminal([*PROGRAM, "login", "127.0.0.1:9"], tmp_path) as at:
        at.wait("Username: ")
        assert at.press(key) == 130
    assert "error: login: stopped at the question" in at.shown
    assert "Traceback" not in at.shown
    assert not (tmp_path / ".docker").exists()


def test_the_password_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    options = SandboxOptions(auth="basic", username="me", password=Secret("geheim"))
    with (
        Sandbox(options=options) as sandbox,
        terminal([*PROGRAM, "login", sandbox.address, "--plain-http"], tmp_path) as at,
    ):
        at.wait("Username: ")
        at.type("me\n")
        at.wait("Password or token: ")  # the blank comes when echoing is off and what was typed before is dropped
        at.type("geheim\n")
        assert at.end() == 0
        assert f"logged in to {sandbox.address} as me" in at.shown
    assert "geheim" not in at.shown
