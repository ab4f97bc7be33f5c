"""An examination of the job's own identity: what a fresh ID token says, before it is exchanged for a login.

Where a login is refused, it is these claims that the trust was not written for. The token itself is not shown.
"""

from __future__ import annotations

from oci_push.errors import CredentialsError
from oci_push.model.display import quoted
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.registry.clients import RegistryClients
from oci_push.registry.doctor import CheckOutcome, Finding
from oci_push.runtime.context import Context

_MOST_SHOWN = 500


def examine_identity(clients: RegistryClients, endpoint: RegistryEndpoint, context: Context) -> list[Finding]:
    """Return what the token for a registry says; nothing where the registry is not logged in to by one."""
    ask = clients.cloud_services(endpoint).id_token
    if ask is None:
        return []
    try:
        token = ask(context)
    except CredentialsError as error:
        return [Finding("identity", CheckOutcome.FAILED, str(error), error.hint or "")]
    claims = token.claims
    left = None if claims.expires_at is None else claims.expires_at - context.clock.now()
    ends = "missing" if left is None else f"in {left:.0f} s" if left > 0 else f"{-left:.0f} s ago"
    said = (("iss", claims.issuer), ("sub", claims.subject), ("aud", " and ".join(claims.audiences)), ("exp", ends))
    return [
        Finding("identity", CheckOutcome.OK, f"ID token from {token.source}"),
        *(Finding(f"token {name}", CheckOutcome.OK, quoted(text, _MOST_SHOWN) or "missing") for name, text in said),
    ]
