"""How AWS is asked for a login: by whom, at which endpoint, how often, and when again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from awsservice import ACCOUNT, AwsError
from ecrfront import host_of
from ecrworld import HOME, EcrWorld, repository

from oci_push.errors import ConfigError, CredentialsError, DeadlineError, NetworkError
from oci_push.events import LogMessage
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.ecr.identity import AwsIdentity, EcrCreation
from oci_push.providers.families import find_family
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
HALF_A_DAY_S = 43200.0


def _services(ecr: EcrWorld, host: str, identity: AwsIdentity | None, home: Path | None = None) -> CloudServices:
    def fetch(*_: object) -> object:
        raise AssertionError("AWS is asked through its own library")

    cloud = Cloud(
        ecr.environment,
        home,
        ecr.clock,
        fetch,
        retry=RetryPolicy(attempts=2, base_s=0.01),
        emit=ecr.events.append,  # type: ignore[arg-type]
    )
    services = find_family(host).cloud_services(RegistryEndpoint(host, identity=identity), cloud)
    assert services is not None
    return services


def _token(text: str, expires_at: float) -> object:
    from base64 import b64encode

    entry = {
        "authorizationToken": b64encode(f"AWS:{text}".encode()).decode(),
        "expiresAt": expires_at,
        "proxyEndpoint": f"https://{host_of(HOME)}",
    }
    return {"authorizationData": [entry]}


def _password(services: CloudServices, context: Context) -> str:
    credential = services.credentials.credential(context)
    assert credential is not None
    assert credential.password is not None
    return credential.password.reveal()


def test_a_token_is_kept_for_all_threads_and_renewed_before_it_expires(ecr: EcrWorld) -> None:
    assert isinstance(ecr.clock, FakeClock)
    clock, start = ecr.clock, ecr.clock.time
    made = iter(("first", "second"))
    ecr.aws.answers["GetAuthorizationToken"] = lambda *_: _token(next(made), clock.time + HALF_A_DAY_S)
    services, context = _services(ecr, host_of(HOME), AwsIdentity()), Context(clock)

    assert [_password(services, context) for _ in range(3)] == ["first"] * 3
    clock.time = start + HALF_A_DAY_S - 1801
    assert _password(services, context) == "first"
    clock.time = start + HALF_A_DAY_S - 1799
    assert _password(services, context) == "second"
    assert ecr.aws.named("GetAuthorizationToken") == [HOME, HOME]


def test_a_roles_session_is_used_until_shortly_before_its_end(ecr: EcrWorld) -> None:
    assert isinstance(ecr.clock, FakeClock)
    identity = AwsIdentity(role_arn=ROLE, duration_s=1000, creation=EcrCreation())
    services, context = _services(ecr, host_of(HOME), identity), Context(ecr.clock)
    assert services.management is not None
    for moment, sessions in ((0, 1), (899, 1), (901, 2)):
        ecr.clock.time = 1_700_000_000.0 + moment
        services.management.prepare(context, repository(HOME, f"sessions/at-{moment}"))
        assert len(ecr.aws.named("AssumeRole")) == sessions


def test_a_session_that_ends_early_is_renewed_once(ecr: EcrWorld) -> None:
    ecr.aws.once["DescribeRepositories"] = [AwsError("ExpiredTokenException", "The security token is expired", 403)]
    services = _services(ecr, host_of(HOME), AwsIdentity(role_arn=ROLE, creation=EcrCreation()))
    assert services.management is not None
    services.management.prepare(Context(ecr.clock), repository(HOME, "early/app"))

    assert len(ecr.aws.named("AssumeRole")) == 2
    assert len(ecr.aws.named("CreateRepository")) == 1


def test_keys_that_have_expired_are_one_message(ecr: EcrWorld) -> None:
    ecr.aws.once["GetAuthorizationToken"] = [AwsError("ExpiredTokenException", "The security token is expired", 403)]
    services = _services(ecr, host_of(HOME), AwsIdentity())
    with pytest.raises(CredentialsError, match="the AWS session has expired") as caught:
        services.credentials.credential(Context(ecr.clock))
    assert "aws sso login" in (caught.value.hint or "")
    assert len(ecr.aws.named("GetAuthorizationToken")) == 1


def test_a_profile_is_read_and_one_that_is_missing_is_named(
    ecr: EcrWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[ci]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    services = _services(ecr, host_of(HOME), AwsIdentity(profile="ci"))
    assert _password(services, Context(ecr.clock)) == f"{ACCOUNT}-auth-token"

    with pytest.raises(CredentialsError, match=r"profile \(cd\) could not be found"):
        _services(ecr, host_of(HOME), AwsIdentity(profile="cd")).credentials.credential(Context(ecr.clock))


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (AwsIdentity(role_arn=ROLE, duration_s=7200), "aws_duration_seconds 7200 is not between 900 and 3600"),
        (AwsIdentity(role_arn=ROLE, session_name="no spaces"), "aws_session_name 'no spaces' must be"),
        (AwsIdentity(role_arn="pusher"), "role_arn 'pusher' is not of the form"),
    ],
)
def test_what_sts_would_refuse_is_refused_before_any_call(ecr: EcrWorld, identity: AwsIdentity, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _services(ecr, host_of(HOME), identity)
    assert ecr.aws.calls == []


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com", "ecr-fips.us-east-1.amazonaws.com"),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "ecr.eu-west-1.api.aws"),
        (f"{ACCOUNT}.dkr-ecr-fips.us-east-1.on.aws", "ecr-fips.us-east-1.api.aws"),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr-fips.us-gov-west-1.amazonaws.com"),
        ("public.ecr.aws", "api.ecr-public.us-east-1.amazonaws.com"),
    ],
)
def test_the_endpoint_follows_from_the_registrys_host(
    ecr: EcrWorld, monkeypatch: pytest.MonkeyPatch, host: str, endpoint: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", "sa-east-1")
    monkeypatch.setenv("HTTPS_PROXY", ecr.front.url)
    with pytest.raises(NetworkError, match="AWS cannot be reached"):
        _services(ecr, host, AwsIdentity()).credentials.credential(Context(ecr.clock))
    # The library's releases differ in whether FIPS names begin with "api.".
    assert {name.removeprefix("api.") for name in ecr.front.connects} == {f"{endpoint.removeprefix('api.')}:443"}


def test_the_public_registrys_login_comes_from_its_own_service(ecr: EcrWorld) -> None:
    answer = _token("public", 0)
    assert isinstance(answer, dict)
    ecr.aws.answers["GetAuthorizationToken"] = lambda *_: {"authorizationData": answer["authorizationData"][0]}
    assert _password(_services(ecr, "public.ecr.aws", AwsIdentity(region=HOME)), Context(ecr.clock)) == "public"
    assert ecr.aws.named("GetAuthorizationToken") == ["us-east-1"]


def test_reading_the_public_registry_needs_no_login(ecr: EcrWorld, tmp_path: Path) -> None:
    ecr.aws.once["GetAuthorizationToken"] = [AwsError("AccessDeniedException", "not authorized")]
    services, context = _services(ecr, "public.ecr.aws", None, tmp_path), Context(ecr.clock)

    assert [services.credentials.credential(context) for _ in range(2)] == [None, None]
    (note,) = [event for event in ecr.events if isinstance(event, LogMessage)]
    assert "going on without a login" in note.text
    assert len(ecr.aws.named("GetAuthorizationToken")) == 1


def test_where_nobody_set_up_aws_the_public_registry_is_read_without_asking(ecr: EcrWorld, tmp_path: Path) -> None:
    cloud = Cloud({}, tmp_path, ecr.clock, lambda *_: pytest.fail("nobody is asked"))
    services = find_family("public.ecr.aws").cloud_services(RegistryEndpoint("public.ecr.aws"), cloud)
    assert services is not None
    assert services.credentials.credential(Context(ecr.clock)) is None
    assert ecr.aws.calls == []


def test_a_time_limit_ends_a_call_that_gets_no_answer(ecr: EcrWorld) -> None:
    is_over = threading.Event()
    ecr.aws.answers["GetAuthorizationToken"] = lambda *_: is_over.wait(20)
    ecr.clock = SystemClock()
    context = Context(ecr.clock, what="push").child(seconds=0.2)
    try:
        with pytest.raises(DeadlineError):
            _services(ecr, host_of(HOME), AwsIdentity()).credentials.credential(context)
        assert not is_over.is_set()
    finally:
        is_over.set()
