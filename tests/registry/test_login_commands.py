"""login, logout, whoami and auth explain, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

from oci_push.secret import Secret

PASSWORD = "pa:ss wörd"
CONFIG = "home/.docker/config.json"


@pytest.fixture
def tokens() -> Iterator[Sandbox]:
    with Sandbox(options=SandboxOptions(auth="bearer", username="robot", password=Secret(PASSWORD))) as sandbox:
        yield sandbox


@pytest.fixture
def passwords() -> Iterator[Sandbox]:
    with Sandbox(options=SandboxOptions(auth="basic", username="robot", password=Secret(PASSWORD))) as sandbox:
        yield sandbox


def log_in(address: str, cwd: Path, *more: str, password: str = PASSWORD, code: int = 0) -> str:
    done = program(
        "login", address, "-u", "robot", "--password-stdin", *more, cwd=cwd, stdin=f"{password}\n", code=code
    )
    assert password not in done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


class TestLogin:
    def test_what_was_kept_serves_a_push(self, tokens: Sandbox, tmp_path: Path) -> None:
        told = log_in(tokens.address, tmp_path)
        assert told == f"logged in to {tokens.address} as robot, kept in {tmp_path / CONFIG} ({tokens.address})\n"
        image = make_layout(tmp_path / "image", layer(1))
        program("push", f"oci:{image.path}", f"{tokens.address}/a:1", cwd=tmp_path)
        assert tuple(tokens.store.tags("a")) == ("1",)

    @pytest.mark.parametrize("kind", ["tokens", "passwords"])
    def test_a_wrong_password_is_kept_nowhere(self, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        sandbox: Sandbox = request.getfixturevalue(kind)
        assert "user 'robot'" in log_in(sandbox.address, tmp_path, password="mistaken-one", code=4)
        assert not (tmp_path / CONFIG).exists()

    def test_a_registry_that_asks_nobody_could_not_check_it(self, tmp_path: Path) -> None:
        with Sandbox() as sandbox:
            done = program("login", sandbox.address, "-u", "x", "--password-stdin", cwd=tmp_path, stdin="secret-word")
        assert "could not be checked" in done.stderr

    def test_the_environments_file_is_written(self, tokens: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "auth.json"
        program(
            "login", tokens.address, "-u", "robot", "--password-stdin", cwd=tmp_path, stdin=PASSWORD,
            REGISTRY_AUTH_FILE=str(path),
        )  # fmt: skip
        assert list(json.loads(path.read_text())["auths"]) == [tokens.address]

    def test_authfile_names_the_file(self, tokens: Sandbox, tmp_path: Path) -> None:
        log_in(tokens.address, tmp_path, "--authfile", str(tmp_path / "a.json"))
        assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / CONFIG).exists()

    def test_a_login_that_another_one_hides_is_warned_of(self, tokens: Sandbox, tmp_path: Path) -> None:
        done = program(
            "login", tokens.address, "-u", "robot", "--password-stdin", cwd=tmp_path, stdin=PASSWORD,
            DOCKER_AUTH_CONFIG=json.dumps({"auths": {tokens.address: {"auth": "eDp5"}}}),
        )  # fmt: skip
        assert f"DOCKER_AUTH_CONFIG ({tokens.address}) goes before it" in done.stderr

    def test_without_a_terminal_the_password_comes_by_stdin_or_not_at_all(self, tmp_path: Path) -> None:
        done = program("login", "reg.example", "-u", "x", cwd=tmp_path, code=2)
        assert "--password-stdin" in done.stderr

    def test_a_name_that_is_nothing_lists_what_is_known(self, tmp_path: Path) -> None:
        (tmp_path / "oci-push.yaml").write_text("registries: [{name: inner, domain: reg.example}]")
        assert "inner" in program("login", "iner", cwd=tmp_path, code=2).stderr

    def test_an_integrations_login_is_kept_under_its_host(self, passwords: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "oci-push.yaml").write_text(
            f"registries: [{{name: inner, domain: '{passwords.address}', username: robot, password: '${{PW}}'}}]"
        )
        done = program("login", "inner", "--allow-env", "PW", cwd=tmp_path, PW=PASSWORD)
        assert f"as robot, kept in {tmp_path / CONFIG} ({passwords.address})" in done.stdout

    def test_a_key_of_many_lines_is_one_password(self, tmp_path: Path) -> None:
        key = '{\n  "private_key": "x\\ny"\n}'
        options = SandboxOptions(auth="basic", username="_json_key", password=Secret(key))
        with Sandbox(options=options) as sandbox:
            program("login", sandbox.address, "-u", "_json_key", "--password-stdin", cwd=tmp_path, stdin=f"{key}\n")


class TestLogout:
    def test_the_entry_goes_and_others_stay(self, tokens: Sandbox, passwords: Sandbox, tmp_path: Path) -> None:
        log_in(tokens.address, tmp_path)
        log_in(passwords.address, tmp_path)
        done = program("logout", tokens.address, cwd=tmp_path)
        assert done.stdout.startswith(f"logged out of {tokens.address}: removed from {tmp_path / CONFIG}")
        assert list(json.loads((tmp_path / CONFIG).read_text())["auths"]) == [passwords.address]

    def test_not_being_logged_in_is_said_and_no_error(self, tmp_path: Path) -> None:
        assert program("logout", "reg.example", cwd=tmp_path).stderr == "not logged in to reg.example\n"

    def test_a_login_that_stays_is_said(self, tmp_path: Path) -> None:
        done = program(
            "logout", "reg.example", cwd=tmp_path,
            DOCKER_AUTH_CONFIG=json.dumps({"auths": {"reg.example": {"auth": "eDp5"}}}),
        )  # fmt: skip
        assert "DOCKER_AUTH_CONFIG (reg.example) still has a login" in done.stderr


class TestWhoami:
    def test_files_and_integrations_are_listed_with_their_sources(self, tmp_path: Path) -> None:
        (tmp_path / "home/.docker").mkdir(parents=True)
        (tmp_path / CONFIG).write_text(
            json.dumps({"auths": {"reg.example": {"auth": "bWU6cHc="}, "x.example/team": {"identitytoken": "t"}}})
        )
        (tmp_path / "oci-push.yaml").write_text(
            "registries: [{name: a, domain: reg.example, username: u, password: p}]"
        )
        rows = json.loads(program("whoami", "--json", cwd=tmp_path).stdout)
        assert [(row["registry"], row["user"], row["kind"], row["integration"]) for row in rows] == [
            ("reg.example", "me", "password", ""),
            ("x.example/team", "", "identity token", ""),
            ("reg.example", "u", "password", "a"),
        ]

    def test_a_host_without_a_login_is_nobody(self, tmp_path: Path) -> None:
        assert "nobody" in program("whoami", "reg.example", cwd=tmp_path).stdout

    def test_a_broken_entry_is_shown_and_is_the_exit_code(self, tmp_path: Path) -> None:
        (tmp_path / "home/.docker").mkdir(parents=True)
        (tmp_path / CONFIG).write_text(json.dumps({"auths": {"reg.example": {"auth": "!!"}}}))
        assert "is not base64" in program("whoami", cwd=tmp_path, code=4).stdout

    def test_a_token_that_is_its_own_user_name_is_not_shown(self, tmp_path: Path) -> None:
        (tmp_path / "home/.docker").mkdir(parents=True)
        entry = {"username": "dop_v1_0123", "password": "dop_v1_0123"}
        (tmp_path / CONFIG).write_text(json.dumps({"auths": {"registry.digitalocean.com": entry}}))
        assert "dop_v1" not in program("whoami", cwd=tmp_path).stdout


class TestExplain:
    def test_the_key_that_won_the_flow_and_the_scope_are_told(self, tokens: Sandbox, tmp_path: Path) -> None:
        log_in(tokens.address, tmp_path)
        value = json.loads(program("auth", "explain", f"{tokens.address}/team/app", "--json", cwd=tmp_path).stdout)
        context = ["repository:team/app:pull,push"]
        assert value["accepted"] is True
        assert (value["user"], value["source"]) == ("robot", f"{tmp_path / CONFIG} ({tokens.address})")
        assert (value["scheme"], value["realm"]) == ("bearer", f"http://{tokens.address}/token")
        assert value["tokens"] == [{"asked": context, "granted": context, "expires_in_s": 300}]

    def test_a_token_that_opens_less_than_a_push_needs_is_the_exit_code(self, tokens: Sandbox, tmp_path: Path) -> None:
        done = program("auth", "explain", f"{tokens.address}/team/app", cwd=tmp_path, code=4)
        assert "asked for repository:team/app:pull,push, granted was repository:team/app:pull" in done.stdout
        assert "nobody: no login was found" in done.stdout

    def test_every_key_that_could_have_won_is_listed(self, passwords: Sandbox, tmp_path: Path) -> None:
        log_in(passwords.address, tmp_path)
        path = tmp_path / CONFIG
        value = json.loads(path.read_text())
        value["auths"][f"{passwords.address}/team"] = {}
        value["credsStore"] = "absent"
        path.write_text(json.dumps(value))
        done = program("auth", "explain", f"{passwords.address}/team/app", cwd=tmp_path)
        assert f"auths {passwords.address}/team: the entry is empty" in done.stdout
        assert f"auths {passwords.address}: chosen" in done.stdout
        assert "credsStore: not needed" in done.stdout
        assert "basic: user and password" in done.stdout

    def test_a_refused_login_is_told_with_where_it_came_from(self, tokens: Sandbox, tmp_path: Path) -> None:
        log_in(tokens.address, tmp_path)
        config = (tmp_path / CONFIG).read_text()
        (tmp_path / CONFIG).write_text(config.replace('"auth": "', '"auth": "eDp5", "x": "'))
        done = program("auth", "explain", f"{tokens.address}/a", cwd=tmp_path, code=4)
        assert f"refused the credentials of user 'x' from {tmp_path / CONFIG} ({tokens.address}) (401)" in done.stdout

    def test_nothing_is_written_to_the_registry(self, tokens: Sandbox, tmp_path: Path) -> None:
        log_in(tokens.address, tmp_path)
        program("auth", "explain", f"{tokens.address}/team/app", cwd=tmp_path)
        assert {request.method for request in tokens.traffic.requests} <= {"GET", "HEAD"}


def test_a_refused_push_says_what_was_granted(tokens: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    done = program("push", f"oci:{image.path}", f"{tokens.address}/a:1", cwd=tmp_path, code=5)
    assert "asked for repository:a:pull,push, granted was repository:a:pull" in done.stderr


def test_a_password_that_was_put_behind_the_user_name_is_not_shown(tokens: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    login = ("--username", "me:hunter2secret", "--password-stdin")
    for words in (("push", f"oci:{image.path}", f"{tokens.address}/a:1"), ("login", tokens.address)):
        done = program(*words, *login, cwd=tmp_path, code=4, stdin="another one")
        assert "me:***" in done.stderr
        assert "hunter2secret" not in done.stdout + done.stderr
