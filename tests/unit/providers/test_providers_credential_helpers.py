"""Credential helpers: what is asked, what an answer means, and that no message shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from oci_push.credentials.helpers import MissingHelperError, ask_helper
from oci_push.errors import CredentialsError, DeadlineError
from oci_push.model.endpoint import Credential
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import Finished
from oci_push.runtime.context import Context
from oci_push.secret import Secret


class Program:
    """A helper that gives one outcome and records how it was run."""

    def __init__(self, outcome: Finished | OSError) -> None:
        self.outcome = outcome
        self.calls: list[tuple[tuple[str, ...], bytes, float]] = []

    def __call__(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        self.calls.append((tuple(argv), stdin, timeout_s))
        if isinstance(self.outcome, OSError):
            raise self.outcome
        return self.outcome


def ask(program: Program, name: str = "one", context: Context | None = None) -> Credential | None:
    return ask_helper(name, "reg.example", program, context or Context(FakeClock()), source="f.json")


def test_server_goes_in_on_standard_input_only() -> None:
    program = Program(Finished(0, b'{"Username": "u", "Secret": "s"}'))
    ask(program)
    argv, stdin, _ = program.calls[0]
    assert (argv, stdin) == (("docker-credential-one", "get"), b"reg.example\n")


def test_answer_becomes_a_login_with_its_source() -> None:
    program = Program(Finished(0, b'{"ServerURL": "reg.example", "Username": "u", "Secret": "s:x"}\n'))
    assert ask(program) == Credential("u", Secret("s:x"), source="f.json (docker-credential-one)")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"Username": "u", "Secret": "s3cr3t\nmore"}, "the password has more than one line"),
        ({"Username": "<token>", "Secret": "s3cr3t more"}, "the token holds characters"),
        ({"Username": "u\nv", "Secret": "s3cr3t"}, "the user name has more than one line"),
    ],
)
def test_what_no_header_can_carry_is_the_helpers_fault(answer: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsError, match=f"docker-credential-one for reg.example: {message}") as caught:
        ask(Program(Finished(0, json.dumps(answer).encode())))
    assert "s3cr3t" not in f"{caught.value!r}{caught.value.hint}"


def test_the_line_end_of_an_answers_secret_is_no_part_of_it() -> None:
    credential = ask(Program(Finished(0, b'{"Username": "u", "Secret": "s\\n"}')))
    assert credential is not None
    assert credential.password == Secret("s")


@pytest.mark.case("CR-011")
def test_token_user_means_an_identity_token() -> None:
    credential = ask(Program(Finished(0, b'{"Username": "<token>", "Secret": "t"}')))
    assert credential is not None
    assert (credential.username, credential.password, credential.identity_token) == ("", None, Secret("t"))


@pytest.mark.parametrize(
    "outcome",
    [
        Finished(1, b"credentials not found in native keychain\n"),
        Finished(1, b"Credentials Not Found"),
        Finished(0, b'{"Username": "", "Secret": ""}'),
    ],
)
def test_no_login_is_no_error(outcome: Finished) -> None:
    assert ask(Program(outcome)) is None


def test_missing_program_has_its_own_error_with_a_hint() -> None:
    with pytest.raises(MissingHelperError) as caught:
        ask(Program(FileNotFoundError("x")))
    assert str(caught.value) == "f.json: credential helper docker-credential-one for reg.example is not installed"
    assert "PATH" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "-x", "a b", "a;b", "ä"])
def test_name_with_anything_but_a_name_is_refused_without_running(name: str) -> None:
    program = Program(Finished(0, b"{}"))
    with pytest.raises(CredentialsError, match="is not the name of a credential helper"):
        ask(program, name)
    assert program.calls == []


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Finished(2, b"keychain is locked\nmore"), r"failed with exit code 2 \(keychain is locked\)"),
        (Finished(2, b"", b"panic: nil\n"), r"failed with exit code 2 \(panic: nil\)"),
        (Finished(2, b'exec: "pass": not there {1}'), r'\(exec: "pass": not there\)'),
        (Finished(-9), r"failed with exit code -9 \(no message\)"),
        (Finished(0, b"hello"), "its answer is not a JSON object"),
        (Finished(0, b"[]"), "its answer is not a JSON object"),
        (Finished(0, b'{"Username": 1, "Secret": "s"}'), "its answer has no Username and Secret"),
        (Finished(0, b" " * (256 * 1024 + 1)), "its answer is over the limit"),
        (PermissionError(13, "Permission denied"), r"cannot be run \(Permission denied\)"),
        (TimeoutError("late"), "gave no answer for reg.example within 60 s"),
    ],
)
@pytest.mark.case("CR-013")
def test_broken_helper_is_an_error_naming_helper_and_host(outcome: Finished | OSError, message: str) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        ask(Program(outcome))
    assert "docker-credential-one" in str(caught.value)
    assert "reg.example" in str(caught.value)


@pytest.mark.parametrize(
    "outcome",
    [
        Finished(0, b'{"Secret": "hunter2"'),
        Finished(1, b'{"Secret": "hunter2"'),
        Finished(1, b'\xef\xbb\xbf{"Secret": "hunter2"}'),
        Finished(1, b'[{"Secret": "hunter2"}]'),
        Finished(1, b'error: {"Secret": "hunter2"}'),
        Finished(1, b"", b'got {"Secret": "hunter2"}'),
    ],
)
def test_broken_answer_is_never_quoted(outcome: Finished) -> None:
    with pytest.raises(CredentialsError) as caught:
        ask(Program(outcome))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_helper_gets_no_more_time_than_the_scope_has() -> None:
    program = Program(Finished(0, b'{"Username": "u", "Secret": "s"}'))
    ask(program, context=Context(FakeClock()).child(seconds=7))
    assert program.calls[0][2] == pytest.approx(7)


def test_deadline_that_ended_the_helper_is_told_as_such() -> None:
    clock = FakeClock()
    context = Context(clock).child(seconds=7)

    def late(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        clock.time += timeout_s
        raise TimeoutError("late")

    with pytest.raises(DeadlineError):
        ask_helper("one", "reg.example", late, context, source="f.json")
