"""Python's log, for whoever listens: nobody does who has not imported `logging`, and then it need not be loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_DEBUG = 10
"""``logging.DEBUG``."""


class Log:
    """A logger of the standard library by its name, looked up when something is told."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_heard(self) -> bool:
        """Return whether somebody listens to `debug`."""
        logger = self._logger()
        return logger is not None and logger.isEnabledFor(_DEBUG)

    def debug(self, text: str, *values: object) -> None:
        """Tell a line whose ``%s`` are `values`."""
        logger = self._logger()
        if logger is not None:
            logger.debug(text, *values)

    def _logger(self) -> logging.Logger | None:
        """Return the logger; ``None`` also while another thread is still importing `logging`, as boto3 does."""
        find: Callable[[str], logging.Logger] | None = getattr(sys.modules.get("logging"), "getLogger", None)
        return None if find is None else find(self._name)
