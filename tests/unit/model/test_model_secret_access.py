"""Secrets that do not show, and how a registry is reached."""

from __future__ import annotations

import pickle
import traceback

import pytest

from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig, is_loopback
from oci_push.secret import Secret


class TestSecret:
    @pytest.mark.parametrize("shown", [str, repr, "{}".format, "{!r:>20}".format, "{:>20}".format, lambda s: f"{s}"])
    def test_never_shows_itself(self, shown: object) -> None:
        assert callable(shown)
        assert "hunter2" not in shown(Secret("hunter2"))

    def test_does_not_show_in_what_holds_it(self) -> None:
        credential = Credential("u", Secret("hunter2"), Secret("hunter2"), Secret("hunter2"))
        assert "hunter2" not in repr(
            (credential, RegistryEndpoint("reg.example", credential), {"a": [Secret("hunter2")]})
        )

    def test_does_not_show_in_a_traceback(self) -> None:
        secret = Secret("hunter" + "2")  # in pieces: a traceback quotes the source line
        with pytest.raises(KeyError) as caught:
            raise KeyError(secret)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_reveals_itself_when_asked(self) -> None:
        assert Secret("hunter2").reveal() == "hunter2"

    def test_equals_by_content_and_only_secrets(self) -> None:
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("ä")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1

    def test_empty_one_is_false(self) -> None:
        assert not Secret("")
        assert Secret(" ")

    def test_cannot_be_pickled(self) -> None:
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(Secret("hunter2"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("LOCALHOST:5000", True),
        ("app.localhost", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("[::2]:5000", False),
        ("notlocalhost", False),
        ("localhost.example", False),
        ("reg.example:5000", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "plain", "scheme"),
    [
        ("localhost:5000", None, "http"),
        ("localhost:5000", False, "https"),
        ("reg.example", None, "https"),
        ("reg.example", True, "http"),
    ],
)
def test_scheme_is_what_is_said_or_follows_from_the_host(host: str, plain: bool | None, scheme: str) -> None:
    assert RegistryEndpoint(host, tls=TlsConfig(plain_http=plain)).scheme == scheme


def test_two_logins_on_one_host_are_two_accesses() -> None:
    one, two = (RegistryEndpoint("reg.example", Credential("u", Secret(text))) for text in ("a", "b"))
    assert len({one, two, RegistryEndpoint("reg.example", Credential("u", Secret("a")))}) == 2
