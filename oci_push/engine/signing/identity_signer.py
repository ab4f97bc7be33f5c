"""Signing as the job that runs: a bundle with a certificate, and where it is asked for, cosign's tag with one."""

from __future__ import annotations

from collections.abc import Mapping

from oci_push.engine.signing.job_identity import JobIdentity
from oci_push.engine.signing.signed import Found
from oci_push.engine.signing.signer import Signer
from oci_push.errors import ConfigError
from oci_push.model.trust import SIG, SignRule
from oci_push.runtime.context import Context


class IdentitySigner(Signer):
    """Who has no key."""

    def __init__(self, job: JobIdentity, rule: SignRule) -> None:
        super().__init__(rule)
        self._job = job
        if SIG in rule.written and job.services.log_version != 1:
            raise ConfigError(
                f"{job.services.log}: a log of version {job.services.log_version} makes no promise, and cosign's tag"
                " has nothing else of it",
                hint="leave out sig: --sign-format bundle",
            )

    def prepare(self, context: Context) -> None:
        """Ask for the certificate."""
        self._job.prepare(context)

    def has_signed(self, context: Context, found: Found) -> bool:
        """Return whether the identity has, by the log as well."""
        return bool(found.bundle) and self._job.has_signed(context, found.bundle, found.payload)

    def signed_layer(self, context: Context, payload: bytes) -> Mapping[str, str]:
        """Return the signature, the certificate, and the log's promise."""
        return self._job.sign(context, payload, is_enveloped=False).annotations

    def has_signed_layer(self, context: Context, annotations: Mapping[str, str], payload: bytes) -> bool:
        """Return whether the identity has, with a promise of the log for it."""
        return self._job.has_signed_layer(context, annotations, payload)

    def _bundle(self, context: Context, payload: bytes) -> bytes:
        return self._job.sign(context, payload).bundle
