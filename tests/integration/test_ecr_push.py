"""Pushing to ECR: logins, regions, repositories and the ways ECR says no; one message for each."""

from __future__ import annotations

from pathlib import Path

import pytest
from awsservice import ACCOUNT, AwsError
from ecrfront import Refusal, host_of
from ecrworld import AWAY, HOME, EcrWorld, repository
from images import Layout, layer, make_layout

from oci_push.engine.forecast import Forecaster
from oci_push.engine.plan import PushTarget
from oci_push.engine.regions import in_regions
from oci_push.errors import ImmutableTagError, NotFoundError, OciPushError
from oci_push.events import LogMessage, RetryScheduled
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import BlobOutcome, TagMove
from oci_push.model.reference import Destination
from oci_push.providers.ecr.identity import AwsIdentity, EcrCreation
from oci_push.runtime.clock import FakeClock
from oci_push.secret import Secret

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
POLICY = (
    '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", '
    '"countNumber": 5}, "action": {"type": "expire"}}]}'
)
KEYS = AwsIdentity(access_key_id="AKIAOTHER", secret_access_key=Secret("another-secret"))


def _access(identity: AwsIdentity = KEYS, region: str = HOME) -> RegistryEndpoint:
    return RegistryEndpoint(host_of(region), identity=identity)


def _failed(error: OciPushError | None) -> tuple[str, str]:
    assert error is not None
    return str(error), error.hint or ""


def test_a_push_without_any_login_uses_the_default_chain(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "chain/app")
    done = ecr.run("push", f"oci:{image.path}", f"{host_of(HOME)}/chain/app:1")

    assert done.stdout.strip() == f"{host_of(HOME)}/chain/app:1@{image.digest}"
    assert ecr.digest(HOME, "chain/app", "1") == image.digest
    assert ecr.aws.calls == [f"{HOME} GetAuthorizationToken"]


def test_no_credentials_at_all_are_explained(ecr: EcrWorld, image: Layout) -> None:
    done = ecr.run(
        "push",
        f"oci:{image.path}",
        f"{host_of(HOME)}/chain/app:1",
        code=4,
        without=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    )
    assert f"{host_of(HOME)}: no AWS credentials found" in done.stderr
    assert "docker login" in done.stderr
    assert ecr.aws.calls == []


def test_keys_a_role_and_its_session_are_what_aws_is_asked_with(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "role/app")
    identity = AwsIdentity(
        access_key_id="AKIAOTHER",
        secret_access_key=Secret("another-secret"),
        role_arn=ROLE,
        session_name="deploy",
        duration_s=900,
        external_id="partner-7",
    )
    (result,) = ecr.push(image, f"{host_of(HOME)}/role/app:1", endpoints=[_access(identity)])

    assert result.error is None
    (asked,) = ecr.aws.sent("AssumeRole")
    assert {name: asked[name] for name in ("RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId")} == {
        "RoleArn": ROLE,
        "RoleSessionName": "deploy",
        "DurationSeconds": "900",
        "ExternalId": "partner-7",
    }
    assert ecr.aws.named("AssumeRole") == [HOME]


def test_a_web_identity_is_found_and_exchanged(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    ecr.create(HOME, "irsa/app")
    token = tmp_path / "token"
    token.write_text("header.payload.signature")
    ecr.run(
        "push",
        f"oci:{image.path}",
        f"{host_of(HOME)}/irsa/app:1",
        without=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        more={"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE, "AWS_REGION": HOME},
    )
    assert [call.split()[1] for call in ecr.aws.calls] == ["AssumeRoleWithWebIdentity", "GetAuthorizationToken"]


def test_an_account_that_only_aws_knows_is_asked_for_once(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "caller/app")
    unknown = RegistryEndpoint(f"account.dkr.ecr.{HOME}.amazonaws.com", identity=KEYS)
    (result,) = ecr.push(image, f"{unknown.host}/caller/app:1", endpoints=[unknown])

    assert (result.error, result.repository) == (None, repository(HOME, "caller/app"))
    assert ecr.aws.named("GetAuthorizationToken") == [HOME]


def test_a_token_that_expires_in_the_middle_is_renewed_once(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "expired/app")
    text = "Your authorization token has expired. Reauthenticate and try again."
    ecr.front.refusals.append(Refusal("PUT", "/blobs/uploads/", 403, "DENIED", text))
    (result,) = ecr.push(image, f"{host_of(HOME)}/expired/app:1", endpoints=[_access()], at_once=1)

    assert result.error is None
    assert ecr.digest(HOME, "expired/app", "1") == image.digest
    assert len(ecr.aws.named("GetAuthorizationToken")) == 2


def test_a_denial_that_is_no_expiry_renews_nothing(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "denied/app")
    ecr.front.refusals.append(Refusal("POST", "/blobs/uploads/", 403, "DENIED", "not authorized to perform: ecr:X"))
    (result,) = ecr.push(image, f"{host_of(HOME)}/denied/app:1", endpoints=[_access()], at_once=1)

    message, hint = _failed(result.error)
    assert "403 DENIED (not authorized to perform: ecr:X)" in message
    assert "may push to this repository" in hint
    assert len(ecr.aws.named("GetAuthorizationToken")) == 1


def test_a_role_that_may_not_be_assumed_is_one_message(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "forbidden/app")
    text = f"User: arn:aws:iam::1:user/ci is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    ecr.aws.once["AssumeRole"] = [AwsError("AccessDenied", text, 403)]
    endpoint = _access(AwsIdentity(role_arn=ROLE))
    (result,) = ecr.push(image, f"{host_of(HOME)}/forbidden/app:1", endpoints=[endpoint])

    message, hint = _failed(result.error)
    assert message == f"role {ROLE}: may not be assumed (AccessDenied: {text})"
    assert "trust policy" in hint
    assert len(ecr.aws.named("AssumeRole")) == 1


def test_a_wrong_region_is_told_as_a_repository_that_is_not_there(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "regional/app")
    (result,) = ecr.push(image, f"{host_of(AWAY)}/regional/app:1", endpoints=[_access(region=AWAY)])

    message, hint = _failed(result.error)
    assert isinstance(result.error, NotFoundError)
    assert message == (f"{host_of(AWAY)}/regional/app: the repository does not exist in account {ACCOUNT} in {AWAY}")
    assert "check region and name" in hint


def test_a_missing_repository_is_one_line_of_the_program(ecr: EcrWorld, image: Layout) -> None:
    done = ecr.run("push", f"oci:{image.path}", f"{host_of(HOME)}/missing/app:1", code=5)
    assert f"error: {host_of(HOME)}/missing/app: the repository does not exist in account {ACCOUNT}" in done.stderr
    assert "--create-repository" in done.stderr


def test_a_missing_repository_is_created_with_its_settings(ecr: EcrWorld, image: Layout) -> None:
    creation = EcrCreation(
        scan_on_push=True,
        mutability="IMMUTABLE_WITH_EXCLUSION",
        exclusions=("dev-*",),
        encryption="KMS",
        kms_key="alias/images",
        tags=(("team", "a"),),
        lifecycle_policy=POLICY,
    )
    endpoint = _access(AwsIdentity(creation=creation))
    results = ecr.push(image, f"{host_of(HOME)}/made/app:1", f"{host_of(HOME)}/made/app:2", endpoints=[endpoint])

    assert [result.error for result in results] == [None]
    (sent,) = ecr.aws.sent("CreateRepository")
    assert sent["imageScanningConfiguration"] == {"scanOnPush": True}
    assert sent["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "dev-*"}]
    assert sent["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": "alias/images"}
    assert sent["tags"] == [{"Key": "team", "Value": "a"}]
    assert [one["lifecyclePolicyText"] for one in ecr.aws.sent("PutLifecyclePolicy")] == [POLICY]
    assert LogMessage(f"{host_of(HOME)}/made/app: repository created") in ecr.events


def test_a_repository_that_another_push_created_meanwhile_is_success(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "raced/app")
    ecr.aws.once["DescribeRepositories"] = [AwsError("RepositoryNotFoundException", "not yet")]
    ecr.aws.once["CreateRepository"] = [AwsError("RepositoryAlreadyExistsException", "it exists")]
    (result,) = ecr.push(
        image, f"{host_of(HOME)}/raced/app:1", endpoints=[_access(AwsIdentity(creation=EcrCreation()))]
    )
    assert result.error is None
    assert len(ecr.aws.named("CreateRepository")) == 1


def test_throttling_is_waited_out_and_told(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "slow/app")
    ecr.aws.once["GetAuthorizationToken"] = [AwsError("ThrottlingException", "Rate exceeded")]
    ecr.front.refusals.append(Refusal("PUT", "/manifests/", 429, "TOOMANYREQUESTS", "Rate exceeded"))
    (result,) = ecr.push(image, f"{host_of(HOME)}/slow/app:1", endpoints=[_access()])

    assert result.error is None
    whys = [event.why for event in ecr.events if isinstance(event, RetryScheduled)]
    assert f"{host_of(HOME)}: ecr:GetAuthorizationToken throttled (ThrottlingException: Rate exceeded)" in whys
    assert any("429 TOOMANYREQUESTS" in why for why in whys)
    assert len(ecr.aws.named("GetAuthorizationToken")) == 2


def test_an_immutable_tag_with_the_same_digest_is_success_and_with_another_a_clear_error(
    ecr: EcrWorld, image: Layout, tmp_path: Path
) -> None:
    ecr.create(HOME, "fixed/app", imageTagMutability="IMMUTABLE")
    target = f"{host_of(HOME)}/fixed/app:1"
    (first,) = ecr.push(image, target, endpoints=[_access()])
    (again,) = ecr.push(image, target, endpoints=[_access()])
    (other,) = ecr.push(make_layout(tmp_path / "other", layer(3)), target, endpoints=[_access()])

    assert (first.error, again.error) == (None, None)
    assert [tag.outcome for tag in again.tags] == ["unchanged"]
    assert isinstance(other.error, ImmutableTagError)
    message, hint = _failed(other.error)
    moved = f"it is {image.digest}, the image is {other.root}"
    assert message == f"{target}: the tag exists and may not be moved (400 TAG_INVALID): {moved}"
    assert "new tag" in hint
    assert ecr.digest(HOME, "fixed/app", "1") == image.digest


def test_many_blobs_are_asked_for_in_one_call(ecr: EcrWorld, tmp_path: Path) -> None:
    ecr.create(HOME, "many/app")
    big = make_layout(tmp_path / "big", *(layer(n) for n in range(20, 32)))
    more = make_layout(tmp_path / "more", *(layer(n) for n in range(20, 33)))
    ecr.push(big, f"{host_of(HOME)}/many/app:1", endpoints=[_access()])
    ecr.front.seen.clear()
    (result,) = ecr.push(more, f"{host_of(HOME)}/many/app:2", endpoints=[_access()])

    outcomes = [blob.outcome for blob in result.blobs]
    assert (outcomes.count(BlobOutcome.EXISTS), outcomes.count(BlobOutcome.UPLOADED)) == (12, 2)
    assert ecr.front.count(" HEAD .*/blobs/") == 0
    assert len(ecr.aws.named("BatchCheckLayerAvailability")) == 2


def test_blobs_are_asked_for_one_by_one_where_the_call_is_not_allowed(ecr: EcrWorld, tmp_path: Path) -> None:
    ecr.create(HOME, "few-rights/app")
    ecr.aws.once["BatchCheckLayerAvailability"] = [AwsError("AccessDeniedException", "no", 400)]
    big = make_layout(tmp_path / "big", *(layer(n, 600_000) for n in range(40, 52)))
    (result,) = ecr.push(big, f"{host_of(HOME)}/few-rights/app:1", endpoints=[_access()])

    assert result.error is None
    assert ecr.front.count(" HEAD .*/blobs/") == 12  # the configuration is too small to ask for


@pytest.mark.parametrize(("setting", "mounts"), [("ENABLED", 3), ("DISABLED", 0)])
def test_mounts_follow_the_accounts_setting_and_the_first_repositorys_manifest(
    ecr: EcrWorld, tmp_path: Path, setting: str, mounts: int
) -> None:
    ecr.aws.blob_mounting = setting
    names = [f"mount-{setting.lower()}/{name}" for name in ("a", "b")]
    ecr.create(HOME, *names)
    fresh = make_layout(tmp_path / "fresh", layer(60), layer(61 if mounts else 62))
    results = ecr.push(fresh, *(f"{host_of(HOME)}/{name}:1" for name in names), endpoints=[_access()])

    assert [result.error for result in results] == [None, None]
    assert [blob.outcome for blob in results[1].blobs].count(BlobOutcome.MOUNTED) == mounts
    assert ecr.front.count("POST .*mount=") == mounts
    if mounts:
        first_mount = next(n for n, line in enumerate(ecr.front.seen) if "mount=" in line)
        manifest = next(n for n, line in enumerate(ecr.front.seen) if f"PUT /v2/{names[0]}/manifests/" in line)
        assert manifest < first_mount


def test_ten_manifests_a_second_are_kept_to(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "tags/app")
    tags = [f"t{n:02}" for n in range(25)]
    (result,) = ecr.push(image, f"{host_of(HOME)}/tags/app:{','.join(tags)}", endpoints=[_access()], at_once=1)

    assert result.error is None
    assert ecr.front.count("PUT .*/manifests/") == 25
    assert isinstance(ecr.clock, FakeClock)
    assert sum(ecr.clock.waits) > 1.99


def test_one_push_serves_all_regions_at_once(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "wide/app")
    ecr.create(AWAY, "wide/app")
    done = ecr.run("push", f"oci:{image.path}", f"{host_of(HOME)}/wide/app:1", "--regions", AWAY)

    assert done.stdout.split() == [f"{host_of(region)}/wide/app:1@{image.digest}" for region in (HOME, AWAY)]
    assert sorted(ecr.aws.named("GetAuthorizationToken")) == [HOME, AWAY]


def test_an_integration_moves_to_other_regions_with_its_identity(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "moved/app")
    ecr.create(AWAY, "moved/app")
    places = in_regions(repository(HOME, "moved/app"), _access(), (HOME, AWAY))
    with ecr.pusher() as pusher:
        targets: list[PushTarget] = [pusher.target(there, ("1",), endpoint) for there, endpoint in places]
        with pusher.open(f"oci:{image.path}", pusher.context, targets=2) as source:
            results = pusher.execute(pusher.plan(source, targets, pusher.context), source, pusher.context)

    assert [(result.error, str(result.repository.host)) for result in results] == [
        (None, host_of(HOME)),
        (None, host_of(AWAY)),
    ]


def test_one_region_that_fails_leaves_the_others_result(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "half/app")
    done = ecr.run("push", f"oci:{image.path}", f"{host_of(HOME)}/half/app:1", "--regions", AWAY, code=1)

    assert done.stdout.split() == [f"{host_of(HOME)}/half/app:1@{image.digest}"]
    assert f"does not exist in account {ACCOUNT} in {AWAY}" in done.stderr


def test_no_secret_is_in_what_the_program_says(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "quiet/app")
    done = ecr.run(
        "push", f"oci:{image.path}", f"{host_of(HOME)}/quiet/app:1", "--debug", more={"AWS_SESSION_TOKEN": "sess-tok"}
    )
    for secret in ("secret-of-akiatest", "auth-token", "sess-tok"):
        assert secret not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"imageTagMutability": "MUTABLE"}, {"1": False, "dev-1": False}),
        ({"imageTagMutability": "IMMUTABLE"}, {"1": True, "dev-1": True}),
        ({"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}, {"1": True, "dev-1": False}),
        ({"imageTagMutability": "MUTABLE_WITH_EXCLUSION"}, {"1": False, "dev-1": True}),
    ],
)
def test_a_plan_tells_of_tags_that_may_not_move_and_writes_nothing(
    ecr: EcrWorld, image: Layout, tmp_path: Path, settings: dict[str, object], wanted: dict[str, bool]
) -> None:
    if str(settings["imageTagMutability"]).endswith("EXCLUSION"):
        settings = {**settings, "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}]}
    ecr.create(HOME, "kept/app", **settings)
    target = f"{host_of(HOME)}/kept/app:1,dev-1"
    ecr.push(image, target, endpoints=[_access()])
    ecr.front.seen.clear()
    other = make_layout(tmp_path / "other", layer(3))
    with ecr.pusher([_access()]) as pusher:
        targets = pusher.targets([Destination.parse(target)])
        with pusher.open(f"oci:{other.path}", pusher.context) as source:
            plan = pusher.plan(source, targets, pusher.context)
        (found,) = Forecaster(pusher.clients).forecast(pusher.context, plan)
    assert {tag.tag: tag.immutable for tag in found.tags} == wanted
    assert {tag.move for tag in found.tags} == {TagMove.MOVES}
    assert {line.split()[1] for line in ecr.front.seen} <= {"HEAD", "GET"}
