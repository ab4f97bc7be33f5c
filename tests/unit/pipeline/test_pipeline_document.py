"""Reading YAML: values as YAML 1.2 has them, anchors, and what is refused with which words."""

from __future__ import annotations

import pytest
from parsing import to_plain

from oci_push.errors import ConfigError
from oci_push.language import document
from oci_push.language.document import load
from oci_push.language.yaml_scalars import Timestamp, resolve_plain


def read(text: str | bytes) -> object:
    return to_plain(load(text, "f").root)


def refused(text: str | bytes) -> tuple[str, str | None]:
    """Give the message and hint with which a text is refused."""
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("NO", "NO"), ("12:30", "12:30"), ("190:20:30", "190:20:30"),
        ("0012", 12), ("012", 12), ("0o14", 12), ("08", 8), ("1e3", 1000.0), ("123e456", float("inf")), ("1_000", 1000),
        ("1_", "1_"), ("_1", "_1"), ("2024-01-01", Timestamp("2024-01-01")), ("2024-1-1", "2024-1-1"),
        ("2024-1-1T1:02:03Z", Timestamp("2024-1-1T1:02:03Z")), ("1.10", 1.1), ("1.0.1", "1.0.1"), ("1.", 1.0),
        (".5", 0.5), ("-.5", "-.5"), (".", "."), ("._", "._"), ("0x1F", 31), ("-0x1f", -31), ("0x", "0x"), ("0b11", 3),
        ("+12", 12), ("-", "-"), ("~", None), ("", None), ("NULL", None), ("nULL", "nULL"), ("True", True),
        ("tRUE", "tRUE"), ("FALSE", False), (".inf", float("inf")), ("-.INF", float("-inf")), (".Inf.", ".Inf."),
        ("9" * 400, float("inf")), ("-0x" + "f" * 5000, float("-inf")), ("１２", "１２"),
        ("1" * 200 + "x", "1" * 200 + "x"),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = resolve_plain(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert str(resolve_plain(".nan")) == "nan"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'1'", "1"), ('"on"', "on"), ("!!str 12", "12"), ("! 12", "12"), ("!!int '5'", 5), ("|\n  1\n", "1\n"),
        ("!!float 5", 5), ("!!null ''", None), ("!!map {a: 1}", {"a": 1}),
    ],
)  # fmt: skip
def test_quotes_and_tags_say_what_a_value_is(text: str, value: object) -> None:
    assert read(f"k: {text}") == {"k": value}


def test_keys_stay_the_text_that_is_written() -> None:
    assert read("on: 1\n1.10: 2\nyes: 3\n${{b.imageId}}: 4") == {"on": 1, "1.10": 2, "yes": 3, "${{b.imageId}}": 4}


def test_merged_keys_give_way_to_own_ones_and_to_earlier_mappings() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], c: 3}\nw:\n  c: 0\n  <<: *y\n"
    assert read(text) == {
        "x": {"a": 1, "b": 1},
        "y": {"b": 2, "c": 2},
        "z": {"a": 1, "b": 1, "c": 3},
        "w": {"b": 2, "c": 0},
    }


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read("'<<': {a: 1}") == {"<<": {"a": 1}}


def test_an_anchor_may_be_used_again_and_means_the_last_one() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_a_byte_order_mark_and_windows_line_ends_are_nothing() -> None:
    assert read("\ufeffa: 1\r\nb: 2\r\n".encode()) == {"a": 1, "b": 2}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
)
TOWER = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(120))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: the file is empty"),
        ("# nothing", "f:1:1: the file is empty"),
        ("a: 1\nb: {c: 1, c: 2}", "f:2:11: duplicated mapping key 'c' (first on line 2)"),
        ("a: 1\n'a': 2", "f:2:1: duplicated mapping key 'a' (first on line 1)"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document begins here; one is allowed"),
        ("? [a]\n: b", "f:1:3: a key must be plain text"),
        ("~: b", "f:1:1: a key is missing before the colon"),
        ("<<: 1", "f:1:5: << merges mappings only"),
        ("<<: [{a: 1}, 2]", "<< merges mappings only"),
        ("a: !foo x", "f:1:4: !foo does not fit here"),
        ("a: !!int x", "f:1:4: !!int does not fit here"),
        ("a: !!set {x}", "!!set does not fit here"),
        ("a: *b", "f:1:4: alias *b has no anchor before it"),
        ("a: &a [*a]", "f:1:8: alias *a stands inside what it stands for"),
        ("a: b\x00", "f:1:5: control character U+0000 is not allowed"),
        ("a: b\nc: \x1b[31m", "f:2:4: control character U+001B is not allowed"),
        (b"a: b\nc: \xff", "f:2:4: the file is not UTF-8 text: byte 0xff here"),
        ("a: 1".encode("utf-16"), "f:1:1: the file is not UTF-8 text: byte 0xff here"),
        (BOMB, "too many values"),
        (TOWER, "f:100:12: nested more than 100 deep"),
        ("- " * 200 + "a", "nested more than 100 deep"),
        ("[" * 100_000, "nested"),
        ("a: " + "x" * 17 * 1024 * 1024, "f:1:1: the file has more than 16 MiB"),
    ],
)
def test_what_is_no_clean_yaml_is_refused_with_its_place(text: str | bytes, message: str) -> None:
    assert message in refused(text)[0]


def test_a_list_may_have_so_many_values_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit itself, half a million, takes PyYAML ten seconds; that it holds for what is counted, `BOMB` shows.
    monkeypatch.setattr(document, "_MAX_NODES", 5_000)
    load("[" + "1," * 4_999 + "]", "f")
    with pytest.raises(ConfigError, match="too many values"):
        load("[" + "1," * 5_000 + "]", "f")


def test_as_deep_as_allowed_is_read() -> None:
    assert read("[" * 100 + "]" * 100) is not None


def test_aliases_share_what_they_stand_for_up_to_the_limit() -> None:
    shared = "a: &a [" + "1," * 1000 + "]\nb: [" + "*a," * 400 + "]"
    assert len(read(shared)["b"]) == 400  # type: ignore[call-overload,index]


def test_all_mistakes_of_keys_are_told_at_once() -> None:
    assert refused("a: 1\na: 2\nb: !x 1\n")[0].splitlines() == [
        "f:2:1: duplicated mapping key 'a' (first on line 1)",
        "f:3:4: !x does not fit here",
    ]


@pytest.mark.parametrize(
    ("text", "value", "places"),
    [
        ("tags: [ latest, ${{CF_BRANCH}} ]", {"tags": ["latest", "${{CF_BRANCH}}"]}, [(1, 17)]),
        ("p: {type: push, tag: v-${{ T }}.1}", {"p": {"type": "push", "tag": "v-${{ T }}.1"}}, [(1, 22)]),
        ("tags: [\n  latest,\n  ${{X}}\n]", {"tags": ["latest", "${{X}}"]}, [(3, 3)]),
        ("[${{A}}${{B}}, x-${{c.d}}]", ["${{A}}${{B}}", "x-${{c.d}}"], [(1, 2), (1, 16)]),
        ("{${{K}}: ${{V}}}", {"${{K}}": "${{V}}"}, [(1, 2), (1, 10)]),
        ("[{a: ${{A}}}, '${{Q}}', \"${{R}}\"]", [{"a": "${{A}}"}, "${{Q}}", "${{R}}"], [(1, 6)]),
        ("a: ${{A}}\nb: |\n  ${{B}} }}\n# ${{C}}\n", {"a": "${{A}}", "b": "${{B}} }}\n"}, []),
        ("a: [\ue000, \ue001, ${{X}}]", {"a": ["\ue000", "\ue001", "${{X}}"]}, [(1, 11)]),
    ],
)
def test_variables_without_quotes_in_flow_style_are_text_and_noted(
    text: str, value: object, places: list[tuple[int, int]]
) -> None:
    done = load(text, "f")
    assert to_plain(done.root) == value
    assert [(one.location.line, one.location.column) for one in done.bare] == places


@pytest.mark.parametrize("text", ["[${{a, b}}]", "[${{}}]", "[${{a: b}}, {]", "[${{a]", "[$ {{a}}]"])
def test_what_only_looks_like_a_variable_in_flow_style_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        load(text, "f")


def test_what_comes_behind_such_a_variable_keeps_its_place() -> None:
    message, _ = refused("a: [${{X}}, x]\nb: [${{Y}}, 1\n")
    assert message.startswith(("f:3:1:", "f:2:"))
    assert "\ue000" not in message


def test_a_variable_elsewhere_is_not_blamed_for_another_mistake() -> None:
    message, hint = refused("tag: ${{X}}\nother: [1,")
    assert "variable" not in message
    assert hint is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1", "indent with spaces, not with tabs"),
        ("a: @x", "put the value in quotes"),
        ("a: b: c", "put a value that holds a colon and a blank in quotes, or check the indentation"),
        ("a: 1\n b: 2", "put a value that holds a colon and a blank in quotes, or check the indentation"),
        ("a: 'x\nb: 1", "what begins on line 1 is not closed"),
        ("a:\n  - b\n c: 1", "check the indentation of this line and the one before"),
    ],
)
def test_syntax_errors_say_what_to_do(text: str, hint: str) -> None:
    assert refused(text)[1] == hint
