"""Fuzz expressions and regular expressions: ``python tests/fuzz/fuzz_expressions.py -max_total_time=60``.

Needs atheris. The first byte chooses what is fed; seeds are in ``corpus/expressions`` beside this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from fuzzing import run

from oci_push.expressions.evaluate import Value, evaluate
from oci_push.expressions.javascript.patterns import PatternError, compile_pattern
from oci_push.expressions.javascript.values import from_units, number_to_text, text_to_number, to_units
from oci_push.language.branches import allows
from oci_push.language.document import Location
from oci_push.language.steps import Branches, Text

_NAMES: Mapping[str, Value] = {
    "CF_BRANCH": "main", "ok": {"result": "success"}, "my-step": {"result": "skipped"}, "n": 2.5, "nothing": None,
    "yes": True, "steps": {"ok": {"result": "success"}}, "workflow": {"result": "running"}, "smile": "x😀",
}  # fmt: skip


def target(data: bytes) -> None:
    """Feed one input; only `PatternError` may come out."""
    text = data[1:].decode(errors="surrogateescape")
    (_evaluate, _match, _branch)[data[0] % 3 if data else 0](text)


def _evaluate(text: str) -> None:
    found = evaluate(text, _NAMES)
    assert not (found.error and found.truth)
    assert found.position is None or 0 <= found.position <= len(text)
    if isinstance(found.result, float) and found.result == found.result:
        assert text_to_number(number_to_text(found.result)) == found.result
    assert to_units(from_units(to_units(text))) == to_units(text)


def _match(text: str) -> None:
    """Take the first line as flags and expression, the rest as the text."""
    first, _, rest = text.partition("\n")
    flags, _, body = first.partition("/")
    with contextlib.suppress(PatternError):
        compile_pattern(body, flags).search(rest)


def _branch(text: str) -> None:
    item, _, branch = text.partition("\n")
    listed = (Text(item, Location("fuzz.yml", 1, 1)),)
    assert not (allows(Branches(only=listed), branch).runs and allows(Branches(ignore=listed), branch).runs)


if __name__ == "__main__":
    run(target, "expressions")
