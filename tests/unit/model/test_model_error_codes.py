"""Every error has a code, every code a hint and a section of the page that is linked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_push import errors
from oci_push.errors import CODES, PAGE, ConfigError, NetworkError, OciPushError, link_of
from oci_push.forms import ErrorForm
from oci_push.transport.network_errors import Kind, Trouble, network_error

PROJECT = Path(__file__).parents[3]
SECTIONS = re.findall(
    r"^## (.+)\n\n(.+)\n\n((?:.|\n)+?)(?=\n## |\Z)", (PROJECT / "docs" / "errors.md").read_text(), re.M
)
OF_THE_COMMAND_LINE = {"OCP-USAGE"}


def every_class(above: type[OciPushError] = OciPushError) -> Iterator[type[OciPushError]]:
    yield above
    for one in above.__subclasses__():
        if one.__module__.startswith("oci_push"):
            yield from every_class(one)


def test_the_page_has_a_section_for_each_code_with_what_is_printed() -> None:
    assert [code for code, _, _ in SECTIONS] == list(CODES)
    for code, first, text in SECTIONS:
        assert first.startswith(f"{CODES[code].title}. Exit code "), code
        hint = CODES[code].hint
        assert (f"Hint: {hint}" in text) if hint else ("Hint:" not in text), code


def test_the_link_is_an_anchor_of_the_page() -> None:
    page, _, anchor = link_of("OCP-TLS-NONE").partition("#")
    assert page == PAGE
    assert (PROJECT / "docs" / Path(page).name).with_suffix(".md").exists()
    assert anchor == "ocp-tls-none"  # what GitHub and MyST make of the heading


@pytest.mark.parametrize("kind", [*every_class()], ids=lambda kind: kind.__name__)
def test_every_class_has_a_code_and_says_what_its_code_says(kind: type[OciPushError]) -> None:
    error = kind("it failed")
    assert error.code in CODES
    assert error.advice == CODES[error.code].hint
    (first,) = [first for code, first, _ in SECTIONS if code == error.code]
    assert f"Exit code {error.exit_code}" in first


def test_every_code_is_given_by_a_class_or_by_name() -> None:
    source = "\n".join(path.read_text() for path in (PROJECT / "oci_push").rglob("*.py"))
    named = {code for code in CODES if len(re.findall(rf"""["']{code}["']""", source)) > 1}
    assert named == set(CODES)
    assert set(CODES) - {kind.code for kind in every_class()} - OF_THE_COMMAND_LINE == {
        *("OCP-NET-NAME", "OCP-NET-CONNECT", "OCP-NET-PROXY"),
        *("OCP-TLS-UNKNOWN-CA", "OCP-TLS-CERTIFICATE", "OCP-TLS-NONE"),
        "OCP-MOVED",
    }


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        (Kind.NAME, "it is not known", "OCP-NET-NAME"),
        (Kind.CONNECT, "Connection refused", "OCP-NET-CONNECT"),
        (Kind.UNTRUSTED, "unable to get local issuer certificate", "OCP-TLS-UNKNOWN-CA"),
        (Kind.UNTRUSTED, "self-signed certificate", "OCP-TLS-UNKNOWN-CA"),
        (Kind.UNTRUSTED, "certificate has expired", "OCP-TLS-CERTIFICATE"),
        (Kind.UNTRUSTED, "Hostname mismatch, certificate is not valid for 'a'.", "OCP-TLS-CERTIFICATE"),
        (Kind.NOT_TLS, "wrong version number", "OCP-TLS-NONE"),
        (Kind.PROXY, "407 login", "OCP-NET-PROXY"),
        (Kind.BROKE, "Connection reset by peer", "OCP-NET"),
    ],
)
def test_a_breakage_has_the_code_of_its_kind(kind: Kind, reason: str, code: str) -> None:
    trouble = Trouble(kind, reason)
    trouble.url = "https://reg.example/v2/"
    assert network_error("x", trouble, home="https://reg.example").code == code


def test_a_proxy_that_cannot_be_reached_has_the_code_of_proxies() -> None:
    trouble = Trouble(Kind.CONNECT, "Connection refused", at_proxy=True)
    trouble.url, trouble.via = "https://reg.example/v2/", "http://proxy.example:3128 (HTTPS_PROXY)"
    assert network_error("x", trouble, home="https://reg.example").code == "OCP-NET-PROXY"


def test_a_code_survives_what_is_added_to_an_error_and_its_form() -> None:
    error = NetworkError("no").with_code("OCP-NET-NAME").with_more("!").with_attempts(3)
    form = ErrorForm.of(error)
    assert (form.code, form.link) == ("OCP-NET-NAME", link_of("OCP-NET-NAME"))
    assert form.error().code == "OCP-NET-NAME"
    assert ErrorForm("ConfigError", "x", None, 2).error().code == "OCP-CONFIG"


def test_an_own_hint_goes_before_that_of_the_code() -> None:
    assert ConfigError("x", hint="do this").advice == "do this"
    assert NetworkError("x").advice == errors.CODES["OCP-NET"].hint


def test_where_only_a_message_can_say_what_to_do_no_hint_is_made_up() -> None:
    assert {code for code, meaning in CODES.items() if not meaning.hint} == {
        *("OCP-CONFIG", "OCP-SOURCE", "OCP-STOPPED", "OCP-OTHER")
    }
    assert ConfigError("x").advice == ""
