"""What goes over the wire, and what does not, against registries of every temper."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from equipment.faults import Action, Answer, DropAfter, DropBefore, DropReply, Fault, FaultScript, Headers
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from pushing import LOGIN, QUICK, Pushing, is_whole

from oci_push.errors import (
    ContentMismatchError,
    CredentialsError,
    DeniedError,
    ImmutableTagError,
    ProtocolViolationError,
)
from oci_push.model.endpoint import Credential
from oci_push.secret import Secret

UPLOADS = r"/blobs/uploads/"


def only_error(results: tuple[object, ...]) -> object:
    return results[0].error  # type: ignore[attr-defined]


@pytest.mark.case("UP-002", "UP-013", "TL-005")
def test_a_cold_push_is_one_session_and_one_body_for_each_blob(sandbox: Sandbox, image: Layout) -> None:
    assert only_error(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)
    traffic = sandbox.traffic
    assert traffic.count(method="POST", path_pattern=UPLOADS) == len(image.blobs)
    assert traffic.received_bytes(path_pattern=UPLOADS) == sum(image.blobs.values())
    assert traffic.count(method="PUT", path_pattern="/manifests/") == 1
    assert traffic.count(path_pattern="^/v2/$") == 0


def test_a_second_push_sends_one_head(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    Pushing().push(image, f"{sandbox.address}/a:1")
    assert [r.method for r in sandbox.traffic.requests] == ["HEAD"]


@pytest.mark.case("UP-022")
def test_a_layer_listed_three_times_is_sent_once(sandbox: Sandbox, tmp_path: Path) -> None:
    one = layer(1)
    image = make_layout(tmp_path / "thrice", one, one, one)
    Pushing().push(image, f"{sandbox.address}/a:1")
    assert sandbox.traffic.count(method="PUT", path_pattern=UPLOADS) == 2


def test_ten_tags_are_one_request_where_the_registry_knows_how(image: Layout) -> None:
    tags = ",".join(f"t{n}" for n in range(10))
    with Sandbox(options=SandboxOptions(multi_tag=True)) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:{tags}")
        assert len(sandbox.store.tags("a")) == 10
        assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/") == 1


def test_many_tags_are_set_one_by_one_where_it_does_not(sandbox: Sandbox, image: Layout) -> None:
    (result,) = Pushing().push(image, f"{sandbox.address}/a:x,y,z")
    assert [tag.outcome for tag in result.tags] == ["pushed"] * 3
    assert tuple(sandbox.store.tags("a")) == ("x", "y", "z")


def test_a_mount_that_is_refused_uses_its_session(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(mount=False)) as sandbox:
        results = Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert [r.error for r in results] == [None, None]
        second = [r for r in sandbox.traffic.requests if r.path.startswith(f"/v2/b{UPLOADS}")]
        assert len([r for r in second if r.method == "POST"]) == len(image.blobs)
        assert is_whole(sandbox, "b", "1", image)


def test_a_mount_answered_405_falls_back_to_a_plain_upload(image: Layout) -> None:
    faults = FaultScript([Fault(method="POST", path=r"mount=", times=0, action=Answer(405))])
    with Sandbox(faults=faults) as sandbox:
        results = Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert [r.error for r in results] == [None, None]
        assert is_whole(sandbox, "b", "1", image)


@pytest.mark.parametrize(
    "options",
    [
        SandboxOptions(chunk_max=40_000),
        SandboxOptions(max_body=300_000, chunk_min=50_000),
        SandboxOptions(patch_status=201, chunk_max=30_000),
        SandboxOptions(relative_location=True),
        SandboxOptions(single_post=True, anonymous_mount=True, multi_tag=True),
    ],
    ids=["announced maximum", "413 without a header", "patch answers 201", "relative location", "zot"],
)
@pytest.mark.case("UP-015", "CH-005", "CH-006")
def test_a_registrys_limits_are_kept(options: SandboxOptions, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(3, 800_000))
    with Sandbox(options=options) as sandbox:
        assert only_error(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="HEAD", path="/manifests/", action=Answer(503)),
        Fault(method="HEAD", path="/blobs/", action=Answer(500)),
        Fault(method="POST", path=UPLOADS, action=Answer(429, {"Retry-After": "0"})),
        Fault(method="POST", path=UPLOADS, action=DropReply()),
        Fault(method="PUT", path=UPLOADS, action=DropAfter(1000)),
        Fault(method="PUT", path=UPLOADS, action=Answer(502)),
        Fault(method="PUT", path=UPLOADS, action=DropReply()),
        Fault(method="PUT", path=UPLOADS, action=Answer(413, before_body=True)),
        Fault(method="PUT", path="/manifests/", action=Answer(503)),
        Fault(method="PUT", path="/manifests/", action=DropReply()),
    ],
    ids=lambda fault: f"{fault.method}-{type(fault.action).__name__}-{getattr(fault.action, 'status', '')}",
)
@pytest.mark.case("RT-005", "RT-006", "RT-009", "RT-014")
def test_a_passing_fault_is_survived(fault: Fault, image: Layout) -> None:
    with Sandbox(faults=FaultScript([fault])) as sandbox:
        assert only_error(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("CO-003")
def test_a_fault_that_stays_is_an_error_and_leaves_no_tag_and_no_session(image: Layout) -> None:
    faults = FaultScript([Fault(method="PUT", path=UPLOADS, times=0, action=Answer(500))])
    with Sandbox(faults=faults) as sandbox:
        (result,) = Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")
        assert result.error is not None
        assert [tag.outcome for tag in result.tags] == ["not reached"]
        assert tuple(sandbox.store.tags("a")) == ()
        assert tuple(sandbox.store.uploads()) == ()


@pytest.mark.case("UP-020")
def test_a_registry_that_stores_another_digest_is_caught(image: Layout) -> None:
    change = Headers({"Docker-Content-Digest": "sha256:" + "0" * 64})
    with Sandbox(faults=FaultScript([Fault(method="PUT", path=UPLOADS, times=0, action=change)])) as sandbox:
        assert isinstance(only_error(Pushing().push(image, f"{sandbox.address}/a:1")), ProtocolViolationError)
        assert tuple(sandbox.store.tags("a")) == ()


def test_a_wrong_source_is_blamed_when_the_registry_calls_the_digest_invalid(sandbox: Sandbox, image: Layout) -> None:
    digest = max(image.blobs, key=lambda d: image.blobs[d])
    file = image.path / "blobs" / "sha256" / digest.partition(":")[2]
    file.write_bytes(b"\0" * image.blobs[digest])
    error = only_error(Pushing().push(image, f"{sandbox.address}/a:1"))
    assert isinstance(error, ContentMismatchError)
    assert digest in str(error)
    assert tuple(sandbox.store.tags("a")) == ()


def test_an_immutable_tag_with_the_same_digest_is_success(tmp_path: Path, image: Layout) -> None:
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        (again,) = Pushing().push(image, f"{sandbox.address}/a:1")
        assert [(tag.outcome, again.error) for tag in again.tags] == [("unchanged", None)]
        other = make_layout(tmp_path / "other", layer(9))
        assert isinstance(only_error(Pushing().push(other, f"{sandbox.address}/a:1")), ImmutableTagError)


def test_one_token_serves_all_threads_and_the_mount_source(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        results = Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1,2")
        assert [r.error for r in results] == [None, None]
        assert sandbox.traffic.count(path_pattern="/token") == 1
        assert sandbox.traffic.count(status=401) == 1
        assert sandbox.traffic.count(method="PUT", path_pattern="/v2/b/blobs/") == 0


def test_nobody_is_told_that_a_login_is_missing(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        error = only_error(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError | CredentialsError)
        assert error.hint


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_wrong_password_ends_at_once_and_is_never_shown(auth: str, image: Layout) -> None:
    credential = Credential("sandbox", Secret("hunter2"), source="test")
    with Sandbox(options=SandboxOptions(auth=auth)) as sandbox:  # type: ignore[arg-type]
        pushing = Pushing(credential=credential)
        error = only_error(pushing.push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError | CredentialsError)
        assert "hunter2" not in str(error) + repr(pushing.events)
        assert sandbox.traffic.count() <= 3


def test_a_copy_inside_the_registry_moves_no_bytes(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    assert only_error(Pushing().push(f"docker://{sandbox.address}/a:1", f"{sandbox.address}/b:1")) is None
    assert is_whole(sandbox, "b", "1", image)
    assert sandbox.traffic.count(method="GET", path_pattern="/blobs/") == 0


def test_a_copy_without_mounts_does_not_wait_for_itself(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", *(layer(n) for n in range(12)))
    with Sandbox(options=SandboxOptions(mount=False)) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        assert only_error(Pushing().push(f"docker://{sandbox.address}/a:1", f"{sandbox.address}/b:1")) is None
        assert is_whole(sandbox, "b", "1", image)


@pytest.mark.case("SR-021")
def test_a_blob_is_downloaded_once_for_several_registries(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    with Sandbox() as one, Sandbox() as two:
        results = Pushing().push(f"docker://{sandbox.address}/a:1", f"{one.address}/x:1", f"{two.address}/y:1")
        assert [r.error for r in results] == [None, None]
        assert is_whole(two, "y", "1", image)
    assert sandbox.traffic.count(method="GET", path_pattern="/blobs/") == len(image.blobs)


def test_no_thread_outlives_a_push(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    assert not [
        t for t in threading.enumerate() if t.name.startswith("oci-push-") and t.is_alive() and "sandbox" not in t.name
    ]


@pytest.mark.parametrize("action", [DropBefore(), Answer(503)], ids=["dead", "503"])
def test_a_registry_that_was_given_up_is_tried_once_by_the_next_push_of_the_run(action: Action, image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(times=0, action=action)])) as sandbox:
        target = f"{sandbox.address}/a:1"
        results = Pushing().push_each(image, target, target)
        assert [len(result) and result[0].error is not None for result in results] == [True, True]
        assert sandbox.traffic.count() == QUICK.attempts + 1


def test_a_registry_that_answers_again_has_all_its_tries_again(image: Layout) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault(times=QUICK.attempts, action=Answer(503)))
        sandbox.faults.add(Fault("PUT", "/manifests/", times=QUICK.attempts - 1, action=Answer(503)))
        target = f"{sandbox.address}/a:1"
        first, second = Pushing().push_each(image, target, target)
        assert (first[0].error is not None, second[0].error) == (True, None)
