"""Regular expressions of pipelines: JavaScript's syntax, one question (does it match anywhere?), and an answer in time.

`regex`, unlike `re`, can be told to give up. Whatever somebody writes into a pipeline
or into a branch's name, a search ends within `MAX_SEARCH_S` and the work before it is bounded by sizes.
"""

from __future__ import annotations

import regex
from msgspec import Struct

from oci_push.expressions.javascript.pattern_syntax import Flags, PatternError, translate
from oci_push.expressions.javascript.values import from_units, to_units

__all__ = ["FLAGS", "Pattern", "PatternError", "compile_pattern"]

FLAGS = "dgimsuy"
"""The letters that may stand behind an expression, each once. `d`, `g` and `y` have no meaning for a test."""

MAX_SEARCH_S = 1.0
"""How long one search may take."""

MAX_SOURCE = 2_000
"""The longest expression, in UTF-16 units."""

MAX_TEXT = 12_000
"""The longest text that is searched, in UTF-16 units."""


class Pattern(Struct, frozen=True):
    """An expression that can be searched for; `source` is how it is written, between slashes."""

    source: str
    _engine: regex.Pattern[str]
    _is_unicode: bool

    def search(self, text: str) -> bool:
        """Return whether it matches anywhere in `text`; raises `PatternError` if that cannot be found out in time."""
        units = to_units(text)
        if len(units) > MAX_TEXT:
            raise PatternError(f"{self.source}: cannot be searched for in a text of more than {MAX_TEXT} characters")
        try:
            # Units are what JavaScript matches, except with the flag u.
            return (
                self._engine.search(from_units(text) if self._is_unicode else units, timeout=MAX_SEARCH_S) is not None
            )
        except TimeoutError as error:
            raise PatternError(
                f"{self.source}: searching took longer than {MAX_SEARCH_S:g} s and was given up"
            ) from error


def compile_pattern(body: str, flags: str = "") -> Pattern:
    """Read what stands between the slashes and behind them; raises `PatternError`."""
    source = f"/{body}/{flags}"
    if set(flags) - set(FLAGS) or len(set(flags)) < len(flags):
        raise PatternError(f"Invalid regular expression flags: {source}")
    if len(to_units(body)) > MAX_SOURCE:
        raise PatternError(f"Invalid regular expression: longer than {MAX_SOURCE} characters")
    is_unicode = "u" in flags
    meaning = Flags("i" in flags, "m" in flags, "s" in flags, is_unicode)
    try:
        translated = translate(from_units(body) if is_unicode else to_units(body), meaning)
        case = regex.IGNORECASE if meaning.ignore_case else 0
        engine = regex.compile(translated, regex.VERSION0 | case, cache_pattern=False)
    except PatternError as error:
        raise PatternError(f"Invalid regular expression: {source}: {error}") from error
    except regex.error as error:  # a property that it does not know
        raise PatternError(f"Invalid regular expression: {source}: {error}") from error
    return Pattern(source, engine, is_unicode)
