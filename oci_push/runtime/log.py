"""Python's log, for whoever listens: nobody does who has not imported `logging`, and then it need not be loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

_DEBUG = 10  # what `logging` calls so


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

    def _logger(self) -> Logger | None:
        # Another thread may be importing it at this moment (boto3 does); `getLogger` is defined last.
        get = getattr(sys.modules.get("logging"), "getLogger", None)
        return None if get is None else get(self._name)
