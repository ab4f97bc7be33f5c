"""Breakage: what is said when no answer came, by what the sockets and TLS said."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from oci_push.errors import NetworkError
from oci_push.protocol.call import Call
from oci_push.protocol.endpoints import bare


def network_error(call: Call, base: str, problem: Exception) -> NetworkError:
    """Build the error for a request that got no answer, and say what may be done where the reason is known."""
    subject = call.what or bare(call.url)
    text = str(problem) or type(problem).__name__
    host = urlsplit(base).netloc
    lowered = text.lower()
    if "certificate" in lowered:
        return NetworkError(
            f"{subject}: the certificate of {host} is not trusted ({text})",
            hint="give its CA with ca: in oci-push.yaml, --ca-file or a certs.d folder",
            transient=False,
        )
    if "wrong version number" in lowered or "wrong_version_number" in lowered or "record layer" in lowered:
        return NetworkError(
            f"{subject}: {host} does not speak TLS",
            hint="if it is meant to be plain http, say --plain-http or plain_http: true",
            transient=False,
        )
    if isinstance(problem, httpx.ConnectError | OSError) and ("name or service" in lowered or "nodename" in lowered):
        return NetworkError(f"{subject}: the name {host} cannot be resolved", hint="check the registry's name")
    if isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout | OSError):
        return NetworkError(f"{subject}: cannot connect to {host} ({text})", hint="is the registry up and reachable?")
    return NetworkError(f"{subject}: connection to {host} broke ({text})")
