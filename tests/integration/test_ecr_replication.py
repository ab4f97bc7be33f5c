"""ECR's replication: rules shown and set, copies waited for and looked at, and made by us where no rule does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from awsservice import ACCOUNT, PARTNER, AwsError
from ecrfront import Refusal, host_of
from ecrworld import AWAY, HOME, EcrWorld, repository
from images import Layout, layer, make_layout

import oci_push
from oci_push.engine.push import ReplicaResult
from oci_push.engine.pusher import Options
from oci_push.engine.replicate import Original, replicate
from oci_push.errors import ConfigError, DeadlineError, DeniedError, ImmutableTagError
from oci_push.events import LogMessage
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.providers.ecr.identity import AwsIdentity, EcrCreation
from oci_push.runtime.clock import FakeClock
from oci_push.transport.settings import TransportSettings

RULES = [{"destinations": [{"region": AWAY, "registryId": ACCOUNT}]}]


def _status(
    *words: str, failure: str = "", account: str = ACCOUNT, then: Callable[[], None] = lambda: None
) -> Callable[..., object]:
    """Answer with one status after the other, the last for ever; none at all for an empty word."""
    left = list(words)

    def answer(_: str, members: dict[str, object]) -> object:
        word = left.pop(0) if len(left) > 1 else left[0]
        if word == "COMPLETE":
            then()
        status = {"region": AWAY, "registryId": account, "status": word, "failureCode": failure}
        return {
            "repositoryName": members["repositoryName"],
            "imageId": members["imageId"],
            "replicationStatuses": [status] if word else [],
        }

    return answer


def _replicate(
    ecr: EcrWorld, image: Layout, path: str, *regions: str, seconds: float = 1800, identity: AwsIdentity | None = None
) -> tuple[ReplicaResult, ...]:
    endpoint = RegistryEndpoint(host_of(HOME), identity=identity or AwsIdentity())
    with ecr.pusher([endpoint]) as pusher:
        reached = pusher.endpoint(repository(HOME, path))
        original = Original(reached, repository(HOME, path), Digest.parse(image.digest), ("1",))
        context = pusher.context.child(seconds=seconds, what="waiting")
        return replicate(context, pusher.clients, original, regions, ecr.events.append)


def _pushed(ecr: EcrWorld, image: Layout, path: str) -> None:
    ecr.create(HOME, path)
    (result,) = ecr.push(image, f"{host_of(HOME)}/{path}:1")
    assert result.error is None


def test_a_copy_is_waited_for_and_its_tag_compared(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "wait/app")
    ecr.create(AWAY, "wait/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status(
        "", "IN_PROGRESS", "COMPLETE", then=lambda: ecr.front.replicate("wait/app", HOME, AWAY)
    )
    (result,) = _replicate(ecr, image, "wait/app")

    assert (result.outcome, result.error, str(result.repository)) == ("replicated", None, f"{host_of(AWAY)}/wait/app")
    assert isinstance(ecr.clock, FakeClock)
    assert ecr.clock.waits == [2.0, 3.0]
    asked = ecr.aws.sent("DescribeImageReplicationStatus")
    assert [one["imageId"] for one in asked] == [{"imageDigest": image.digest}] * 3
    assert ecr.front.count(f"{AWAY} HEAD /v2/wait/app/manifests/1 200") == 1
    assert ecr.front.count(f"{AWAY} (PUT|POST)") == 0


def test_a_tag_that_the_copy_left_out_is_a_failure(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    older = make_layout(tmp_path / "older", layer(7))
    ecr.create(AWAY, "kept/app", imageTagMutability="IMMUTABLE")
    (before,) = ecr.push(older, f"{host_of(AWAY)}/kept/app:1")
    assert before.error is None
    _pushed(ecr, image, "kept/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status(
        "COMPLETE", then=lambda: ecr.front.replicate("kept/app", HOME, AWAY, without_tag="tags")
    )
    (result,) = _replicate(ecr, image, "kept/app")

    assert isinstance(result.error, ImmutableTagError)
    assert f"{host_of(AWAY)}/kept/app:1: the image" in str(result.error)
    assert f"has arrived, but the tag still names {older.digest[7:19]}" in str(result.error)


def test_a_copy_that_the_registry_gives_up_is_told_with_its_reason(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "given-up/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status("IN_PROGRESS", "FAILED", failure="KmsError")
    (result,) = _replicate(ecr, image, "given-up/app")

    assert result.error is not None
    assert f"replication to {ACCOUNT} in {AWAY} failed (KmsError)" in str(result.error)
    assert "encryption key" in (result.error.hint or "")


def test_a_copy_that_never_begins_ends_with_the_time_limit_and_a_hint(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "never/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status("")
    (result,) = _replicate(ecr, image, "never/app", seconds=60)

    assert isinstance(result.error, DeadlineError)
    assert f"not replicated to {ACCOUNT} in {AWAY} in time (not begun after 60 s)" in str(result.error)
    assert "pushed after they were set" in (result.error.hint or "")


def test_a_region_that_no_rule_covers_is_copied_to(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "copied/app")
    ecr.create(AWAY, "copied/app")
    ecr.aws.rules[HOME] = [{**RULES[0], "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}]}]
    (result,) = _replicate(ecr, image, "copied/app", AWAY)

    assert (result.outcome, result.error) == ("copied", None)
    assert ecr.digest(AWAY, "copied/app", "1") == image.digest
    assert ecr.aws.named("DescribeImageReplicationStatus") == []
    assert ecr.front.count(f"{HOME} GET /v2/copied/app/blobs/") == len(image.blobs)


def test_a_copy_creates_the_repository_there_if_that_was_asked_for(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "made-there/app")
    (result,) = _replicate(ecr, image, "made-there/app", AWAY, identity=AwsIdentity(creation=EcrCreation()))

    assert result.error is None
    assert ecr.aws.named("CreateRepository") == [AWAY]


def test_a_copy_that_is_refused_is_that_regions_own_failure(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "refused/app")
    ecr.create(AWAY, "refused/app")
    ecr.front.refusals.append(Refusal("POST", "refused/app", 403, "DENIED", "not authorized"))
    (result,) = _replicate(ecr, image, "refused/app", AWAY)

    assert (result.outcome, type(result.error).__name__) == ("failed", "DeniedError")


def test_another_accounts_tags_that_may_not_be_read_are_a_warning(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "partner/app")
    ecr.aws.rules[HOME] = [{"destinations": [{"region": AWAY, "registryId": PARTNER}]}]
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status("COMPLETE", account=PARTNER)
    # A refused HEAD has no body to say why, so it is followed by a GET.
    ecr.front.refusals += [
        Refusal(method, "partner/app", 403, "DENIED", "not authorized") for method in ("HEAD", "GET")
    ]
    (result,) = _replicate(ecr, image, "partner/app")

    assert (result.outcome, result.error) == ("replicated", None)
    warning = f"{host_of(AWAY, PARTNER)}/partner/app: cannot be looked at with this login, so its tags are not checked"
    assert LogMessage(warning, "warning") in ecr.events


def test_a_status_that_may_not_be_read_fails_the_places_that_were_waited_for(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "unseen/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.once["DescribeImageReplicationStatus"] = [AwsError("AccessDeniedException", "not authorized")]
    (result,) = _replicate(ecr, image, "unseen/app")

    assert isinstance(result.error, DeniedError)
    assert result.error.hint == "this identity needs ecr:DescribeImageReplicationStatus there"


def test_a_library_user_pushes_to_regions_and_waits(
    ecr: EcrWorld, image: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", ecr.front.url)
    target = f"{host_of(HOME)}/library/app:1"
    tls = TlsConfig(ca_file=str(ecr.authority.path))
    options = Options(tls=tls, transport=TransportSettings(env=ecr.environment), remember=False)
    pushed = oci_push.push(f"oci:{image.path}", target, create_repositories=EcrCreation(), options=options)
    asking = AwsIdentity(creation=EcrCreation())
    (replica,) = oci_push.replicate(target, regions=[AWAY], identity=asking, options=options).replicas

    assert [result.error for result in pushed.targets] == [None]
    assert (replica.region, replica.account, replica.outcome, replica.error) == (AWAY, ACCOUNT, "copied", None)
    assert ecr.aws.named("CreateRepository") == [HOME, AWAY]


def test_nothing_to_wait_for_is_an_error_before_any_waiting(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "nowhere/app")
    with pytest.raises(ConfigError, match=r"no replication rule of .* covers it"):
        _replicate(ecr, image, "nowhere/app")


def test_a_push_ends_when_every_region_serves_it(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    ecr.create(HOME, "all/app")
    ecr.create(AWAY, "all/app")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status(
        "COMPLETE", then=lambda: ecr.front.replicate("all/app", HOME, AWAY)
    )
    report = tmp_path / "report.json"
    target = f"{host_of(HOME)}/all/app:1"
    done = ecr.run("push", f"oci:{image.path}", target, "--wait-replication", "--report", str(report))

    assert done.stdout.splitlines() == [f"{target}@{image.digest}", f"{host_of(AWAY)}/all/app replicated"]
    (replica,) = json.loads(report.read_text())["replicas"]
    assert (replica["region"], replica["outcome"], replica["error"]) == (AWAY, "replicated", None)


def test_what_was_pushed_is_waited_for_although_another_target_failed(
    ecr: EcrWorld, image: Layout, tmp_path: Path
) -> None:
    ecr.create(HOME, "all/part")
    ecr.create(AWAY, "all/part")
    ecr.aws.rules[HOME] = RULES
    ecr.aws.answers["DescribeImageReplicationStatus"] = _status(
        "COMPLETE", then=lambda: ecr.front.replicate("all/part", HOME, AWAY)
    )
    report = tmp_path / "report.json"
    good, bad = f"{host_of(HOME)}/all/part:1", f"{host_of(HOME)}/all/missing:1"
    words = ("push", f"oci:{image.path}", good, bad, "--wait-replication", "--report", str(report))
    done = ecr.run(*words, code=1)

    assert done.stdout.splitlines() == [f"{good}@{image.digest}", f"{host_of(AWAY)}/all/part replicated"]
    (replica,) = json.loads(report.read_text())["replicas"]
    assert (replica["region"], replica["outcome"]) == (AWAY, "replicated")


def test_what_was_pushed_is_told_although_replication_cannot_be_followed(ecr: EcrWorld, image: Layout) -> None:
    ecr.create(HOME, "blind/app")
    ecr.aws.once["DescribeRegistry"] = [AwsError("AccessDeniedException", "not authorized")]
    target = f"{host_of(HOME)}/blind/app:1"
    done = ecr.run("push", f"oci:{image.path}", target, "--wait-replication", code=5)

    assert done.stdout.strip() == f"{target}@{image.digest}"
    assert "ecr:DescribeRegistry refused (AccessDeniedException: not authorized)" in done.stderr
    assert "needs ecr:DescribeRegistry" in done.stderr


def test_wait_follows_a_reference(ecr: EcrWorld, image: Layout) -> None:
    _pushed(ecr, image, "later/app")
    ecr.create(AWAY, "later/app")
    done = ecr.run("ecr", "replication", "wait", f"{host_of(HOME)}/later/app:1", "--regions", AWAY)
    assert done.stdout.strip() == f"{host_of(AWAY)}/later/app copied"
    assert ecr.digest(AWAY, "later/app", "1") == image.digest


def test_rules_are_shown_set_after_a_look_at_the_difference_and_left_when_equal(ecr: EcrWorld, tmp_path: Path) -> None:
    ecr.aws.rules[HOME] = RULES
    file = tmp_path / "rules.yml"
    file.write_text(
        "rules:\n"
        f"  - destinations: [{{region: {AWAY}}}]\n    prefixes: [prod/]\n    deletes: true\n"
        "  - destinations: [{region: eu-central-1, account: 210987654321}]\n"
    )
    where = ("--region", HOME)
    shown = ecr.run("ecr", "replication", "show", *where)
    assert shown.stdout.splitlines() == [
        f"registry {ACCOUNT} in {HOME}: 1 replication rules",
        f"  every repository to {ACCOUNT} in {AWAY}",
    ]
    planned = ecr.run("ecr", "replication", "set", str(file), "--plan", *where)
    difference = [
        f"registry {ACCOUNT} in {HOME}:",
        f"- every repository to {ACCOUNT} in {AWAY}",
        f"+ prod/* to {ACCOUNT} in {AWAY}, deletions too",
        "+ every repository to 210987654321 in eu-central-1",
    ]
    assert planned.stdout.splitlines() == difference
    assert ecr.aws.named("PutReplicationConfiguration") == []

    done = ecr.run("ecr", "replication", "set", str(file), *where)
    assert done.stdout.splitlines() == [*difference, f"registry {ACCOUNT} in {HOME}: 2 rules set"]
    assert ecr.aws.rules[HOME] == [
        {
            "destinations": [{"region": AWAY, "registryId": ACCOUNT}],
            "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}],
            "deleteReplication": {"enabled": True},
        },
        {"destinations": [{"region": "eu-central-1", "registryId": "210987654321"}]},
    ]
    ecr.run("ecr", "replication", "set", str(file), *where)
    assert len(ecr.aws.named("PutReplicationConfiguration")) == 1


def test_rules_that_aws_would_refuse_never_reach_it(ecr: EcrWorld, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(f"rules:\n  - destinations: [{{region: {HOME}}}]\n    prefixes: [x]\n    delete: true\n")
    done = ecr.run("ecr", "replication", "set", str(file), "--region", HOME, code=2)

    assert f'{file}:4:5: "delete" is not allowed' in done.stderr
    assert f"{file}:2:5: {HOME} is the registry's own region" in done.stderr
    assert f"{file}:2:5: prefix 'x' must be 2 to 256 characters" in done.stderr
    assert ecr.aws.calls == []
