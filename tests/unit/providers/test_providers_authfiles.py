"""Which file and key gives the login: places, exactness, and what a damaged file does."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from oci_push.credentials.files import HELPER_AGE_S, AuthFiles, read_file
from oci_push.errors import CredentialsError
from oci_push.events import Event, LogMessage
from oci_push.model.reference import Repository
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import Finished
from oci_push.runtime.context import Context
from oci_push.secret import Secret

NOT_FOUND = Finished(1, b"credentials not found in native keychain\n")


def packed(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def answer(user: str, secret: str) -> Finished:
    return Finished(0, json.dumps({"ServerURL": "x", "Username": user, "Secret": secret}).encode())


class Home:
    """A home folder with files to fill, helpers to script, and the search over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = {"XDG_RUNTIME_DIR": str(folder / "run")}
        self.helpers: dict[str, Finished] = {}
        self.calls: list[tuple[tuple[str, ...], bytes]] = []
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.context = Context(self.clock)

    def write(self, name: str, value: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def run(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        self.calls.append((tuple(argv), stdin))
        if argv[0] not in self.helpers:
            raise FileNotFoundError(argv[0])
        return self.helpers[argv[0]]

    def files(self) -> AuthFiles:
        return AuthFiles.discover(self.env, home=self.folder, uid=1000, run_command=self.run, emit=self.events.append)

    def user(self, repository: str) -> str | None:
        found = self.files().find(Repository.parse(repository), self.context)
        return found.credential.username if found else None


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


DOCKER = ".docker/config.json"
PODMAN = ".config/containers/auth.json"
RUNTIME = "run/containers/auth.json"


class TestPlaces:
    @pytest.mark.case("CR-002")
    def test_no_file_anywhere_is_anonymous(self, home: Home) -> None:
        assert home.user("reg.example/app") is None

    @pytest.mark.parametrize("place", [DOCKER, PODMAN, RUNTIME])
    @pytest.mark.case("CR-006")
    def test_each_default_file_alone_is_used(self, home: Home, place: str) -> None:
        home.write(place, {"auths": {"reg.example": packed("u", "p")}})
        assert home.user("reg.example/app") == "u"

    def test_files_are_merged(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"a.example": packed("docker", "p")}})
        home.write(PODMAN, {"auths": {"b.example": packed("podman", "p")}})
        assert (home.user("a.example/app"), home.user("b.example/app")) == ("docker", "podman")

    def test_at_equal_exactness_the_earlier_file_wins(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"reg.example": packed("docker", "p")}})
        home.write(PODMAN, {"auths": {"reg.example": packed("podman", "p")}})
        home.write(RUNTIME, {"auths": {"reg.example": packed("runtime", "p")}})
        assert home.user("reg.example/app") == "runtime"

    def test_without_a_runtime_folder_the_file_of_the_user_id_is_looked_for(self, home: Home) -> None:
        del home.env["XDG_RUNTIME_DIR"]
        assert home.files().places[0].path == Path("/run/containers/1000/auth.json")

    def test_xdg_config_home_comes_before_the_configuration_folder_of_the_home(self, home: Home) -> None:
        home.env["XDG_CONFIG_HOME"] = str(home.folder / "xdg")
        home.write("xdg/containers/auth.json", {"auths": {"reg.example": packed("xdg", "p")}})
        home.write(PODMAN, {"auths": {"reg.example": packed("home", "p"), "b.example": packed("home", "p")}})
        assert (home.user("reg.example/app"), home.user("b.example/app")) == ("xdg", "home")

    @pytest.mark.case("CR-001")
    def test_docker_config_names_the_only_file(self, home: Home) -> None:
        home.env["DOCKER_CONFIG"] = str(home.folder / "ci")
        home.write("ci/config.json", {"auths": {"a.example": packed("ci", "p")}})
        for place in (DOCKER, PODMAN, RUNTIME, ".dockercfg"):
            home.write(place, {"auths": {"b.example": packed("other", "p")}})
        assert (home.user("a.example/app"), home.user("b.example/app")) == ("ci", None)

    @pytest.mark.case("CR-007")
    def test_registry_auth_file_names_the_only_file(self, home: Home) -> None:
        home.env["REGISTRY_AUTH_FILE"] = str(home.write("mine.json", {"auths": {"a.example": packed("mine", "p")}}))
        for place in (DOCKER, PODMAN, RUNTIME):
            home.write(place, {"auths": {"a.example/app": packed("other", "p")}})
        assert home.user("a.example/app") == "mine"

    def test_both_variables_name_two_files_that_are_merged(self, home: Home) -> None:
        home.env["REGISTRY_AUTH_FILE"] = str(home.write("mine.json", {"auths": {"a.example": packed("mine", "p")}}))
        home.env["DOCKER_CONFIG"] = str(home.folder / "ci")
        home.write("ci/config.json", {"auths": {"a.example/team": packed("ci", "p")}})
        assert (home.user("a.example/app"), home.user("a.example/team/app")) == ("mine", "ci")

    def test_docker_auth_config_holds_the_file_itself_and_comes_first(self, home: Home) -> None:
        home.env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"reg.example": packed("variable", "p")}})
        home.write(RUNTIME, {"auths": {"reg.example": packed("file", "p"), "b.example": packed("file", "p")}})
        assert (home.user("reg.example/app"), home.user("b.example/app")) == ("variable", "file")

    @pytest.mark.case("CR-016")
    def test_legacy_dockercfg_is_the_last_source(self, home: Home) -> None:
        home.write(".dockercfg", {"https://reg.example/v1/": packed("old", "p"), "b.example": packed("old", "p")})
        home.write(DOCKER, {"auths": {"reg.example": packed("new", "p")}})
        assert (home.user("reg.example/app"), home.user("b.example/app")) == ("new", "old")

    @pytest.mark.case("CR-003")
    def test_config_json_that_is_a_folder_is_taken_as_absent(self, home: Home) -> None:
        (home.folder / DOCKER).mkdir(parents=True)
        assert home.user("reg.example/app") is None

    def test_without_a_home_only_the_runtime_file_is_looked_for(self, home: Home) -> None:
        files = AuthFiles.discover(home.env, home=None, uid=0, run_command=home.run, emit=home.events.append)
        assert [place.name for place in files.places] == [str(home.folder / RUNTIME)]

    def test_no_file_is_read_before_it_is_needed(self, home: Home) -> None:
        home.write(DOCKER, "{damaged")
        home.files()


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            "reg.example:5000",
            "REG.example:5000",
            "https://reg.example:5000",
            "https://reg.example:5000/",
            "http://reg.example:5000/v1/",
            "https://reg.example:5000/v2/",
            "reg.example:5000/v2/",
        ],
    )
    def test_every_spelling_of_a_host_is_that_host(self, home: Home, key: str) -> None:
        home.write(DOCKER, {"auths": {key: packed("u", "p")}})
        assert home.user("reg.example:5000/team/app") == "u"

    @pytest.mark.parametrize(
        "key", ["reg.example", "reg.example:5001", "eg.example:5000", "sub.reg.example:5000", "reg.example:5000.evil"]
    )
    def test_another_host_or_port_gives_nothing(self, home: Home, key: str) -> None:
        home.write(DOCKER, {"auths": {key: packed("u", "p")}})
        assert home.user("reg.example:5000/team/app") is None

    @pytest.mark.parametrize(
        "key",
        [
            "https://index.docker.io/v1/",
            "index.docker.io/v1",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://registry-1.docker.io/v2/",
        ],
    )
    @pytest.mark.parametrize("name", ["nginx", "docker.io/team/app", "index.docker.io/team/app"])
    @pytest.mark.case("AU-031")
    def test_docker_hub_is_one_under_all_its_names(self, home: Home, key: str, name: str) -> None:
        home.write(DOCKER, {"auths": {key: packed("hub", "p")}})
        assert home.user(name) == "hub"

    def test_of_the_hub_spellings_the_one_docker_writes_wins(self, home: Home) -> None:
        auths = {"registry-1.docker.io": packed("other", "p"), "https://index.docker.io/v1/": packed("docker", "p")}
        home.write(DOCKER, {"auths": auths})
        assert home.user("team/app") == "docker"

    def test_the_longest_path_wins_over_all_files(self, home: Home) -> None:
        home.write(RUNTIME, {"auths": {"reg.example": packed("host", "p"), "reg.example/team": packed("team", "p")}})
        home.write(DOCKER, {"auths": {"https://reg.example/team/app": packed("app", "p")}})
        users = [home.user(f"reg.example/{path}") for path in ("team/app", "team/app/sub", "team/other", "teams/app")]
        assert users == ["app", "app", "team", "host"]

    def test_a_path_key_serves_no_other_repository(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"reg.example/team": packed("team", "p")}})
        assert home.user("reg.example/teamwork") is None

    def test_empty_entry_is_passed_over(self, home: Home) -> None:
        home.write(RUNTIME, {"auths": {"reg.example": {}}})
        home.write(DOCKER, {"auths": {"reg.example": packed("u", "p")}})
        assert home.user("reg.example/app") == "u"


class TestHelpers:
    @pytest.mark.case("CR-010")
    def test_helper_wins_over_auths_of_the_same_file(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = answer("helper", "s")
        home.write(DOCKER, {"auths": {"reg.example": packed("auths", "p")}, "credHelpers": {"reg.example": "one"}})
        assert home.user("reg.example/app") == "helper"

    def test_more_exact_auths_key_wins_over_a_helper_for_the_host(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"reg.example/app": packed("u", "p")}, "credHelpers": {"reg.example": "one"}})
        assert (home.user("reg.example/app"), home.calls) == ("u", [])

    @pytest.mark.case("CR-012")
    def test_helper_that_knows_nothing_leads_to_the_next_key(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = NOT_FOUND
        home.write(DOCKER, {"auths": {"reg.example": packed("auths", "p")}, "credHelpers": {"reg.example": "one"}})
        assert home.user("reg.example/app") == "auths"

    @pytest.mark.case("CR-012")
    def test_helper_that_knows_nothing_leads_to_anonymous_at_last(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = NOT_FOUND
        home.write(DOCKER, {"credHelpers": {"reg.example": "one"}})
        assert home.user("reg.example/app") is None

    @pytest.mark.case("CR-013")
    def test_missing_helper_of_a_mapped_host_is_an_error_naming_both(self, home: Home) -> None:
        home.write(DOCKER, {"credHelpers": {"reg.example": "one"}})
        with pytest.raises(
            CredentialsError, match=r"docker-credential-one for reg\.example is not installed"
        ) as caught:
            home.user("reg.example/app")
        assert caught.value.hint

    def test_missing_store_for_all_hosts_is_a_warning_said_once(self, home: Home) -> None:
        home.write(DOCKER, {"credsStore": "desktop"})
        files = home.files()
        assert files.find(Repository.parse("reg.example/app"), home.context) is None
        assert files.find(Repository.parse("reg.example/app"), home.context) is None
        assert [type(event) for event in home.events] == [LogMessage]

    def test_missing_store_is_an_error_where_docker_noted_the_login(self, home: Home) -> None:
        home.write(DOCKER, {"credsStore": "desktop", "auths": {"reg.example": {}}})
        with pytest.raises(CredentialsError, match="docker-credential-desktop"):
            home.user("reg.example/app")

    def test_store_is_asked_when_no_key_names_the_host(self, home: Home) -> None:
        home.helpers["docker-credential-desktop"] = answer("store", "s")
        home.write(DOCKER, {"credsStore": "desktop", "auths": {"b.example": packed("b", "p")}})
        assert (home.user("reg.example/app"), home.user("b.example/app")) == ("store", "b")

    def test_store_for_all_hosts_comes_after_a_host_key_of_a_later_file(self, home: Home) -> None:
        home.helpers["docker-credential-desktop"] = answer("store", "s")
        home.write(RUNTIME, {"credsStore": "desktop"})
        home.write(DOCKER, {"auths": {"reg.example": packed("auths", "p")}})
        assert home.user("reg.example/app") == "auths"

    @pytest.mark.parametrize(
        ("name", "server"),
        [("nginx", b"https://index.docker.io/v1/\n"), ("reg.example:5000/app", b"reg.example:5000\n")],
    )
    def test_helper_is_asked_for_the_server_dockers_way(self, home: Home, name: str, server: bytes) -> None:
        home.helpers["docker-credential-desktop"] = answer("store", "s")
        home.write(DOCKER, {"credsStore": "desktop"})
        home.user(name)
        assert home.calls == [(("docker-credential-desktop", "get"), server)]

    def test_helper_is_asked_once_for_many_repositories_of_a_host(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = answer("helper", "s")
        home.write(DOCKER, {"credHelpers": {"reg.example": "one"}})
        files = home.files()
        for path in ("a", "b", "c"):
            files.find(Repository("reg.example", path), home.context)
        assert len(home.calls) == 1

    @pytest.mark.case("CR-014")
    def test_helper_is_asked_again_when_its_answer_has_aged(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = answer("helper", "s")
        home.write(DOCKER, {"credHelpers": {"reg.example": "one"}})
        files = home.files()
        files.find(Repository("reg.example", "a"), home.context)
        home.clock.time += HELPER_AGE_S
        files.find(Repository("reg.example", "a"), home.context)
        assert len(home.calls) == 2

    @pytest.mark.case("CR-014")
    def test_helper_is_asked_again_after_a_refusal(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = answer("helper", "old")
        home.write(DOCKER, {"credHelpers": {"reg.example": "one"}})
        files = home.files()
        files.find(Repository("reg.example", "a"), home.context)
        home.helpers["docker-credential-one"] = answer("helper", "new")
        found = files.find(Repository("reg.example", "a"), home.context, ask_again=True)
        assert found is not None
        assert found.credential.password == Secret("new")


class TestFound:
    def test_tells_file_key_and_kind(self, home: Home) -> None:
        path = home.write(DOCKER, {"auths": {"https://reg.example": packed("u", "p")}})
        found = home.files().find(Repository("reg.example", "app"), home.context)
        assert found is not None
        assert (found.file, found.key, found.kind) == (str(path), "https://reg.example", "auths")
        assert found.credential.source == f"{path} (https://reg.example)"

    def test_explain_lists_every_key_in_order_and_what_came_of_it(self, home: Home) -> None:
        home.helpers["docker-credential-one"] = NOT_FOUND
        home.write(RUNTIME, {"auths": {"reg.example": packed("host", "hunter2")}, "credsStore": "desktop"})
        home.write(DOCKER, {"auths": {"reg.example/team": {}}, "credHelpers": {"reg.example/team/app": "one"}})
        told = home.files().explain(Repository("reg.example", "team/app"), home.context)
        assert [(item.candidate.key, item.verdict) for item in told] == [
            ("reg.example/team/app", "helper one has no login"),
            ("reg.example/team", "the entry is empty"),
            ("reg.example", "chosen"),
            ("", "not needed, a key before it was chosen"),
        ]

    def test_explain_goes_on_after_a_broken_key_and_tells_of_it(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"reg.example": packed("u", "p")}, "credHelpers": {"reg.example": "one"}})
        told = home.files().explain(Repository("reg.example", "app"), home.context)
        assert "docker-credential-one" in told[0].verdict
        assert told[1].verdict == "chosen"

    def test_nothing_that_is_shown_holds_a_secret(self, home: Home) -> None:
        entry = packed("u", "hunter2")
        home.env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"reg.example": entry}})
        files = home.files()
        repository = Repository("reg.example", "app")
        shown = repr((files.places, files.find(repository, home.context), files.explain(repository, home.context)))
        assert "hunter2" not in shown
        assert entry["auth"] not in shown


class TestDamage:
    def test_damaged_file_is_named_with_line_and_column(self, home: Home) -> None:
        path = home.write(DOCKER, '{\n "auths": {,}\n}')
        with pytest.raises(CredentialsError) as caught:
            home.user("reg.example/app")
        assert str(caught.value).startswith(f"{path}:2:12: is not valid JSON")
        assert caught.value.hint

    def test_error_of_a_damaged_file_does_not_carry_the_file(self, home: Home) -> None:
        home.write(DOCKER, '{"auths": {"reg.example": {"auth": "aHVudGVyMg=="}')
        with pytest.raises(CredentialsError) as caught:
            home.user("reg.example/app")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert "aHVudGVyMg" not in str(caught.value)

    def test_damaged_entry_of_another_host_does_no_harm(self, home: Home) -> None:
        home.write(DOCKER, {"auths": {"bad.example": {"auth": "%%%"}, "reg.example": packed("u", "p")}})
        assert home.user("reg.example/app") == "u"

    @pytest.mark.parametrize("text", ["", "  \n"])
    def test_empty_file_holds_nothing(self, home: Home, text: str) -> None:
        home.write(DOCKER, text)
        assert home.user("reg.example/app") is None

    def test_docker_config_that_names_the_file_gets_a_hint(self, home: Home) -> None:
        home.env["DOCKER_CONFIG"] = str(home.write("ci/config.json", {}))
        with pytest.raises(CredentialsError) as caught:
            home.user("reg.example/app")
        assert "folder" in str(caught.value.hint)

    @pytest.mark.parametrize(
        "problem",
        [PermissionError(13, "Permission denied"), NotADirectoryError(20, "Not a directory"), OSError("large")],
    )
    @pytest.mark.parametrize("variable", ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"])
    def test_a_named_file_that_cannot_be_read_is_an_error(self, home: Home, problem: OSError, variable: str) -> None:
        home.env[variable] = str(home.folder / "named")
        with pytest.raises(CredentialsError, match="named"):
            self.refusing(home, problem, "named").find(Repository("reg.example", "app"), home.context)

    @pytest.mark.parametrize(
        "problem",
        [PermissionError(13, "Permission denied"), NotADirectoryError(20, "Not a directory")],
    )
    def test_a_usual_place_that_cannot_be_read_counts_as_absent_and_is_told_once(
        self, home: Home, problem: OSError
    ) -> None:
        home.write(DOCKER, {"auths": {"reg.example": {"username": "me", "password": "x"}}})
        files = self.refusing(home, problem, RUNTIME)
        for _ in range(2):
            found = files.find(Repository("reg.example", "app"), home.context)
            assert found is not None
            assert found.credential.username == "me"
        (note,) = home.events
        assert isinstance(note, LogMessage)
        assert f"{home.folder / RUNTIME}: cannot be read" in note.text

    def refusing(self, home: Home, problem: OSError, name: str) -> AuthFiles:
        """Give the files where those whose path has `name` in it cannot be read."""

        def read(path: Path) -> bytes | None:
            if name in str(path):
                raise problem
            return read_file(path)

        return AuthFiles.discover(
            home.env, home=home.folder, uid=1, run_command=home.run, emit=home.events.append, read=read
        )

    def test_file_over_the_limit_is_refused(self, home: Home) -> None:
        home.write(DOCKER, " " * (4 * 1024 * 1024 + 1))
        with pytest.raises(CredentialsError, match="larger than"):
            home.user("reg.example/app")
