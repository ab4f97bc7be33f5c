"""`oci-push doctor` without a registry: what it says of a machine, and what it says is wrong with one."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from program import program

from oci_push.credentials.files import Place
from oci_push.engine.machine import CHECKS, Finding, Machine, Verdict, examine_machine
from oci_push.runtime.clock import FakeClock

IN_2026 = 1_780_000_000.0


def examined(
    folder: Path, env: Mapping[str, str] | None = None, now: float = IN_2026, **more
) -> dict[str, list[Finding]]:
    """Return the findings by check, of a machine that is good but for what is given."""
    given = {"env": env or {}, "home": folder / "home", "clock": FakeClock(now), **more}
    found: dict[str, list[Finding]] = {}
    for one in examine_machine(Machine(**given)):
        found.setdefault(one.check, []).append(one)
    return found


def worst(found: list[Finding]) -> Finding:
    return max(found, key=lambda one: list(Verdict).index(one.verdict))


def test_every_check_of_the_table_says_something(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert list(found) == [check.name for check in CHECKS]
    assert all(one.hint for findings in found.values() for one in findings if one.verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("check", "env", "verdict", "text"),
    [
        ("proxies", {"https_proxy": "http://me:geheim@p.example:3128"}, Verdict.OK, "through http://p.example:3128"),
        ("proxies", {"HTTPS_PROXY": "ftp://p.example"}, Verdict.PROBLEM, "HTTPS_PROXY: 'ftp://p.example'"),
        ("proxies", {"http_proxy": "http://a", "HTTP_PROXY": "http://b"}, Verdict.WARNING, "http_proxy goes before"),
        ("proxies", {"https_proxy": "http://a", "no_proxy": "*.example.com"}, Verdict.OK, "https goes directly"),
        ("proxies", {"NO_PROXY": "10.0.0.0/99"}, Verdict.PROBLEM, "'10.0.0.0/99' is not a range of addresses"),
        ("temporary files", {"TMPDIR": "/nowhere"}, Verdict.WARNING, "TMPDIR /nowhere cannot be used"),
        ("authorities", {"SSL_CERT_FILE": "/etc/hostname"}, Verdict.PROBLEM, "cannot be used as a CA file"),
    ],
)
def test_what_the_environment_says_is_judged(
    check: str, env: dict[str, str], verdict: Verdict, text: str, tmp_path: Path
) -> None:
    found = examined(tmp_path, env)[check]
    assert worst(found).verdict is verdict
    assert any(text in one.text for one in found), found
    assert "geheim" not in str(found)


@pytest.mark.parametrize("now", [0.0, 1_000_000_000.0, 5_000_000_000.0])
def test_a_clock_that_cannot_be_right_is_a_problem(now: float, tmp_path: Path) -> None:
    assert worst(examined(tmp_path, now=now)["clock"]).verdict is Verdict.PROBLEM


def test_without_a_home_nothing_is_remembered(tmp_path: Path) -> None:
    found = worst(examined(tmp_path, home=None)["memory"])
    assert found.verdict is Verdict.WARNING
    assert "nothing is remembered" in found.text


def test_a_memory_that_cannot_be_opened_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = worst(examined(tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "file")})["memory"])
    assert found.verdict is Verdict.WARNING
    assert "remembered facts are not used" in found.text


def login_file(folder: Path, text: str, mode: int = 0o600, *, is_named: bool = False) -> list[Finding]:
    path = folder / "config.json"
    path.write_text(text)
    path.chmod(mode)
    places = (Place(str(path), path, is_named=is_named),)
    return examined(folder, {"PATH": str(folder)}, logins=places)["logins"]


def test_login_files_are_told_with_their_hosts_and_never_their_secrets(tmp_path: Path) -> None:
    found = login_file(tmp_path, json.dumps({"auths": {"ghcr.io": {"auth": "bWU6Z2VoZWlt"}}}))
    assert [one.verdict for one in found] == [Verdict.OK]
    assert found[0].text == f"{tmp_path}/config.json: ghcr.io"


def test_a_login_file_for_all_to_read_is_a_warning(tmp_path: Path) -> None:
    found = worst(login_file(tmp_path, '{"auths": {"ghcr.io": {"auth": "bWU6Z2VoZWlt"}}}', 0o644))
    assert (found.verdict, found.hint) == (Verdict.WARNING, f"chmod 600 {tmp_path}/config.json")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"credHelpers": {"ghcr.io": "none"}}', Verdict.PROBLEM),
        ('{"credsStore": "none"}', Verdict.WARNING),
        ('{"credHelpers": {"ghcr.io": "there"}}', Verdict.OK),
        ('{"auths": geheim', Verdict.PROBLEM),
    ],
)
def test_helpers_and_damage_are_seen(text: str, verdict: Verdict, tmp_path: Path) -> None:
    (tmp_path / "docker-credential-there").write_text("#!/bin/sh\n")
    (tmp_path / "docker-credential-there").chmod(0o755)
    found = worst(login_file(tmp_path, text))
    assert found.verdict is verdict
    assert "geheim" not in str(found)


def test_a_login_file_that_is_named_and_not_there_is_a_warning(tmp_path: Path) -> None:
    places = (Place("gone", tmp_path / "gone", is_named=True), Place("usual", tmp_path / "usual"))
    (found,) = [one for one in examined(tmp_path, logins=places)["logins"] if one.verdict is not Verdict.OK]
    assert found.text == "gone is named, and not there"


@pytest.mark.parametrize(("is_named", "verdict"), [(True, Verdict.PROBLEM), (False, Verdict.WARNING)])
def test_a_login_file_that_cannot_be_read_is_a_problem_if_it_was_named(
    is_named: bool, verdict: Verdict, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.symlink_to(path)  # root may read everything else
    places = (Place(str(path), path, is_named=is_named),)
    assert worst(examined(tmp_path, {"PATH": str(tmp_path)}, logins=places)["logins"]).verdict is verdict


@pytest.mark.parametrize(("limit", "verdict", "code"), [(64, "problem", 1), (256, "warning", 0), (1024, "ok", 0)])
def test_the_limit_of_open_files_decides_the_exit_code(limit: int, verdict: str, code: int, tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = subprocess.run(
        [sys.executable, "-m", "oci_push", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most)),
    )
    told = json.loads(done.stdout)
    (found,) = [one for one in told["findings"] if one["check"] == "open files"]
    assert (found["verdict"], done.returncode) == (verdict, code), done.stderr
    assert told["problem"] == code


def test_the_command_prints_a_line_for_each_and_a_hint_below(tmp_path: Path) -> None:
    done = program("doctor", cwd=tmp_path, code=1, HTTPS_PROXY="ftp://p.example")
    lines = done.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("proxies") and "problem" in line]
    assert lines[at + 1].startswith("  hint: write it like http://proxy.example:3128")
    assert lines[-1].startswith("1 problem, ")


@pytest.mark.parametrize("option", ["--ca-file=x", "--skip-tls-verify", "--family=harbor", "--no-memory"])
def test_options_of_a_registry_have_no_effect_on_a_machine(option: str, tmp_path: Path) -> None:
    done = program("doctor", option, cwd=tmp_path, code=2)
    assert "has no effect without a registry" in done.stderr
