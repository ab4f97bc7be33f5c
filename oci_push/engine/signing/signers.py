"""What signs in a run: each key is read once, one certificate serves all, and each statement is signed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oci_push.model.trust import Keyless, SignRule
from oci_push.runtime.single_flight import SingleFlight

if TYPE_CHECKING:
    from oci_push.engine.signing.job_identity import JobIdentity
    from oci_push.engine.signing.signer import Signer
    from oci_push.providers.base import Cloud
    from oci_push.signing.keys import SigningKey


class Signers:
    """The signers of a run; nothing is read before it is asked for. Safe to use from several threads.

    `cloud` gives the way to the places that give certificates.
    """

    def __init__(self, env: Mapping[str, str], cloud: Callable[[], Cloud]) -> None:
        self._env = env
        self._cloud = cloud
        self._keys: SingleFlight[str, SigningKey] = SingleFlight()
        self._identities: SingleFlight[Keyless, JobIdentity] = SingleFlight()
        self._made: SingleFlight[SignRule, Signer] = SingleFlight()

    def of(self, rules: Sequence[SignRule]) -> tuple[Signer, ...]:
        """Return the signers of rules; raises `ConfigError` for a key or a trust root that cannot be read.

        Whether a rule is recursive is no matter of the signer: what it says of a manifest is the same bytes either way.
        """
        plain = dict.fromkeys(replace(rule, recursive=False) for rule in rules)
        return tuple(self._made.get(rule, partial(self._signer, rule)) for rule in plain)

    def _signer(self, rule: SignRule) -> Signer:
        if (keyless := rule.keyless) is not None:
            from oci_push.engine.signing.identity_signer import IdentitySigner
            from oci_push.engine.signing.job_identity import JobIdentity

            return IdentitySigner(self._identities.get(keyless, lambda: JobIdentity(keyless, self._cloud())), rule)
        from oci_push.engine.signing.signer import KeySigner, read_key  # cryptography takes its time to load

        return KeySigner(self._keys.get(rule.key, lambda: read_key(rule.key, self._env)), rule)
