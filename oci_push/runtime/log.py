"""Python's log, for whoever listens: nobody does who has not imported `logging`, and then it need not be loaded."""

from __future__ import annotations

import sys


class Log:
    """A logger of the standard library by its name, looked up when something is told."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_heard(self) -> bool:
        """Return whether somebody listens to `debug`."""
        logging = sys.modules.get("logging")
        return logging is not None and logging.getLogger(self._name).isEnabledFor(logging.DEBUG)

    def debug(self, text: str, *values: object) -> None:
        """Tell a line whose ``%s`` are `values`."""
        logging = sys.modules.get("logging")
        if logging is not None:
            logging.getLogger(self._name).debug(text, *values)
