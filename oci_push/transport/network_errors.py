"""Breakage: what is said when no answer came, made from what was really done.

Sockets, TLS and HTTP raise `Trouble`, which says what went wrong as one of a few kinds. No text of a library is in it
but the reasons of the system and of TLS, which hold nothing that was sent.
"""

from __future__ import annotations

import enum
import socket
import sys

from oci_push.errors import NetworkError
from oci_push.protocol.endpoints import bare
from oci_push.transport.redirects import origin


class Kind(enum.Enum):
    """Say what went wrong on the way."""

    NAME = "name"
    CONNECT = "connect"
    UNTRUSTED = "untrusted"
    NOT_TLS = "not tls"
    PROXY = "proxy"
    BROKE = "broke"


class Trouble(Exception):  # no error that users see: `network_error` makes one of it
    """Tell that no answer came, and why.

    `url` is what was asked (the session adds it, and `via`, the proxy on the way). `at_proxy` says that it is the
    proxy which could not be reached or does not serve. `again` says that it may go better another time.
    """

    def __init__(self, kind: Kind, reason: str, *, at_proxy: bool = False, again: bool = True) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.at_proxy = at_proxy
        self.again = again
        self.url = ""
        self.via = ""


def trouble_of(problem: OSError | ValueError, kind: Kind = Kind.BROKE) -> Trouble:
    """Say in our words what a socket raised; `kind` is what it means where nothing better is known."""
    if "ssl" in sys.modules and (found := _tls_trouble(problem, kind)) is not None:
        return found
    if isinstance(problem, socket.gaierror | UnicodeError):
        return Trouble(Kind.NAME, "it is not known")
    if isinstance(problem, OSError) and problem.strerror:
        return Trouble(kind, problem.strerror)
    return Trouble(kind, "the connection was closed")


def _tls_trouble(problem: OSError | ValueError, kind: Kind) -> Trouble | None:
    import ssl

    if isinstance(problem, ssl.SSLCertVerificationError):
        return Trouble(Kind.UNTRUSTED, problem.verify_message or "certificate verify failed", again=False)
    if isinstance(problem, ssl.CertificateError):
        return Trouble(Kind.UNTRUSTED, "it is for another name", again=False)
    if isinstance(problem, ssl.SSLError):
        reason = (problem.reason or "TLS failed").replace("_", " ").lower()
        if reason in _NO_TLS:
            return Trouble(Kind.NOT_TLS, reason, again=False)
        return Trouble(kind, f"TLS: {reason}")
    return None


def network_error(subject: str, trouble: Trouble, *, home: str) -> NetworkError:
    """Build the error for a request that got no answer; `home` is the registry that the request was for, as a URL."""
    place = bare(trouble.url)
    host = place.partition("://")[2].partition("/")[0]
    is_elsewhere = origin(trouble.url) != origin(home)
    where = f"{host}, where {home.partition('://')[2]} sent us ({place})" if is_elsewhere else host
    if trouble.via and not trouble.at_proxy:
        where += f" through the proxy {trouble.via}"
    hint = "is the registry up and reachable?"
    if is_elsewhere:
        hint = "does the registry give its own address right? see its setting for the external URL"
    if trouble.at_proxy:
        where, hint = f"the proxy {trouble.via}", "is the proxy's address right, and is it up?"
    told = {
        Kind.NAME: (
            f"the name {where} cannot be resolved",
            hint if is_elsewhere and not trouble.at_proxy else "check the name, and this machine's DNS",
        ),
        Kind.CONNECT: (f"cannot connect to {where} ({trouble.reason})", hint),
        Kind.UNTRUSTED: (
            f"the certificate of {where} is not trusted ({trouble.reason})",
            _CA_HINT if _code(trouble) == "OCP-TLS-UNKNOWN-CA" else None,  # no CA mends one that is old or another's
        ),
        Kind.NOT_TLS: (
            f"{where} does not speak TLS",
            "if it is meant to be plain http, say --plain-http or plain_http: true",
        ),
        Kind.PROXY: (f"{where} does not let us through to {host} ({trouble.reason})", _login_hint(trouble)),
        Kind.BROKE: (f"connection to {where} broke ({trouble.reason})", None),
    }
    message, advice = told[trouble.kind]
    is_away = not is_elsewhere and not trouble.at_proxy
    error = NetworkError(f"{subject}: {message}", hint=advice, transient=trouble.again, is_away=is_away)
    return error.with_code("OCP-NET-PROXY" if trouble.at_proxy else _code(trouble))


_CA_HINT = "give its CA with ca: in oci-push.yaml, --ca-file or a certs.d folder"
_NO_TLS = frozenset({"wrong version number", "record layer failure", "packet length too long", "http request"})


_CODES = {
    Kind.NAME: "OCP-NET-NAME",
    Kind.CONNECT: "OCP-NET-CONNECT",
    Kind.NOT_TLS: "OCP-TLS-NONE",
    Kind.PROXY: "OCP-NET-PROXY",
    Kind.BROKE: "OCP-NET",
}
# How OpenSSL says that nobody we trust has signed (`X509_verify_cert_error_string`).
_UNKNOWN_SIGNER = ("unable to get", "unable to verify", "self-signed", "self signed")


def _code(trouble: Trouble) -> str:
    if trouble.kind is Kind.UNTRUSTED:
        is_unknown = trouble.reason.startswith(_UNKNOWN_SIGNER)
        return "OCP-TLS-UNKNOWN-CA" if is_unknown else "OCP-TLS-CERTIFICATE"
    return _CODES[trouble.kind]


def _login_hint(trouble: Trouble) -> str:
    if "407" in trouble.reason or "login" in trouble.reason:
        return "give its login in the variable, as in http://user:password@proxy.example:3128"
    return "may this proxy be used to reach the registry? NO_PROXY names what is reached directly"
