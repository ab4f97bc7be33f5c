"""What a run has seen in a repository: brought by one, waited for by the others, and forgotten where that failed."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import Cancelled, OciPushError
from oci_push.model.digest import Digest
from oci_push.registry.seen import SeenHere
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

ONE, OTHER = Digest.of(b"one"), Digest.of(b"one", "sha512")


@pytest.fixture
def context() -> Context:
    return Context(SystemClock(), what="test")


def test_what_was_brought_is_there_until_it_is_forgotten(context: Context) -> None:
    seen = SeenHere()
    with seen.turn(context, ONE) as is_there:
        assert not is_there
        assert not seen.has(ONE)
    with seen.turn(context, ONE) as is_there:
        assert is_there
    assert not seen.has(OTHER)
    seen.add(OTHER)
    seen.forget([ONE])
    assert (seen.has(ONE), seen.has(OTHER)) == (False, True)


def test_what_failed_is_brought_by_the_next(context: Context) -> None:
    seen = SeenHere()
    with pytest.raises(OciPushError), seen.turn(context, ONE):
        raise OciPushError("it broke")
    with seen.turn(context, ONE) as is_there:
        assert not is_there


def test_of_several_at_once_one_brings_it(context: Context) -> None:
    seen, begun, found = SeenHere(), threading.Barrier(8), list[bool]()

    def bring(inner: Context) -> None:
        begun.wait(60)
        with seen.turn(inner, ONE) as is_there:
            found.append(is_there)

    run_all(context, [bring] * 8, limit=8)
    assert sorted(found) == [False, *[True] * 7]


def test_who_waits_can_be_stopped(context: Context) -> None:
    seen, waiting = SeenHere(), context.child()
    waiting.cancel(Cancelled("stopped"))
    with seen.turn(context, ONE), pytest.raises(Cancelled), seen.turn(waiting, ONE):
        pass
