"""The identity of the job that runs, and what it has signed: one certificate at a time, and one entry for a payload.

Every request goes out by the run's own connections, to the places of one trust configuration and nowhere else. The
job's token goes to its Fulcio alone. What comes back is verified before anything is stored, by the same trust root.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.signing.signer import read_text
from oci_push.errors import (
    ConfigError,
    CredentialsError,
    DeadlineError,
    NetworkError,
    OciPushError,
    ProtocolViolationError,
    RegistryError,
)
from oci_push.events import LogMessage
from oci_push.model.digest import Digest
from oci_push.model.display import quoted
from oci_push.model.identity import JobToken
from oci_push.model.manifest import encode
from oci_push.model.trust import Keyless, TrustedIdentity
from oci_push.protocol.call import BytesBody, Call, Reply
from oci_push.providers.base import Cloud
from oci_push.providers.job_tokens import Desk, find_service
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.signing.certificate import PATH, Certificate, Request
from oci_push.signing.keyless import NEWER, Authority, IdentityVerifier, read_services
from oci_push.signing.log import Signed, certified_bundle, entry_id, read_entry, timestamp_query
from oci_push.signing.promise import tag_annotations

AUDIENCE = "sigstore"
"""For whom a job's token must be made (sigstore/fulcio, docs/oidc.md)."""
TOKEN = "SIGSTORE_ID_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with a token that is ready, as cosign has it."""
_MOST_BYTES = 1024 * 1024
_LOG_S = 60.0
"""How long a log of version 2 may take: it answers when the entry is in."""
_OPTIONAL_S = 15.0
"""How long a timestamp is waited for that can be done without."""
_EXCHANGE_S = 300.0
"""How long a place may take for an answer, with all tries: a byte now and then is none for days."""
_QUIET_S = 30.0
"""How long a Fulcio is left alone that gave nothing: each of many images would wait in turn for all its tries."""
_MARGIN_S = 60.0
_GOOD = frozenset({200, 201})
_TAKEN = 409
_AWAY = 404
_FOUND = frozenset({200, _AWAY})
_TRIES = 3
_MOST_WORDS = 300


class _Held(Struct, frozen=True):
    """A certificate, since when it is here by two clocks (one may be set, the other may sleep), and for how long."""

    certificate: Certificate
    verifier: IdentityVerifier
    since: float
    since_steady: float
    life_s: float

    def left_s(self, context: Context) -> float:
        clock = context.clock
        return self.life_s - max(clock.now() - self.since, clock.monotonic() - self.since_steady)


class Entered(Struct, frozen=True):
    """What was signed, with the log's entry: a bundle; and for what is no statement what cosign's tag says of it."""

    bundle: bytes
    annotations: Mapping[str, str]


class JobIdentity:
    """The job as a signer, by one trust configuration; may be shared by threads."""

    def __init__(self, wanted: Keyless, cloud: Cloud) -> None:
        """Read the configuration; raises `ConfigError`."""
        text = read_text(wanted.trust_root, "trust configuration", _MOST_BYTES) if wanted.trust_root else ""
        self.services = read_services(text, wanted.trust_root)
        self._root, self._root_name = text, self.services.name
        try:
            self._authority = Authority(text)
        except ValueError as problem:
            raise ConfigError(
                f"{self.services.name}: cannot be signed with: {problem}",
                hint=self._advice or "give a trust root that is of today",
            ) from None
        is_ready = wanted.token == JobToken() and cloud.env.get(TOKEN)
        self._token = JobToken(env=TOKEN) if is_ready else wanted.token
        self._cloud = cloud
        self._held: SingleFlight[str, _Held] = SingleFlight()
        self._refusal: tuple[float, OciPushError] | None = None
        self._entered: SingleFlight[tuple[Digest, bool], Entered] = SingleFlight()

    def prepare(self, context: Context) -> None:
        """Ask for a certificate, unless there is one that is valid for a while yet."""
        self._hold(context)

    def has_signed(self, context: Context, bundle: bytes, payload: bytes) -> bool:
        """Return whether this identity has signed a payload in a bundle."""
        try:
            self._hold(context).verifier.check(bundle, payload)
        except ValueError:
            return False
        return True

    def has_signed_layer(self, context: Context, annotations: Mapping[str, str], payload: bytes) -> bool:
        """Return whether this identity has signed a payload in a layer of cosign's tag."""
        try:
            self._hold(context).verifier.check_layer(annotations, payload)
        except ValueError:
            return False
        return True

    def sign(self, context: Context, payload: bytes, *, is_enveloped: bool = True) -> Entered:
        """Sign a statement, or with `is_enveloped` false bytes by themselves, and have the log write it down; once."""
        key = Digest.of(payload), is_enveloped
        return self._entered.get(key, lambda: self._sign(context, payload, is_enveloped))

    def _sign(self, context: Context, payload: bytes, is_enveloped: bool) -> Entered:
        held, problem = self._hold(context), ""
        for _ in range(_TRIES):
            signed = Signed.make(payload, held.certificate, is_enveloped=is_enveloped)
            stamps = self._timestamps(context, signed.signature)
            entry = self._entry(context, signed)
            if entry is None:
                problem = "it has an equal entry already, which it does not show"
                continue
            annotations: Mapping[str, str] = {}
            try:
                bundle = encode(certified_bundle(signed, entry, stamps))
                check = held.verifier.check if is_enveloped else held.verifier.check_message
                check(bundle, payload)
                if not is_enveloped:
                    annotations = tag_annotations(signed, entry)
                    held.verifier.check_layer(annotations, payload)
            except ValueError as why:
                problem = str(why)
                if held.left_s(context) > 0:
                    break
                # The certificate ended while the log was waited for: what came is worth nothing.
                held = self._held.get("", lambda: self._renew(context), lambda one, old=held: one is not old)  # type: ignore[misc]
                continue
            told = f"entry {entry.get('logIndex')} of the log {self.services.log}, which keeps it"
            self._cloud.emit(LogMessage(f"signed as {quoted(held.certificate.identity, _MOST_WORDS)}: {told}"))
            return Entered(bundle, annotations)
        raise ProtocolViolationError(
            f"log {self.services.log}: its answer does not count: {problem}",
            hint=self._advice or f"are its keys in {self.services.name}? is this machine's clock right?",
        )

    def _hold(self, context: Context) -> _Held:
        return self._held.get(
            "", lambda: self._renew(context), lambda one: one.left_s(context) > min(_MARGIN_S, one.life_s / 4)
        )

    def _renew(self, context: Context) -> _Held:
        """Get a certificate; one that was not to be had just now is not to be had."""
        refusal = self._refusal
        if refusal is not None and context.clock.monotonic() - refusal[0] < _QUIET_S:
            raise refusal[1].with_attempts(refusal[1].attempts)  # another one, as this is raised in several threads
        try:
            return self._certify(context)
        except OciPushError as problem:
            context.check()
            self._refusal = context.clock.monotonic(), problem.with_attempts(problem.attempts).with_traceback(None)
            raise

    def _certify(self, context: Context) -> _Held:
        """Ask for the job's token, and with it for a certificate for a new key."""
        if self._token == JobToken() and find_service(self._cloud.env) is None:
            raise CredentialsError(
                f"no CI was found that gives a job an ID token, and {TOKEN} is not set",
                hint=f"export {TOKEN} with a token for the audience {AUDIENCE}, or say in oci-push.yaml where it is:"
                " sign: {keyless: true, oidc: {env: NAME}}, {file: PATH} or {command: [PROGRAM, …]}",
            )
        services, request = self.services, Request()
        where = f"Fulcio {services.fulcio}"
        hint = f"does it take tokens of this issuer? it is the one of {services.name}"
        desk = Desk(f"{services.fulcio}{PATH}", AUDIENCE, where, hint, is_public=services.is_public)
        with self._limited(context, where) as inner:
            answer = desk.give(self._token, request.body(), self._cloud, inner)
        try:
            certificate = request.take(answer)
            self._authority.check(certificate.found)
        except ValueError as problem:
            raise ProtocolViolationError(
                f"{where}: its answer does not count: {problem}",
                hint=self._advice or f"is it the one of {self.services.name}?",
            ) from None
        trusted = TrustedIdentity(certificate.identity, certificate.issuer, self._root, self._root_name)
        clock = context.clock
        life_s = certificate.left_s(clock.now())
        return _Held(certificate, IdentityVerifier(trusted), clock.now(), clock.monotonic(), life_s)

    def _entry(self, context: Context, signed: Signed) -> Mapping[str, object] | None:
        """Have the log write it down; return the entry, or nothing where it has one that it does not show."""
        services = self.services
        url = f"{services.log}/api/v{services.log_version}/log/entries"
        body = BytesBody(encode(signed.request(services.log_version)))
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        what = f"log {services.log}"
        call = Call("POST", url, headers, body, _GOOD | {_TAKEN}, what=what, answer_s=_LOG_S)
        reply = self._fetch(context, call)
        if reply.status == _TAKEN:  # by a request of ours whose answer was lost
            name = entry_id(reply.headers.get("location", ""))
            if services.log_version != 1 or not name:
                return None
            get = Call("GET", f"{url}/{name}", {"Accept": "application/json"}, ok_statuses=_FOUND, what=what)
            reply = self._fetch(context, get)
            if reply.status == _AWAY:
                return None
        try:
            return read_entry(services.log_version, reply.body)
        except ValueError as problem:
            raise ProtocolViolationError(f"{what}: its answer {problem}", hint=self._hint) from None

    def _timestamps(self, context: Context, signature: bytes) -> tuple[bytes, ...]:
        """Return timestamps of a signature. A log of version 1 gives a time as well, and then none is needed."""
        found = []
        for url in self.services.timestamps:
            what = f"timestamps of {urlsplit(url).netloc}"
            headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
            query = BytesBody(timestamp_query(signature))
            try:
                inner = context if self.services.log_version != 1 else context.child(seconds=_OPTIONAL_S, what=what)
                stamp = self._fetch(inner, Call("POST", url, headers, query, _GOOD, what=what)).body
                self._check_stamp(stamp, signature, what)
                found.append(stamp)
            except OciPushError as problem:
                context.check()
                if self.services.log_version != 1:
                    raise
                self._cloud.emit(LogMessage(f"{problem}; the log's own time has to do", "warning"))
        return tuple(found)

    def _check_stamp(self, stamp: bytes, signature: bytes, what: str) -> None:
        try:
            self._authority.check_timestamp(stamp, signature)
        except ValueError as problem:
            raise ProtocolViolationError(
                f"{what}: the answer does not count: {problem}",
                hint=self._advice or f"are its keys in {self.services.name}? is this machine's clock right?",
            ) from None

    def _fetch(self, context: Context, call: Call) -> Reply:
        call = replace(call, limit=_MOST_BYTES, redirects=False, is_public=self.services.is_public)
        try:
            with self._limited(context, call.what) as inner:
                return self._cloud.fetch(inner, call)
        except RegistryError as error:  # whose hint speaks of registries
            raise error.with_hint(self._hint) from None

    @contextlib.contextmanager
    def _limited(self, context: Context, what: str) -> Iterator[Context]:
        try:
            yield context.child(seconds=_EXCHANGE_S, what=what)
        except DeadlineError:
            context.check()
            raise NetworkError(
                f"{what}: gave no whole answer in {_EXCHANGE_S:.0f} s", hint=self._hint, is_away=False
            ) from None

    @property
    def _advice(self) -> str:
        """Return what to do where the public Sigstore answers what its root does not know."""
        return f"{self.services.name} may be too old: {NEWER}" if self.services.is_public else ""

    @property
    def _hint(self) -> str:
        return f"it is the one of {self.services.name}; the same command again goes on where this one ended"
