"""Errors are built whole: what is found out later makes another one, and leaves the first as it was."""

from __future__ import annotations

from oci_push.errors import Cancelled, RegistryError


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
