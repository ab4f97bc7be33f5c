"""A job's own identity: each CI's ID token at each registry's exchange, what is sent, and what is never sent."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificates import Authority
from cloudendpoints import Answered, Asked, AzureRegistry, Endpoint
from jobs import CIS, REQUEST_TOKEN, SUBJECT, Exchange, Issuer, Job, World, basic_registry, secured
from wayproxy import WayProxy

from oci_push.errors import CredentialsError, OciPushError
from oci_push.events import ignore
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.identity import CloudIdentity, JobToken
from oci_push.protocol.ping import ping
from oci_push.providers.artifactory import ArtifactoryIdentity
from oci_push.providers.azure import AzureIdentity
from oci_push.providers.dockerhub import DockerHubIdentity
from oci_push.providers.google import GoogleIdentity
from oci_push.providers.quay import QuayIdentity
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import Finished, RunCommand, command_runner
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.settings import TransportSettings

AUTO = JobToken()
CONNECTION = "123e4567-e89b-42d3-a456-426614174000"
PROVIDER = "projects/123/locations/global/workloadIdentityPools/pool/providers/jobs"
ACCOUNT = "pusher@acme.iam.gserviceaccount.com"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
HOSTS = ("sts.googleapis.com", "iamcredentials.googleapis.com", "login.microsoftonline.com", "identity.docker.com")
ISSUER = Issuer()


@dataclass(frozen=True)
class Trust:
    """A registry that trusts a job: where it is, as whom one logs in, and the audience that its exchange wants."""

    host: str
    identity: CloudIdentity
    audience: str
    life_s: float = 3600


TRUSTS = {
    "Google": Trust(
        "europe-docker.pkg.dev",
        GoogleIdentity(workload_identity_provider=PROVIDER, oidc=AUTO),
        f"https://iam.googleapis.com/{PROVIDER}",
    ),
    "Google, as an account": Trust(
        "europe-docker.pkg.dev",
        GoogleIdentity(workload_identity_provider=PROVIDER, service_account=ACCOUNT, oidc=AUTO),
        f"https://iam.googleapis.com/{PROVIDER}",
    ),
    "Azure": Trust("acme.azurecr.io", AzureIdentity("tenant", "app", oidc=AUTO), "api://AzureADTokenExchange", 10800),
    "Docker Hub": Trust(
        "docker.io",
        DockerHubIdentity(username="acme", connection_id=CONNECTION, oidc=AUTO),
        "https://identity.docker.com",
        900,
    ),
    "Quay": Trust("quay.io", QuayIdentity(username="acme+ci", oidc=AUTO), "https://quay.io"),
    "JFrog": Trust(
        "acme.jfrog.io", ArtifactoryIdentity(oidc_provider="jobs", oidc=AUTO), "https://acme.jfrog.io", 1800
    ),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@dataclass
class Stage:
    """A job, the exchanges on the internet (by TLS), and one registry, reached at an address of its own."""

    job: Job
    web: Endpoint
    registry: Endpoint
    authority: Authority
    clock: FakeClock = field(default_factory=FakeClock)
    addresses: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    run_command: RunCommand | None = None
    exchange: Exchange = field(init=False)

    def play(self, trust: Trust, issuer: Issuer) -> None:
        """Put up what a trust's exchange and registry answer."""
        issuer.now = self.clock.now
        exchange = self.exchange = Exchange(issuer, trust.identity.oidc.audience or trust.audience)  # type: ignore[union-attr]
        web, registry = self.web.answers, self.registry.answers
        by_form = {"grant_type": GRANT, "subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}
        if isinstance(trust.identity, GoogleIdentity):
            account = trust.identity.service_account
            fields = {
                "grant_type": GRANT,
                "audience": f"//iam.googleapis.com/{PROVIDER}",
                "scope": "https://www.googleapis.com/auth/cloud-platform",
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            }
            good = {"access_token": "federated" if account else "access", "expires_in": 3600}
            web["/v1/token"] = exchange.answers(subject, fields, good)
            web[f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"] = self._generate
            registry["/v2/"] = basic_registry("oauth2accesstoken", "access")
        elif isinstance(trust.identity, AzureIdentity):
            fields = {
                "grant_type": "client_credentials",
                "client_id": "app",
                "scope": "https://management.azure.com/.default",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            }
            web["/tenant/oauth2/v2.0/token"] = exchange.answers(subject, fields, {"access_token": "entra"})
            registry |= AzureRegistry(trust.host, "entra").answers()
        elif isinstance(trust.identity, DockerHubIdentity):
            fields = {**by_form, "connection_id": CONNECTION, "expires_in": "900"}
            web["/oauth/token"] = exchange.answers(subject, fields, {"access_token": "hub"})
            registry["/v2/"] = basic_registry("acme", "hub")
        elif isinstance(trust.identity, QuayIdentity):
            registry["/oauth2/federation/robot/token"] = exchange.answers(robots_token, {}, {"token": "robot"})
            registry["/v2/"] = basic_registry("acme+ci", "robot")
        else:
            good = {"access_token": "access", "expires_in": 1800, "username": "ci-user"}
            registry["/access/api/v1/oidc/token"] = exchange.answers(
                subject, {**by_form, "provider_name": "jobs"}, good
            )
            registry["/v2/"] = basic_registry("ci-user", "access")

    def _generate(self, asked: Asked) -> Answered:
        if asked.headers.get("authorization") != "Bearer federated":
            return Answered(401, {"error": {"message": "no"}})
        return Answered(200, {"accessToken": "access", "expireTime": "2023-11-14T23:13:20Z"})

    @contextlib.contextmanager
    def clients(self) -> Iterator[RegistryClients]:
        """Give the clients of one run in the job."""
        env = {**self.job.env, "SSL_CERT_FILE": str(self.authority.path)}
        network = World(dict.fromkeys(HOSTS, self.web.address), self.addresses)
        settings = TransportSettings(call_retry=RetryPolicy(attempts=self.attempts), env=env, network=network)
        made = RegistryClients(
            Context(self.clock),
            settings,
            blob_retry=RetryPolicy(attempts=1),
            random=lambda: 0.5,
            emit=ignore,
            run_command=self.run_command or command_runner(env, self.clock),
        )
        with contextlib.closing(made):
            yield made

    def enter(self, trust: Trust, clients: RegistryClients) -> None:
        """Log in to the registry of a trust."""
        endpoint = RegistryEndpoint(
            trust.host, tls=TlsConfig(plain_http=True), address=self.registry.address, identity=trust.identity
        )
        clients.session(endpoint).run(Context(self.clock), ping(trust.host))

    def refusal(self, trust: Trust) -> OciPushError:
        """Give why it does not let the job in."""
        with self.clients() as clients, pytest.raises(OciPushError) as caught:
            self.enter(trust, clients)
        return caught.value


def subject(asked: Asked) -> str:
    """Give the ID token of a form or of JSON."""
    fields = json.loads(asked.body) if "json" in asked.headers.get("content-type", "") else asked.fields
    return str(fields.get("subject_token") or fields.get("client_assertion"))


def robots_token(asked: Asked) -> str:
    """Give the ID token that is a robot's password."""
    kind, _, pair = asked.headers["authorization"].partition(" ")
    user, _, token = base64.b64decode(pair).decode().partition(":")
    assert (asked.method, kind, user) == ("GET", "Basic", "acme+ci")
    return token


@pytest.fixture
def stage(tmp_path: Path, authority: Authority) -> Iterator[Stage]:
    shown = authority.issue("web", hosts=HOSTS) if not (tmp_path / "web.crt").exists() else None
    assert shown is not None
    with ExitStack() as stack:
        web = stack.enter_context(secured(Endpoint({}), shown.server_context()))
        registry, ci = stack.enter_context(Endpoint({})), stack.enter_context(Endpoint({}))
        yield Stage(Job(ISSUER, tmp_path, ci), web, registry, authority)


def prepare(stage: Stage, trust: Trust, ci: str = "GitHub Actions") -> None:
    """Run a job of a CI that a registry trusts."""
    stage.play(trust, ISSUER)
    CIS[ci](stage.job, trust.audience)


@pytest.mark.parametrize("registry", TRUSTS)
@pytest.mark.parametrize("ci", CIS)
def test_a_job_of_each_ci_logs_in_to_each_registry(ci: str, registry: str, stage: Stage) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust, ci)
    with stage.clients() as clients:
        stage.enter(trust, clients)
        stage.enter(trust, clients)  # the login lasts, and so nothing is exchanged again
    assert len(stage.exchange.seen) == 1
    assert stage.job.questions() == ([] if ci == "GitLab CI" else [trust.audience])


@pytest.mark.parametrize("registry", TRUSTS)
def test_each_renewal_asks_for_a_new_token(registry: str, stage: Stage) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    with stage.clients() as clients:
        stage.enter(trust, clients)
        stage.clock.time += trust.life_s * 0.8
        stage.enter(trust, clients)
        assert len(stage.exchange.seen) == 1
        stage.clock.time += trust.life_s * 0.2
        stage.enter(trust, clients)
    assert len(set(stage.exchange.seen)) == 2
    assert stage.job.questions() == [trust.audience] * 2


@pytest.mark.parametrize("registry", TRUSTS)
def test_a_refusal_says_what_the_token_says_and_never_shows_it(registry: str, stage: Stage) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    stage.exchange.issuer = Issuer()  # nobody's key
    stage.exchange.issuer.now = stage.clock.now
    error = stage.refusal(trust)
    assert isinstance(error, CredentialsError)
    assert "Invalid JWT Signature" in str(error)
    assert f"iss {ISSUER.url}, sub {SUBJECT}, aud {trust.audience}, exp in 300 s" in (error.hint or "")
    assert not any(token in f"{error} {error.hint}" for token in ISSUER.made)
    assert stage.exchange.seen == []


def repeat(asked: Asked) -> Answered:
    """Refuse with all that was sent, as it was and unpacked."""
    authorization = asked.headers.get("authorization", "")
    with contextlib.suppress(ValueError):
        authorization += " " + base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    said = f"{authorization} {json.dumps(dict(asked.fields))} {asked.body.decode()}"
    return Answered(400, {"error": said, "error_description": said, "message": said, "errors": [{"message": said}]})


@pytest.mark.parametrize("registry", TRUSTS)
def test_an_exchange_that_repeats_what_it_was_sent_has_it_shown_nowhere(
    registry: str, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    for server in (stage.web, stage.registry):
        for path in set(server.answers) - {"/v2/"}:
            server.answers[path] = repeat
    with caplog.at_level(logging.DEBUG):
        error = stage.refusal(trust)
    told = "".join(traceback.format_exception(error)) + str(error.hint) + caplog.text
    for token in ISSUER.made:
        assert not any(part in told for part in token.split(".")[1:])
    assert REQUEST_TOKEN not in told


@pytest.mark.parametrize("registry", TRUSTS)
def test_a_redirect_takes_the_token_nowhere(registry: str, stage: Stage) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    with Endpoint({}) as other:
        for server in (stage.web, stage.registry):
            for path in set(server.answers) - {"/v2/"}:
                server.answers[path] = lambda asked: Answered(307, {}, {"Location": f"{other.url}{asked.path}"})
        assert "redirects to" in str(stage.refusal(trust))
        assert other.asked == []


@pytest.mark.parametrize("registry", ["Google", "Azure", "Docker Hub"])
@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "127.0.0.7", "192.168.7.8"])
def test_an_exchange_on_the_internet_is_not_sought_at_a_private_address(
    registry: str, address: str, stage: Stage
) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    stage.addresses = dict.fromkeys(HOSTS, address)
    error = stage.refusal(trust)
    assert f"address {address}; refused" in str(error)
    assert stage.web.asked == []


def test_a_token_endpoint_that_redirects_gets_no_second_question(stage: Stage) -> None:
    prepare(stage, TRUSTS["Quay"])
    with Endpoint({}) as other:
        stage.job.endpoint.answers["/id-token"] = lambda _: Answered(302, {}, {"Location": f"{other.url}/id-token"})
        assert "redirects to" in str(stage.refusal(TRUSTS["Quay"]))
        assert other.asked == []


def test_a_token_endpoint_must_speak_tls(stage: Stage) -> None:
    prepare(stage, TRUSTS["Quay"])
    stage.job.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://ci.example/token"
    assert "http://ci.example is not https" in str(stage.refusal(TRUSTS["Quay"]))


def named(oidc: JobToken) -> Trust:
    """Give a trust for a token that is named."""
    return Trust("quay.io", QuayIdentity(username="acme+ci", oidc=oidc), "https://quay.io")


def token_from(where: str, text: str, stage: Stage) -> JobToken:
    """Put a token where it is named, and name it."""
    (stage.job.folder / "named").write_text(text)
    stage.job.env |= {"NAMED": text, "PATH": "/usr/bin:/bin"}
    return {
        "env": JobToken(env="NAMED"),
        "file": JobToken(file=str(stage.job.folder / "named")),
        "command": JobToken(command=("cat", str(stage.job.folder / "named"))),
    }[where]


@pytest.mark.parametrize("where", ["env", "file", "command"])
def test_a_token_that_is_named_is_read_anew_each_time(where: str, stage: Stage) -> None:
    trust = named(token_from(where, ISSUER.token("https://quay.io") + "\n", stage))
    stage.play(trust, ISSUER)
    with stage.clients() as clients:
        stage.enter(trust, clients)
        stage.clock.time += 3600
        if where != "env":
            (stage.job.folder / "named").write_text(ISSUER.token("https://quay.io"))
            stage.enter(trust, clients)
    assert len(set(stage.exchange.seen)) == (1 if where == "env" else 2)


@pytest.mark.parametrize("where", ["env", "file", "command"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ISSUER.token("https://vault.example"), "is for https://vault.example, not for https://quay.io"),
        (lambda: ISSUER.token(["a", "b"]), "is for a and b, not for https://quay.io"),
        (lambda: ISSUER.token(None), "is for nobody, not for https://quay.io"),
        (lambda: ISSUER.token("https://quay.io", life_s=-61), "ended 61 s ago; it was not sent"),
        (lambda: "secret-word.nonsense.x", "is no JSON Web Token"),
        (lambda: "secret-word", "is no JSON Web Token"),
        (lambda: f"{ISSUER.token('https://quay.io')} and-more", "holds characters that no token has"),
    ],
    ids=["other", "others", "none", "ended", "nonsense", "word", "two"],
)
def test_a_token_for_somebody_else_or_none_is_not_sent(where: str, make: object, message: str, stage: Stage) -> None:
    ISSUER.now = stage.clock.now
    text = make()  # type: ignore[operator]
    trust = named(token_from(where, text, stage))
    stage.play(trust, ISSUER)
    error = stage.refusal(trust)
    assert message in str(error)
    assert "secret-word" not in f"{error} {error.hint}"
    assert "/oauth2/federation/robot/token" not in stage.registry.paths()


def test_another_audience_may_be_named(stage: Stage) -> None:
    trust = named(JobToken(audience="acme-registry"))
    prepare(stage, trust)
    with stage.clients() as clients:
        stage.enter(trust, clients)
    assert stage.job.questions() == ["acme-registry"]


@pytest.mark.parametrize(
    ("env", "message", "hint"),
    [
        ({}, "no CI was found", "oidc: {env: NAME}"),
        ({"GITHUB_ACTIONS": "true"}, "GitHub Actions: this job may not have an ID token", "id-token: write"),
        ({"GITHUB_ACTIONS": "true", "FORGEJO_ACTIONS": "true"}, "Forgejo Actions: this", "enable-openid-connect: true"),
        ({"GITLAB_CI": "true"}, "the job has no ID token for https://quay.io", "{aud: https://quay.io}"),
        ({"BUILDKITE": "true", "PATH": "/nowhere"}, "buildkite-agent: there is no such program", "PATH"),
        ({"CIRCLECI": "true", "PATH": "/nowhere"}, "circleci: there is no such program", "PATH"),
        ({"CF_BUILD_ID": "1"}, "Codefresh: CF_OIDC_REQUEST_URL and ID_TOKEN are not set", "AUDIENCE: https://quay.io"),
    ],
)
def test_a_job_without_a_token_is_told_how_it_gets_one(
    env: Mapping[str, str], message: str, hint: str, stage: Stage
) -> None:
    stage.play(TRUSTS["Quay"], ISSUER)
    stage.job.env |= env
    error = stage.refusal(TRUSTS["Quay"])
    assert message in str(error)
    assert hint in (error.hint or "")


def test_a_token_of_codefreshs_own_step_is_used_where_it_cannot_be_asked_for(stage: Stage) -> None:
    stage.play(TRUSTS["Quay"], ISSUER)
    stage.job.env |= {"CF_BUILD_ID": "1", "ID_TOKEN": ISSUER.token("https://quay.io")}
    with stage.clients() as clients:
        stage.enter(TRUSTS["Quay"], clients)
    assert len(stage.exchange.seen) == 1


def test_circlecis_ready_token_is_used_where_it_is_for_this_audience(stage: Stage) -> None:
    trust = named(JobToken(audience="the-organisations-id"))
    stage.play(trust, ISSUER)
    stage.job.env |= {"CIRCLECI": "1", "CIRCLE_OIDC_TOKEN_V2": ISSUER.token("the-organisations-id"), "PATH": "/nowhere"}
    with stage.clients() as clients:
        stage.enter(trust, clients)
    assert len(stage.exchange.seen) == 1


def test_gitlabs_usual_name_for_an_audience_goes_before_others(stage: Stage) -> None:
    stage.play(TRUSTS["Quay"], ISSUER)
    usual = ISSUER.token("https://quay.io")
    stage.job.env |= {"GITLAB_CI": "true", "CI_SERVER_URL": ISSUER.url, "A": ISSUER.token("https://quay.io")}
    stage.job.env["HTTPS___QUAY_IO_ID_TOKEN"] = usual
    with stage.clients() as clients:
        stage.enter(TRUSTS["Quay"], clients)
    assert stage.exchange.seen == [usual]


def test_gitlab_takes_no_token_of_another_issuer_that_lies_about(stage: Stage) -> None:
    stage.play(TRUSTS["Quay"], ISSUER)
    stage.job.env |= {"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.example"}  # not the issuer
    stage.job.env["LIES_ABOUT"] = ISSUER.token("https://quay.io")
    assert "has no ID token" in str(stage.refusal(TRUSTS["Quay"]))


def test_a_program_that_fails_is_told_with_its_words_and_not_with_its_output(stage: Stage) -> None:
    script = "echo secret-word-of-mine; echo no such job >&2; exit 3"
    trust = named(JobToken(command=("/bin/sh", "-c", script)))
    stage.play(trust, ISSUER)
    error = stage.refusal(trust)
    assert "command /bin/sh: failed with exit code 3 (no such job)" in str(error)
    assert "secret-word" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("oidc", "message"),
    [
        (JobToken(env="NAMED"), "variable NAMED: has no ID token of the job"),
        (JobToken(file="/nowhere/token"), "file /nowhere/token: cannot be read"),
        (JobToken(command=("/nowhere/program",)), "command /nowhere/program: there is no such program"),
        (JobToken(command=("/etc/hostname",)), "command /etc/hostname: cannot be run"),
        (JobToken(command=("/bin/true",)), "ID token from command /bin/true: the token is empty"),
        (JobToken(file="/etc/\0"), "cannot be read"),
        (JobToken(file="/dev/zero"), "file /dev/zero: cannot be read (File too large)"),
        (JobToken(command=("/bin/\0",)), "cannot be run (Invalid argument)"),
        (JobToken(command=("/bin/echo", "\ud800")), "cannot be run (Invalid argument)"),
    ],
)
def test_what_is_named_and_not_there_is_told(oidc: JobToken, message: str, stage: Stage) -> None:
    stage.play(named(oidc), ISSUER)
    error = stage.refusal(named(oidc))
    assert message in str(error)
    assert error.hint


def test_a_program_that_tells_the_token_as_it_fails_has_it_masked(stage: Stage) -> None:
    token = ISSUER.token("https://quay.io", sub="x")
    trust = named(JobToken(command=("/bin/sh", "-c", f"echo 'sent {token}' >&2; exit 1")))
    stage.play(trust, ISSUER)
    said = str(stage.refusal(trust))
    assert "failed with exit code 1 (sent ***)" in said
    assert token[:20] not in said


@pytest.mark.parametrize("life", ["1" + "0" * 400, "1e999", "-1", "true", "[]", '"1e9"'])
def test_a_life_that_no_token_has_is_the_least_one(life: str, stage: Stage) -> None:
    trust = TRUSTS["JFrog"]
    prepare(stage, trust)
    answer = f'{{"access_token":"access","username":"ci-user","expires_in":{life}}}'
    stage.registry.answers["/access/api/v1/oidc/token"] = lambda _: Answered(200, answer)
    with stage.clients() as clients:
        stage.enter(trust, clients)
        stage.clock.time += 61
        stage.enter(trust, clients)
    assert stage.registry.paths().count("/access/api/v1/oidc/token") == 2


def test_a_program_that_does_not_end_is_not_waited_for(stage: Stage) -> None:
    def never(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        raise TimeoutError(f"no end after {timeout_s:g} s")

    trust = named(JobToken(command=("sleep", "infinity")))
    stage.play(trust, ISSUER)
    stage.run_command = never
    assert "command sleep: gave no token within 60 s" in str(stage.refusal(trust))


def test_a_token_without_an_end_is_sent_and_told(stage: Stage) -> None:
    trust = named(token_from("env", ISSUER.token("https://quay.io", exp="never"), stage))
    stage.play(trust, ISSUER)
    stage.registry.answers["/oauth2/federation/robot/token"] = repeat
    assert "aud https://quay.io, and no end" in (stage.refusal(trust).hint or "")


def test_azures_tenant_is_missed_before_a_token_is_made(stage: Stage) -> None:
    trust = Trust("acme.azurecr.io", AzureIdentity(client_id="app", oidc=AUTO), "api://AzureADTokenExchange")
    prepare(stage, trust)
    assert "a tenant and a client are needed" in str(stage.refusal(trust))
    assert stage.job.questions() == []


@pytest.mark.parametrize(
    ("host", "audience"),
    [("acme.azurecr.cn", "api://AzureADTokenExchangeChina"), ("acme.azurecr.us", "api://AzureADTokenExchangeUSGov")],
)
def test_azures_national_clouds_have_audiences_of_their_own(host: str, audience: str, stage: Stage) -> None:
    trust = Trust(host, AzureIdentity("tenant", "app", oidc=AUTO), audience)
    prepare(stage, trust)
    stage.job.env["AZURE_AUTHORITY_HOST"] = stage.web.url
    stage.refusal(trust)
    assert audience in stage.job.questions()


def test_jfrogs_user_is_read_from_its_token_where_the_answer_does_not_say(stage: Stage) -> None:
    trust = TRUSTS["JFrog"]
    prepare(stage, trust)
    token = ISSUER.token("*", sub="jfac@01/users/ci-user")
    good = {"access_token": token, "expires_in": 1800}
    fields = {
        "grant_type": GRANT,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "provider_name": "jobs",
    }
    stage.registry.answers["/access/api/v1/oidc/token"] = stage.exchange.answers(subject, fields, good)
    stage.registry.answers["/v2/"] = basic_registry("ci-user", token)
    with stage.clients() as clients:
        stage.enter(trust, clients)
    stage.registry.answers["/access/api/v1/oidc/token"] = stage.exchange.answers(
        subject, fields, {"access_token": "opaque"}
    )
    assert "its answer names no user" in str(stage.refusal(trust))


def test_an_exchange_that_wants_less_haste_is_asked_again(stage: Stage) -> None:
    trust = TRUSTS["Docker Hub"]
    prepare(stage, trust)
    good = stage.web.answers["/oauth/token"]
    haste = iter([Answered(429, {"error": "slow_down"}, {"Retry-After": "7"})])
    stage.web.answers["/oauth/token"] = lambda asked: next(haste, None) or good(asked)
    stage.attempts = 2
    began = stage.clock.time
    with stage.clients() as clients:
        stage.enter(trust, clients)
    assert len(stage.exchange.seen) == 1
    assert stage.clock.time - began >= 7


@pytest.mark.parametrize("registry", ["Google", "Azure", "Docker Hub"])
def test_a_proxy_that_resolves_names_is_not_asked_for_a_private_address(registry: str, stage: Stage) -> None:
    trust = TRUSTS[registry]
    prepare(stage, trust)
    with WayProxy(stage.web.address) as proxy:
        stage.job.env["HTTPS_PROXY"] = f"http://{proxy.host}"
        stage.addresses = dict.fromkeys(HOSTS, "10.1.2.3")
        assert "address 10.1.2.3; refused" in str(stage.refusal(trust))
        assert proxy.asked == []
