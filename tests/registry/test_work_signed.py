"""Pushes that others do, where oci-push.yaml says sign and require: whose word counts, and who has the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from around import pushed
from equipment.sandbox import Sandbox
from images import Layout
from program import program
from pushing import Pushing
from signingkeys import pair

from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget
from oci_push.model.changes import AnnotationChange, Changes
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.model.trust import Requirement, SignRule, TrustedKey
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.here import HereEngine
from oci_push.work.remote import Remote
from oci_push.work.worker import Worker

REFUSED = 8
WRONG = 2


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> str:
    return pair(tmp_path, "one")


def described(folder: Path, file: str, sandbox: Sandbox, **more: object) -> None:
    """Write an oci-push.yaml with one registry."""
    entry = {"name": "r", "provider": "other", "domain": sandbox.address, **more}
    (folder / file).write_text(json.dumps({"registries": [entry]}))


def laid_out(way: str, name: str, to: Sandbox, folder: Path) -> None:
    """Write the unit of an image, by an oci-push.yaml that signs with a key that this machine has not."""
    described(folder, "signs.yaml", to, sign={"keys": ["env://SIGNING_KEY"]})
    if way == "copy":
        words = ("copy", name, f"{to.address}/team/app", "--units", "u.jsonl")
    elif way == "mirror":
        (folder / "m.yml").write_text(f"images: [{{from: '{name}', to: '{to.address}/team/app'}}]\n")
        words = ("mirror", "m.yml", "--units", "u.jsonl")
    else:
        (folder / "p.yml").write_text(
            "version: '1.0'\nsteps:\n"
            f"  p: {{type: push, candidate: '{name}', image_name: team/app, registry: r, tag: '1'}}\n"
        )
        words = ("plan", "p.yml", "--units", "u.jsonl")
    program(*words, "--config", "signs.yaml", cwd=folder)


@pytest.mark.parametrize("way", ["plan", "copy", "mirror"])
def test_a_unit_that_is_to_be_signed_is_done_only_by_who_signs(
    way: str, sandbox: Sandbox, image: Layout, keys: str, tmp_path: Path
) -> None:
    name = f"{pushed(sandbox, image, '1')}:1"
    with Sandbox() as to:
        laid_out(way, name, to, tmp_path)
        described(tmp_path, "signs_not.yaml", to)
        for words in (("work", "u.jsonl"), ("work", "u.jsonl", "--check")):
            done = program(*words, "--config", "signs_not.yaml", cwd=tmp_path, code=WRONG)
            assert (
                f"what goes to {to.address} is to be signed, and the oci-push.yaml of this worker does not say"
                in done.stderr
            )
            done = program(*words, "--config", "signs.yaml", cwd=tmp_path, code=WRONG)
            assert "SIGNING_KEY is not set" in done.stderr
        assert to.store.repositories() == ()
        env = {"SIGNING_KEY": keys}
        assert "yes" in program("work", "u.jsonl", "--check", "--config", "signs.yaml", cwd=tmp_path, **env).stdout
        program("work", "u.jsonl", "--config", "signs.yaml", cwd=tmp_path, **env)
        program("verify", f"{to.address}/team/app:1", "--key", "one.pub", cwd=tmp_path)


def pushed_elsewhere(push: PushUnit, given: RegistryEndpoint) -> UnitResult:
    """Have a worker without any oci-push.yaml do a push that is decided by one."""
    context = Context(SystemClock(), what="test")
    driver, far = Pushing(endpoints={given.host: given}, context=context), Pushing(context=context)
    with driver.pusher() as pusher, far.pusher() as other:
        remote = Remote(HereEngine(Worker(other, RegistryEndpoint).do, other.context, 1), pusher.context)
        try:
            return remote.perform(push, pusher, pusher.context, driver.events.append)
        finally:
            remote.close()


@pytest.mark.parametrize(
    "changes", [Changes(), Changes(annotations=(AnnotationChange("a", "b"),))], ids=["as is", "changed"]
)
def test_what_must_be_signed_is_seen_to_be_so_by_who_has_it_done(
    changes: Changes, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = f"{pushed(sandbox, image, '1')}:1"
    key = TrustedKey("one", (tmp_path / "one.pub").read_text())
    given = RegistryEndpoint(sandbox.address, require=Requirement((key,)))
    with Sandbox() as to:
        push = PushUnit(f"docker://{name}", (UnitTarget(Repository(to.address, "team/app"), ("1",)),), changes=changes)
        done = pushed_elsewhere(push, given)
        assert done.error is not None
        assert "no signature by" in str(done.error)
        assert to.store.repositories() == ()
        program("sign", name, "--key", "one.key", cwd=tmp_path)
        assert pushed_elsewhere(push, given).error is None
        assert to.store.manifest("team/app", "1") is not None


def test_a_worker_that_does_not_sign_pushes_nothing_that_is_to_be_signed(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = f"{pushed(sandbox, image, '1')}:1"
    with Sandbox() as to:
        push = PushUnit(f"docker://{name}", (UnitTarget(Repository(to.address, "team/app"), ("1",)),))
        given = RegistryEndpoint(to.address, sign=(SignRule(str(tmp_path / "one.key")),))
        done = pushed_elsewhere(push, given)
        assert "is to be signed" in str(done.error)
        assert to.store.repositories() == ()


@pytest.mark.parametrize("way", ["copy", "copied layout", "units"])
def test_what_the_target_signs_stays_beside_what_comes_along(
    way: str, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = f"{pushed(sandbox, image, '1')}:1"
    program("sign", name, "--key", "one.key", "-a", "stage=test", cwd=tmp_path)
    tag = f"{image.digest.replace(':', '-')}.sig"
    with Sandbox() as to:
        described(tmp_path, "signs.yaml", to, sign={"keys": ["one.key"], "annotations": {"stage": "prod"}})
        source, there = name, f"{to.address}/team/app:1"
        if way == "copied layout":
            program("copy", name, "oci:saved:1", "--referrers", cwd=tmp_path)
            source = "oci:saved:1"
        if way == "units":
            program("copy", source, there, "--units", "u.jsonl", "--config", "signs.yaml", cwd=tmp_path)
            program("work", "u.jsonl", "--config", "signs.yaml", cwd=tmp_path)
        else:
            program("copy", source, there, "--config", "signs.yaml", cwd=tmp_path)
        for stage in ("prod", "test"):
            said = program("verify", there, "--key", "one.pub", "-a", f"stage={stage}", cwd=tmp_path).stdout
            assert f"(sig)  stage={stage}" in said
            assert f"(bundle)  stage={stage}" in said
        was = to.store.manifest("team/app", tag)
        to.traffic.clear()
        program("copy", source, there, "--config", "signs.yaml", cwd=tmp_path)
        assert to.store.manifest("team/app", tag) == was
        assert not [one for one in to.traffic.requests if one.method in ("PUT", "POST", "PATCH")]
        # What the source has got since comes along; what it has all of may be replaced by it.
        program("sign", name, "--key", "one.key", "-a", "stage=late", cwd=tmp_path)
        if way == "copy":
            program("copy", source, there, cwd=tmp_path)
            assert len(json.loads(to.store.manifest("team/app", tag) or b"")["layers"]) == 3


def test_a_plan_says_who_would_sign(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{pushed(sandbox, image, '1')}:1"
    with Sandbox() as to:
        described(tmp_path, "signs.yaml", to, sign={"keys": ["one.key"]})
        (tmp_path / "m.yml").write_text(f"images: [{{from: '{name}', to: '{to.address}/team/app'}}]\n")
        for words in (("copy", name, f"{to.address}/team/app:1"), ("mirror", "m.yml")):
            said = program(*words, "--plan", "--config", "signs.yaml", cwd=tmp_path).stdout
            assert said.count(f"  sign     at {to.address} with one.key (bundle, sig)\n") == 1
        assert to.store.repositories() == ()
