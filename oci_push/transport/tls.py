"""TLS contexts: made once for each registry, and only for https (loading the system's roots takes 20 ms)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from oci_push.errors import ConfigError
from oci_push.model.endpoint import TlsConfig


def make_context(tls: TlsConfig, env: Mapping[str, str]) -> ssl.SSLContext:
    """Build the context for `tls`; raises `ConfigError` naming a file that cannot be used.

    Roots are the system's (or ``SSL_CERT_FILE`` / ``SSL_CERT_DIR``) plus those of `tls`. Only HTTP/1.1 is
    offered: for bodies one HTTP/2 connection is held to a window per round trip by Go servers.
    """
    roots = env.get("SSL_CERT_FILE") or None
    try:
        context = ssl.create_default_context(cafile=roots, capath=env.get("SSL_CERT_DIR") or None)
    except (OSError, ValueError) as problem:
        raise ConfigError(
            f"SSL_CERT_FILE: {roots} cannot be used as a CA file ({_reason(problem)})",
            hint="it must name a readable PEM file with one or more certificates",
        ) from problem
    if not context.cert_store_stats()["x509_ca"]:
        context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    context.hostname_checks_common_name = False  # RFC 9525 3: the names a certificate is for are its SANs
    for ca_file in filter(None, (tls.ca_file, *tls.more_ca_files)):
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as problem:
            raise ConfigError(
                f"{ca_file}: cannot be used as a CA file ({_reason(problem)})",
                hint="it must be a readable PEM file with one or more certificates",
            ) from problem
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file or None, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as problem:
            raise ConfigError(
                f"{tls.cert_file}: cannot be used as a client certificate ({_reason(problem)})",
                hint="certificate and key must be readable PEM files that belong together, the key unencrypted",
            ) from problem
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(problem: BaseException) -> str:
    return getattr(problem, "strerror", None) or getattr(problem, "reason", None) or str(problem)
