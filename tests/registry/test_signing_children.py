"""push --sign-recursive and sign: {recursive: true}: each image that an index lists is signed, before any tag moves."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from around import children_of, pushed, two_platforms
from equipment.faults import Answer, Fault, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from keyless import IDENTITY, ISSUER
from program import program
from published import check_json
from signingkeys import pair
from sigstoreservers import FULCIO, REKOR, SigstoreServers

from oci_push import push
from oci_push.engine.unit import PushUnit, UnitTarget
from oci_push.errors import Cancelled
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.model.trust import Keyless, SignRule
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import PushReport
from oci_push.work.units import WorkUnit, read_units, write_units

SIGN = ("--sign", "one.key", "--sign-recursive")


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    pair(tmp_path, "one")


@pytest.fixture
def index(tmp_path: Path) -> Layout:
    return two_platforms(tmp_path / "index")


def listed(index: Layout) -> list[str]:
    return [str(one["digest"]) for one in children_of(index)]


def sig_tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"


def signatures(sandbox: Sandbox, digest: str, repository: str = "team/app") -> tuple[int, int]:
    """Give how many bundles and how many layers of cosign's tag there are about a manifest."""
    bundles = sum(str(one.subject) == digest for one in sandbox.store.manifests(repository))
    tagged = json.loads(sandbox.store.manifest(repository, sig_tag(digest)) or b'{"layers": []}')
    return bundles, len(tagged["layers"])


def puts(sandbox: Sandbox) -> list[str]:
    return [one.path.rpartition("/")[2] for one in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]


def configure(sandbox: Sandbox, tmp_path: Path, **sign: object) -> tuple[str, str]:
    """Write an oci-push.yaml that has all that comes to the sandbox signed."""
    entry = {"name": "here", "domain": sandbox.address, "sign": {"keys": ["one.key"], **sign}}
    (tmp_path / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))
    return ("--config", "oci-push.yaml")


def test_images_are_signed_before_their_index_and_that_before_its_tags(
    sandbox: Sandbox, index: Layout, tmp_path: Path
) -> None:
    name = f"{sandbox.address}/team/app"
    done = program("push", f"oci:{index.path}", f"{name}:1,2", *SIGN, "--json", cwd=tmp_path)
    check_json(done.stdout, PushReport)
    order = puts(sandbox)
    attached = json.loads(done.stdout)["targets"][0]["attached"]
    below, of_index = attached[:4], attached[4:]
    assert [one["about"] for one in below] == [digest for digest in listed(index) for _ in range(2)]
    assert ["about" in one for one in of_index] == [False, False]
    assert set(order[:2]) == set(listed(index))
    assert order[2] == index.digest
    bundles = {one["digest"] for one in below if one["file"] == "signature (bundle)"}
    assert set(order[3:7]) == bundles | {sig_tag(digest) for digest in listed(index)}
    assert order[7:] == [of_index[0]["digest"], sig_tag(index.digest), "1", "2"]
    for digest in (*listed(index), index.digest):
        program("verify", f"{name}@{digest}", "--key", "one.pub", cwd=tmp_path)


def test_pushed_again_nothing_is_written(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", *SIGN, "--no-memory")
    program(*line, cwd=tmp_path)
    sandbox.traffic.clear()
    told = json.loads(program(*line, "--json", cwd=tmp_path).stdout)["targets"][0]["attached"]
    assert [one["outcome"] for one in told] == ["exists"] * 6
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}


def test_an_index_that_was_signed_alone_gets_what_is_missing(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", "--sign", "one.key")
    program(*line, cwd=tmp_path)
    assert [signatures(sandbox, one) for one in listed(index)] == [(0, 0), (0, 0)]
    program(*line, "--sign-recursive", cwd=tmp_path)
    assert [signatures(sandbox, one) for one in (*listed(index), index.digest)] == [(1, 1)] * 3


def test_an_image_that_an_earlier_index_lists_as_well_is_not_signed_again(sandbox: Sandbox, tmp_path: Path) -> None:
    shared, first, second = shared_indexes(tmp_path)
    for one in (first, second):
        program("push", f"oci:{one.path}", f"{sandbox.address}/team/app:1", *SIGN, cwd=tmp_path)
    assert signatures(sandbox, shared) == (1, 1)
    assert signatures(sandbox, second.digest) == (1, 1)


def shared_indexes(tmp_path: Path) -> tuple[str, Layout, Layout]:
    """Write two indexes that list one image both."""
    made = []
    for number in (1, 2):
        writer = LayoutWriter(tmp_path / f"index{number}")
        shared = writer.image(layer(1))
        made.append(writer.close(writer.index(shared, writer.image(layer(10 + number)))))
    return str(shared["digest"]), made[0], made[1]


def test_an_image_that_several_indexes_of_a_run_list_is_signed_once(sandbox: Sandbox, tmp_path: Path) -> None:
    shared, first, second = shared_indexes(tmp_path)
    for tag, one in enumerate((first, second)):
        pushed(sandbox, one, str(tag), repository="from/app")
    config = configure(sandbox, tmp_path, recursive=True)
    words = (f"{sandbox.address}/from/app", f"{sandbox.address}/team/app", "--all-tags", "--no-referrers")
    program("copy", *words, *config, cwd=tmp_path)
    assert puts(sandbox).count(sig_tag(shared)) == 1
    assert signatures(sandbox, shared) == (1, 1)
    assert [signatures(sandbox, one.digest) for one in (first, second)] == [(1, 1)] * 2


def test_an_index_in_an_index_is_signed_with_what_it_lists(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "nested")
    deepest = writer.image(layer(1))
    inner = writer.index(deepest)
    image = writer.close(writer.index(inner, writer.image(layer(2))))
    program("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", *SIGN, cwd=tmp_path)
    every = [str(deepest["digest"]), str(inner["digest"]), *listed(image), image.digest]
    assert [signatures(sandbox, digest) for digest in every] == [(1, 1)] * len(every)


def test_no_tag_moves_where_an_image_of_the_index_cannot_be_signed(
    sandbox: Sandbox, index: Layout, tmp_path: Path
) -> None:
    second = listed(index)[1]
    sandbox.faults.add(Fault("PUT", f"/team/bad/manifests/{sig_tag(second)}", times=9, action=Answer(403)))
    names = [f"{sandbox.address}/team/{one}:1" for one in ("bad", "good")]
    done = program("push", f"oci:{index.path}", *names, *SIGN, "--retries", "0", "--json", cwd=tmp_path, code=1)
    assert f"signature (sig) is not there; it is about {second}, which the index lists" in done.stderr
    bad = json.loads(done.stdout)["targets"][0]
    (failed,) = [one for one in bad["attached"] if one["error"]]
    assert (failed["about"], failed["outcome"]) == (second, None)
    assert "1" not in sandbox.store.tags("team/bad")
    assert signatures(sandbox, index.digest, "team/bad") == (0, 0)
    assert "1" in sandbox.store.tags("team/good")
    assert signatures(sandbox, second, "team/good") == (1, 1)


def test_several_are_signed_at_once(
    sandbox: Sandbox, index: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the registry takes its time over one of them, the other comes as well."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    sandbox.faults.add(Fault("PUT", r"manifests/sha256-.*\.sig", action=Stall(600)))
    stop = threading.Event()
    seen: list[bool] = []

    def watch() -> None:
        seen.append(sandbox.traffic.wait_until(lambda all: all.count(method="PUT", path_pattern=r"\.sig$") > 1, 60))
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    rule = SignRule(str(tmp_path / "one.key"), ("sig",), recursive=True)
    with pytest.raises(Cancelled):
        push(f"oci:{index.path}", f"{sandbox.address}/team/app:1", sign=[rule], cancel=stop)
    watcher.join()
    assert seen == [True]
    assert "1" not in sandbox.store.tags("team/app")


def test_a_plan_says_how_many_are_signed_and_signs_none(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", *SIGN, "--plan")
    said = "  sign     with one.key (bundle, sig), and 2 manifests that it lists, unless that is there\n"
    assert said in program(*line, cwd=tmp_path).stdout
    planned = program(*line, "--json", cwd=tmp_path).stdout
    check_json(planned, ImagePlan)
    (signed,) = json.loads(planned)["targets"][0]["signed"]
    assert signed == {"key": "one.key", "forms": ["bundle", "sig"], "manifests": listed(index)}
    assert sandbox.store.repositories() == ()


def test_one_platform_of_an_index_is_the_image_itself(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", *SIGN, "--platform", "linux/arm64")
    assert "that it lists" not in program(*line, "--plan", cwd=tmp_path).stdout
    program(*line, cwd=tmp_path)
    assert [signatures(sandbox, one) for one in listed(index)] == [(0, 0), (1, 1)]


def test_an_entry_and_an_option_that_name_one_key_sign_once(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    config = configure(sandbox, tmp_path, recursive=True)
    (tmp_path / "oci-push.yaml").write_text(
        (tmp_path / "oci-push.yaml").read_text().replace("one.key", str(tmp_path / "one.key"))
    )
    key = str(tmp_path / "one.key")
    program("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", "--sign", key, *config, cwd=tmp_path)
    assert [signatures(sandbox, one) for one in (*listed(index), index.digest)] == [(1, 1)] * 3


def test_a_registry_without_lists_gets_one_for_each_image(index: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1", *SIGN, "--no-memory")
        for _ in range(2):
            program(*line, cwd=tmp_path)
        for digest in (*listed(index), index.digest):
            found = json.loads(sandbox.store.manifest("team/app", digest.replace(":", "-")) or b"{}")
            assert len(found["manifests"]) == 1


def test_without_a_key_each_image_is_one_entry_of_the_log_under_one_certificate(
    sandbox: Sandbox, index: Layout, tmp_path: Path
) -> None:
    with SigstoreServers() as servers:
        (tmp_path / "trust.json").write_text(json.dumps(servers.config()))
        names = [f"{sandbox.address}/{one}:1" for one in ("team/app", "other/app")]
        how = ("--sign", "keyless", "--trust-root", "trust.json", "--sign-recursive")
        program("push", f"oci:{index.path}", *names, *how, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
        assert servers.paths() == [FULCIO, REKOR, REKOR, REKOR]
    for digest in (*listed(index), index.digest):
        by = ("--identity", IDENTITY, "--issuer", ISSUER, "--trust-root", "trust.json")
        for name in names:
            program("verify", f"{name[:-2]}@{digest}", *by, cwd=tmp_path)


def test_a_unit_says_it(tmp_path: Path) -> None:
    rules = (SignRule("one.key", recursive=True), SignRule(keyless=Keyless(), recursive=True))
    unit = PushUnit("oci:index", (UnitTarget(Repository("a.example", "b"), ("1",)),), sign=rules)
    write_units(tmp_path / "units.jsonl", "test", [WorkUnit.of(unit, Digest.of(b"root"))])
    (read,) = read_units((tmp_path / "units.jsonl").read_bytes(), "units.jsonl")
    assert read.push.sign == rules


def test_work_signs_what_the_entry_of_the_worker_says(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    pushed(sandbox, index, "1", repository="from/app")
    words = ("copy", f"{sandbox.address}/from/app:1", f"{sandbox.address}/team/app:1", "--units", "units.jsonl")
    program(*words, cwd=tmp_path)
    program("work", "units.jsonl", *configure(sandbox, tmp_path, recursive=True), cwd=tmp_path)
    assert [signatures(sandbox, one) for one in (*listed(index), index.digest)] == [(1, 1)] * 3


def test_mistakes_are_told_before_anything_is_sent(sandbox: Sandbox, index: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{index.path}", f"{sandbox.address}/team/app:1")
    done = program(*line, "--sign-recursive", cwd=tmp_path, code=2)
    assert "--sign-recursive has no effect without --sign KEY" in done.stderr
    done = program(*line, *configure(sandbox, tmp_path, recursive="often"), cwd=tmp_path, code=2)
    assert "true or false" in done.stderr
    assert sandbox.traffic.requests == ()
