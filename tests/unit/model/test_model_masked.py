"""What is taken out of text before anybody sees it: secrets in every spelling, logins in URLs, commands."""

from __future__ import annotations

import base64
import html
import json
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from oci_push.errors import CredentialsError, Diagnostic, RegistryError
from oci_push.events import Event, LogMessage, RetryScheduled, Within, discreet
from oci_push.model.display import clean, clean_json, quoted
from oci_push.model.endpoint import Credential
from oci_push.secret import Secret, learn_logins, masked, masked_json

WORD = 'mask3d/of+this "test" é\\&<'


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS = {
    "plain": WORD,
    "upper case": WORD.upper(),
    "url": quote(WORD, safe=""),
    "path": quote(WORD),
    "form": quote_plus(WORD),
    "url twice": quote(quote(WORD, safe=""), safe=""),
    "url in lower case": quote(WORD, safe="").lower(),
    "json": json.dumps(WORD)[1:-1],
    "utf-8 json": json.dumps(WORD, ensure_ascii=False)[1:-1],
    "json in json": json.dumps(json.dumps(WORD)[1:-1])[1:-1],
    "python": repr(WORD)[1:-1],
    "html": html.escape(WORD),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_however_it_is_escaped(spelling: str) -> None:
    Secret(WORD)
    assert masked(f"got {SPELLINGS[spelling]}, sorry") == "got ***, sorry"


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "robot$ci"])
@pytest.mark.parametrize("behind", ["", "x", "yz"])
def test_a_secret_is_found_inside_of_base64_wherever_it_begins(user: str, behind: str) -> None:
    Secret("hidden-in-base64")
    text = packed(f"{user}:hidden-in-base64{behind}")
    shown = base64.b64decode(masked(text).partition("***")[0] + "====")
    assert "***" in masked(text)
    assert len(shown) <= len(user) + 2
    assert "***" in masked(text.translate(str.maketrans("+/", "-_")))


def test_a_short_password_is_found_in_what_basic_makes_of_it() -> None:
    Credential("someone", Secret("pw"))
    assert masked(f"Basic {packed('someone:pw')}") == "Basic ***"


def test_secrets_that_overlap_leave_nothing_of_each_other() -> None:
    Secret("first-secret-second")
    Secret("second-secret-third")
    Secret("first-secret")
    assert masked("<first-secret-second-secret-third>") == "<***>"


def test_a_key_of_many_lines_is_found_line_by_line() -> None:
    Secret("-----BEGIN KEY-----\nline-number-one-of-it\nline-number-two-of-it\n-----END KEY-----\n")
    assert masked("  line-number-two-of-it") == "  ***"


@pytest.mark.parametrize("word", ["true", "password", "5000", "abc", "main", "", "  "])
def test_what_is_short_or_common_maims_no_text(word: str) -> None:
    Secret(word)
    assert masked(f"a{word}b {word} localhost:5000") == f"a{word}b {word} localhost:5000"


def test_a_secret_of_few_letters_is_found_as_a_word() -> None:
    Secret("q7x2")
    assert masked("q7x2 aq7x2b (q7x2)") == "*** aq7x2b (***)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:PASSWORD@host/x", "https://user:***@host/x"),
        ("'https://u:pass/word@host/x'", "'https://u:***@host/x'"),
        ("https://u:p@ss@host/x", "https://u:***@host/x"),
        ("https:/u:PW@host/pipeline.yml", "https:/u:***@host/pipeline.yml"),
        ("http://u:123456@h/", "http://u:***@h/"),
        ("docker://u:pw@h/x:1", "docker://u:***@h/x:1"),
        ("https://ghp_token@github.com/x", "https://***@github.com/x"),
        ("u:PW@reg.example/app:1", "u:***@reg.example/app:1"),
        ("HTTP_PROXY=u:pw@proxy:3128", "HTTP_PROXY=u:***@proxy:3128"),
        ("https://s/x?a=1&X-Amz-Signature=abc&b=2", "https://s/x?a=1&X-Amz-Signature=***&b=2"),
        ("/x?token=abc", "/x?token=***"),
    ],
)
def test_logins_and_signatures_of_urls_are_taken_out(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "docker://localhost:5000/app@sha256:abc",
        "https://host:5000/a:b@sha256:1",
        "reg.example/app:1@sha256:aaa",
        "app:1.2@sha256:abc",
        "ssh://git@github.com/x",
        "from alice@example.com: 12:30@noon",
    ],
)
def test_references_and_addresses_stay(text: str) -> None:
    assert masked(text) == text


def test_many_beginnings_of_urls_take_no_time() -> None:
    assert len(masked("//a:b" * 20_000 + "@")) > 0
    assert len(masked("a:" * 50_000 + "@x.y")) > 0


def test_the_password_of_a_url_is_known_without_it() -> None:
    learn_logins("proxy is https://u:learnt%2Fhere@proxy:1")
    assert masked("learnt/here and learnt%2Fhere") == "*** and ***"


def test_a_lone_token_of_a_url_is_known_and_a_lone_name_is_not() -> None:
    learn_logins("https://ghp_0123456789abcdefghij@github.com/x https://my-organisation-name@dev.azure.com/x")
    assert masked("ghp_0123456789abcdefghij of my-organisation-name") == "*** of my-organisation-name"


def test_a_secret_that_others_have_cut_is_found_by_its_beginning() -> None:
    Secret("0123456789abcdef-and-so-on")
    assert masked("got 0123456789abcdef-an") == "got ***"
    assert masked("got 0123456789abcdef%2Dand-sX") == "got ***X"
    assert masked("got 0123456789abcde") == "got 0123456789abcde"


MANY = """
from oci_push.secret import Secret, masked
from base64 import b64encode
for number in range(3000):
    Secret(f"{number:05}-state-{number * 7919:09x}")
Secret("+-=/+-=/")
print(masked("at 02999-state-0016a61d9, 01500-state-000b54064 and +-=/+-=/"))
print(masked("in " + b64encode(b"02999-state-0016a61d9").decode().rstrip("=")))
print(masked("00001-state-000001eef"))
"""


def test_each_of_many_secrets_is_found_until_newer_ones_take_its_place() -> None:
    """More of them than a line has characters, among them one that is all signs; in a process of their own."""
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["at ***, *** and ***", "in ***", "00001-state-000001eef"]


def test_text_is_masked_before_it_is_cut() -> None:
    Secret("cut-in-the-middle")
    assert quoted("say cut-in-the-middle", 10) == "say ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x1b]0;t\x07", "a\\x1b[31mb\\x1b]0;t\\x07"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("line\nnext\r\u2028\u2029\x85", "line\\nnext\\r\\u2028\\u2029\\x85"),
        ("\u202eabc\u2066d\u200b\ufeff\u3164", "\\u202eabc\\u2066d\\u200b\\ufeff\\u3164"),
        ("tab\tis é 漢 🎉 fine", "tab\tis é 漢 🎉 fine"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_has_no_picture_is_written_as_its_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


READ_ANYWHERE = ("##vso[", "##[", "##teamcity[", "section_start:", "section_end:", "travis_fold:")
COMMANDS = [
    "::error::x",
    "  \t::add-mask::x",
    "##vso[task.setvariable]x",
    "a ##[error]x",
    "a ##teamcity[x]",
    "section_start:1:x",
    "a section_end:1:x",
    "--- group",
    "+++ group",
    "~~~ group",
    "^^^ +++",
    "travis_fold:start:x",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_a_command_of_a_ci(command: str) -> None:
    shown = clean(command)
    assert not shown.lstrip().startswith(("::", "--- ", "+++ ", "~~~ ", "^^^ "))
    assert not any(word in shown for word in READ_ANYWHERE)
    assert shown.replace(" ", "") == command.replace(" ", "")
    assert clean(shown) == shown


@pytest.mark.parametrize("text", [*COMMANDS, "a\x1b\u202e\ud800\U000e0041\n::error::", "é"])
def test_json_is_harmless_in_a_log_and_read_as_it_was(text: str) -> None:
    shown = clean_json({"key": [text], "n": 123456})
    assert json.loads(shown) == {"key": [text], "n": 123456}
    assert all(char == "\n" or char.isprintable() for char in shown)
    assert not any(word in shown for word in READ_ANYWHERE)
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))


def test_json_is_masked_in_its_texts_alone() -> None:
    Secret("12345678")
    assert masked_json({"12345678": ["x12345678", 12345678, None, True]}) == {"***": ["x***", 12345678, None, True]}


def test_an_error_shows_no_secret_whoever_made_its_text() -> None:
    secret = Secret("told-in-an-error")
    error = RegistryError(f"a {secret.reveal()}", hint=f"b {secret.reveal()}", url=f"http://x/{secret.reveal()}")
    error = error.with_more(f"; c {secret.reveal()}")
    told = f"{error} {error.hint} {error.url} {error.args} {Diagnostic(f'd {secret.reveal()}')}"
    assert "told-in-an-error" not in told
    assert "told-in-an-error" not in str(CredentialsError(secret.reveal()))


def test_an_event_is_masked_once_however_many_ask_for_it() -> None:
    heard = discreet(lambda _: None)
    assert discreet(heard) is heard


def test_events_reach_nobody_with_a_secret() -> None:
    secret = Secret("told-in-an-event").reveal()
    heard: list[Event] = []
    discreet(heard.append)(Within(f"s {secret}", RetryScheduled(secret, f"why {secret}", 1, 2.0)))
    discreet(heard.append)(LogMessage(f"n {secret}"))
    assert heard == [Within("s ***", RetryScheduled("***", "why ***", 1, 2.0)), LogMessage("n ***")]
