"""A trust root at a time: authorities and logs say from when to when each is trusted, and beyond that none counts.

``sigstore`` keeps to that for timestamps alone: an authority that was given up because its key was stolen could go on
giving certificates that count. As in sigstore-go, all are left out that were not trusted when something was signed.
Source: sigstore/protobuf-specs, sigstore_trustroot.proto (``valid_for``: closed, an end that is missing is none).
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier

_Choice = tuple[tuple[bool, ...], ...]
_KINDS = {"certificate_authorities": "authority", "tlogs": "log", "ctlogs": "log of certificates"}


class TimedRoot:
    """A trust root, of which a part is asked for by time; may be shared by threads."""

    def __init__(self, root: TrustedRoot) -> None:
        self._root = root
        self._parts: dict[_Choice, tuple[TrustedRoot, Verifier]] = {}  # no more than there are periods

    def of(self, bundle: Bundle) -> Verifier:
        """Return what verifies a bundle by who was trusted at the times that it claims; raises what says why not.

        These are verified afterwards, and one that is not true verifies nothing.
        """
        entry = bundle.log_entry._inner
        times = [_time(entry.integrated_time)] if entry.integrated_time and entry.inclusion_promise else []
        stamps = bundle.verification_material.timestamp_verification_data
        times += [one.tst_info.gen_time for one in stamps.rfc3161_timestamps] if stamps else []
        return self._at(times, bundle.signing_certificate)[1]

    def at(self, at: float | None, certificate: x509.Certificate) -> TrustedRoot:
        """Return who was trusted at a time, or when a certificate was given; raises ``ValueError`` for nobody."""
        return self._at([certificate.not_valid_before_utc if at is None else _time(at)], certificate)[0]

    def _at(self, times: Collection[datetime.datetime], certificate: x509.Certificate) -> tuple[TrustedRoot, Verifier]:
        given = [certificate.not_valid_before_utc]  # which a log of certificates has seen by then
        inner = self._root._inner
        chosen = (
            _chosen([one.valid_for for one in inner.certificate_authorities], times),
            _chosen([one.public_key.valid_for for one in inner.tlogs], times),
            _chosen([one.public_key.valid_for for one in inner.ctlogs], given),
        )
        for kind, some in zip(_KINDS.values(), chosen, strict=True):
            if not any(some):
                raise ValueError(f"no {kind} of the trust root was trusted at that time")
        if chosen not in self._parts:
            self._parts[chosen] = self._part(chosen)
        return self._parts[chosen]

    def _part(self, chosen: _Choice) -> tuple[TrustedRoot, Verifier]:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        inner = self._root._inner
        lists = {
            name: [one for one, is_trusted in zip(getattr(inner, name), some, strict=True) if is_trusted]
            for name, some in zip(_KINDS, chosen, strict=True)
        }
        root = TrustedRoot(inner.model_copy(update=lists))
        return root, Verifier(trusted_root=root)


def _chosen(periods: Sequence[Any], times: Collection[datetime.datetime]) -> tuple[bool, ...]:
    return tuple(
        period is None or all(period.start <= at and (period.end is None or at <= period.end) for at in times)
        for period in periods
    )


def _time(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
