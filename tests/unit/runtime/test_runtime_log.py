"""The log is told only where somebody has imported `logging`, and waits for nobody who is importing it."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from oci_push.runtime.log import Log


def test_who_has_set_up_a_logger_hears_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "oci_push.test"):
        assert Log("oci_push.test").is_heard
        Log("oci_push.test").debug("%s and %s", 1, "two")
    assert [(one.name, one.message) for one in caplog.records] == [("oci_push.test", "1 and two")]


@pytest.mark.parametrize("module", [None, ModuleType("logging")], ids=["not imported", "being imported"])
def test_nobody_listens_who_has_not_imported_it_whole(
    module: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if module is None:
        monkeypatch.delitem(sys.modules, "logging")
    else:
        monkeypatch.setitem(sys.modules, "logging", module)
    assert not Log("oci_push.test").is_heard
    Log("oci_push.test").debug("lost")
