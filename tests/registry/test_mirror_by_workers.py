"""Mirrors done by units and by other processes: what is overwritten is kept first, and who has which login."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from program import program

from oci_push.model.digest import Digest
from oci_push.secret import Secret

PLANTED = "planted-password"
GUARDED = SandboxOptions(auth="basic", username="robot", password=Secret(PLANTED))


def images(folder: Path, count: int) -> None:
    """Write images with a large layer in common."""
    for number in range(count):
        writer = LayoutWriter(folder / f"i{number}")
        writer.close(writer.image(layer(1000, 1_600_000), layer(number)))


def mirrored(folder: Path, source: Sandbox, target: Sandbox, more: str = "") -> None:
    images(folder, 2)
    for number in range(2):
        program("push", f"oci:i{number}", f"{source.address}/team/app{number}:1", cwd=folder)
    (folder / "m.yml").write_text(
        f"images:\n- {{from: '{source.address}/team/*', to: '{target.address}/{{path}}'{more}}}\n"
    )


@pytest.mark.parametrize("where", ["units", "processes"])
def test_a_mirror_is_done_by_others(tmp_path: Path, where: str) -> None:
    with Sandbox() as source, Sandbox() as target:
        mirrored(tmp_path, source, target)
        if where == "units":
            told = program("mirror", "m.yml", "--units", "u.jsonl", "--json", cwd=tmp_path)
            written = json.loads(told.stdout)
            assert [written["units"], written["first"], written["registries"]] == [2, 1, [target.address]]
            program("work", "u.jsonl", cwd=tmp_path)
        else:
            done = program("mirror", "m.yml", "--on", "local:2", "--json", cwd=tmp_path)
            assert json.loads(done.stdout)["exit_code"] == 0
        for number in range(2):
            names = (f"{one.address}/team/app{number}:1" for one in (source, target))
            assert len({program("digest", name, cwd=tmp_path).stdout.split()[-1] for name in names}) == 1
        again = program("mirror", "m.yml", "--units", "u.jsonl", cwd=tmp_path)
        assert "u.jsonl: 0 units for nobody" in again.stderr


def named(sandbox: Sandbox, reference: str) -> str:
    """Return what a tag names in a registry's store; nothing where there is none."""
    raw = sandbox.store.manifest(*reference.split(":"))
    return "" if raw is None else str(Digest.of(raw))


def overwritten(folder: Path, source: Sandbox, target: Sandbox, *, refused: str = "") -> tuple[str, str]:
    """Mirror two images, move their tags at the source, and lay that out; return the digests of the first."""
    mirrored(folder, source, target, ", backup: 'old-{tag}'")
    program("mirror", "m.yml", cwd=folder)
    was = named(target, "team/app0:1")
    for number in range(2):
        program("push", f"oci:i{1 - number}", f"{source.address}/team/app{number}:1", cwd=folder)
    program("mirror", "m.yml", "--units", "u.jsonl", cwd=folder)
    assert not named(target, "team/app0:old-1")
    return was, named(source, "team/app0:1")


def test_what_a_unit_overwrites_is_kept_first_and_never_lost_by_doing_it_again(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        was, now = overwritten(tmp_path, source, target)
        target.traffic.clear()
        program("work", "u.jsonl", cwd=tmp_path)
        assert [named(target, f"team/app0:{tag}") for tag in ("1", "old-1")] == [now, was]
        put = [
            one.path.rpartition("/")[2] for one in target.traffic.requests if one.method == "PUT" and "app0" in one.path
        ]
        assert put.index("old-1") < put.index("1")
        assert (
            sum(one.method == "HEAD" and one.path.endswith("app0/manifests/1") for one in target.traffic.requests) == 1
        )
        program("work", "u.jsonl", cwd=tmp_path)
        assert [named(target, f"team/app0:{tag}") for tag in ("1", "old-1")] == [now, was]


@pytest.mark.parametrize("by_units", [True, False])
def test_what_is_overwritten_may_be_kept_in_another_registry(tmp_path: Path, by_units: bool) -> None:
    images(tmp_path, 2)
    with Sandbox() as source, Sandbox() as target, Sandbox() as other:
        step = f"{{source: '{source.address}/team/app', target: '{target.address}/team/app', type: repository"
        backup = f"{other.address}/old/{{{{.Ref.Repository}}}}:{{{{.Ref.Tag}}}}-before"
        (tmp_path / "m.yml").write_text(f"version: 1\nsync: [{step}, backup: '{backup}'}}]\n")
        digests = []
        for number in range(2):
            program("push", f"oci:i{number}", f"{source.address}/team/app:1", cwd=tmp_path)
            digests.append(named(source, "team/app:1"))
            program("mirror", "m.yml", *(["--units", "u.jsonl"] if by_units else []), cwd=tmp_path)
            if by_units:
                checked = program("work", "u.jsonl", "--check", cwd=tmp_path)
                assert other.address in checked.stdout
                program("work", "u.jsonl", cwd=tmp_path)
        assert named(target, "team/app:1") == digests[1]
        assert named(other, "old/team/app:1-before") == digests[0]
        assert not named(target, "team/app:1-before")


def test_what_cannot_be_kept_is_not_overwritten_and_stops_no_other(tmp_path: Path) -> None:
    refuse = Fault("PUT", "/team/app0/manifests/old-1", action=Answer(403, code="DENIED"), times=0)
    with Sandbox() as source, Sandbox(faults=FaultScript([refuse])) as target:
        was, _ = overwritten(tmp_path, source, target)
        done = program("work", "u.jsonl", "--retries", "0", cwd=tmp_path, code=5)
        assert "nothing was overwritten, as it could not be kept" in done.stderr
        assert named(target, "team/app0:1") == was
        assert named(target, "team/app1:1") == named(source, "team/app1:1")
        assert named(target, "team/app1:old-1")


def skopeo_file(source: Sandbox, target: Sandbox) -> str:
    login = f"credentials: {{username: robot, password: {PLANTED}}}"
    return (
        f"'{source.address}': {{images: {{team/app0: ['1'], team/app1: ['1']}}, {login}}}\n"
        f"'{target.address}': {{{login}}}\n"
    )


def regsync_file(source: Sandbox, target: Sandbox) -> str:
    creds = [f"{{registry: '{one.address}', user: robot, pass: '{{{{env \"KEY\"}}}}'}}" for one in (source, target)]
    steps = [
        f"{{source: '{source.address}/team/app{number}', target: '{target.address}/x/app{number}', type: repository}}"
        for number in range(2)
    ]
    return f"version: 1\ncreds: [{', '.join(creds)}]\nsync: [{', '.join(steps)}]\n"


@pytest.mark.parametrize("where", ["units", "units and processes", "processes"])
@pytest.mark.parametrize("form", [skopeo_file, regsync_file])
def test_logins_of_a_mirror_file_are_read_again_by_workers_and_are_in_no_unit(
    tmp_path: Path, form: Callable[[Sandbox, Sandbox], str], where: str
) -> None:
    images(tmp_path, 2)
    with Sandbox(options=GUARDED) as source, Sandbox(options=GUARDED) as target:
        for number in range(2):
            program(
                *("push", f"oci:i{number}", f"{source.address}/team/app{number}:1", "-u", "robot", "--password-stdin"),
                cwd=tmp_path,
                stdin=PLANTED,
            )
        (tmp_path / "sync.yml").write_text(form(source, target))
        mirror = ("mirror", "sync.yml", *([f"{target.address}/x"] if form is skopeo_file else []))
        said = []
        if where == "processes":
            said += [program(*mirror, "--on", "local:2", "--debug", cwd=tmp_path, KEY=PLANTED)]
        else:
            laid = program(*mirror, "--units", "u.jsonl", "--debug", cwd=tmp_path, KEY=PLANTED)
            hint = f"for {source.address}, {target.address} give workers sync.yml by --logins"
            assert hint in laid.stderr
            on = ("--on", "local:2") if "processes" in where else ()
            work = ("work", "u.jsonl", "--results", "r.jsonl", "--debug", "--retries", "0", *on)
            program(*work, cwd=tmp_path, code=5)
            check = program("work", "u.jsonl", "--check", "--logins", "sync.yml", cwd=tmp_path, KEY=PLANTED)
            assert check.stdout.count("robot") == 2
            said += [laid, check, program(*work, "--logins", "sync.yml", cwd=tmp_path, KEY=PLANTED)]
        assert named(target, "x/app0:1") == named(source, "team/app0:1") != named(target, "x/app1:1") != ""
    told = [text for one in said for text in (one.stdout, one.stderr)]
    told += [path.read_text() for path in tmp_path.glob("*.jsonl")]
    assert all(PLANTED not in text for text in told)


def test_a_mirror_file_whose_logins_nobody_can_read_again_is_refused(tmp_path: Path) -> None:
    login = f"credentials: {{username: me, password: {PLANTED}}}"
    text = f"a.example: {{images: {{app: ['1']}}, {login}}}\n"
    refused = program("mirror", "-", "b.example/x", "--on", "local:2", cwd=tmp_path, stdin=text, code=2)
    assert "what stdin says of logins and certificates cannot be read again by other processes" in refused.stderr
    (tmp_path / "u.jsonl").write_text('{"version":1,"kind":"units","made_of":"p.yml","units":0}\n')
    (tmp_path / "m.yml").write_text("images: [{from: a.example/x, to: b.example/x}]\n")
    none = program("work", "u.jsonl", "--logins", "m.yml", cwd=tmp_path, code=2)
    assert "m.yml: holds neither logins nor certificates" in none.stderr
