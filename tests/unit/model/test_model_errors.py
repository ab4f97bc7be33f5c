"""Errors are built whole: what is found out later makes another one, and leaves the first as it was."""

from __future__ import annotations

import pickle

import pytest

from oci_push.errors import (
    Cancelled,
    ConfigError,
    DeniedError,
    Diagnostic,
    IncompleteError,
    NetworkError,
    OciPushError,
    RegistryError,
    UnavailableError,
)
from oci_push.secret import Secret


def test_a_reason_that_many_share_is_not_marked_by_one_of_them() -> None:
    reason = Cancelled(signal_number=15)
    mine = reason.with_doubt(True, is_stored=True)
    assert (reason.in_doubt, reason.is_stored) == (False, False)
    assert (mine.in_doubt, mine.is_stored, mine.exit_code) == (True, True, 143)


def test_what_is_added_keeps_the_rest() -> None:
    cause = ValueError("x")
    error = RegistryError("a: refused", status=403, codes=("DENIED",), hint="log in")
    error.__cause__ = cause
    more = error.with_more("; as nobody").with_hint("other")
    assert (str(more), more.hint, more.status, more.codes) == ("a: refused; as nobody", "other", 403, ("DENIED",))
    assert (type(more), more.__cause__, str(error), error.hint) == (RegistryError, cause, "a: refused", "log in")


@pytest.mark.parametrize(
    ("errors", "may_pass"),
    [
        ((NetworkError("a: away"), UnavailableError("b: busy")), True),
        ((NetworkError("a: away"), DeniedError("b: no")), False),
    ],
)
def test_of_several_the_first_is_told_and_all_must_be_able_to_pass(
    errors: tuple[OciPushError, ...], may_pass: bool
) -> None:
    error = IncompleteError.of("2 of 3 repositories failed", [errors[0].with_hint("look there"), *errors[1:]])
    assert str(error) == "2 of 3 repositories failed: a: away"
    assert (error.hint, error.transient, error.exit_code) == ("look there", may_pass, 1)


def test_a_report_is_on_a_copy_and_the_error_itself_stays_as_it_was() -> None:
    error = Cancelled()
    told = error.with_report(("done",))
    assert (told.report, error.report) == (("done",), None)
    assert (type(told), str(told), told.exit_code) == (Cancelled, "cancelled", 130)


def test_problems_hold_no_secrets_either_and_none_is_pickled() -> None:
    word = Secret("planted-secret-w0rd").reveal()
    for error in (
        ConfigError(f"destination x?token={word}", hint=f"not {word}"),
        ConfigError(problems=[Diagnostic(f"tag {word}", "p.yaml", 1, 2, hint=f"not {word}")]),
    ):
        assert word not in repr(error.problems) + repr(vars(error))
        assert word.encode() not in pickle.dumps(error)
