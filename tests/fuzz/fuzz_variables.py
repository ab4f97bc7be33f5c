"""Fuzz interpolation, dotenv files and GitHub's event: ``python tests/fuzz/fuzz_variables.py -max_total_time=60``.

Needs atheris. The first byte chooses what is fed; seeds are in ``corpus/variables`` beside this file.
"""

from __future__ import annotations

import contextlib

from fuzzing import run

from oci_push.errors import ConfigError
from oci_push.variables.ci_services import SERVICES
from oci_push.variables.dotenv import format_dotenv, parse_dotenv
from oci_push.variables.interpolation import MAX_CHARACTERS
from oci_push.variables.lookup import Variables, names_in
from oci_push.variables.repository_url import parse_repository_url


def target(data: bytes) -> None:
    """Feed one input; only `ConfigError` may come out."""
    text = data[1:].decode(errors="surrogateescape")
    with contextlib.suppress(ConfigError):
        (_interpolate, _read_dotenv, _read_event, _read_url)[data[0] % 4 if data else 0](text)


def _interpolate(text: str) -> None:
    """Take the first line as the text and the others as variables A, B, C … whose values they are."""
    first, *values = text.split("\n")
    names = ["A", "B", "C", "CF_BRANCH", "CF_REVISION", "CF_COMMIT_MESSAGE"]
    variables = Variables.of(dict(zip(names, values, strict=False)))
    done = variables.interpolate(first)
    assert len(done.text) <= MAX_CHARACTERS + len(first)
    assert set(done.undefined).isdisjoint(names[: len(values)])
    if not names_in(first):
        assert done.text == first


def _read_dotenv(text: str) -> None:
    values = parse_dotenv(text, "fuzz.env")
    assert parse_dotenv(format_dotenv(values), "again.env") == values


def _read_event(text: str) -> None:
    assert all(value.text for value in SERVICES[0].values({}, text))


def _read_url(text: str) -> None:
    parse_repository_url(text).commit_url("0" * 40)


if __name__ == "__main__":
    run(target, "variables")
