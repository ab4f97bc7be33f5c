"""The library as a program calls it: what it returns and raises, events, stops, and what it leaves alone."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import FORGETFUL, MIB, crawl, is_closed, when_under_way
from equipment.faults import Answer, Fault, Stall
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import until
from pushing import is_whole
from wayproxy import WayProxy

import oci_push
from oci_push import (
    Attachment,
    Cancelled,
    Changes,
    DeadlineError,
    DeniedError,
    IncompleteError,
    OciPushError,
    Options,
    Platform,
    PushReport,
    TlsConfig,
    events,
)
from oci_push.events import Event

pytestmark = pytest.mark.usefixtures("own_home")


def test_the_report_is_a_value_that_is_compared_pickled_written_and_read(image: Layout, sandbox: Sandbox) -> None:
    report = oci_push.push(image.path, f"{sandbox.address}/team/app:1,2", tags=["3"])
    (target,) = report.targets
    assert is_whole(sandbox, "team/app", "3", image)
    assert (str(target.digest), [tag.tag for tag in target.tags]) == (image.digest, ["1", "2", "3"])
    assert (report.status, report.exit_code) == ("success", 0)
    assert pickle.loads(pickle.dumps(report)) == report
    assert oci_push.decode(oci_push.encode(report), PushReport) == report


def test_a_path_is_a_path_whatever_it_looks_like(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_layout(tmp_path / "localhost" / "app", layer(1))
    monkeypatch.chdir(tmp_path)
    report = oci_push.push(Path("localhost/app"), f"{sandbox.address}/app")
    assert str(report.targets[0].digest) == image.digest
    assert is_whole(sandbox, "app", "latest", image)


def test_a_plan_is_what_a_push_would_do_and_asks_nobody(image: Layout, sandbox: Sandbox) -> None:
    planned = oci_push.plan(image.path, f"{sandbox.address}/app:1")
    assert sandbox.traffic.requests == ()
    report = oci_push.push(image.path, f"{sandbox.address}/app:1")
    assert planned.digest == report.targets[0].digest
    assert {blob.digest for blob in planned.blobs} == {blob.digest for blob in report.targets[0].blobs}
    assert oci_push.decode(oci_push.encode(planned), type(planned)) == planned == pickle.loads(pickle.dumps(planned))


def test_events_come_in_order_on_the_thread_that_called(large: Layout, sandbox: Sandbox) -> None:
    told: list[Event] = []
    threads: set[int] = set()

    def on_event(event: Event) -> None:
        told.append(event)
        threads.add(threading.get_ident())

    oci_push.push(large.path, f"{sandbox.address}/app:1", on_event=on_event)
    assert threads == {threading.get_ident()}
    kinds = [type(event).__name__ for event in told]
    assert (kinds[0], kinds[1], kinds[-1]) == ("SourceOpened", "TargetStarted", "TargetFinished")
    assert kinds.index("TagDone") > max(at for at, kind in enumerate(kinds) if kind == "BlobDone")
    sent = [event.sent_bytes for event in told if isinstance(event, events.BlobProgress) and event.size_bytes > MIB]
    assert sent == sorted(sent)
    assert sent[-1] == 24 * MIB


def test_a_cancel_from_another_thread_closes_the_upload_and_is_raised(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    cancel = threading.Event()

    def stop() -> None:
        until(lambda: any(upload.size for upload in sandbox.store.uploads()))
        cancel.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Cancelled) as caught:
        oci_push.push(large.path, f"{sandbox.address}/app:1", options=FORGETFUL, cancel=cancel)
    thread.join()
    assert is_closed(sandbox)
    assert caught.value.exit_code == 130
    assert [tag.outcome for tag in caught.value.report.targets[0].tags] == ["not reached"]


def test_a_listener_may_cancel_its_own_push(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        oci_push.push(
            large.path,
            f"{sandbox.address}/app:1",
            options=FORGETFUL,
            cancel=cancel,
            on_event=when_under_way(cancel.set),
        )
    assert is_closed(sandbox)


def test_what_a_listener_raises_stops_the_push_and_is_raised(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)

    def fail() -> None:
        raise LookupError("a mistake of the listener's")

    with pytest.raises(LookupError, match="a mistake of the listener's"):
        oci_push.push(large.path, f"{sandbox.address}/app:1", options=FORGETFUL, on_event=when_under_way(fail))
    assert is_closed(sandbox)


def test_ctrl_c_closes_the_upload_and_is_raised_as_python_does(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    with pytest.raises(KeyboardInterrupt):
        oci_push.push(
            large.path,
            f"{sandbox.address}/app:1",
            options=FORGETFUL,
            on_event=when_under_way(lambda: signal.raise_signal(signal.SIGINT)),
        )
    assert is_closed(sandbox)


def test_a_cancel_that_was_there_before_contacts_nobody(image: Layout, sandbox: Sandbox) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        oci_push.push(image.path, f"{sandbox.address}/app:1", cancel=cancel)
    assert sandbox.traffic.requests == ()


def test_a_deadline_ends_a_registry_that_says_nothing(image: Layout, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("PUT", "/manifests/", action=Stall(600)))
    with pytest.raises(DeadlineError, match="push: time limit exceeded"):
        oci_push.push(image.path, f"{sandbox.address}/app:1", options=FORGETFUL, timeout_s=0.5)
    assert sandbox.store.uploads() == ()


def test_one_of_several_that_fails_is_raised_with_what_became_of_all(image: Layout, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("PUT", "/v2/no/manifests/", action=Answer(403, code="DENIED"), times=0))
    with pytest.raises(IncompleteError, match=r"^1 of 2 repositories failed: .*403") as caught:
        oci_push.push(image.path, f"{sandbox.address}/yes:1", f"{sandbox.address}/no:1")
    error, (yes, no) = caught.value, caught.value.report.targets
    assert (error.exit_code, error.transient) == (1, False)
    assert (yes.error, [tag.outcome for tag in yes.tags]) == (None, ["pushed"])
    assert [tag.outcome for tag in no.tags] == ["failed"]
    assert type(no.error.error()) is DeniedError
    assert is_whole(sandbox, "yes", "1", image)


def test_the_only_one_that_fails_is_raised_itself(image: Layout, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("PUT", "/manifests/", action=Answer(403, code="DENIED"), times=0))
    with pytest.raises(DeniedError) as caught:
        oci_push.push(image.path, f"{sandbox.address}/app:1")
    assert caught.value.exit_code == 5
    assert [blob.outcome for blob in caught.value.report.targets[0].blobs] == ["uploaded"] * len(image.blobs)


def test_what_fails_before_anything_is_begun_has_no_report(sandbox: Sandbox) -> None:
    with pytest.raises(oci_push.SourceError) as caught:
        oci_push.push("oci:/nowhere", f"{sandbox.address}/app:1")
    assert caught.value.report is None
    assert sandbox.traffic.requests == ()


@pytest.mark.parametrize("name", [name for name in oci_push._HOME_OF if name.endswith("Error") or name == "Cancelled"])
def test_an_error_survives_pickling_with_all_that_is_public(name: str) -> None:
    kind = getattr(oci_push, name)
    error = kind("registry.example: said no").with_hint("ask").with_attempts(3).with_report(("done",))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.hint, again.exit_code, again.transient, again.report) == (
        str(error),
        error.hint,
        error.exit_code,
        error.transient,
        error.report,
    )


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda push: push("oci:image"), ValueError, "no destination"),
        (lambda push: push("oci:image", ["a.example/b"]), TypeError, "a destination is a str, not list"),
        (lambda push: push("oci:image", "a.example/b", tags="latest"), TypeError, "tags is a str"),
        (lambda push: push("oci:image", "a.example/b", regions="eu-west-1"), TypeError, "regions is a str"),
        (lambda push: push("oci:image", "a.example/b", timeout_s=0), ValueError, "timeout_s is 0"),
        (lambda push: push("oci:image", "a.example/b", timeout_s=float("nan")), ValueError, "timeout_s is nan"),
        (lambda push: push("oci:image", "a.example/b", platform="arm"), ValueError, "not a platform"),
        (lambda push: push("oci:image", "a.example/b", attach="sbom.json"), TypeError, "attach is no sequence of"),
        (lambda push: push("oci:image", "a.example/b", attach=[Attachment("x", "x")]), ValueError, "is no media type"),
        (lambda push: push("oci:image", "a.example/b", changes={}), TypeError, "changes is of type dict"),
        (
            lambda push: push("oci:image", "a.example/b", platform="linux/arm", changes=Changes((Platform("a", "b"),))),
            ValueError,
            "give one of them",
        ),
        (lambda push: push("oci:image", "a.example/b", timeout_s="5"), TypeError, "timeout_s is a str"),
        (lambda push: push("oci:image", "a.example/b", platform=["linux/arm"]), TypeError, "platform is of type list"),
        (lambda push: push("oci:image", "a.example/b", tags=[1]), TypeError, "tags is no sequence of str"),
        (lambda push: push("oci:image", "a.example/b", options={}), TypeError, "options is of type dict"),
        (lambda push: push("oci:image", "a.example/b", cancel=True), TypeError, "cancel is a bool"),
        (lambda push: push("oci:image", "a.example/b", on_event="x"), TypeError, "on_event is called"),
        (lambda push: push("oci:image", "a.example/b", on_event=asyncio.sleep), TypeError, "and not awaited"),
        (lambda push: push(b"oci:image", "a.example/b"), TypeError, "source is bytes"),
        (lambda push: push("oci:image", "a.example/B"), oci_push.ConfigError, "did you mean 'b'"),
    ],
)
def test_misuse_is_told_at_once(call: Callable[[object], object], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        call(oci_push.push)


@pytest.mark.parametrize(
    "call",
    [
        lambda: oci_push.push("oci:image", "registry.example.com/a:1", regions=["eu-west-1"]),
        lambda: oci_push.push("oci:image", "registry.example.com/a:1", create_repositories=oci_push.EcrCreation()),
        lambda: oci_push.plan("oci:image", "registry.example.com/a:1", regions=["eu-west-1"]),
        lambda: oci_push.replicate("registry.example.com/a:1"),
    ],
)
def test_what_only_ecr_has_is_refused_elsewhere(call: Callable[[], object]) -> None:
    with pytest.raises(oci_push.ConfigError, match="ECR"):
        call()


def test_pushes_at_once_of_shared_layers_all_arrive(tmp_path: Path, sandbox: Sandbox) -> None:
    base = layer(1, 400_000)
    images = [make_layout(tmp_path / f"image-{n}", base, layer(10 + n)) for n in range(6)]
    reports: dict[int, PushReport] = {}

    def one(number: int) -> None:
        place = f"{sandbox.address}/{'even' if number % 2 == 0 else 'odd'}:{number}"
        reports[number] = oci_push.push(images[number].path, place)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: report.exit_code for number, report in reports.items()} == dict.fromkeys(range(6), 0)
    assert all(is_whole(sandbox, "even" if n % 2 == 0 else "odd", str(n), image) for n, image in enumerate(images))
    assert sandbox.store.uploads() == ()


def test_an_upload_that_a_stop_left_is_gone_on_with_by_one_of_those_that_push_at_once(
    large: Layout, sandbox: Sandbox
) -> None:
    crawl(sandbox)
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        oci_push.push(large.path, f"{sandbox.address}/app:0", cancel=cancel, on_event=when_under_way(cancel.set))
    (kept,) = sandbox.store.uploads()
    sandbox.faults.clear()
    resumed: list[int] = []

    def on_event(event: Event) -> None:
        if isinstance(event, events.UploadResumed):
            resumed.append(event.offset_bytes)

    def one(number: int) -> None:
        oci_push.push(large.path, f"{sandbox.address}/app:{number}", on_event=on_event)

    threads = [threading.Thread(target=one, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert resumed == [kept.size]
    assert [is_whole(sandbox, "app", tag, large) for tag in ("1", "2")] == [True, True]
    assert sandbox.store.uploads() == ()


def test_one_event_cancels_many_pushes(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    cancel = threading.Event()
    ended: list[OciPushError] = []

    def one(number: int) -> None:
        try:
            oci_push.push(
                large.path,
                f"{sandbox.address}/app-{number}:1",
                options=FORGETFUL,
                cancel=cancel,
                on_event=when_under_way(cancel.set),
            )
        except OciPushError as error:
            ended.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in ended] == [Cancelled] * 3
    assert sandbox.store.uploads() == ()


def test_nothing_is_printed_and_nothing_of_the_process_is_changed(
    image: Layout, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    def state() -> object:
        loggers = [logging.getLogger(name) for name in ("", "oci_push")]
        return (
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP)],
            [(log.level, list(log.handlers)) for log in loggers],
            (sys.stdin, sys.stdout, sys.stderr, sys.excepthook, threading.excepthook, list(warnings.filters)),
            Path.cwd(),
        )

    before = state()
    oci_push.push(image.path, f"{sandbox.address}/app:1")
    sandbox.faults.add(Fault("PUT", "/manifests/", action=Answer(403, code="DENIED"), times=0))
    with pytest.raises(DeniedError):
        oci_push.push(image.path, f"{sandbox.address}/app:2")
    assert state() == before
    assert capfd.readouterr() == ("", "")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("oci-push")] == []


def test_a_program_that_takes_warnings_for_errors_sees_none(image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    code = (
        "import sys, oci_push; source, place = sys.argv[1:];"
        "oci_push.push(source, place + '/a:1', place + '/b:1');"
        "import asyncio; asyncio.run(oci_push.aio.push(source, place + '/c:1', on_event=lambda _: None), debug=False);"
        "import gc; gc.collect()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code, str(image.path), sandbox.address],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_notebook_whose_stdin_has_no_bytes_can_push(
    image: Layout, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert oci_push.push(image.path, f"{sandbox.address}/app:1").status == "success"


def test_the_proxies_of_the_environment_count(image: Layout, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with WayProxy(sandbox.address) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        options = Options(tls=TlsConfig(plain_http=True), remember=False)
        oci_push.push(image.path, "registry.example.com/app:1", options=options)
        assert proxy.asked[0].startswith("http://registry.example.com/v2/app/")
    assert is_whole(sandbox, "app", "1", image)


def test_a_call_leaves_nothing_open(image: Layout, sandbox: Sandbox) -> None:
    oci_push.push(image.path, f"{sandbox.address}/app:1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert caught == []


@pytest.mark.parametrize("name", ["variables", "candidates", "assume"])
@pytest.mark.parametrize("value", ["x", ["x"], {"x": 1}, {1: "x"}])
def test_what_is_no_mapping_of_texts_is_told_before_a_pipeline_is_read(
    name: str, value: object, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text("version: 1.0\nsteps: {}\n")
    with pytest.raises(TypeError, match=f"{name} is no mapping of str to str"):
        oci_push.plan_pipeline(tmp_path / "p.yaml", **{name: value})


def test_a_time_limit_for_regions_is_checked_as_any() -> None:
    with pytest.raises(ValueError, match="timeout_s is nan"):
        oci_push.replicate("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1", timeout_s=float("nan"))


@pytest.mark.parametrize("name", ["password", "identity_token", "registry_token"])
def test_a_secret_that_is_plain_text_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(TypeError, match="is no Secret") as caught:
        oci_push.Credential("robot", **{name: "plain-secret-word"})
    assert "plain-secret-word" not in str(caught.value)
