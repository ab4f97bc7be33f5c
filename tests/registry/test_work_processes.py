"""Units of work and worker processes, with a registry that looks on: what is sent, refused, repeated and left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Slow, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from program import program, until, workers_of

from oci_push.cli.options import Common
from oci_push.cli.worker import setup_of
from oci_push.secret import Secret

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")
BASE = layer(1000, 1_600_000)
PLANTED = "planted-password"
GUARDED = SandboxOptions(auth="basic", username="robot", password=Secret(PLANTED))


def images(folder: Path, count: int) -> None:
    """Write images with a large layer in common."""
    for number in range(count):
        writer = LayoutWriter(folder / f"i{number}")
        writer.close(writer.image(BASE, layer(number)))


def pipeline(folder: Path, count: int, *registries: str) -> None:
    """Write a pipeline that pushes each image to each registry, all at once."""
    lines = ["version: '1.0'", "mode: parallel", "steps:"]
    for number in range(count):
        for place, registry in enumerate(registries):
            lines.append(
                f"  s{number}_{place}: {{type: push, candidate: 'oci:i{number}', image_name: team/i{number},"
                f" tag: v1, registry: '{registry}'}}"
            )
    (folder / "p.yml").write_text("\n".join(lines) + "\n")


def config(folder: Path, sandbox: Sandbox, password: str = PLANTED) -> None:
    (folder / "oci-push.yaml").write_text(
        f"registries:\n- {{name: inner, domain: '{sandbox.address}', username: robot, password: {password}}}\n"
    )


def start(*words: str, cwd: Path) -> subprocess.Popen[str]:
    counted = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "PYTHONPATH": str(ROOT), **counted}
    pipe = subprocess.PIPE
    return subprocess.Popen([PROGRAM, *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def tags(sandbox: Sandbox) -> int:
    return sum(one.method == "PUT" and "/manifests/v1" in one.path and one.status == 201 for one in requests(sandbox))


def requests(sandbox: Sandbox):
    return sandbox.traffic.requests


def large_bodies(sandbox: Sandbox) -> int:
    """Count how often a large layer was sent."""
    return sum(one.received_bytes > 256 * 1024 for one in requests(sandbox))


def test_two_shards_and_their_results_are_all_of_it(tmp_path: Path) -> None:
    images(tmp_path, 4)
    with Sandbox() as one, Sandbox() as two:
        pipeline(tmp_path, 4, one.address, two.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        assert not requests(one)
        for shard in ("1/2", "2/2"):
            name = f"r{shard[0]}.jsonl"
            program("work", "u.jsonl", "--shard", shard, "--results", name, "--no-memory", cwd=tmp_path)
        assert [tags(one), tags(two)] == [4, 4]
        # Each of the shards has sent the layer that all have in common once to each registry.
        assert [large_bodies(one), large_bodies(two)] == [2, 2]
        merged = program("report", "merge", "r1.jsonl", "r2.jsonl", "--units", "u.jsonl", "--json", cwd=tmp_path)
    assert json.loads(merged.stdout)["counts"] == {"done": 8, "there": 0, "failed": 0, "not reached": 0}
    lost = program("report", "merge", "r1.jsonl", "--units", "u.jsonl", cwd=tmp_path, code=1)
    assert "8 units: 4 done, 4 that nobody did" in lost.stderr


def test_the_same_command_again_asks_nothing_and_without_results_little(tmp_path: Path) -> None:
    images(tmp_path, 3)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 3, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        program("work", "u.jsonl", "--results", "r.jsonl", cwd=tmp_path)
        sandbox.traffic.clear()
        again = program("work", "u.jsonl", "--results", "r.jsonl", cwd=tmp_path)
        assert "3 tags: 3 there and not asked for" in again.stderr
        assert not requests(sandbox)
        program("work", "u.jsonl", cwd=tmp_path)
        asked = [one.method for one in requests(sandbox) if one.path != "/v2/"]
    assert set(asked) == {"HEAD"}
    assert len(asked) <= 2 * 3


def test_another_image_than_was_laid_out_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 2, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        writer = LayoutWriter(tmp_path / "other")
        writer.close(writer.image(layer(77)))
        (tmp_path / "i1").rename(tmp_path / "was")
        (tmp_path / "other").rename(tmp_path / "i1")
        done = program("work", "u.jsonl", cwd=tmp_path, code=3)
        assert "was to be pushed" in done.stderr
        assert "the source has changed" in done.stderr
        assert not any("/team/i1/" in one.path for one in requests(sandbox))
        assert tags(sandbox) == 1


def test_processes_send_a_common_layer_once_and_report_as_one_process_does(tmp_path: Path) -> None:
    images(tmp_path, 4)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 4, sandbox.address)
        words = ("run", "p.yml", "--json", "--no-memory")
        away = json.loads(program(*words, "--on", "local:2", cwd=tmp_path).stdout)
        assert [tags(sandbox), large_bodies(sandbox)] == [4, 1]
        here = json.loads(program(*words, cwd=tmp_path).stdout)
    assert [told(one) for one in away["steps"]] == [told(one) for one in here["steps"]]
    assert away.keys() == here.keys()


def told(step: dict) -> object:
    """Return what is the same however often a step is run."""
    [target] = step["targets"]
    return step["name"], step["status"], step["attempts"], target["repository"], target["digest"]


def test_conditions_retries_and_exports_stay_where_the_run_is(tmp_path: Path) -> None:
    images(tmp_path, 2)
    refuse = Fault("PUT", "/team/i0/manifests/v1", action=Answer(403, code="DENIED"))
    with Sandbox(faults=FaultScript([refuse])) as sandbox:
        push = f"type: push, tag: v1, registry: '{sandbox.address}'"
        (tmp_path / "p.yml").write_text(
            "version: '1.0'\nsteps:\n"
            f"  first: {{{push}, candidate: 'oci:i0', image_name: team/i0, retry: {{maxAttempts: 2, delay: 0.01}}}}\n"
            f"  never: {{{push}, candidate: 'oci:i1', image_name: team/never,"
            " when: {condition: {all: {no: \"'a' == 'b'\"}}}}\n"
            f"  second: {{{push}, candidate: 'oci:i1', image_name: team/i1}}\n"
        )
        words = ("run", "p.yml", "--on", "local:2", "--json", "--export", "out.env")
        done = json.loads(program(*words, cwd=tmp_path).stdout)
        assert tags(sandbox) == 2
    steps = {one["name"]: one for one in done["steps"]}
    assert steps["first"]["attempts"] == 2
    assert [one["status"] for one in done["steps"]] == ["success", "skipped", "success"]
    assert steps["second"]["targets"][0]["digest"] in (tmp_path / "out.env").read_text()


def test_no_secret_is_in_units_results_or_what_is_said(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox(options=GUARDED) as sandbox:
        config(tmp_path, sandbox)
        pipeline(tmp_path, 2, "inner")
        named = ("--config", "oci-push.yaml")
        said = program("plan", "p.yml", "--units", "u.jsonl", *named, cwd=tmp_path)
        more = program("work", "u.jsonl", "--results", "r.jsonl", "--on", "local:2", *named, cwd=tmp_path)
        check = program("work", "u.jsonl", "--check", "--json", *named, cwd=tmp_path)
        assert tags(sandbox) == 2
    assert json.loads(check.stdout)["registries"][0]["user"] == "robot"
    texts = [(tmp_path / name).read_text() for name in ("u.jsonl", "r.jsonl")]
    texts += [text for one in (said, more, check) for text in (one.stdout, one.stderr)]
    assert all(PLANTED not in text for text in texts)
    assert '"registry":"push inner@' in texts[0]


def test_logins_of_both_ends_of_a_copy_are_those_of_the_worker(tmp_path: Path) -> None:
    images(tmp_path, 1)
    with Sandbox(options=GUARDED) as source, Sandbox(options=GUARDED) as target:
        described = "".join(
            f"- {{name: n{place}, domain: '{one.address}', username: robot, password: {PLANTED}}}\n"
            for place, one in enumerate((source, target))
        )
        (tmp_path / "oci-push.yaml").write_text(f"registries:\n{described}")
        named = ("--config", "oci-push.yaml")
        program("push", "oci:i0", f"{source.address}/app:1", *named, cwd=tmp_path)
        copy = ("copy", f"{source.address}/app:1", f"{target.address}/app")
        program(*copy, "--units", "u.jsonl", *named, cwd=tmp_path)
        check = program("work", "u.jsonl", "--check", *named, cwd=tmp_path).stdout
        assert [line.split()[1:3] for line in check.splitlines()[1:]] == [["push", "robot"], ["pull", "robot"]]
        program("work", "u.jsonl", "--on", "local:1", *named, cwd=tmp_path)
        done = program(
            "copy", f"{source.address}/app:1", f"{target.address}/b:v1", "--on", "local:1", *named, cwd=tmp_path
        )
    assert PLANTED not in (tmp_path / "u.jsonl").read_text() + done.stderr


def test_what_is_typed_is_in_no_process_list(tmp_path: Path) -> None:
    images(tmp_path, 1)
    slow = [Fault(one, "/blobs/uploads/", action=Slow(32768, 0.05), times=9) for one in ("PUT", "PATCH")]
    with Sandbox(faults=FaultScript(slow)) as sandbox:
        pipeline(tmp_path, 1, sandbox.address)
        (tmp_path / "headers").write_text(f"X-Key@{sandbox.address}: {PLANTED}\n")
        with start("run", "p.yml", "--on", "local:1", "--header", "@headers", cwd=tmp_path) as driver:
            until(lambda: any(one.fault for one in requests(sandbox)))
            [worker] = workers_of(driver.pid)
            shown = Path(f"/proc/{worker}/cmdline").read_text() + Path(f"/proc/{worker}/environ").read_text()
            out, said = driver.communicate(timeout=100)
        assert any(one.headers.get("x-key") for one in requests(sandbox))
    assert driver.returncode == 0, said
    assert PLANTED not in shown + out + said


def test_a_worker_without_the_login_leaves_the_work_to_one_that_has_it(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox(options=GUARDED) as sandbox:
        config(tmp_path, sandbox)
        pipeline(tmp_path, 2, "inner")
        program("plan", "p.yml", "--units", "u.jsonl", "--config", "oci-push.yaml", cwd=tmp_path)
        work = ("work", "u.jsonl", "--results", "r.jsonl", "--retries", "0", "--config", "oci-push.yaml")
        config(tmp_path, sandbox, "wrong-password")
        refused = program("work", "u.jsonl", "--check", "--config", "oci-push.yaml", cwd=tmp_path, code=5)
        assert "no" in refused.stdout.split()
        program(*work, cwd=tmp_path, code=5)
        (tmp_path / "oci-push.yaml").write_text("registries: []\n")
        nobody = program(*work, cwd=tmp_path, code=2)
        assert "registry 'inner' is not described here" in nobody.stderr
        config(tmp_path, sandbox)
        program(*work, cwd=tmp_path)
        assert tags(sandbox) == 2


def test_a_driver_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    images(tmp_path, 8)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 8, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        work = ("work", "u.jsonl", "--results", "r.jsonl", "--on", "local:2", "-j", "1")
        with start(*work, cwd=tmp_path) as driver:
            until(lambda: tags(sandbox) >= 3)
            workers = workers_of(driver.pid)
            driver.kill()
        until(lambda: not any(Path(f"/proc/{one}/cmdline").exists() and is_alive(one) for one in workers))
        known = (tmp_path / "r.jsonl").read_text().count("\n")
        again = program(*work, cwd=tmp_path)
        assert f"{known} there and not asked for" in again.stderr or known == 0
        assert sandbox.store.uploads() == ()
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == 8


def is_alive(process: int) -> bool:
    """Return whether a process still runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_a_service_closes_what_its_workers_have_open(tmp_path: Path, number: int) -> None:
    images(tmp_path, 2)
    slow = [Fault("PUT", "/blobs/uploads/", action=Slow(65536, 0.05), times=0)]
    with Sandbox(faults=FaultScript(slow)) as sandbox:
        pipeline(tmp_path, 2, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        with start("work", "u.jsonl", "--on", "local:2", "--no-memory", cwd=tmp_path) as driver:
            until(lambda: any(one.fault for one in requests(sandbox)))
            for process in [*workers_of(driver.pid), driver.pid]:  # as systemd and containers do
                os.kill(process, number)
            _, said = driver.communicate(timeout=100)
        assert driver.returncode == 128 + number, said
        assert f"stopped by {signal.Signals(number).name}" in said
        assert sandbox.store.uploads() == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_workers_and_closes_their_uploads(tmp_path: Path, number: int) -> None:
    images(tmp_path, 4)
    slow = [Fault(one, "/blobs/uploads/", action=Slow(32768, 0.05), times=9) for one in ("PUT", "PATCH")]
    with Sandbox(faults=FaultScript(slow)) as one, Sandbox(faults=FaultScript(slow)) as two:
        pipeline(tmp_path, 4, one.address, two.address)
        with start("run", "p.yml", "--on", "local:2", "--no-memory", cwd=tmp_path) as driver:
            until(lambda: all(any(r.fault for r in requests(each)) for each in (one, two)))
            workers = workers_of(driver.pid)
            driver.send_signal(number)
            _, said = driver.communicate(timeout=100)
        assert driver.returncode == 128 + number, said
        assert len(workers) == 2
        assert not any(is_alive(process) for process in workers)
        # Each asks how far its upload is, to close it; this registry reads too slowly to answer all of that.
        assert all(
            any(r.method in ("GET", "DELETE") and "/uploads/" in r.path for r in requests(each)) for each in (one, two)
        )


def test_a_registry_that_is_gone_costs_its_own_units_alone(tmp_path: Path) -> None:
    images(tmp_path, 6)
    with Sandbox() as sandbox, Sandbox() as gone:
        pipeline(tmp_path, 6, gone.address, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        gone.stop()
        words = ("work", "u.jsonl", "--results", "r.jsonl", "--retries", "0", "-j", "2")
        done = program(*words, cwd=tmp_path, code=6)
        assert tags(sandbox) == 6
        assert "12 tags: 6 copied, 6 failed" in done.stderr


@pytest.mark.parametrize("words", ["work u.jsonl -j 2", "work u.jsonl -j 2 --on local:2", "run p.yml --on local:2"])
def test_a_registry_that_hangs_does_not_hold_the_other(tmp_path: Path, words: str) -> None:
    images(tmp_path, 6)
    hangs = Fault("", "", action=Stall(300), times=0)
    with Sandbox() as sandbox, Sandbox(faults=FaultScript([hangs])) as hanging:
        pipeline(tmp_path, 6, hanging.address, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        with start(*words.split(), "--no-memory", cwd=tmp_path) as driver:
            until(lambda: tags(sandbox) == 6 or driver.poll() is not None)
            assert driver.poll() is None
            assert tags(hanging) == 0
            driver.send_signal(signal.SIGTERM)
            _, said = driver.communicate(timeout=100)
        assert driver.returncode == 143, said
        assert "12 tags: 6 copied, 6 not reached" in said or words.startswith("run")


def test_copies_and_what_refers_to_them_by_units(tmp_path: Path) -> None:
    images(tmp_path, 1)
    with Sandbox() as source, Sandbox() as target:
        app = f"{source.address}/team/app"
        (tmp_path / "notes.txt").write_text("notes")
        program("push", "oci:i0", f"{app}:1,2", cwd=tmp_path)
        program("attach", f"{app}:1", "notes.txt", "--type", "application/vnd.example.notes", cwd=tmp_path)
        program("copy", f"{app}:*", f"{target.address}/copy", "--units", "u.jsonl", cwd=tmp_path)
        assert not any(one.method == "PUT" for one in requests(target))
        # The tag moves before the units are done: what was laid out is pinned to its digest.
        images(tmp_path / "later", 1)
        done = program("work", "u.jsonl", "--on", "local:1", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["counts"]["done"] == 1
        tree = program("referrers", f"{target.address}/copy:2", cwd=tmp_path).stdout
        assert "application/vnd.example.notes" in tree


def test_rates_of_the_whole_run_are_divided_among_the_processes() -> None:
    common = Common(limit_rate="10M", requests_per_second="7", no_mount=True, username="me", password_stdin=True)
    told = json.loads(setup_of(common, None, ("a.example",), 4))
    wanted = {"limit_rate": "2621440", "requests_per_second": "1.750000", "no_mount": True}
    assert told == {"options": wanted, "pipeline": "", "hosts": ["a.example"], "describes": True, "logins": ""}


def test_a_registry_described_beside_the_pipeline_is_known_to_the_processes(tmp_path: Path) -> None:
    place = tmp_path / "project"
    place.mkdir()
    images(tmp_path, 2)
    with Sandbox(options=GUARDED) as sandbox:
        pipeline(tmp_path, 2, "inner")
        (tmp_path / "p.yml").rename(place / "p.yml")
        (place / "oci-push.yaml").write_text(
            f"registries:\n- {{name: inner, domain: '{sandbox.address}', username: robot, password: '${{PASSWORD}}'}}\n"
        )
        allowed = ("--allow-env", f"PASSWORD@{sandbox.address}")
        words = ("run", "project/p.yml", "--on", "local:2", *allowed)
        done = program(*words, cwd=tmp_path, PASSWORD=PLANTED)
        assert tags(sandbox) == 2
    assert "pushed from here" not in done.stderr
    assert PLANTED not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run p.yml --on dusk://x", "--on 'dusk://x' is not known"),
        ("run p.yml --on local:0", "--on 'local:0' is not known"),
        ("run p.yml --on local:2 --sandbox", "--sandbox is a registry in this process"),
        ("run p.yml --host-limit a.example=2", "--host-limit has no effect without --on"),
        ("work u.jsonl --host-limit a.example", "is no limit"),
        ("work u.jsonl --host-limit a_example=1", "is no limit"),
        ("work u.jsonl --host-limit a.example=0", "is no limit"),
        ("work p.yml", "p.yml: this is no file of units"),
        ("copy a.example/x:1 b.example/y --plan --units u", "--units has no effect with --plan"),
        ("copy a.example/x:1 oci:here --units u", "oci:here lies here"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: str, message: str) -> None:
    pipeline(tmp_path, 1, "registry.example.com")
    (tmp_path / "u.jsonl").write_text('{"version":1,"kind":"units","made_of":"p.yml","units":0}\n')
    assert message in program(*words.split(), cwd=tmp_path, code=2).stderr
