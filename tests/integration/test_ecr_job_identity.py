"""A job of each CI and Amazon ECR: the ID token at STS, which moto plays, and the session that comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from awsservice import ACCOUNT, PASSWORD, AwsError
from cloudendpoints import Answered, Endpoint
from ecrfront import host_of
from ecrworld import HOME, EcrWorld
from images import layer, make_layout
from jobs import CIS, SUBJECT, Issuer, Job
from msgspec.structs import replace

from oci_push.errors import CredentialsError, OciPushError
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import JobToken
from oci_push.protocol.call import Call, Reply
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.ecr.identity import AwsIdentity
from oci_push.providers.families import find_family
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session
from oci_push.transport.settings import TransportSettings

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
AUDIENCE = "sts.amazonaws.com"
ISSUER = Issuer()
FOR_JOB = AwsIdentity(role_arn=ROLE, session_name="job-1", duration_s=900, oidc=JobToken())
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # AWS's library leaves them to the collector
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def job(tmp_path: Path, ecr: EcrWorld) -> Iterator[Job]:
    ISSUER.now = ecr.clock.now
    with Endpoint({}) as ci:
        yield Job(ISSUER, tmp_path, ci)


def services(ecr: EcrWorld, job: Job, identity: AwsIdentity = FOR_JOB, host: str = host_of(HOME)) -> CloudServices:
    """Give what stands behind a registry for a job, whose CI is asked over the transport of a run."""
    env = {**ecr.environment, **job.env}
    settings = TransportSettings(call_retry=RetryPolicy(attempts=1), env=env)

    def fetch(context: Context, call: Call) -> Reply:
        where = RegistryEndpoint(job.endpoint.address)
        session = Session(where, where.host, context, settings, lambda: 0.5)
        with contextlib.closing(session):
            return session.fetch(context, call)

    cloud = Cloud(
        env,
        None,
        ecr.clock,
        fetch,
        retry=RetryPolicy(attempts=1),
        emit=ecr.events.append,
        run_command=command_runner(env, ecr.clock),
    )
    found = find_family(host).cloud_services(RegistryEndpoint(host, identity=identity), cloud)
    assert found is not None
    return found


def password(found: CloudServices, ecr: EcrWorld) -> str:
    credential = found.credentials.credential(Context(ecr.clock))
    assert credential is not None
    assert credential.password is not None
    return credential.password.reveal()


def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what AWS's own chain would find."""
    for name in KEYS:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("ci", CIS)
def test_a_job_of_each_ci_assumes_the_role_by_its_token(
    ci: str, ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_keys(monkeypatch)
    CIS[ci](job, AUDIENCE)
    assert password(services(ecr, job), ecr) == PASSWORD

    (sent,) = ecr.aws.sent("AssumeRoleWithWebIdentity")
    token = str(sent.pop("WebIdentityToken"))
    assert ISSUER.refusal(token, AUDIENCE) == ""
    assert sent == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "job-1",
        "DurationSeconds": "900",
    }
    assert [call.split()[1] for call in ecr.aws.calls] == ["AssumeRoleWithWebIdentity", "GetAuthorizationToken"]
    assert ecr.aws.calls[0].startswith("- ")  # nobody signed it
    assert job.questions() == ([] if ci == "GitLab CI" else [AUDIENCE])


def test_a_role_in_china_wants_another_audience(ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, "")
    identity = replace(FOR_JOB, role_arn=ROLE.replace("arn:aws:", "arn:aws-cn:"))
    password(services(ecr, job, identity, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"), ecr)
    assert job.questions() == ["sts.amazonaws.com.cn"]


def test_keys_that_lie_about_are_not_used(ecr: EcrWorld, job: Job) -> None:
    CIS["GitHub Actions"](job, AUDIENCE)
    assert password(services(ecr, job), ecr) == PASSWORD
    assert ecr.aws.named("AssumeRole") == []
    assert ecr.aws.named("AssumeRoleWithWebIdentity") == ["-"]


def test_each_session_is_got_for_a_token_of_its_own(ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    assert isinstance(ecr.clock, FakeClock)
    CIS["GitHub Actions"](job, AUDIENCE)
    found = services(ecr, job)
    for moment in (0, 800, 820):
        ecr.clock.time = 1_700_000_000.0 + moment
        password(found, ecr)
        credential = found.credentials.credential(Context(ecr.clock))
        assert credential is not None
        found.credentials.refused(credential)
    tokens = [sent["WebIdentityToken"] for sent in ecr.aws.sent("AssumeRoleWithWebIdentity")]
    assert len(tokens) == len(set(tokens)) == 2
    assert job.questions() == [AUDIENCE] * 2


def test_the_public_registry_takes_the_same(ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, AUDIENCE)
    ecr.aws.answers["GetAuthorizationToken"] = lambda *_: {
        "authorizationData": {"authorizationToken": "QVdTOnB1YmxpYw==", "expiresAt": ecr.clock.now() + 43200}
    }
    assert password(services(ecr, job, host="public.ecr.aws"), ecr) == "public"
    assert len(ecr.aws.named("AssumeRoleWithWebIdentity")) == 1


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDenied", "trust policy must allow sts:AssumeRoleWithWebIdentity"),
        ("InvalidIdentityToken", "IAM OIDC identity provider"),
        ("ExpiredTokenException", "clock right"),
    ],
)
def test_a_refusal_says_what_the_token_says_and_never_shows_it(
    code: str, hint: str, ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, AUDIENCE)
    ecr.aws.once["AssumeRoleWithWebIdentity"] = [AwsError(code, "Not authorized", 403)]
    with pytest.raises(CredentialsError, match=f"{ROLE}: refused to the job's ID token") as caught:
        password(services(ecr, job), ecr)
    told = caught.value.hint or ""
    assert hint in told
    assert f"iss {ISSUER.url}, sub {SUBJECT}, aud {AUDIENCE}, exp in 300 s" in told
    assert not any(token in f"{caught.value} {told}" for token in ISSUER.made)


def test_a_redirect_takes_the_token_nowhere(ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, AUDIENCE)
    with Endpoint({}) as other:
        answer = lambda _: Answered(307, {}, {"Location": f"{other.url}/"})  # noqa: E731
        with Endpoint({"/": answer}) as sts:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
            with pytest.raises(OciPushError):
                password(services(ecr, job), ecr)
            assert len(sts.asked) == 1
        assert other.asked == []


def test_an_endpoint_without_tls_gets_no_token(ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, AUDIENCE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.example")
    with pytest.raises(CredentialsError, match=r"http://sts\.example is not https"):
        password(services(ecr, job), ecr)
    assert job.questions() == []


@pytest.mark.parametrize("way", ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL", "file"])
def test_an_endpoint_that_is_not_awss_own_gets_no_token(
    way: str, ecr: EcrWorld, job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_keys(monkeypatch)
    CIS["GitHub Actions"](job, AUDIENCE)
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    url = "https://sts.eu-west-1.amazonaws.com.stranger.example"
    if way == "file":
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    else:
        monkeypatch.setenv(way, url)
    with pytest.raises(CredentialsError, match=r"stranger\.example is not AWS's own endpoint for logins"):
        password(services(ecr, job), ecr)
    assert job.questions() == []


def test_a_job_pushes_with_nothing_but_an_entry(ecr: EcrWorld, job: Job, tmp_path: Path) -> None:
    ISSUER.now = time.time
    CIS["GitHub Actions"](job, AUDIENCE)
    make_layout(tmp_path / "image", layer(1))
    ecr.create(HOME, "jobs/app")
    entry = f"{{name: prod, provider: ecr, region: {HOME}, roleArn: '{ROLE}', oidc: auto}}"
    (tmp_path / "oci-push.yaml").write_text(f"registries: [{entry}]\n")
    (tmp_path / "p.yml").write_text(
        f"version: '1.0'\nsteps: {{p: {{type: push, candidate: 'oci:{tmp_path}/image', image_name: jobs/app,"
        " registry: prod, tag: '1'}}\n"
    )
    words = ("run", str(tmp_path / "p.yml"), "--config", str(tmp_path / "oci-push.yaml"))
    done = ecr.run(*words, without=KEYS, more=job.env)
    assert ecr.digest(HOME, "jobs/app", "1")
    assert len(ecr.aws.named("AssumeRoleWithWebIdentity")) == 1
    assert not any(token in done.stdout + done.stderr for token in ISSUER.made)
