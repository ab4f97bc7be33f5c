"""Logins put into files and taken out: where they go, what stays, who may read them."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from oci_push.credentials.files import AuthFiles
from oci_push.credentials.format import AuthKey
from oci_push.credentials.writing import choose_file, remove_login, store_login
from oci_push.errors import CredentialsError
from oci_push.events import ignore
from oci_push.model.endpoint import Credential
from oci_push.model.reference import Repository
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import Finished
from oci_push.runtime.context import Context
from oci_push.secret import Secret

LOGIN = Credential("robot", Secret("pa:ss"))
PACKED = base64.b64encode(b"robot:pa:ss").decode()
HUB = "https://index.docker.io/v1/"


class Helper:
    """A credential helper that keeps its logins here."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}
        self.calls: list[tuple[str, ...]] = []
        self.code = 0

    def __call__(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        self.calls.append(tuple(argv))
        if self.code:
            return Finished(self.code, stdin)
        if argv[1] == "store":
            entry = json.loads(stdin)
            self.kept[entry["ServerURL"]] = entry
            return Finished(0)
        server = stdin.decode().strip()
        if argv[1] == "erase":
            del self.kept[server]
            return Finished(0)
        if server not in self.kept:
            return Finished(1, b"credentials not found in native keychain")
        return Finished(0, json.dumps(self.kept[server]).encode())


def absent(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
    raise FileNotFoundError(argv[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def store(path: Path, key: str, run: object = absent, credential: Credential = LOGIN) -> str:
    return str(store_login(path, AuthKey.parse(key), credential, run, Context(FakeClock())))  # type: ignore[arg-type]


def remove(path: Path, key: str, run: object = absent) -> list[str]:
    return [str(one) for one in remove_login(path, AuthKey.parse(key), run, Context(FakeClock()))]  # type: ignore[arg-type]


class TestStoring:
    def test_a_new_file_and_its_folder_are_the_owners_only(self, path: Path) -> None:
        assert store(path, "reg.example") == f"{path} (reg.example)"
        assert json.loads(path.read_text()) == {"auths": {"reg.example": {"auth": PACKED}}}
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert os.listdir(path.parent) == ["config.json"]

    def test_a_readable_file_becomes_the_owners_only(self, path: Path) -> None:
        write(path, {})
        path.chmod(0o644)
        store(path, "reg.example")
        assert path.stat().st_mode & 0o777 == 0o600

    def test_everything_foreign_in_the_file_is_kept(self, path: Path) -> None:
        before = {
            "auths": {"other.example": {"auth": "eDp5", "email": "a@b"}, "reg.example/team": {"auth": "eDp5"}},
            "HttpHeaders": {"X": "é"},
            "psFormat": "table",
        }
        write(path, before)
        store(path, "reg.example")
        after = json.loads(path.read_text())
        assert after["auths"].pop("reg.example") == {"auth": PACKED}
        assert after == before

    @pytest.mark.parametrize("key", ["docker.io", "index.docker.io", HUB])
    def test_the_hub_has_the_key_that_docker_looks_for(self, path: Path, key: str) -> None:
        store(path, key)
        assert list(json.loads(path.read_text())["auths"]) == [HUB]

    def test_other_spellings_of_the_same_key_are_replaced(self, path: Path) -> None:
        write(path, {"auths": {"https://reg.example/v2/": {"auth": "eDp5"}, "REG.example": {"auth": "eDp5"}}})
        store(path, "reg.example")
        assert json.loads(path.read_text())["auths"] == {"reg.example": {"auth": PACKED}}

    def test_an_identity_token_is_kept_as_one(self, path: Path) -> None:
        store(path, "reg.example", credential=Credential("u", identity_token=Secret("t")))
        entry = json.loads(path.read_text())["auths"]["reg.example"]
        assert (base64.b64decode(entry["auth"]), entry["identitytoken"]) == (b"u:", "t")

    def test_a_link_stays_a_link(self, path: Path, tmp_path: Path) -> None:
        write(tmp_path / "real.json", {})
        path.parent.mkdir()
        path.symlink_to(tmp_path / "real.json")
        store(path, "reg.example")
        assert path.is_symlink()
        assert "reg.example" in (tmp_path / "real.json").read_text()

    def test_what_is_stored_is_what_is_found(self, path: Path, tmp_path: Path) -> None:
        store(path, "reg.example:5000/team")
        files = AuthFiles.discover(
            {"DOCKER_CONFIG": str(path.parent)}, home=tmp_path, uid=1, run_command=absent, emit=ignore
        )
        found = files.find(Repository.parse("reg.example:5000/team/app"), Context(FakeClock()))
        assert found is not None
        assert (found.credential.username, found.credential.password) == ("robot", Secret("pa:ss"))

    def test_a_damaged_file_is_left_alone(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_text('{"auths": {"a": {"auth": "SECRET"}')
        with pytest.raises(CredentialsError, match="not valid JSON") as caught:
            store(path, "reg.example")
        assert "SECRET" not in str(caught.value)
        assert path.read_text().endswith('"SECRET"}')

    def test_a_folder_that_cannot_be_made_is_an_error_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CredentialsError, match=r"cannot be written \(.+\)"):
            store(tmp_path / "file" / "config.json", "reg.example")

    def test_a_bearer_token_alone_is_refused(self, path: Path) -> None:
        with pytest.raises(CredentialsError, match="ready token"):
            store(path, "reg.example", credential=Credential(registry_token=Secret("t")))

    def test_a_file_that_another_process_changes_is_waited_for(self, path: Path) -> None:
        write(path, {})
        other = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(CredentialsError, match="another process"):
                store(path, "reg.example")
        finally:
            os.close(other)
        store(path, "reg.example")


class TestHelpers:
    @pytest.mark.parametrize("settings", [{"credsStore": "one"}, {"credHelpers": {"reg.example": "one"}}])
    def test_a_helper_that_the_file_names_keeps_the_secret(self, path: Path, settings: dict[str, object]) -> None:
        write(path, settings)
        helper = Helper()
        assert store(path, "reg.example", helper) == f"docker-credential-one, named by {path} (reg.example)"
        assert helper.kept["reg.example"]["Secret"] == "pa:ss"
        assert json.loads(path.read_text()) == {**settings, "auths": {"reg.example": {}}}

    def test_the_secret_is_in_no_argument(self, path: Path) -> None:
        write(path, {"credsStore": "one"})
        helper = Helper()
        store(path, "reg.example", helper)
        assert helper.calls == [("docker-credential-one", "store")]

    def test_a_helper_of_another_host_is_not_used(self, path: Path) -> None:
        write(path, {"credHelpers": {"other.example": "one"}})
        store(path, "reg.example", absent)
        assert json.loads(path.read_text())["auths"]["reg.example"] == {"auth": PACKED}

    def test_a_helper_that_is_not_installed_leaves_the_file_as_it_was(self, path: Path) -> None:
        write(path, {"credsStore": "one"})
        with pytest.raises(CredentialsError, match="not installed"):
            store(path, "reg.example", absent)
        assert json.loads(path.read_text()) == {"credsStore": "one"}

    def test_a_helper_that_fails_is_not_quoted(self, path: Path) -> None:
        write(path, {"credsStore": "one"})
        helper = Helper()
        helper.code = 1
        with pytest.raises(CredentialsError, match="exit code 1") as caught:
            store(path, "reg.example", helper)
        assert "pa:ss" not in f"{caught.value}{caught.value.hint}"


class TestRemoving:
    def test_every_spelling_goes_and_the_rest_stays(self, path: Path) -> None:
        write(path, {"auths": {HUB: {"auth": "x"}, "docker.io": {"auth": "x"}, "other.example": {}}, "n": 1})
        assert remove(path, "docker.io") == [f"{path} ({HUB})", f"{path} (docker.io)"]
        assert json.loads(path.read_text()) == {"auths": {"other.example": {}}, "n": 1}

    def test_a_path_under_the_host_is_another_key(self, path: Path) -> None:
        write(path, {"auths": {"reg.example/team": {"auth": "x"}}})
        assert remove(path, "reg.example") == []

    def test_the_helper_forgets_too(self, path: Path) -> None:
        write(path, {"credsStore": "one", "auths": {"reg.example": {}}})
        helper = Helper()
        store(path, "reg.example", helper)
        assert remove(path, "reg.example", helper) == [f"docker-credential-one, named by {path} (reg.example)"]
        assert helper.kept == {}
        assert json.loads(path.read_text())["auths"] == {}

    def test_nothing_there_is_no_error(self, path: Path) -> None:
        assert remove(path, "reg.example") == []
        assert not path.parent.exists()

    def test_a_store_that_is_not_installed_has_nothing(self, path: Path) -> None:
        write(path, {"credsStore": "one", "auths": {"reg.example": {"auth": "x"}}})
        assert remove(path, "reg.example", absent) == [f"{path} (reg.example)"]


class TestChoosingTheFile:
    def chosen(self, home: Path, env: dict[str, str], key: str = "reg.example") -> str:
        files = AuthFiles.discover(env, home=home, uid=1, run_command=absent, emit=ignore)
        path = choose_file(env, files.places, AuthKey.parse(key))
        return str(path.relative_to(home))

    def env(self, home: Path, **more: str) -> dict[str, str]:
        return {"XDG_RUNTIME_DIR": str(home / "run"), **more}

    def test_dockers_where_there_is_none(self, tmp_path: Path) -> None:
        assert self.chosen(tmp_path, self.env(tmp_path)) == ".docker/config.json"

    def test_the_one_that_exists(self, tmp_path: Path) -> None:
        write(tmp_path / ".config/containers/auth.json", {})
        assert self.chosen(tmp_path, self.env(tmp_path)) == ".config/containers/auth.json"

    def test_the_one_that_has_the_host_already(self, tmp_path: Path) -> None:
        write(tmp_path / "run/containers/auth.json", {"auths": {"other.example": {}}})
        write(tmp_path / ".docker/config.json", {"auths": {"https://reg.example": {}}})
        assert self.chosen(tmp_path, self.env(tmp_path)) == ".docker/config.json"

    @pytest.mark.parametrize(
        ("name", "value", "file"),
        [("REGISTRY_AUTH_FILE", "named.json", "named.json"), ("DOCKER_CONFIG", "folder", "folder/config.json")],
    )
    def test_the_one_that_the_environment_names(self, tmp_path: Path, name: str, value: str, file: str) -> None:
        write(tmp_path / ".docker/config.json", {"auths": {"reg.example": {}}})
        assert self.chosen(tmp_path, self.env(tmp_path, **{name: str(tmp_path / value)})) == file

    def test_podmans_variable_goes_before_dockers(self, tmp_path: Path) -> None:
        env = self.env(tmp_path, DOCKER_CONFIG=str(tmp_path), REGISTRY_AUTH_FILE=str(tmp_path / "a.json"))
        assert self.chosen(tmp_path, env) == "a.json"

    def test_without_a_home_a_file_must_be_named(self) -> None:
        with pytest.raises(CredentialsError, match="no home folder"):
            choose_file({}, (), AuthKey.parse("reg.example"))
