"""Logins that a credential helper gave: the helper is asked again when one has aged or is refused."""

from __future__ import annotations

from oci_push.credentials.files import HELPER_AGE_S, AuthFiles
from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.model.reference import Repository
from oci_push.providers.base import complete
from oci_push.providers.families import find_family
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.transport.credentials import CredentialProvider, Lease, RefreshingCredential


def renewed(
    logins: AuthFiles, clock: Clock, repository: Repository, first: Credential, family: str
) -> CredentialProvider:
    """Return the source of a login whose `first` value is known."""
    known = [first]

    def make(context: Context) -> Lease:
        if known:
            return Lease(known.pop(), HELPER_AGE_S)
        found = logins.find(repository, context, ask_again=True)
        if found is None:
            raise CredentialsError(
                f"{repository.host}: its credential helper has no login any more", hint="log in again"
            )
        return Lease(complete(found.credential, find_family(repository.host, family)), HELPER_AGE_S)

    return RefreshingCredential(clock, make)
