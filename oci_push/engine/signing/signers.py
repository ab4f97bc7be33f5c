"""What signs in a run: each key is read once, and each statement signed once, wherever it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from oci_push.model.trust import SignRule
from oci_push.runtime.single_flight import SingleFlight

if TYPE_CHECKING:
    from oci_push.engine.signing.signer import Signer
    from oci_push.signing.keys import SigningKey


class Signers:
    """The signers of a run; nothing is read before it is asked for. Safe to use from several threads."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._keys: SingleFlight[str, SigningKey] = SingleFlight()
        self._made: SingleFlight[SignRule, Signer] = SingleFlight()

    def of(self, rules: Sequence[SignRule]) -> tuple[Signer, ...]:
        """Return the signers of rules; raises `ConfigError` for a key that cannot be read."""
        return tuple(self._made.get(rule, partial(self._signer, rule)) for rule in dict.fromkeys(rules))

    def _signer(self, rule: SignRule) -> Signer:
        from oci_push.engine.signing.signer import Signer, read_key  # cryptography takes its time to load

        return Signer(self._keys.get(rule.key, lambda: read_key(rule.key, self._env)), rule)
