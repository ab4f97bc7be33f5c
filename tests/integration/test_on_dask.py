"""Units done by a real Dask cluster: one scheduler and two worker processes, with logins of their own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from daskcluster import DaskCluster
from daskruns import COUNT, lay_out, results, start, there
from distributed import Client
from equipment.faults import Fault, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from program import until

from oci_push.secret import Secret

PASSWORD = "planted-password-7261"  # what the tests look for where it must not be
UPLOADS = "/blobs/uploads/"

pytestmark = pytest.mark.xdist_group("dask")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("dask")) as started:
        for name in ("one", "two"):
            started.worker(name, {})
        started.wait_for("one", "two")
        yield started


@pytest.fixture
def registry(cluster: DaskCluster) -> Iterator[Sandbox]:
    """Give a registry that both workers may push to, and the driver may not."""
    options = SandboxOptions(auth="basic", username="robot", password=Secret(PASSWORD))
    with Sandbox(options=options) as started:
        for name in ("one", "two"):
            cluster.log_in(name, {started.address: f"robot:{PASSWORD}"})
        yield started
        assert started.problems == ()


@pytest.fixture
def digests(tmp_path: Path, registry: Sandbox) -> dict[str, str]:
    """Write images and their units, and return what each repository must hold in the end."""
    return lay_out(tmp_path, registry)


def work(cluster: DaskCluster, folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    on = ("--on", f"dask://{cluster.address}")
    with start("work", "u.jsonl", *on, *words, cwd=folder) as driver:
        out, said = driver.communicate(timeout=100)
    assert driver.returncode == code, said
    return out, said


def test_both_workers_do_units_and_no_login_is_on_the_way(
    cluster: DaskCluster, registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    out, said = work(cluster, tmp_path, "--results", "r.jsonl", "--host-limit", f"{registry.address}=3")
    asked = registry.traffic.count()
    work(
        cluster, tmp_path, "--no-memory"
    )  # without its results, and as a scheduler may that has lost sight of a worker
    again_asked = registry.traffic.requests[asked:]
    assert {one.method for one in again_asked} <= {"GET", "HEAD"}
    assert max(sum(f"/{name}/" in one.path for one in again_asked) for name in digests) <= 2
    again, _ = work(cluster, tmp_path, "--check", "--json")
    assert there(registry) == digests
    # What all images have in common went once: the first unit is done before the others are given away.
    assert len([1 for size in registry.traffic.bodies_sent() if size > 300_000]) == 1
    checked = json.loads(again)
    assert [[row["error"] for row in one["registries"]] for one in checked["workers"]] == [[None], [None]]
    assert {one["worker"] for one in checked["workers"]} >= {one["worker"] for one in results(tmp_path)}
    with Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        client.dump_cluster_state(str(tmp_path / "state"), format="yaml")  # tasks, events, what each worker keeps
    state = (tmp_path / "state.yaml").read_text()
    assert "oci_push-" in state
    told = [*cluster.texts().values(), out, said, again, state]
    told += [(tmp_path / name).read_text() for name in ("u.jsonl", "r.jsonl")]
    assert not [text for text in told if PASSWORD in text]


def test_logins_of_a_mirror_file_stay_here_and_workers_use_their_own(
    cluster: DaskCluster, registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    work(cluster, tmp_path)
    tags = ", ".join(f"{name}: ['1']" for name in digests)
    login = f"credentials: {{username: robot, password: {PASSWORD}}}"
    (tmp_path / "sync.yml").write_text(f"'{registry.address}': {{images: {{{tags}}}, {login}}}\n")
    words = ("mirror", "sync.yml", f"{registry.address}/mirrored", "--on", f"dask://{cluster.address}", "--debug")
    with start(*words, cwd=tmp_path) as driver:
        out, said = driver.communicate(timeout=100)
    assert driver.returncode == 0, said
    assert there(registry) == digests | {f"mirrored/{name.rpartition('/')[2]}": one for name, one in digests.items()}
    assert f"sync.yml: what it says of {registry.address} stays here" in said
    assert not [text for text in (out, said, *cluster.texts().values()) if PASSWORD in text]


def test_units_of_a_worker_with_a_wrong_login_are_done_by_the_other(
    cluster: DaskCluster, registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    cluster.log_in("two", {registry.address: "robot:wrong"})
    _, said = work(cluster, tmp_path, "--results", "r.jsonl", "--progress", "plain")
    assert there(registry) == digests
    assert {one["worker"].rpartition(":")[2] for one in results(tmp_path)} == {str(cluster.pid("one"))}
    assert "another worker than" in said
    out, _ = work(cluster, tmp_path, "--check", code=5)
    assert sorted(line.split()[-1] for line in out.splitlines()[1:]) == ["no", "yes"]


def test_an_image_that_no_worker_has_is_asked_of_others_and_told_with_what_to_do(
    cluster: DaskCluster, registry: Sandbox, tmp_path: Path
) -> None:
    layout = LayoutWriter(tmp_path / "image")
    layout.close(layout.image(layer(1)))
    pipeline = f"candidate: 'oci:{tmp_path}/image', image_name: a, tag: '1', registry: '{registry.address}'"
    (tmp_path / "p.yml").write_text(f"version: '1.0'\nsteps:\n  one: {{type: push, {pipeline}}}\n")
    with start("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path) as plan:
        assert plan.wait(timeout=100) == 0
    (tmp_path / "image").rename(tmp_path / "elsewhere")
    _, said = work(cluster, tmp_path, "--progress", "plain", code=3)
    assert said.count("another worker than") == 1
    assert f"{tmp_path}/image: is not there on worker" in said
    assert "must be there on each worker, as on a share" in said
    assert registry.traffic.count() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_units_where_they_are_and_closes_their_uploads(
    cluster: DaskCluster, registry: Sandbox, digests: dict[str, str], tmp_path: Path, number: int, code: int
) -> None:
    registry.faults.add(Fault("PUT", UPLOADS, action=Stall(100)))
    with start("work", "u.jsonl", "--on", f"dask://{cluster.address}", cwd=tmp_path) as driver:
        until(lambda: not registry.faults.pending())
        driver.send_signal(number)
        _, said = driver.communicate(timeout=60)
    assert driver.returncode == code, said
    assert "Traceback" not in said
    assert registry.store.uploads() == ()
    assert registry.traffic.count(method="DELETE", path_pattern=UPLOADS) == 1
    work(cluster, tmp_path)
    assert there(registry) == digests


def test_what_a_driver_that_was_killed_had_begun_is_stopped(
    cluster: DaskCluster, registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    registry.faults.add(Fault("PUT", UPLOADS, action=Stall(100)))
    with start("work", "u.jsonl", "--on", f"dask://{cluster.address}", cwd=tmp_path) as driver:
        until(lambda: not registry.faults.pending())
        driver.kill()
        driver.communicate(timeout=60)
    assert registry.traffic.wait_until(lambda traffic: traffic.count(method="DELETE", path_pattern=UPLOADS) == 1)
    until(lambda: registry.store.uploads() == ())


def test_a_worker_that_is_killed_loses_nothing_and_one_that_joins_goes_on(
    registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    login = {registry.address: f"robot:{PASSWORD}"}
    registry.faults.add(Fault("PUT", "/manifests/1", nth=2, action=Stall(100)))
    with DaskCluster(tmp_path / "dask") as cluster:
        cluster.worker("three", login, threads=1)
        on = ("--on", f"dask://{cluster.address}", "--results", "r.jsonl", "--progress", "plain")
        with start("work", "u.jsonl", *on, cwd=tmp_path) as driver:
            until(lambda: not registry.faults.pending() or driver.poll() is not None)
            cluster.worker("four", login)
            cluster.wait_for("four")
            cluster.kill("three")
            _, said = driver.communicate(timeout=100)
        assert driver.returncode == 0, said
        assert there(registry) == digests
        assert len(results(tmp_path)) == COUNT
        assert "is gone; it is done again by" in said


def test_a_scheduler_that_is_replaced_is_gone_on_with(
    registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    login = {registry.address: f"robot:{PASSWORD}"}
    registry.faults.add(Fault("PUT", UPLOADS, action=Stall(100)))
    with DaskCluster(tmp_path / "dask") as cluster:
        cluster.worker("five", login)
        on = ("--on", f"dask://{cluster.address}", "--progress", "plain")
        with start("work", "u.jsonl", *on, cwd=tmp_path) as driver:
            until(lambda: not registry.faults.pending() or driver.poll() is not None)
            cluster.kill("scheduler")
            cluster.schedule()
            cluster.worker("six", login)
            _, said = driver.communicate(timeout=100)
    assert driver.returncode == 0, said
    assert there(registry) == digests
    assert registry.store.uploads() == ()  # the worker that lost its scheduler has closed what it had begun


def test_registries_that_are_slow_or_gone_hold_neither_a_run_nor_another_that_shares_their_limit(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Sandbox() as slow, Sandbox() as fast, DaskCluster(tmp_path / "dask") as cluster:
        with Sandbox() as gone:
            lay_out(tmp_path / "a", slow, fast, gone)
        digests = lay_out(tmp_path / "b", slow, fast, count=COUNT + 2)
        cluster.worker("seven", {}, threads=2)
        slow.faults.add(Fault("PUT", UPLOADS, action=Stall(100)))
        words = ("work", "u.jsonl", "--on", f"dask://{cluster.address}", "--retries", "0")
        words = (*words, "--host-limit", f"{slow.address}=1", "--results", "r.jsonl")
        with start(*words, cwd=tmp_path / "a") as first:
            until(lambda: len(results(tmp_path / "a")) == 2 * COUNT or first.poll() is not None)
            assert len(there(fast)) == COUNT
            with start(*words, cwd=tmp_path / "b") as second:
                # One of the two threads has the slow registry's place; who waits for that place has given up the other.
                until(lambda: there(fast) == digests or second.poll() is not None)
                assert there(slow) == {}
                first.kill()
                _, said = second.communicate(timeout=60)
            assert second.returncode == 0, said
        assert there(slow) == digests


def test_a_cluster_with_tls_takes_the_files_of_the_address_and_nothing_less(
    registry: Sandbox, digests: dict[str, str], tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    node = authority.issue("node")
    files = {"ca-file": authority.path, "cert": node.path, "key": node.key_path}
    with DaskCluster(tmp_path / "dask", files) as cluster:
        cluster.worker("eight", {registry.address: f"robot:{PASSWORD}"})
        on = f"dask+tls://{cluster.address}?ca={authority.path}&cert={node.path}&key={node.key_path}"
        for where, code in ((on, 0), (f"dask://{cluster.address}", 6)):
            with start("work", "u.jsonl", "--on", where, cwd=tmp_path) as driver:
                _, said = driver.communicate(timeout=100)
            assert driver.returncode == code, said
    assert "one with TLS is dask+tls://" in said
    assert there(registry) == digests
