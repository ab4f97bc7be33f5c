"""Calls to AWS as one identity in one region: whose keys, which endpoint, how often, and what went wrong.

The library's own retries are off: ours can be stopped, are told to the user, and know the run's policy. A chained
role's session is kept here by our own clock and renewed before it ends; the library's default chain (environment,
profile, web identity, pod identity, instance role) renews what it finds by itself. A role that is assumed for the job's
own identity needs neither keys nor the chain: each session is got for a new ID token, by a call that nobody signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from oci_push.errors import ConfigError, CredentialsError
from oci_push.events import RetryScheduled
from oci_push.model.display import quoted
from oci_push.model.endpoint import is_loopback
from oci_push.model.identity import JobToken
from oci_push.protocol.credentials import bearer_token
from oci_push.providers.base import Cloud, IdToken
from oci_push.providers.ecr.host import is_sts
from oci_push.providers.ecr.identity import AwsIdentity
from oci_push.providers.job_tokens import ask_for_token, explained
from oci_push.providers.tokenfetch import TokenClient, check_endpoint
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Retried, RetryState, attempts
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import attend
from oci_push.secret import Secret

if TYPE_CHECKING:
    from boto3.session import Session

T = TypeVar("T")
AUDIENCE, AUDIENCE_IN_CHINA = "sts.amazonaws.com", "sts.amazonaws.com.cn"
"""What ID tokens are made for (aws-actions/configure-aws-credentials, README), unless a role's trust says otherwise."""
_MOST_WORDS = 200
_CONNECT_S, _READ_S = 10, 30
_EARLY_SHARE = 0.1


class Endpoints(Struct, frozen=True):
    """Which of AWS's endpoints are meant; ``None`` leaves it to the environment."""

    region: str
    fips: bool | None = None
    dual_stack: bool | None = None


class _Keys(Struct, frozen=True):
    """A session of an assumed role; `renew_at` is on the monotonic clock."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    renew_at: float


class Aws:
    """Call AWS; shared by threads. Nothing happens before the first call, not even the library's import."""

    def __init__(self, identity: AwsIdentity, endpoints: Endpoints, cloud: Cloud, what: str) -> None:
        problems = identity.problems()
        if problems:
            raise ConfigError(f"{what}: {'; '.join(problems)}")
        self._identity = identity
        self._endpoints = endpoints
        self._cloud = cloud
        self._what = what
        self._sessions: SingleFlight[str, Session] = SingleFlight()
        self._roles: SingleFlight[str, _Keys] = SingleFlight()
        self._clients: SingleFlight[tuple[str, str], Any] = SingleFlight()

    def call(self, context: Context, service: str, operation: str, *, what: str = "", **parameters: object) -> Any:
        """Call an operation (``CreateRepository``) and give the answer's members; raises only our errors.

        What may pass is tried again, as the run's policy says; `what` begins every message.
        """
        cloud, subject = self._cloud, what or self._what

        def once(_: int) -> Any:
            return self._once(context, service, operation, subject, parameters)

        def told(retried: Retried) -> None:
            cloud.emit(RetryScheduled(subject, str(retried.error), retried.attempt, retried.wait_s))

        return attempts(context, RetryState(cloud.retry, context.clock, cloud.random), once, on_retry=told)

    def ask(self, context: Context, service: str, operation: str, *, what: str = "", **parameters: object) -> Any:
        """Call an operation once, for an answer that can be done without."""
        return self._once(context, service, operation, what or self._what, parameters)

    def _once(self, context: Context, service: str, operation: str, what: str, parameters: dict[str, object]) -> Any:
        from oci_push.providers.ecr import error_responses as ecr_errors

        keys = self._role(context)
        problem = self._send(context, service, operation, keys, parameters)
        if keys is not None and isinstance(problem, Exception) and ecr_errors.code_of(problem) in ecr_errors.EXPIRED:
            self._roles.drop("", keys)
            problem = self._send(context, service, operation, self._role(context), parameters)
        if isinstance(problem, Exception):
            raise ecr_errors.translate(problem, what, f"{service}:{operation}") from problem
        return problem

    def _send(
        self, context: Context, service: str, operation: str, keys: _Keys | None, parameters: dict[str, object]
    ) -> Any:
        """Return the answer, or the library's error as a value."""
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        from oci_push.providers.ecr.error_responses import UnreadableAnswerError

        try:
            client = self._client(context, service, keys)
            return self._attended(context, lambda: getattr(client, xform_name(operation))(**parameters))
        except (BotoCoreError, ClientError) as problem:
            return problem
        except ResponseParserError:
            return UnreadableAnswerError()  # theirs quotes the answer, which may repeat what was sent

    def _client(self, context: Context, service: str, keys: _Keys | None) -> Any:
        session = self._session(context)
        name = keys.access_key_id if keys else ""
        # One at a time: the library's session is not made for threads, its clients are.
        return self._clients.get((service, name), lambda: self._make_client(session, service, keys))

    def id_token(self, context: Context) -> IdToken:
        """Return a new ID token of the job for STS; raises `CredentialsError`."""
        tokens = TokenClient(self._cloud, context)
        audience = AUDIENCE_IN_CHINA if self._identity.role_arn.startswith("arn:aws-cn:") else AUDIENCE
        return ask_for_token(self._identity.oidc or JobToken(), audience, tokens, context)

    def _make_client(self, session: Session, service: str, keys: _Keys | None) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        wanted = self._endpoints
        is_unsigned = keys is None and self._identity.oidc is not None
        return session.client(
            service,
            region_name=wanted.region or None,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key.reveal() if keys else None,
            aws_session_token=keys.session_token.reveal() if keys else None,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"total_max_attempts": 1},
                use_fips_endpoint=wanted.fips,
                use_dualstack_endpoint=wanted.dual_stack,
                signature_version=UNSIGNED if is_unsigned else None,
            ),
        )

    def _session(self, context: Context) -> Session:
        return self._sessions.get("", lambda: self._make_session(context))

    def _make_session(self, context: Context) -> Session:
        from boto3.session import Session

        identity = self._identity
        if identity.oidc is not None:
            return Session()
        if identity.access_key_id and identity.secret_access_key:
            token = identity.session_token.reveal() if identity.session_token else None
            keys = _usable(
                identity.access_key_id, identity.secret_access_key.reveal(), token, f"{self._what}: its keys"
            )
            return Session(*keys, profile_name=identity.profile or None)
        session = Session(profile_name=identity.profile or None)
        found = self._attended(context, session.get_credentials)
        if found is None:
            raise CredentialsError(
                f"{self._what}: no AWS credentials found in the environment, a profile, a web identity, "
                "the pod or the instance",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, give the pod or instance a role, "
                "or log in to this registry with docker login",
            )
        keys = self._attended(context, found.get_frozen_credentials)
        given = (keys.access_key, keys.secret_key, keys.token)
        usable = _usable(*given, f"{self._what}: AWS credentials from {found.method}")
        return session if usable == given else Session(*usable, profile_name=identity.profile or None)

    def _role(self, context: Context) -> _Keys | None:
        if not self._identity.role_arn:
            return None
        now = self._cloud.clock.monotonic
        assume = self._assume if self._identity.oidc is None else self._assume_for_job
        return self._roles.get("", lambda: assume(context), lambda keys: now() < keys.renew_at)

    def _assume_for_job(self, context: Context) -> _Keys:
        identity, what = self._identity, f"role {self._identity.role_arn}"
        endpoint = self._client(context, "sts", None).meta.endpoint_url
        check_endpoint(endpoint, f"{what}: AWS's endpoint for logins")
        host = urlsplit(endpoint).hostname or ""
        if not (is_sts(host) or is_loopback(host)):
            raise CredentialsError(
                f"{what}: {quoted(host, _MOST_WORDS)} is not AWS's own endpoint for logins; no ID token was asked for",
                hint="it is set by AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or endpoint_url in AWS's configuration;"
                " a private network reaches AWS by vpce-….sts.REGION.vpce.amazonaws.com",
            )
        job = self.id_token(context)
        parameters: dict[str, object] = {
            "RoleArn": identity.role_arn,
            "RoleSessionName": identity.session_name,
            "DurationSeconds": identity.duration_s,
            "WebIdentityToken": job.token.reveal(),
        }
        with explained(job, self._cloud.clock.now()):
            return self._keys(context, "AssumeRoleWithWebIdentity", parameters)

    def _assume(self, context: Context) -> _Keys:
        identity = self._identity
        parameters: dict[str, object] = {
            "RoleArn": identity.role_arn,
            "RoleSessionName": identity.session_name,
            "DurationSeconds": identity.duration_s,
        }
        if identity.external_id:
            parameters["ExternalId"] = identity.external_id
        return self._keys(context, "AssumeRole", parameters)

    def _keys(self, context: Context, operation: str, parameters: dict[str, object]) -> _Keys:
        from oci_push.providers.ecr.error_responses import translate

        identity = self._identity
        asked_at = self._cloud.clock.monotonic()
        answer = self._send(context, "sts", operation, None, parameters)
        if isinstance(answer, Exception):
            raise translate(answer, f"role {identity.role_arn}", f"sts:{operation}") from answer
        given = answer["Credentials"]
        return _Keys(
            given["AccessKeyId"],
            Secret(given["SecretAccessKey"]),
            bearer_token(given["SessionToken"], f"role {identity.role_arn}: session"),
            asked_at + identity.duration_s * (1 - _EARLY_SHARE),
        )

    def _attended(self, context: Context, work: Callable[[], T]) -> T:
        """Wait for the library, leaving it behind when the scope ends: its sockets cannot be woken."""

        def check() -> None:
            context.expire()
            context.check()

        return attend(work, check).get()


def _usable(key_id: str, secret: str, token: str | None, where: str) -> tuple[str, str, str | None]:
    """Return keys without the blanks that files and variables end in; raises `CredentialsError` for what is no key.

    Key and session token travel in headers. The library would print them when they cannot.
    """
    session = bearer_token(token, f"{where}: session token").reveal() if token else token
    return bearer_token(key_id, f"{where}: access key").reveal(), Secret(secret.strip()).reveal(), session


def region_of(profile: str) -> str:
    """Return the region that environment or profile name, or nothing."""
    from boto3.session import Session
    from botocore.exceptions import BotoCoreError

    from oci_push.providers.ecr.error_responses import translate

    try:
        found = Session(profile_name=profile or None).region_name
    except BotoCoreError as problem:
        raise translate(problem, "AWS", "region") from problem
    return str(found or "")
