"""The job's own identity: an ID token from the CI that runs us, asked for anew each time that a login is made of it.

How a CI gives one is a row of `SERVICES` (its documentation is named there). Whatever gave it, a token is looked at
before it is sent: one that was made for another audience is nobody else's business, and one that has ended is useless.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import CredentialsError
from oci_push.model.display import quoted
from oci_push.model.identity import JobToken
from oci_push.protocol.claims import Claims, read_claims
from oci_push.protocol.credentials import bearer_token
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.tokenfetch import TokenClient, text_in
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease, RefreshingCredential

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
"""The grant that takes one token and gives another (RFC 8693)."""
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # a type's name

_REQUEST_URL, _REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_CODEFRESH_URL, _CODEFRESH_TOKEN = "CF_OIDC_REQUEST_URL", "CF_OIDC_REQUEST_TOKEN"
_SKEW_S = 60.0
_COMMAND_S = 60.0
_MOST_WORDS = 200
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class CiService(Struct, frozen=True):
    """One CI: how it is told by the environment, and how it is asked for a token.

    `secret` is the variable without which it is not asked: a configuration that was found needs a leave to use that.
    Where it is not `is_asked`, a job has declared its tokens. `missing` says why a job may have none, or nothing;
    `hint` what to do then, ``<aud>`` standing for the audience.
    """

    name: str
    is_here: Callable[[Mapping[str, str]], bool]
    ask: Callable[[str, TokenClient, Context], str]
    missing: Callable[[Mapping[str, str]], str] = lambda _: ""
    hint: str = ""
    secret: str = ""
    is_asked: bool = True


def ask_for_token(wanted: JobToken, audience: str, tokens: TokenClient, context: Context) -> IdToken:
    """Return a token for an audience, fresh from where `wanted` says; raises `CredentialsError`."""
    audience = wanted.audience or audience
    env = tokens.cloud.env
    hint = (
        f"the token must be made for the audience {audience}; oidc_audience names another, if that is what is trusted"
    )
    if wanted.env:
        source = f"variable {wanted.env}"
        if not env.get(wanted.env):
            raise CredentialsError(f"{source}: has no ID token of the job", hint=_declared(wanted.env, audience))
        text = env[wanted.env]
    elif wanted.file:
        source = f"file {wanted.file}"
        text = tokens.read_file(wanted.file, source, "who writes the job's ID token there?")
    elif wanted.command:
        source = f"command {wanted.command[0]}"
        text = _run(wanted.command, source, tokens, context)
    else:
        service = find_service(env)
        if service is None:
            raise CredentialsError(
                "no CI was found that gives a job an ID token",
                hint=f"known are {', '.join(names())}; elsewhere say where it is: oidc: {{env: NAME}}, {{file: PATH}}"
                " or {command: [PROGRAM, …]}",
            )
        source, hint = service.name, service.hint.replace("<aud>", audience) or hint
        if reason := service.missing(env):
            raise CredentialsError(f"{source}: {reason}", hint=hint)
        text = service.ask(audience, tokens, context)
    where = f"ID token from {source}"
    token = bearer_token(text, where)
    return IdToken(token, source, _checked(token, audience, where, hint, tokens.cloud.clock.now()))


def exchanging(
    cloud: Cloud, wanted: JobToken | None, audience: str, lease: Callable[[IdToken, TokenClient], Lease]
) -> CloudServices:
    """Return logins that `lease` makes of a token each time; its refusals tell what the token says."""

    def id_token(context: Context) -> IdToken:
        return ask_for_token(wanted or JobToken(), audience, TokenClient(cloud, context), context)

    def make(context: Context) -> Lease:
        token = id_token(context)
        with explained(token, cloud.clock.now()):
            return lease(token, TokenClient(cloud, context))

    return CloudServices(RefreshingCredential(cloud.clock, make), id_token=id_token)


class Desk(Struct, frozen=True):
    """A place that takes a job's token of an `audience` beside something else, and is no registry's.

    `what` and `hint` are for messages. One that `is_public` is at public addresses only.
    """

    url: str
    audience: str
    what: str
    hint: str
    is_public: bool = False

    def give(
        self, wanted: JobToken, body: Mapping[str, object], cloud: Cloud, context: Context
    ) -> Mapping[str, object]:
        """Ask for a token, send it there with a body of JSON, and return the answer; raises `CredentialsError`."""
        tokens = TokenClient(cloud, context)
        token = ask_for_token(wanted, self.audience, tokens, context)
        with explained(token, cloud.clock.now()):
            return tokens.post_json(self.url, body, token.token, self.what, self.hint, is_public=self.is_public)


def find_service(env: Mapping[str, str]) -> CiService | None:
    """Return the CI that runs us, of those that can give a token."""
    found = next((one for one in SERVICES if one.is_here(env)), None)
    if found is not None and found.secret == _REQUEST_TOKEN:
        for name in ("Forgejo", "Gitea"):
            if env.get(f"{name.upper()}_ACTIONS"):
                return replace(found, name=f"{name} Actions")
    return found


def names() -> tuple[str, ...]:
    """Return the names of all CIs that can be asked."""
    return tuple(one.name for one in SERVICES)


@contextlib.contextmanager
def explained(token: IdToken, now: float) -> Iterator[None]:
    """Add to the hint of a login that is refused what the token says: trusts are about that, word for word."""
    try:
        yield
    except CredentialsError as error:
        says = f"the token says {told(token.claims, now)}"
        raise error.with_hint(f"{error.hint} ({says})" if error.hint else says) from None


def told(claims: Claims, now: float) -> str:
    """Return the claims of a token, and when it ends, for people."""
    if claims.expires_at is None:
        return f"{claims}, and no end"
    left = claims.expires_at - now
    return f"{claims}, exp {f'in {left:.0f} s' if left > 0 else f'{-left:.0f} s ago'}"


def _checked(token: Secret, audience: str, where: str, hint: str, now: float) -> Claims:
    claims = read_claims(token)
    if claims is None:
        raise CredentialsError(
            f"{where}: is no JSON Web Token (it is not shown)", hint="is it whole, and the ID token?"
        )
    if audience not in claims.audiences:
        found = quoted(" and ".join(claims.audiences), _MOST_WORDS) or "nobody"
        raise CredentialsError(f"{where}: is for {found}, not for {audience}; it was not sent", hint=hint)
    if claims.expires_at is not None and claims.expires_at + _SKEW_S < now:
        raise CredentialsError(
            f"{where}: ended {now - claims.expires_at:.0f} s ago; it was not sent",
            hint="make it later in the job, or let it live longer; is this machine's clock right?",
        )
    return claims


def _declared(name: str, audience: str) -> str:
    return f"for GitLab declare it in the job: id_tokens: {{{name}: {{aud: {audience}}}}}; elsewhere export it"


def _run(command: Sequence[str], source: str, tokens: TokenClient, context: Context) -> str:
    timeout_s = context.remaining(_COMMAND_S)
    try:
        finished = tokens.cloud.run_command(command, b"", timeout_s)
    except FileNotFoundError:
        raise CredentialsError(f"{source}: there is no such program", hint="put it on PATH") from None
    except TimeoutError:
        context.check()
        raise CredentialsError(
            f"{source}: gave no token within {timeout_s:.0f} s", hint="what does it wait for?"
        ) from None
    except OSError as problem:
        raise CredentialsError(
            f"{source}: cannot be run ({problem.strerror or problem})", hint="is it an executable program?"
        ) from None
    text = finished.stdout.decode("utf-8", "replace")
    Secret(text.strip())  # known also where the program failed after it
    if finished.code != 0:
        words = finished.stderr.decode("utf-8", "replace")
        for token in _JWT.findall(words):  # of a shell that tells what it does
            Secret(token)
        said = quoted(words, _MOST_WORDS) or "no message"
        raise CredentialsError(f"{source}: failed with exit code {finished.code} ({said})", hint="run it by hand")
    return text


def _with_audience(url: str, audience: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"


def _ask_actions(audience: str, tokens: TokenClient, context: Context) -> str:
    env, what = tokens.cloud.env, "ID token endpoint of Actions"
    headers = {"Authorization": f"Bearer {Secret(env[_REQUEST_TOKEN]).reveal()}"}
    answer = tokens.get_json(_with_audience(env[_REQUEST_URL], audience), headers, what, _ACTIONS_HINT)
    return text_in(answer, "value", f"{what}: its answer")


def _no_actions(env: Mapping[str, str]) -> str:
    return (
        ""
        if env.get(_REQUEST_URL) and env.get(_REQUEST_TOKEN)
        else f"this job may not have an ID token ({_REQUEST_URL} is not set)"
    )


def _no_codefresh(env: Mapping[str, str]) -> str:
    is_asked = env.get(_CODEFRESH_URL) and env.get(_CODEFRESH_TOKEN)
    return "" if is_asked or env.get("ID_TOKEN") else f"{_CODEFRESH_URL} and ID_TOKEN are not set"


def _ask_codefresh(audience: str, tokens: TokenClient, context: Context) -> str:
    env, what = tokens.cloud.env, "Codefresh's ID token endpoint"
    if not (env.get(_CODEFRESH_URL) and env.get(_CODEFRESH_TOKEN)):
        return env["ID_TOKEN"]
    headers = {"Authorization": Secret(env[_CODEFRESH_TOKEN]).reveal()}  # with its scheme in it
    answer = tokens.get_json(
        _with_audience(env[_CODEFRESH_URL], audience), headers, what, "is OIDC on for the account?"
    )
    return text_in(answer, "id_token", f"{what}: its answer")


def declared_tokens(env: Mapping[str, str]) -> dict[str, Claims]:
    """Return what the ID tokens say that GitLab has put into variables, by the variables' names."""
    found = {}
    for name in sorted(env) if env.get("GITLAB_CI") else ():
        text = env[name].strip()
        claims = read_claims(Secret(text)) if _JWT.fullmatch(text) else None
        if claims and claims.issuer == env.get("CI_SERVER_URL"):
            found[name] = claims
    return found


def _ask_gitlab(audience: str, tokens: TokenClient, context: Context) -> str:
    """Return what was declared: under the usual name for the audience, or under any."""
    env = tokens.cloud.env
    usual = re.sub("[^A-Z0-9]", "_", audience.upper()) + "_ID_TOKEN"
    found = [name for name, claims in declared_tokens(env).items() if audience in claims.audiences]
    if found:
        return env[usual if usual in found else found[0]]
    raise CredentialsError(
        f"GitLab CI: the job has no ID token for {audience}", hint=_GITLAB_HINT.replace("<aud>", audience)
    )


def _ask_buildkite(audience: str, tokens: TokenClient, context: Context) -> str:
    return _run(
        ("buildkite-agent", "oidc", "request-token", "--audience", audience), "buildkite-agent", tokens, context
    )


def _ask_circleci(audience: str, tokens: TokenClient, context: Context) -> str:
    ready = tokens.cloud.env.get("CIRCLE_OIDC_TOKEN_V2", "")
    claims = read_claims(Secret(ready)) if ready else None
    if claims and audience in claims.audiences:
        return ready
    command = ("circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": audience}))
    return _run(command, "circleci", tokens, context)


_ACTIONS_HINT = (
    "give the job permissions: {id-token: write} (Forgejo: enable-openid-connect: true);"
    " jobs of pull requests from forks get none"
)
_GITLAB_HINT = "declare it in the job: id_tokens: {OCI_PUSH_ID_TOKEN: {aud: <aud>}}"

SERVICES = (
    # GitHub documentation, "OpenID Connect reference"; Forgejo documentation, "Security OpenID Connect".
    CiService(
        "GitHub Actions",
        lambda env: bool(env.get(_REQUEST_URL)) or env.get("GITHUB_ACTIONS") == "true",
        _ask_actions,
        _no_actions,
        _ACTIONS_HINT,
        _REQUEST_TOKEN,
    ),
    # GitLab documentation, "OpenID Connect (OIDC) Authentication Using ID Tokens": declared, never asked for. The usual
    # name is that of PyPI's package ``id``.
    CiService("GitLab CI", lambda env: bool(env.get("GITLAB_CI")), _ask_gitlab, hint=_GITLAB_HINT, is_asked=False),
    # Buildkite documentation, "buildkite-agent oidc".
    CiService("Buildkite", lambda env: bool(env.get("BUILDKITE")), _ask_buildkite),
    # CircleCI documentation, "Using OpenID Connect tokens in jobs" and "OpenID Connect tokens with custom claims".
    CiService("CircleCI", lambda env: bool(env.get("CIRCLECI")), _ask_circleci),
    # Codefresh documentation, "OpenID Connect for pipelines"; the step ``obtain-oidc-id-token`` exports ``ID_TOKEN``.
    CiService(
        "Codefresh",
        lambda env: bool(env.get(_CODEFRESH_URL) or env.get("CF_BUILD_ID")),
        _ask_codefresh,
        _no_codefresh,
        "run the step obtain-oidc-id-token before this one, with the argument AUDIENCE: <aud>",
        _CODEFRESH_TOKEN,
    ),
)
"""The CIs, in the order in which they are looked for."""
