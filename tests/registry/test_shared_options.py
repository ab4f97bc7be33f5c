"""`push` and `run` take the same options, and each has its effect or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.faults import Fault, FaultScript, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

from oci_push.cli.app import COMMANDS, command_of
from oci_push.cli.options import Common, ConfigOptions, Delivery
from oci_push.cli.words import parameters
from oci_push.secret import Secret

PASSWORD = "hidden-word"
STEPS = """
version: '1.0'
steps:
  p: {type: push, candidate: 'oci:image', image_name: app, registry: '%s', tag: x}
  q: {type: push, candidate: 'oci:image', image_name: app, registry: '%s', tag: y}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_layout(tmp_path / "image", layer(1))
    return tmp_path


@pytest.fixture
def closed() -> Iterator[Sandbox]:
    """Give a registry that wants a login."""
    with Sandbox(options=SandboxOptions(auth="basic", username="robot", password=Secret(PASSWORD))) as sandbox:
        yield sandbox


def write(folder: Path, one: str, other: str = "") -> None:
    (folder / "p.yml").write_text(STEPS % (one, other or one))


def options_of(name: str) -> set[str]:
    return {parameter.name for parameter in parameters(command_of(COMMANDS[name][1]))}


def test_commands_take_every_option_of_their_groups() -> None:
    for name in ("push", "run"):
        assert set(Common.__struct_fields__) <= options_of(name)
    for name in ("push", "run", "plan"):
        assert {*ConfigOptions.__struct_fields__, *Delivery.__struct_fields__} <= options_of(name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run missing.yml --plain-http --ca-file ca.pem", "--ca-file has no effect with --plain-http"),
        ("plan missing.yml --foreign fail", "--foreign 'fail' is not known"),
        ("login reg.example --key-file key.pem", "--key-file needs --cert-file"),
    ],
)
def test_options_are_checked_before_anything_is_read(words: str, message: str, tmp_path: Path) -> None:
    done = program(*words.split(), code=2, cwd=tmp_path)
    assert done.stderr.startswith(f"error: {message}")
    assert "missing.yml" not in done.stderr


def test_run_prints_json_and_nothing_else(folder: Path) -> None:
    with Sandbox() as sandbox:
        write(folder, sandbox.address)
        done = program("run", "p.yml", "--json", cwd=folder)
        value = json.loads(done.stdout)
        assert (value["build_status"], value["push_steps"]) == ("success", {"total": 2, "ran": 2})
        assert [step["targets"][0]["tags"][0]["tag"] for step in value["steps"]] == ["x", "y"]


def test_run_ends_at_its_time_limit(folder: Path) -> None:
    with Sandbox(faults=FaultScript([Fault(path="/app/", times=0, action=Stall(30))])) as sandbox:
        write(folder, sandbox.address)
        done = program("run", "p.yml", "--timeout", "0.3", "--no-memory", code=7, cwd=folder)
        assert "Build finished: failure" in done.stderr


def test_run_logs_in_as_the_user_given(closed: Sandbox, folder: Path) -> None:
    write(folder, closed.address)
    program("run", "p.yml", "-u", "robot", "--password-stdin", stdin=PASSWORD, cwd=folder)
    assert set(closed.store.tags("app")) == {"x", "y"}


def test_a_password_for_several_registries_is_refused_before_anybody_gets_it(closed: Sandbox, folder: Path) -> None:
    with Sandbox() as other:
        write(folder, closed.address, other.address)
        credential = ("-u", "robot", "--password-stdin")
        run = program("run", "p.yml", *credential, stdin=PASSWORD, code=2, cwd=folder)
        places = (f"{closed.address}/a:1", f"{other.address}/a:1")
        pushed = program("push", "oci:image", *places, *credential, stdin=PASSWORD, code=2, cwd=folder)
        for done in (run, pushed):
            assert f"2 registries want a login ({closed.address}, {other.address})" in done.stderr
        assert closed.traffic.count() + other.traffic.count() == 0


def test_a_password_for_the_target_does_not_go_to_the_source(closed: Sandbox, folder: Path) -> None:
    with Sandbox() as other:
        program("push", "oci:image", f"{other.address}/a:1", cwd=folder)
        other.traffic.clear()
        credential = ("-u", "robot", "--password-stdin")
        program(
            "push", f"docker://{other.address}/a:1", f"{closed.address}/a:1", *credential, stdin=PASSWORD, cwd=folder
        )
        assert closed.store.tags("a") == ("1",)
        assert not [one for one in other.traffic.requests if "authorization" in one.headers]


def test_a_password_where_every_registry_has_its_own_is_refused(closed: Sandbox, folder: Path) -> None:
    write(folder, "inner")
    (folder / "oci-push.yaml").write_text(
        f"registries: [{{name: inner, domain: '{closed.address}', username: robot, password: {PASSWORD}}}]"
    )
    done = program("run", "p.yml", "-u", "other", "--password-stdin", stdin="x", code=2, cwd=folder)
    assert "every registry has a login of its own" in done.stderr


def test_creating_repositories_where_there_is_no_ecr_is_refused(folder: Path) -> None:
    write(folder, "reg.example")
    done = program("run", "p.yml", "--create-repository", code=2, cwd=folder)
    assert "--create-repository: no step pushes to ECR" in done.stderr


@pytest.mark.parametrize("command", ["push", "run"])
def test_a_key_without_a_certificate_is_refused(command: str, folder: Path) -> None:
    write(folder, "reg.example")
    words = ("oci:image", "reg.example/a:1") if command == "push" else ("p.yml",)
    assert "--key-file needs --cert-file" in program(command, *words, "--key-file", "k.pem", code=2, cwd=folder).stderr


def test_push_exports_what_it_pushed(folder: Path) -> None:
    with Sandbox() as sandbox:
        places = (f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        program("push", "oci:image", *places, "--export", "out.env", cwd=folder)
        lines = dict(line.split("=", 1) for line in (folder / "out.env").read_text().splitlines())
        assert set(lines) == {f"push{n}_{m}" for n in ("", "_2") for m in ("registry", "imageId", "imageRepoDigest")}
        assert f"{sandbox.address}/b@sha256:" in lines["push_2_imageRepoDigest"]


def test_push_uses_the_login_of_a_described_host(closed: Sandbox, folder: Path) -> None:
    entry = f"{{name: inner, domain: '{closed.address}', username: robot, password: '${{PW}}'}}"
    (folder / "oci-push.yaml").write_text(f"registries: [{entry}]")
    place = f"{closed.address}/a:1"
    done = program("push", "oci:image", place, "--allow-env", "PW", PW=PASSWORD, cwd=folder)
    assert "using oci-push.yaml in the working folder" in done.stderr
    assert closed.store.tags("a") == ("1",)
    program("push", "oci:image", f"{closed.address}/a:2", "--config", "oci-push.yaml", PW=PASSWORD, cwd=folder)
    assert set(closed.store.tags("a")) == {"1", "2"}


def test_push_goes_on_without_a_found_description_that_it_may_not_read(closed: Sandbox, folder: Path) -> None:
    entry = f"{{name: inner, domain: '{closed.address}', username: robot, password: '${{PW}}'}}"
    (folder / "oci-push.yaml").write_text(f"registries: [{entry}]")
    done = program("push", "oci:image", f"{closed.address}/a:1", PW=PASSWORD, code=5, cwd=folder)
    assert "registry 'inner' of oci-push.yaml is not used" in done.stderr
    assert not [one for one in closed.traffic.requests if "authorization" in one.headers]
    credential = ("-u", "robot", "--password-stdin")
    program("push", "oci:image", f"{closed.address}/a:1", *credential, stdin=PASSWORD, cwd=folder)
    assert closed.store.tags("a") == ("1",)


def test_other_hosts_are_pushed_to_as_if_there_were_no_description(folder: Path) -> None:
    (folder / "oci-push.yaml").write_text("registries: [{name: inner, domain: reg.example, password_file: nowhere}]")
    with Sandbox() as sandbox:
        done = program("push", "oci:image", f"{sandbox.address}/a:1", "--config", "oci-push.yaml", cwd=folder)
        assert "inner" not in done.stderr
