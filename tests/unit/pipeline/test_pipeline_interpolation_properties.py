"""What holds for every text and every set of variables."""

from __future__ import annotations

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from oci_push.errors import ConfigError
from oci_push.variables.derived import escape_special, to_tag
from oci_push.variables.interpolation import MAX_CHARACTERS, tokens_in
from oci_push.variables.lookup import Variables, VariableSource, names_in

VENDOR = re.compile(r"\$\{{2}(.+?)\}{2}")
NAMES = st.sampled_from(["A", "B", "C", "CF_BRANCH", "CF_BRANCH_TAG_NORMALIZED", "CF_REVISION", "steps.p.result"])
PIECES = st.one_of(
    st.sampled_from(["${{", "}}", "\n", " ", "$", "{", "}", "x"]),
    st.builds("${{{{{}}}}}".format, NAMES),
    st.text(max_size=3),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
VALUES = st.dictionaries(NAMES, TEXTS)


@given(TEXTS, VALUES)
def test_interpolating_ends_in_a_bounded_text_or_a_config_error(text: str, values: dict[str, str]) -> None:
    with contextlib.suppress(ConfigError):
        assert len(Variables.of(values).interpolate(text).text) <= MAX_CHARACTERS + len(text)


@given(st.text(), VALUES)
def test_a_text_without_tokens_is_unchanged(text: str, values: dict[str, str]) -> None:
    if not names_in(text):
        assert Variables.of(values).interpolate(text).text == text


@given(TEXTS)
def test_tokens_are_those_of_the_vendors_pattern(text: str) -> None:
    found = [(token.start, token.end, token.name) for token in tokens_in(text)]
    assert found == [(match.start(), match.end(), match[1].strip()) for match in VENDOR.finditer(text)]


@given(TEXTS, VALUES)
def test_literal_values_are_put_in_as_they_are(text: str, values: dict[str, str]) -> None:
    variables = Variables([VariableSource("s", values, is_literal=True)])
    known = {name: value for name in names_in(text) if (value := variables.lookup(name)) is not None}
    expected = VENDOR.sub(lambda match: known.get(match[1].strip(), match[0]), text)
    assert variables.interpolate(text).text == expected


@given(st.text())
def test_what_a_branch_becomes_is_a_tag_and_stays_one(branch: str) -> None:
    tag = to_tag(branch)
    assert len(tag) <= 128
    assert to_tag(tag) == tag
    assert all(c.isascii() and (c.isalnum() or c in "_.-") for c in tag)
    assert tag[:1] not in (".", "-")


@given(st.text())
def test_escaped_texts_are_one_line_and_can_be_read_back(text: str) -> None:
    escaped = escape_special(text)
    assert not set(escaped) & set("\n\r\t")
    read, rest = "", escaped
    while rest:
        if rest[0] == "\\":
            read += {"n": "\n", "r": "\r", "t": "\t"}.get(rest[1], rest[1])
            rest = rest[2:]
        else:
            read += rest[0]
            rest = rest[1:]
    assert read == text
