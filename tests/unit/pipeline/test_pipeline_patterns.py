"""Regular expressions: what JavaScript would say about them, and that none of them can keep a run busy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_push.expressions.javascript.pattern_syntax import MAX_COUNT, MAX_DEPTH
from oci_push.expressions.javascript.patterns import FLAGS, MAX_SOURCE, MAX_TEXT, PatternError, compile_pattern


@pytest.mark.parametrize(
    ("body", "flags", "text", "found"),
    [
        ("FB-", "", "xFB-1", True), ("FB-", "", "fb-1", False), ("FB-", "i", "xfb-1", True),
        ("hotfix$", "", "a/hotfix", True), ("a$", "", "a\n", False), ("a$", "m", "a\nb", True),
        ("^b", "m", "a\u2028b", True), ("^b", "", "a\nb", False), ("a.b", "", "a\nb", False),
        ("a.b", "", "a\u2029b", False), ("a.b", "s", "a\nb", True), ("a.b", "", "a\x85b", True),
        (r"^\d$", "", "1", True), (r"^\d$", "", "١", False), (r"\D", "", "١", True), (r"^\w+$", "", "é", False),
        (r"\W", "", "é", True), (r"^\s{3}$", "", "\ufeff\u00a0\u2003", True), (r"\s", "", "\u200b", False),
        (r"\s", "", "\x1c", False), (r"\S", "", "\ufeff", False), (r"\bx", "", "éx", True), (r"\Bx", "", "éx", False),
        (r"\bx", "", "ax", False), (r"feature\/x", "", "feature/x", True), ("(?<n>a)b", "", "ab", True),
        (r"(?<n>a|b)-\k<n>", "", "b-b", True), (r"(?<n>a|b)-\k<n>", "", "b-a", False),
        (r"\k<n>(?<n>a)", "", "a", True), (r"\k<n>", "", "k<n>", True), (r"(a)|b\1", "", "b", True),
        (r"^(a\1)$", "", "a", True), (r"\2(a)(b)", "", "ab", True), (r"(a)\2", "", "a\x02", True),
        ("[]", "", "a", False), ("[^]", "", "\n", True), ("x[]|a", "", "a", True), ("(?<=v)1", "", "v1", True),
        ("(?<!v)1", "", "v1", False), ("a(?=b)", "", "ab", True), ("a(?!b)", "", "ab", False),
        ("(?=b)*a", "", "a", True), ("(?!a)+b", "", "b", True), (r"(?=(b))*\1a", "", "a", True),
        (r"\x41\u0042\cJ", "", "AB\n", True), (r"\x4", "", "x4", True), (r"\u{2}", "", "uu", True),
        (r"\u{41}", "u", "A", True), (r"^\u{1F600}$", "u", "😀", True), (r"^\ud83d\ude00$", "u", "😀", True),
        ("^.$", "", "😀", False), ("^.$", "u", "😀", True), ("^..$", "", "😀", True), ("[😀]$", "u", "😀", True),
        ("^[^x]$", "", "😀", False), (r"\ud83d", "", "😀", True), (r"\ud83d", "u", "😀", False),
        (r"\101\0", "", "A\x00", True), (r"\8", "", "8", True), (r"[\101\b]", "", "\b", True),
        (r"[\c]", "", "\\", True), (r"\c1", "", "\\c1", True), (r"[\c1]", "", "\x11", True),
        (r"\_\-", "", "_-", True), ("a{", "", "a{", True), ("a{,2}", "", "a{,2}", True), ("]}", "", "]}", True),
        ("^a{2}$", "", "aa", True), ("^a{2,}?$", "", "aaa", True), ("^a{0,1}$", "", "aa", False),
        ("^(?:ab)+$", "", "abab", True), (r"[\w-]", "", "-", True), (r"[\d-x]", "", "-", True),
        ("[a-]", "", "-", True), ("[-a]", "", "-", True), (r"[a\]b]", "", "]", True), (r"[\W]", "i", "s", False),
        (r"[^\W]", "i", "s", True), (r"^\w$", "i", "ſ", False), ("é", "i", "É", True), ("[à-ü]", "i", "É", True),
        ("ß", "i", "SS", False), ("σ", "i", "ς", True), (r"\p{L}", "", "p{L}", True), (r"^\p{L}$", "u", "é", True),
        (r"\P{Lu}", "u", "A", False), (r"[\p{Script=Greek}x]", "u", "α", True), ("", "", "", True),
        ("|x", "", "a", True), ("()", "", "a", True), ("a//b", "", "a//b", True), ("a", "gy", "ba", True),
        ("a", "d", "ba", True), ("(?:)", "", "x", True), ("a&&b--c||d~~e", "", "a&&b--c", True),
        ("[a&&b]", "", "&", True), ("#x y", "", "#x y", True), ("[[a]", "", "[", True),
        ("[[:alpha:]]", "", "a]", True), ("\n", "", "\n", True), (r"\A", "", "A", True), (r"\Z", "", "Z", True),
        ("(?:é){e}", "", "é{e}", True),
        (r"^\t\n\v\f\r$", "", "\t\n\v\f\r", True),
    ],
)  # fmt: skip
def test_a_pattern_means_what_it_means_to_javascript(body: str, flags: str, text: str, found: bool) -> None:
    assert compile_pattern(body, flags).search(text) is found


@pytest.mark.parametrize(
    ("body", "flags", "reason"),
    [
        ("[", "", "Unterminated character class"), ("[a", "", "Unterminated character class"),
        ("[a-", "", "Unterminated character class"), ("[\\", "", "\\ at end of pattern"),
        ("(", "", "Unterminated group"), ("(?:a", "", "Unterminated group"), (")", "", "Unmatched ')'"),
        ("*", "", "Nothing to repeat"), ("a**", "", "Nothing to repeat"), ("a*+", "", "Nothing to repeat"),
        ("a++", "", "Nothing to repeat"), ("^*", "", "Nothing to repeat"), (r"\b+", "", "Nothing to repeat"),
        ("(?<=a)*", "", "Nothing to repeat"), ("{1}", "", "Nothing to repeat"), ("(?=a)*", "u", "Nothing to repeat"),
        ("|*", "", "Nothing to repeat"), ("a{2,1}", "", "numbers out of order in {} quantifier"),
        ("(?i)a", "", "Invalid group"), ("(?i:a)", "", "Invalid group"), ("(?>a)", "", "Invalid group"),
        ("(?P<n>a)", "", "Invalid group"), ("(?#c)", "", "Invalid group"), ("(?(1)a)", "", "Invalid group"),
        ("(?|a)", "", "Invalid group"), ("(?", "", "Invalid group"), ("(?<1>a)", "", "Invalid capture group name"),
        ("(?<n", "", "Invalid capture group name"), ("(?<>a)", "", "Invalid capture group name"),
        ("(?<n>a)(?<n>b)", "", "Duplicate capture group name"),
        (r"(?<n>a)\k<m>", "", "Invalid named capture referenced"), (r"(?<n>a)\k", "", "Invalid named reference"),
        (r"\k<n>", "u", "Invalid named capture referenced"), ("[z-a]", "", "Range out of order in character class"),
        ("a\\", "", "\\ at end of pattern"), ("{", "u", "Lone quantifier brackets"),
        ("}", "u", "Lone quantifier brackets"), ("]", "u", "Lone quantifier brackets"),
        ("a{", "u", "Incomplete quantifier"), (r"\-", "u", "Invalid escape"), (r"\1", "u", "Invalid escape"),
        (r"\01", "u", "Invalid escape"), (r"[\a]", "u", "Invalid class escape"),
        (r"[\d-x]", "u", "Invalid character class"), (r"\u{110000}", "u", "Invalid Unicode escape"),
        (r"\u1", "u", "Invalid escape"), (r"\c1", "u", "Invalid unicode escape"),
        (r"\p", "u", "Invalid property name"), (r"\p{Nope}", "u", ""),
    ],
)  # fmt: skip
def test_what_javascript_refuses_is_refused(body: str, flags: str, reason: str) -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern(body, flags)
    assert str(refused.value).startswith(f"Invalid regular expression: /{body}/{flags}: {reason}")


@pytest.mark.parametrize("flags", ["x", "ii", "v", "I", "i "])
def test_flags_are_checked(flags: str) -> None:
    with pytest.raises(PatternError, match=re.escape(f"Invalid regular expression flags: /a/{flags}")):
        compile_pattern("a", flags)


@pytest.mark.parametrize("body", ["(a|aa)*[bc]", "(?:a*)*[bc]", "(.*)*[bc]", r"(a*)*\1[bc]"])
def test_a_search_without_end_is_given_up(body: str) -> None:
    pattern = compile_pattern(body)
    with pytest.raises(PatternError, match=r"searching took longer than 1 s and was given up"):
        pattern.search("a" * MAX_TEXT)


@pytest.mark.parametrize(
    "body",
    [
        "(a{5000}){5000}",
        "(?:ab){4000}(?:ab){4000}",
        "(?:ab){4000}|(?:ab){4000}",
        "(a?){12000}",
        "((((a{9}){9}){9}){9}){9}",
        "(" * 40 + "a" + ")+" * 40,
        "(?=(ab){9999})x",
    ],
)
def test_what_would_take_all_memory_is_refused(body: str) -> None:
    with pytest.raises(PatternError, match="Regular expression too large"):
        compile_pattern(body)


@pytest.mark.parametrize("count", ["999999999", f"{MAX_COUNT}", f"{MAX_COUNT},", "9" * 5_00, f"0,{'9' * 500}"])
def test_counts_beyond_any_text_are_taken(count: str) -> None:
    assert compile_pattern(f"^a{{{count}}}$").search("a" * MAX_TEXT) is count.startswith("0")


def test_sizes_are_bounded() -> None:
    compile_pattern("(" * MAX_DEPTH + ")" * MAX_DEPTH)
    with pytest.raises(PatternError, match=f"Groups nested more than {MAX_DEPTH} deep"):
        compile_pattern("(" * (MAX_DEPTH + 1))
    compile_pattern("x" * MAX_SOURCE)
    with pytest.raises(PatternError, match=f"longer than {MAX_SOURCE} characters"):
        compile_pattern("x" * (MAX_SOURCE + 1))
    assert compile_pattern("x$").search("x" * MAX_TEXT)
    with pytest.raises(PatternError, match=f"a text of more than {MAX_TEXT} characters"):
        compile_pattern("x").search("x" * (MAX_TEXT + 1))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
def test_escaped_texts_are_found_where_they_are(needle: str, around: str) -> None:
    body = re.sub(r"([\^$\\.*+?()\[\]{}|/])", r"\\\1", needle)
    for flags in ("", "u"):
        assert compile_pattern(f"^{body}$", flags).search(needle)
        assert compile_pattern(body, flags).search(around + needle + around)
        assert compile_pattern(body, flags).search(around) == (needle in around)


COMMON = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "[^a]", "^", "(?=b)", "(?!a)"]),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+?", "{2}", "{1,2}", "?"])),
    ),
    max_leaves=8,
)
"""What JavaScript and Python read alike."""


@given(COMMON, st.text("abc", max_size=6))
def test_what_is_common_with_python_matches_alike(body: str, text: str) -> None:
    assert compile_pattern(body).search(text) == bool(re.search(body, text))


PIECES = st.sampled_from(
    [
        *"ab^$.|()[]{}*+?\\/-,:=!<>12kuxcpPdwsBb",
        "(?<n>",
        "(?:",
        "(?=",
        "(?<!",
        r"\k<n>",
        "{2}",
        "{1,",
        r"\u{",
        r"\p{L}",
        "[^",
        "é",
        "😀",
    ]
)


@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(st.sampled_from(FLAGS), unique=True).map("".join),
    st.text(max_size=5),
)
def test_any_pattern_is_refused_or_answers(body: str, flags: str, text: str) -> None:
    try:
        found = compile_pattern(body, flags).search(text)
    except PatternError:
        return
    assert found in (True, False)
