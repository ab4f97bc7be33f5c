"""`oci-push auth explain`: which login won, by which flow it becomes what the registry wants, and what that opens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli import targets
from oci_push.cli.command import run_command, takes
from oci_push.cli.options import AsJson, Connection, Family
from oci_push.cli.output import fields, say, say_json
from oci_push.cli.progress import LineRenderer
from oci_push.cli.targets import Target
from oci_push.cli.words import Argument
from oci_push.engine.pusher import Pusher
from oci_push.errors import CredentialsError, OciPushError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.protocol import manifests
from oci_push.protocol.endpoints import bare, push_scope
from oci_push.protocol.ping import ping
from oci_push.providers.families import find_family
from oci_push.providers.job_logins import find_job_login
from oci_push.runtime.context import Context
from oci_push.transport.auth import AuthView


@takes(Connection)
def explain(
    reference: Annotated[
        str, Argument(metavar="REF|INTEGRATION", help="HOST[:PORT]/REPO[:TAG], or a registry of oci-push.yaml.")
    ],
    as_json: AsJson = False,
    family: Family = "",
    *,
    connection: Connection,
) -> None:
    """Explain how a repository's registry lets us in: which login, which flow, which scope; never the secret."""

    def work(context: Context) -> int:
        # Somebody waits at the prompt: a registry that is away is said to be, not waited for.
        common = connection.common(retries=1)
        config = targets.read_config(connection)
        target = targets.as_described(targets.image_target(reference, config), config)
        target = targets.of_family(target, family)
        with common.pusher(context, LineRenderer(quiet=True), hosts=(target.endpoint.host,)) as pusher:
            explained = _explain(pusher, target, context)
        if as_json:
            say_json(explained.to_json())
        else:
            for line in fields(explained.rows()):
                say(line)
        return explained.exit_code()

    run_command(work, what="auth explain")


class _Explained(Struct, frozen=True):
    """What was found out; `shortfall` is what a push needs and the token does not open."""

    endpoint: RegistryEndpoint
    repository: Repository
    url: str
    view: AuthView
    shortfall: str
    now: float
    considered: tuple[tuple[str, str], ...]
    credential: Credential | None
    error: OciPushError | None

    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return CredentialsError.exit_code if self.shortfall else 0

    def flow(self) -> str:
        view = self.view
        if self.endpoint.credential and self.endpoint.credential.registry_token:
            return "bearer: the token in the login is sent as it is"
        if view.scheme == "bearer":
            return f"bearer: a token from {bare(view.realm)}" + (f" for service {view.service}" if view.service else "")
        if view.scheme == "basic":
            return "basic: user and password with every request"
        return "not known" if self.error else "none: the registry has asked for no login"

    def rows(self) -> list[tuple[str, str]]:
        provider = find_family(self.endpoint.host, self.endpoint.family)
        rows = [
            ("registry", f"{self.endpoint.host} ({provider.name}), reached at {self.url}"),
            ("repository", self.repository.path),
            ("login", "not known" if self.error and self.credential is None else _said(self.credential)),
            *(("considered", f"{place}: {verdict}") for place, verdict in self.considered),
            ("flow", self.flow()),
        ]
        for token in self.view.tokens:
            granted = "the token does not say" if token.granted is None else " ".join(token.granted) or "nothing"
            ends = datetime.fromtimestamp(self.now + token.left_s, UTC)
            rows += [
                ("scope asked", " ".join(token.asked) or "none"),
                ("scope granted", granted),
                ("expires", f"in {token.left_s:.0f} s, at {ends:%H:%M:%S} UTC, and is then renewed"),
            ]
        result = f"may not push: {self.shortfall}" if self.shortfall else "accepted"
        rows.append(("result", str(self.error) if self.error else result))
        if self.error and self.error.hint:
            rows.append(("hint", self.error.hint))
        return rows

    def to_json(self) -> dict[str, object]:
        view = self.view
        return {
            "registry": self.endpoint.host,
            "family": find_family(self.endpoint.host, self.endpoint.family).name,
            "url": self.url,
            "repository": self.repository.path,
            "user": self.credential.shown_user if self.credential else None,
            "source": self.credential.source if self.credential else None,
            "considered": [{"place": place, "verdict": verdict} for place, verdict in self.considered],
            "scheme": view.scheme or None,
            "realm": bare(view.realm) if view.realm else None,
            "service": view.service or None,
            "tokens": [
                {
                    "asked": list(token.asked),
                    "granted": None if token.granted is None else list(token.granted),
                    "expires_in_s": round(token.left_s),
                }
                for token in view.tokens
            ],
            "accepted": self.error is None and not self.shortfall,
            "error": str(self.error) if self.error else None,
        }


def _explain(pusher: Pusher, target: Target, context: Context) -> _Explained:
    given = target.endpoint
    error: OciPushError | None = None
    try:
        target = targets.reached(pusher, target, "oci-push-explain")
    except OciPushError as problem:
        context.check()
        error = problem
    endpoint, repository = target.endpoint, target.repository("oci-push-explain")
    session, needed = pusher.clients.session(endpoint), (push_scope(repository),)
    considered: list[tuple[str, str]] = []
    if given.credential is None and given.identity is None:
        for one in pusher.credentials.explain(repository, context):
            place = f"{one.candidate.file}, {one.candidate.kind} {one.candidate.key}".rstrip()
            considered.append((place, one.verdict))
        if job := find_job_login(replace(endpoint, credential=None), this_environment().env):
            verdict = "chosen" if endpoint.credential == job else "not needed, a login before it was chosen"
            considered.append((job.source, verdict))
    credential = None
    if error is None:
        try:
            credential = session.auth.credential(context)
            session.auth.want(needed)
            session.run(context, ping(endpoint.host))
            # Reading a tag with what a push would need: the token is the one that a push gets, and nothing is written.
            session.run(context, manifests.head(repository, target.tag or "latest", push=True))
        except OciPushError as problem:
            context.check()
            error = problem
    view, shortfall, now = session.auth.view(), session.auth.shortfall(needed), context.clock.now()
    return _Explained(endpoint, repository, session.base, view, shortfall, now, tuple(considered), credential, error)


def _said(login: Credential | None) -> str:
    if login is None:
        return "nobody: no login was found"
    kind = "an identity token" if login.identity_token else "a bearer token" if login.registry_token else ""
    user = f"user {login.shown_user}" if login.username else ""
    return f"{' with '.join(filter(None, (user, kind)))}, from {login.source or 'the command line'}"
