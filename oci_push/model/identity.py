"""Who we are at a cloud: what a registry login is made from, where the registry wants one that a cloud hands out.

Values only, and each cloud's own in its provider. An identity says *how* to get a login and never is one; the
provider turns it into logins that expire and are renewed. What is empty is left to the cloud's own default chain.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class RepositoryCreation(Struct, frozen=True):
    """That a missing repository is created, as the cloud does by default; a cloud's own class says more."""


class JobToken(Struct, frozen=True):
    """Where a job's own identity is got: an ID token (OpenID Connect Core 1.0) that its CI has signed.

    It stands in the variable `env` or in `file`, or `command` prints it; without any of these the CI is asked in the
    way it has. `audience` replaces the usual one of who takes it.
    """

    env: str = ""
    file: str = ""
    command: tuple[str, ...] = ()
    audience: str = ""


class CloudIdentity(Struct, frozen=True, kw_only=True):
    """Who asks one cloud for a login; the fields of a cloud's own class are keys of ``oci-push.yaml``.

    `creation` lets missing repositories be created, where `can_create` says that the cloud's management API does so.
    With `oidc` the login is got for the job's own identity.
    """

    creation: RepositoryCreation | None = None
    oidc: JobToken | None = None
    can_create: ClassVar[bool] = False
    secrets: ClassVar[tuple[str, ...]] = ()
    """The fields that hold a `Secret` or nothing."""

    def __str__(self) -> str:
        """Return who that is, for people; never a secret. A cloud's own class says more than its name."""
        return type(self).__name__

    @property
    def host(self) -> str:
        """Return the host of this identity's own registry, empty where it has none."""
        return ""

    def problems(self) -> tuple[str, ...]:
        """Return all that the cloud would refuse; each begins with the name of a key."""
        return ()


class RegionalIdentity(CloudIdentity, frozen=True, kw_only=True):
    """Who asks a cloud that has a registry in each region; an empty `account` is the asking one's own."""

    region: str = ""
    account: str = ""
