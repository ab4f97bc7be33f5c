"""What is signed with which key, and whose signatures are required, as values without a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct

from oci_push.errors import UntrustedError
from oci_push.model.identity import JobToken
from oci_push.model.reference import Repository, comparable_host

BUNDLE, SIG = "bundle", "sig"
FORMS = (BUNDLE, SIG)
"""How signatures are stored: a Sigstore bundle that refers to the image, and cosign's tag of its digest."""

PREDICATES: Mapping[str, str] = {
    "slsaprovenance1": "https://slsa.dev/provenance/v1",
    "slsaprovenance": "https://slsa.dev/provenance/v0.2",
    "spdxjson": "https://spdx.dev/Document",
    "spdx": "https://spdx.dev/Document",
    "cyclonedx": "https://cyclonedx.org/bom",
    "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "link": "https://in-toto.io/Link/v1",
    "custom": "https://cosign.sigstore.dev/attestation/v1",
}
"""cosign's short words for predicate types."""


KEYLESS = "keyless"
"""The word that stands for no key; a file of that name is ``./keyless``."""


class Keyless(Struct, frozen=True):
    """Sign as the job that runs, with a certificate for its identity in place of a key.

    `trust_root` is a file with a client's trust configuration, empty for the public Sigstore's. `token` says where the
    job's ID token is got.
    """

    trust_root: str = ""
    token: JobToken = JobToken()


class SignRule(Struct, frozen=True):
    """Sign with a key: a file, or ``env://NAME`` for a variable with the key itself; or `keyless`, without one.

    `predicate` makes it an attestation: the URI of its type, and JSON; without, it is a signature in `forms`. Where
    none is named these are all with a key, and a bundle without. With `recursive` each manifest that an index lists is
    signed as well.
    """

    key: str = ""
    forms: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    predicate: tuple[str, bytes] | None = None
    keyless: Keyless | None = None
    recursive: bool = False

    @property
    def written(self) -> tuple[str, ...]:
        """Return the forms in which it is stored."""
        if self.predicate is not None:
            return (BUNDLE,)
        return self.forms or (FORMS if self.keyless is None else (BUNDLE,))

    @property
    def name(self) -> str:
        """Return how messages and plans call who signs."""
        return KEYLESS if self.keyless is not None else self.key


class TrustedKey(Struct, frozen=True):
    """A public key in PEM; `name` is how messages call it."""

    name: str
    pem: str


class TrustedIdentity(Struct, frozen=True):
    """An identity that an issuer vouches for, such as a workflow at a CI, and the trust root that verifies it, as JSON.

    Without `root` it is the public Sigstore's, as the package ``sigstore`` carries it. `root_name` is how messages call
    the root.
    """

    identity: str
    issuer: str
    root: str = ""
    root_name: str = ""

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return f"{self.identity} of {self.issuer}"


class Requirement(Struct, frozen=True):
    """Whose signatures an image must have, by one of `keys` and `identities`, or with `every` by each of them.

    `attestations` are predicate types it must have as well, signed in the same way. `annotations` must be in what was
    signed. Without `signature` attestations are enough. Without keys and identities nothing is trusted.
    """

    keys: tuple[TrustedKey, ...]
    every: bool = False
    attestations: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    signature: bool = True
    identities: tuple[TrustedIdentity, ...] = ()


class PolicyRule(Struct, frozen=True):
    """What is required of images in repositories that a pattern names: ``*`` stands for any text, ``/`` as well."""

    pattern: str
    require: Requirement


class Policy(Struct, frozen=True):
    """What is required, by repository: the first rule that names it decides, and what none names is refused."""

    rules: tuple[PolicyRule, ...]
    name: str = ""

    @classmethod
    def for_all(cls, required: Requirement) -> Policy:
        """Return the policy that requires the same of all images."""
        return cls((PolicyRule("*", required),))

    def of(self, repository: Repository) -> Requirement:
        """Return what is required of a repository's images; raises `UntrustedError` where no rule names it."""
        name = _comparable(str(repository))
        found = next((one for one in self.rules if fnmatchcase(name, _pattern(one.pattern))), None)
        if found is None:
            raise UntrustedError(
                f"{repository}: refused: no rule of {self.name} names it", hint="add a rule with its pattern"
            )
        return found.require


def _comparable(name: str) -> str:
    """Return a repository or a pattern with its host spelled in one way: no spelling leads past a rule."""
    host, slash, rest = name.partition("/")
    return f"{comparable_host(host)}{slash}{rest}"


def _pattern(text: str) -> str:
    """Return a rule's pattern for ``fnmatch``, of whose signs only the star means something here."""
    return re.sub(r"[\[?]", r"[\g<0>]", _comparable(text))


def predicate_type(text: str) -> str:
    """Return the URI of a predicate type, which may be one of cosign's words; raises ``ValueError``."""
    if text in PREDICATES:
        return PREDICATES[text]
    if ":" not in text or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"{text!r} is no predicate type: known are {', '.join(PREDICATES)}, and URIs")
    return text
