"""Python's log is told only where it is there to be told."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from oci_push.runtime.log import Log


def test_nobody_listens_while_another_thread_is_still_importing_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "logging", ModuleType("logging"))
    log = Log("oci_push.test")
    assert not log.is_heard
    log.debug("%s", "lost")


def test_who_listens_is_told(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("oci_push.test")
    with caplog.at_level(logging.INFO, "oci_push.test"):
        assert not log.is_heard
    with caplog.at_level(logging.DEBUG, "oci_push.test"):
        assert log.is_heard
        log.debug("%s and %s", 1, 2)
    assert caplog.messages == ["1 and 2"]
