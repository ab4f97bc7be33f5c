"""Commands in jobs: what oci-push.yaml may say of the job's identity, what a found one may not, and what is told."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from cloudendpoints import Answered, Asked, Endpoint
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from jobs import CIS, REQUEST_TOKEN, SUBJECT, Exchange, Issuer, Job, basic_registry, secured
from program import program
from wayproxy import WayProxy

from oci_push.errors import ConfigError
from oci_push.language.config import load_config
from oci_push.language.config_values import Allowed, ConfigOrigin
from oci_push.model.identity import JobToken
from oci_push.providers.job_logins import job_logins
from oci_push.secret import Secret

ISSUER = Issuer()
ROBOT, PASSWORD = "acme+ci", "robots-short-password"
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_ACTOR": "octocat"}
GHCR = {**GITHUB, "GITHUB_TOKEN": "ghs_0123456789"}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_REGISTRY": "registry.example.com",
    "CI_REGISTRY_IMAGE": "registry.example.com/acme/app",
    "CI_REGISTRY_USER": "gitlab-ci-token",
}
CONNECTION = "123e4567-e89b-42d3-a456-426614174000"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/jobs"
ROLE = "arn:aws:iam::123456789012:role/pusher"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    ISSUER.now = time.time
    with Endpoint({}) as ci:
        made = Job(ISSUER, tmp_path, ci)
        CIS["GitHub Actions"](made, "")
        yield made


def quays(job: Job, audience: str) -> Exchange:
    """Put Quay's exchange and its ``/v2/`` at the job's own endpoint, which is on this machine."""
    exchange = Exchange(ISSUER, audience)

    def token(asked: Asked) -> str:
        pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic "))
        return pair.decode().removeprefix(f"{ROBOT}:")

    def root(asked: Asked) -> Answered:
        wanted = base64.b64encode(f"{ROBOT}:{PASSWORD}".encode()).decode()
        if asked.headers.get("authorization") == f"Basic {wanted}":
            return Answered(200, {})
        return Answered(401, {}, {"WWW-Authenticate": 'Basic realm="x"'})

    job.endpoint.answers["/oauth2/federation/robot/token"] = exchange.answers(token, {}, {"token": PASSWORD})
    job.endpoint.answers["/v2/"] = root
    return exchange


def describe(job: Job, oidc: str = "auto", more: str = "") -> str:
    """Write an entry for the Quay at the job's endpoint; gives its host."""
    host = job.endpoint.address
    entry = f"{{name: quay, provider: quay, domain: '{host}', username: {ROBOT}, oidc: {oidc}{more}}}"
    (job.folder / "oci-push.yaml").write_text(f"registries: [{entry}]\n")
    return host


def exchanges(job: Job) -> int:
    """Count how often the exchange was asked."""
    return job.endpoint.paths().count("/oauth2/federation/robot/token")


class TestDoctor:
    def test_it_shows_the_claims_and_never_the_token(self, job: Job) -> None:
        host = describe(job)
        quays(job, f"https://{host}")
        done = program("doctor", "quay", "--config", "oci-push.yaml", code=None, cwd=job.folder, **job.env)
        rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
        assert "ID token from GitHub Actions" in rows["identity"]
        assert ISSUER.url in rows["token iss"]
        assert SUBJECT in rows["token sub"]
        assert f"https://{host}" in rows["token aud"]
        assert "in 299 s" in rows["token exp"] or "in 300 s" in rows["token exp"]
        parts = [part for token in ISSUER.made for part in token.split(".")]
        assert not any(part in done.stdout + done.stderr for part in parts)

    def test_machines_read_them_too(self, job: Job) -> None:
        host = describe(job)
        quays(job, f"https://{host}")
        done = program("doctor", "quay", "--config", "oci-push.yaml", "--json", code=None, cwd=job.folder, **job.env)
        found = {one["check"]: one["detail"] for one in json.loads(done.stdout)["findings"]}
        assert found["token sub"] == SUBJECT

    def test_a_missing_permission_is_told_with_what_to_write(self, job: Job) -> None:
        host = describe(job)
        quays(job, f"https://{host}")
        env = {"GITHUB_ACTIONS": "true"}
        done = program("doctor", "quay", "--config", "oci-push.yaml", code=4, cwd=job.folder, **env)
        assert "this job may not have an ID token" in done.stdout + done.stderr
        assert "permissions: {id-token: write}" in done.stderr

    def test_a_refused_token_is_shown_before_the_refusal(self, job: Job) -> None:
        host = describe(job)
        quays(job, "another-audience")
        done = program("doctor", "quay", "--config", "oci-push.yaml", code=4, cwd=job.folder, **job.env)
        assert f"https://{host}" in next(line for line in done.stdout.splitlines() if line.startswith("token aud"))
        assert "Wrong audience" in done.stderr

    @pytest.mark.parametrize(
        ("env", "text"),
        [
            ({}, "no CI that gives a job an ID token"),
            ({"GITHUB_ACTIONS": "true"}, "GitHub Actions: this job may not have an ID token"),
            ({"GITLAB_CI": "true"}, "GitLab CI: this job has declared no ID token"),
            ({"BUILDKITE": "true"}, "Buildkite: it can be asked for ID tokens"),
            (GHCR, "ghcr.io by GITHUB_TOKEN of the GitHub Actions job"),
        ],
    )
    def test_of_a_machine_it_says_whether_there_is_one(self, env: dict[str, str], text: str, tmp_path: Path) -> None:
        done = program("doctor", code=None, cwd=tmp_path, **env)
        assert text in done.stdout
        assert "ghs_0123456789" not in done.stdout

    def test_of_a_machine_it_shows_the_claims_of_what_gitlab_has_put_there(self, tmp_path: Path) -> None:
        with Endpoint({}) as endpoint:
            job = Job(ISSUER, tmp_path, endpoint)
            CIS["GitLab CI"](job, "https://quay.io")
        done = program("doctor", code=None, cwd=tmp_path, **job.env)
        assert f"ANY_NAME has iss {ISSUER.url}, sub {SUBJECT}, aud https://quay.io, exp in" in done.stdout
        assert not any(token.rpartition(".")[2] in done.stdout for token in ISSUER.made)


class TestFoundConfigurations:
    """What lies in the working tree may be a stranger's."""

    def test_it_gets_no_token(self, job: Job) -> None:
        host = describe(job)
        quays(job, f"https://{host}")
        done = program("auth", "explain", "quay", code=2, cwd=job.folder, **job.env)
        assert "oidc: this file was found, not named, and may not have the job's own identity" in done.stderr
        assert f"--allow-env ACTIONS_ID_TOKEN_REQUEST_TOKEN@{host}" in done.stderr
        assert job.endpoint.asked == []

    def test_the_token_that_asks_may_be_allowed_for_its_host_alone(self, job: Job) -> None:
        host = describe(job)
        quays(job, f"https://{host}")
        allowed = f"ACTIONS_ID_TOKEN_REQUEST_TOKEN@{host}"
        program("auth", "explain", "quay", "--allow-env", allowed, code=None, cwd=job.folder, **job.env)
        assert exchanges(job) == 1
        other = "ACTIONS_ID_TOKEN_REQUEST_TOKEN@quay.io"
        program("auth", "explain", "quay", "--allow-env", other, code=2, cwd=job.folder, **job.env)
        assert exchanges(job) == 1

    def test_a_variable_of_its_choice_must_be_allowed(self, job: Job) -> None:
        host = describe(job, "{env: MY_TOKEN}")
        quays(job, f"https://{host}")
        env = {"MY_TOKEN": ISSUER.token(f"https://{host}")}
        done = program("auth", "explain", "quay", code=2, cwd=job.folder, **env)
        assert f"--allow-env MY_TOKEN@{host}" in done.stderr
        assert exchanges(job) == 0
        program("auth", "explain", "quay", "--allow-env", "MY_TOKEN", code=None, cwd=job.folder, **env)
        assert exchanges(job) == 1

    @pytest.mark.parametrize("words", ["[touch, {}]", "[sh, -c, 'touch {}']"])
    def test_it_never_runs_a_program(self, words: str, job: Job) -> None:
        mark = job.folder / "ran"
        describe(job, f"{{command: {words.format(mark)}}}")
        allowed = "ACTIONS_ID_TOKEN_REQUEST_TOKEN,PATH"
        done = program("auth", "explain", "quay", "--allow-env", allowed, code=2, cwd=job.folder, **job.env)
        assert "may not name a program to run" in done.stderr
        assert not mark.exists()

    @pytest.mark.parametrize("path", ["/etc/hostname", "../token", "link", "token"])
    def test_it_reads_no_file(self, path: str, job: Job) -> None:
        work = job.folder / "work"
        work.mkdir()
        (job.folder / "token").write_text(ISSUER.token("https://x.example"))
        (work / "link").symlink_to(job.folder / "token")
        (work / "token").write_text(ISSUER.token("https://x.example"))
        describe(job, f"{{file: {path}}}")
        (job.folder / "oci-push.yaml").rename(work / "oci-push.yaml")
        done = program("auth", "explain", "quay", code=2, cwd=work, **job.env)
        assert "may not name a file with a token" in done.stderr
        assert exchanges(job) == 0

    @pytest.mark.parametrize("ci", ["GitLab CI", "Buildkite", "CircleCI"])
    def test_a_ci_whose_token_no_variable_guards_gives_it_none(self, ci: str, tmp_path: Path) -> None:
        with Endpoint({}) as endpoint:
            job = Job(ISSUER, tmp_path, endpoint)
            host = describe(job)
            CIS[ci](job, f"https://{host}")
            done = program("auth", "explain", "quay", code=2, cwd=tmp_path, **job.env)
            assert "may not have the job's own identity" in done.stderr
            assert endpoint.asked == []
            assert not (tmp_path / "asked").exists()

    @pytest.mark.parametrize("more", [", address: '127.0.0.1:1'", ", insecure: true", ", ca: x.pem"])
    def test_an_allowed_one_may_not_lead_the_login_elsewhere(self, more: str, job: Job) -> None:
        (job.folder / "oci-push.yaml").write_text(
            f"registries: [{{name: q, provider: quay, domain: quay.io, username: {ROBOT}, oidc: auto{more}}}]\n"
        )
        allowed = "ACTIONS_ID_TOKEN_REQUEST_TOKEN@quay.io"
        done = program("auth", "explain", "q", "--allow-env", allowed, code=2, cwd=job.folder, **job.env)
        assert "this file was found, not named" in done.stderr
        assert job.endpoint.asked == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("provider: ecr, region: eu-west-1, oidc: auto", "oidc needs role_arn"),
        (f"provider: ecr, region: eu-west-1, roleArn: '{ROLE}', oidc: auto, profile: p", '"profile" and oidc are two'),
        (f"provider: ecr, region: eu-west-1, roleArn: '{ROLE}', oidc: auto, externalId: x1", "external_id has no"),
        ("provider: gar, location: europe, oidc: auto", "workload_identity_provider '' is not of the form projects/"),
        (f"provider: gar, location: europe, oidc: auto, workload_identity_provider: /{PROVIDER}", "is not of the form"),
        (
            f"provider: gar, location: eu, oidc: auto, workload_identity_provider: {PROVIDER}, service_account: x/y",
            "service_account 'x/y' is no account's address",
        ),
        ("provider: acr, domain: a.azurecr.io, oidc: auto, client_secret: x", '"client_secret" and oidc are two'),
        ("provider: acr, domain: reg.example.com, oidc: auto", "is none of azure's own hosts"),
        ("provider: dockerhub, username: acme, oidc: auto", "connection_id '' is not the UUID"),
        (f"provider: dockerhub, oidc: auto, connection_id: {CONNECTION}", "username must be the name"),
        (f"provider: dockerhub, oidc: auto, connection_id: {CONNECTION}, username: a, password: x", "two logins"),
        ("provider: quay, domain: quay.io, oidc: auto, username: robot", "username 'robot' is no robot's"),
        ("provider: artifactory, domain: a.jfrog.io, oidc: auto", "oidc_provider must be the name"),
        ("domain: harbor.example.com, oidc: auto", "registries of family harbor take no ID token"),
        ("domain: ghcr.io, oidc: auto", "registries of family github take no ID token"),
        ("domain: quay.io, oidc_audience: x", '"oidc_audience" has no effect without oidc'),
        (f"provider: dockerhub, connection_id: {CONNECTION}", '"connection_id" has no effect without oidc'),
        ("domain: quay.io, oidc: maybe", '"oidc" must be one of [auto]'),
        ("domain: quay.io, oidc: ", '"oidc" must be one of [auto]'),
        ("domain: quay.io, oidc: '${MODE}'", '"oidc" must be one of [auto]'),
        ("domain: quay.io, oidc: {env: }", '"env" is not allowed to be empty'),
        (
            "domain: quay.io, oidc: {env: A, file: b}",
            "contains a conflict between exclusive peers [env, file, command]",
        ),
        ("domain: quay.io, oidc: {}", "must contain at least one of [env, file, command]"),
        ("domain: quay.io, oidc: {command: []}", "must contain at least 1 items"),
        ("domain: quay.io, oidc: {command: x}", '"command" must be an array'),
        ("domain: quay.io, oidc: {url: x}", '"url" is not allowed'),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(f"registries: [{{name: a, {keys}}}]", "c.yaml", {}, lambda _: "")
    assert message in str(caught.value)
    assert str(caught.value).startswith("c.yaml:1:")


@pytest.mark.parametrize(
    ("oidc", "wanted"),
    [
        ("auto", JobToken()),
        ("auto, oidc_audience: x", JobToken(audience="x")),
        ("{env: A}", JobToken(env="A")),
        ("{file: a/b}", JobToken(file="folder/a/b")),
        ("{command: [get-token, '${B}', --x]}", JobToken(command=("get-token", "b", "--x"))),
    ],
)
def test_each_way_to_a_token_is_read(oidc: str, wanted: JobToken) -> None:
    text = f"registries: [{{name: a, domain: quay.io, username: {ROBOT}, oidc: {oidc}}}]"
    config = load_config(text, "folder/c.yaml", {"B": "b"}, lambda _: "")
    identity = config.integrations[0].endpoint().identity
    assert identity is not None
    assert identity.oidc == wanted


def test_the_host_tells_who_takes_the_token_where_no_provider_does() -> None:
    text = f"registries: [{{name: a, domain: public.ecr.aws, oidc: auto, roleArn: '{ROLE}'}}]"
    identity = load_config(text, "c.yaml", {}, lambda _: "").integrations[0].endpoint().identity
    assert str(identity) == f"{ROLE} for the job's ID token"


def test_a_found_file_with_a_leave_for_one_host_has_no_token_for_another() -> None:
    origin = ConfigOrigin(is_named=False, allowed=frozenset({Allowed("A", "quay.io")}))
    text = f"registries: [{{name: a, domain: quay.io, username: {ROBOT}, oidc: {{env: A}}}}]"
    assert load_config(text, "c.yaml", {"A": "x"}, lambda _: "", origin).integrations[0].unread == ()
    other = text.replace("quay.io", "quay.example.com")
    assert load_config(other, "c.yaml", {"A": "x"}, lambda _: "", origin).integrations[0].unread != ()


class TestJobLogins:
    """The login that a CI gives a job for its own registry, where nobody says more."""

    @pytest.mark.parametrize(
        ("env", "host", "user", "source"),
        [
            (
                GHCR,
                "ghcr.io",
                "octocat",
                "GITHUB_TOKEN of the GitHub Actions job",
            ),
            (
                {**GITLAB, "CI_REGISTRY_PASSWORD": "glcbt-0123456789"},
                "registry.example.com",
                "gitlab-ci-token",
                "CI_REGISTRY_PASSWORD of the GitLab CI job",
            ),
            (
                {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789"},
                "registry.example.com",
                "gitlab-ci-token",
                "CI_JOB_TOKEN of the GitLab CI job",
            ),
        ],
    )
    @pytest.mark.parametrize("asked", [True, False])
    def test_whoami_tells_it(
        self, asked: bool, env: dict[str, str], host: str, user: str, source: str, tmp_path: Path
    ) -> None:
        words = [host] if asked else []
        done = program("whoami", *words, "--json", cwd=tmp_path, **env)
        (row,) = json.loads(done.stdout)
        assert (row["registry"], row["user"], row["source"]) == (host, user, source)
        assert "0123456789" not in done.stdout

    @pytest.mark.parametrize(
        "changes",
        [
            {"GITHUB_TOKEN": ""},
            {"GITHUB_ACTIONS": ""},
            {"GITHUB_SERVER_URL": "https://codeberg.org"},
            {"GITHUB_SERVER_URL": "https://github.example.com"},
            {"GITHUB_SERVER_URL": ""},
        ],
    )
    def test_a_token_of_another_forge_is_not_for_ghcr(self, changes: dict[str, str], tmp_path: Path) -> None:
        env = GHCR | changes
        (row,) = json.loads(program("whoami", "ghcr.io", "--json", cwd=tmp_path, **env).stdout)
        assert row["kind"] == "nobody"

    @pytest.mark.parametrize("host", ["registry.gitlab.com", "example.com", "registry.example.com.evil.example"])
    def test_gitlabs_is_for_its_own_registry_alone(self, host: str, tmp_path: Path) -> None:
        env = {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789"}
        (row,) = json.loads(program("whoami", host, "--json", cwd=tmp_path, **env).stdout)
        assert row["kind"] == "nobody"

    @pytest.mark.parametrize(
        "image", ["registry.example.com/acme/app", "", "evil.example.com/acme/app", "evil.example"]
    )
    @pytest.mark.parametrize("given", [{}, {"CI_REGISTRY_PASSWORD": "glcbt-0123456789"}])
    def test_a_jobs_token_is_not_for_a_registry_that_the_variable_was_set_to(
        self, given: dict[str, str], image: str
    ) -> None:
        env = {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789", "CI_REGISTRY": "evil.example", "CI_REGISTRY_IMAGE": image}
        assert job_logins({**env, **given}) == ()

    def test_a_password_of_ones_own_is_for_the_registry_beside_it(self) -> None:
        env = {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789", "CI_REGISTRY": "docker.example"}
        ((host, login),) = job_logins({**env, "CI_REGISTRY_PASSWORD": "my-own-0123456789"})
        assert (host, login.password) == ("docker.example", Secret("my-own-0123456789"))

    def test_the_port_that_goes_without_saying_makes_no_other_registry(self) -> None:
        env = {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789", "CI_REGISTRY": "Registry.example.com:443"}
        for image in ("registry.example.com/acme/app", "registry.example.com:443/acme/app"):
            assert [host for host, _ in job_logins({**env, "CI_REGISTRY_IMAGE": image})] == ["registry.example.com"]

    def test_every_other_login_goes_before_it(self, tmp_path: Path) -> None:
        (tmp_path / "home/.docker").mkdir(parents=True)
        entry = {"auths": {"ghcr.io": {"username": "me", "password": "mine-0123456789"}}}
        (tmp_path / "home/.docker/config.json").write_text(json.dumps(entry))
        env = GHCR
        (row,) = json.loads(program("whoami", "--json", cwd=tmp_path, **env).stdout)
        assert row["user"] == "me"

    @pytest.mark.parametrize("env", [GHCR, {**GITLAB, "CI_JOB_TOKEN": "glcbt-0123456789"}], ids=["GitHub", "GitLab"])
    def test_it_lets_the_job_in_and_is_told(self, env: dict[str, str], tmp_path: Path) -> None:
        host, user, password, source = next(
            (host, login.username, login.password.reveal(), login.source)
            for host, login in job_logins(env)
            if login.password
        )
        authority = Authority(tmp_path / "authority")
        certificate = authority.issue("web", hosts=(host,))
        answers = {"/v2/": basic_registry(user, password)}
        with (
            secured(Endpoint(answers), certificate.server_context()) as web,
            WayProxy(web.address) as proxy,
        ):
            around = {**env, "HTTPS_PROXY": f"http://{proxy.host}", "SSL_CERT_FILE": str(authority.path)}
            done = program("auth", "explain", f"{host}/acme/app:1", cwd=tmp_path, **around)
            assert [asked.headers.get("authorization", "")[:6] for asked in web.asked if asked.path == "/v2/"][-1:] == [
                "Basic "
            ]
        assert f"login       user {user}, from {source}" in done.stdout
        assert f"considered  {source}: chosen" in done.stdout
        assert password not in done.stdout + done.stderr

    @pytest.mark.parametrize("option", ["--plain-http", "--skip-tls-verify"])
    def test_it_is_not_sent_where_anybody_could_read_it(self, option: str, tmp_path: Path) -> None:
        with Endpoint({}) as nowhere:
            around = {**GHCR, "HTTPS_PROXY": nowhere.url, "HTTP_PROXY": nowhere.url}
            done = program("auth", "explain", "ghcr.io/acme/app:1", option, code=None, cwd=tmp_path, **around)
        assert "GITHUB_TOKEN" not in done.stdout

    def test_one_that_no_header_can_carry_is_as_good_as_none(self, tmp_path: Path) -> None:
        env = {**GHCR, "GITHUB_TOKEN": "ghs_0123456789\nand more"}
        assert "no logins" in program("whoami", cwd=tmp_path, **env).stdout

    def test_a_named_registry_that_says_nothing_of_logins_gets_it(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text("registries: [{name: g, domain: ghcr.io}]")
        env = {**GHCR, "HTTPS_PROXY": "http://127.0.0.1:1"}
        done = program("auth", "explain", "g", "--config", "c.yaml", code=None, cwd=tmp_path, **env)
        assert "GITHUB_TOKEN of the GitHub Actions job: chosen" in done.stdout

    def test_a_found_file_that_leads_it_elsewhere_does_not_get_it(self, tmp_path: Path) -> None:
        with Endpoint({}) as elsewhere:
            (tmp_path / "oci-push.yaml").write_text(
                f"registries: [{{name: g, domain: ghcr.io, address: '{elsewhere.address}', plain_http: true}}]"
            )
            done = program("auth", "explain", "g", code=None, cwd=tmp_path, **GHCR)
            assert all("authorization" not in asked.headers for asked in elsewhere.asked)
        assert "GITHUB_TOKEN" not in done.stdout


def test_an_integrations_identity_is_told_without_asking_anybody(job: Job) -> None:
    describe(job)
    done = program("whoami", "quay", "--config", "oci-push.yaml", "--json", cwd=job.folder, **job.env)
    (row,) = json.loads(done.stdout)
    assert (row["user"], row["kind"]) == (f"robot {ROBOT} for the job's ID token", "job identity")
    assert job.endpoint.asked == []


def test_what_asks_for_a_token_is_masked_from_the_start(job: Job) -> None:
    describe(job)
    make_layout(job.folder / "image", layer(1))
    (job.folder / "p.yml").write_text(
        "version: '1.0'\nsteps: {p: {type: push, title: '${{ACTIONS_ID_TOKEN_REQUEST_TOKEN}}', candidate: 'oci:image',"
        " image_name: app, registry: quay, tag: '1'}}\n"
    )
    done = program("run", "p.yml", "--sandbox", "--config", "oci-push.yaml", cwd=job.folder, **job.env)
    assert "***" in done.stdout + done.stderr
    assert REQUEST_TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("is_named", [True, False])
def test_a_push_logs_in_by_google_through_a_proxy_with_nothing_but_an_entry(
    is_named: bool, job: Job, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    exchange = Exchange(ISSUER, f"https://iam.googleapis.com/{PROVIDER}")
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/{PROVIDER}",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    good = {"access_token": "ya29-access-token", "expires_in": 3600}
    answer = exchange.answers(lambda asked: asked.fields["subject_token"], fields, good)
    certificate = authority.issue("web", hosts=("sts.googleapis.com",))
    options = SandboxOptions(auth="bearer", username="oauth2accesstoken", password=Secret("ya29-access-token"))
    make_layout(tmp_path / "image", layer(1))
    with (
        secured(Endpoint({"/v1/token": answer}), certificate.server_context()) as web,
        WayProxy(web.address) as proxy,
        Sandbox(options=options) as sandbox,
    ):
        entry = "name: gar, provider: gar, location: europe, oidc: auto, plain_http: true"
        more = f"workload_identity_provider: {PROVIDER}, address: '{sandbox.address}'"
        (tmp_path / "oci-push.yaml").write_text(f"registries: [{{{entry}, {more}}}]\n")
        env = {**job.env, "HTTPS_PROXY": f"http://{proxy.host}", "SSL_CERT_FILE": str(authority.path)}
        env |= {"OCI_PUSH_CONFIG": "oci-push.yaml"} if is_named else {}
        words = ("push", "oci:image", "europe-docker.pkg.dev/acme/app:1", "--retries", "0")
        done = program(*words, code=0 if is_named else None, cwd=tmp_path, **env)
        assert tuple(sandbox.store.tags("acme/app")) == (("1",) if is_named else ())
        assert (len(exchange.seen), len(job.questions())) == ((1, 1) if is_named else (0, 0))
        assert ("sts.googleapis.com:443" in proxy.asked) == is_named
    if not is_named:
        assert "this file was found, not named" in done.stderr
