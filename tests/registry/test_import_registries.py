"""Registries of docker, Codefresh and Terraform as oci-push.yaml: what is taken, and that no secret is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from program import program

from oci_push.language.config import load_config
from oci_push.language.integrations import Config, Integration
from oci_push.providers.azure import AzureIdentity
from oci_push.secret import Secret

SECRET = "s3cret-of-somebody"

API = [
    {"_id": "1", "name": "hub", "provider": "dockerhub", "domain": "docker.io", "username": "acme", "default": True,
     "primary": True, "internal": False, "kind": "standard", "password": "*****"},
    {"_id": "2", "name": "gcr", "provider": "gcr", "domain": "eu.gcr.io", "keyfile": SECRET, "primary": False},
    {"_id": "3", "name": "gar", "provider": "gar", "domain": "asia"},
    {"_id": "4", "name": "inner", "provider": "other", "domain": "reg.example:5000", "username": "robot",
     "password": SECRET, "repositoryPrefix": "team-a", "fallbackRegistry": "1", "behindFirewall": True},
    {"_id": "5", "name": "azure", "provider": "acr", "domain": "acme.azurecr.io", "clientId": "app", "default": True},
    {"_id": "6", "name": "hub", "provider": "dockerhub", "username": "other"},
]  # fmt: skip

TERRAFORM = {
    "resource": {
        "codefresh_registry": {
            "hub": {"name": "hub", "default": True, "spec": {"dockerhub": {"username": "acme", "password": SECRET}}},
            "inner": {
                "name": "inner",
                "primary": False,
                "fallback_registry": "${codefresh_registry.hub.id}",
                "spec": [{"other": [{"domain": "${var.inner_domain}", "username": "robot", "password": "${var.pw}",
                                     "repository_prefix": "team-a"}]}],
            },
            "azure": {"name": "azure", "spec": [{"acr": [{"domain": "${data.x.y}", "client_id": "app",
                                                          "client_secret": "${random_password.a.result}"}]}]},
        }
    }
}  # fmt: skip

STATE = {
    "format_version": "1.0",
    "values": {
        "root_module": {
            "resources": [
                {"type": "codefresh_pipeline", "name": "x", "values": {"name": "no registry"}},
                {"type": "codefresh_registry", "name": "hub", "values": {
                    "id": "77", "name": "hub", "default": True, "primary": True, "fallback_registry": "",
                    "spec": [{"acr": [], "dockerhub": [{"username": "acme", "password": SECRET}], "other": []}]}},
            ],
            "child_modules": [{"resources": [
                {"type": "codefresh_registry", "name": "inner", "values": {
                    "name": "inner", "fallback_registry": "77",
                    "spec": [{"other": [{"domain": "reg.example", "username": "robot", "password": SECRET}]}]}},
            ]}],
        }
    },
}  # fmt: skip


class Imported:
    """One import of one file, and the configuration that oci-push reads from what was written."""

    def __init__(self, folder: Path, value: object, *options: str, env: dict[str, str] | None = None) -> None:
        (folder / "given.json").write_text(json.dumps(value))
        done = program("integrations", "import", "given.json", *options, cwd=folder)
        self.stderr = done.stderr
        output = folder / "out.yaml"
        self.text = output.read_text() if output.exists() else done.stdout
        assert SECRET not in done.stdout + done.stderr
        self.env = env or {}
        self.config: Config = load_config(self.text, "oci-push.yaml", self.env, Path.read_text)

    def one(self, name: str) -> Integration:
        found = self.config.find(name)
        assert found is not None
        return found

    def password(self, name: str) -> Secret | None:
        credential = self.one(name).endpoint().credential
        return credential.password if credential else None


class TestApi:
    def test_every_registry_is_taken_with_its_settings(self, tmp_path: Path) -> None:
        done = Imported(tmp_path, API)
        assert [(one.name, one.domain) for one in done.config.integrations] == [
            ("hub", "docker.io"),
            ("gcr", "eu.gcr.io"),
            ("gar", "asia-docker.pkg.dev"),
            ("inner", "reg.example:5000"),
            ("azure", "acme.azurecr.io"),
            ("hub-2", "docker.io"),
        ]
        assert (done.one("inner").prefix, done.one("gcr").is_primary) == ("team-a", False)
        assert 'fallback_registry: "hub"' in done.text

    def test_secrets_become_variables_that_are_named(self, tmp_path: Path) -> None:
        done = Imported(tmp_path, API, env={"HUB_PASSWORD": "x", "INNER_PASSWORD": "y"})
        assert (done.password("hub"), done.password("inner")) == (Secret("x"), Secret("y"))
        assert "HUB_PASSWORD, GCR_KEYFILE, GAR_KEYFILE, INNER_PASSWORD, AZURE_CLIENT_SECRET" in done.stderr

    def test_one_default_is_left(self, tmp_path: Path) -> None:
        done = Imported(tmp_path, API)
        assert [one.name for one in done.config.integrations if one.is_default] == ["hub"]
        assert "'azure' is not the default" in done.stderr

    def test_a_name_that_is_there_gets_a_number_and_a_warning(self, tmp_path: Path) -> None:
        assert "'hub' is there already, this one is now 'hub-2'" in Imported(tmp_path, API).stderr

    @pytest.mark.parametrize("form", ["registries", "docs"])
    def test_a_list_may_be_wrapped(self, tmp_path: Path, form: str) -> None:
        assert len(Imported(tmp_path, {form: API}).config.integrations) == 6

    def test_secrets_are_written_where_that_is_wanted(self, tmp_path: Path) -> None:
        done = Imported(tmp_path, API, "--with-secrets", "--output", "out.yaml", env={"HUB_PASSWORD": "x"})
        assert done.password("inner") == Secret(SECRET)
        assert (tmp_path / "out.yaml").stat().st_mode & 0o777 == 0o600

    def test_a_secret_that_looks_like_a_variable_is_not_written(self, tmp_path: Path) -> None:
        value = [{"name": "a", "domain": "reg.example", "username": "u", "password": "x${HOME}y"}]
        done = Imported(tmp_path, value, "--with-secrets", "--output", "out.yaml", env={"A_PASSWORD": "right"})
        assert done.password("a") == Secret("right")


class TestTerraform:
    def test_blocks_of_a_configuration_are_taken(self, tmp_path: Path) -> None:
        env = {
            "TF_VAR_inner_domain": "reg.example",
            "TF_VAR_pw": "p",
            "HUB_PASSWORD": "h",
            "AZURE_DOMAIN": "a.azurecr.io",
        }
        done = Imported(tmp_path, TERRAFORM, env=env)
        inner = done.one("inner")
        assert (inner.domain, inner.prefix, inner.is_primary) == ("reg.example", "team-a", False)
        assert (done.password("inner"), done.password("hub")) == (Secret("p"), Secret("h"))

    def test_what_terraform_computes_is_left_to_be_filled_in(self, tmp_path: Path) -> None:
        env = {"TF_VAR_inner_domain": "reg.example", "AZURE_DOMAIN": "a.azurecr.io", "AZURE_CLIENT_SECRET": "z"}
        done = Imported(tmp_path, TERRAFORM, env=env)
        identity = done.one("azure").endpoint().identity
        assert isinstance(identity, AzureIdentity)
        assert (identity.client_id, identity.client_secret) == ("app", Secret("z"))
        assert "# domain is computed by Terraform: ${data.x.y}" in done.text

    def test_a_state_is_taken_with_its_modules(self, tmp_path: Path) -> None:
        done = Imported(tmp_path, STATE)
        assert [one.name for one in done.config.integrations] == ["hub", "inner"]
        assert 'fallback_registry: "hub"' in done.text


class TestDocker:
    def config(self) -> dict[str, object]:
        packed = base64.b64encode(f"robot:{SECRET}".encode()).decode()
        return {
            "auths": {
                "https://index.docker.io/v1/": {"auth": packed},
                "reg.example:5000/team": {"auth": packed},
                "ghcr.io": {},
            },
            "credsStore": "desktop",
            "credHelpers": {"eu.gcr.io": "gcloud"},
        }

    def test_a_file_from_elsewhere_gives_users_and_variables(self, tmp_path: Path) -> None:
        env = {"DOCKERHUB_PASSWORD": "h", "REG_EXAMPLE_5000_TEAM_PASSWORD": "r"}
        done = Imported(tmp_path, self.config(), env=env)
        assert [(one.name, one.domain, one.prefix) for one in done.config.integrations] == [
            ("dockerhub", "docker.io", ""),
            ("eu-gcr-io", "eu.gcr.io", ""),
            ("ghcr-io", "ghcr.io", ""),
            ("reg-example-5000-team", "reg.example:5000", "team"),
        ]
        assert (done.password("dockerhub"), done.password("reg-example-5000-team")) == (Secret("h"), Secret("r"))
        assert done.password("ghcr-io") is None

    def test_logins_stay_in_the_file_that_oci_push_finds(self, tmp_path: Path) -> None:
        path = tmp_path / "home/.docker/config.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(self.config()))
        done = program("integrations", "import", str(path), cwd=tmp_path)
        assert f"# user robot: the login stays in {path}" in done.stdout
        assert "environment variables" not in done.stderr
        assert "password" not in done.stdout


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('resource "codefresh_registry" "a" { password = "s3cret-of-somebody" }', "is not JSON"),
            ('{"a": 1}', "is neither a docker config.json, nor a list of registries, nor Terraform JSON"),
            ('{"auths": {"reg.example": {"auth": "s3cret-of-somebody!"}}}', "not base64"),
        ],
    )
    def test_what_cannot_be_read_is_named_and_not_shown(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "given.json").write_text(text)
        code = 4 if "base64" in message else 2
        done = program("integrations", "import", "given.json", cwd=tmp_path, code=code)
        assert message in done.stderr
        assert SECRET not in done.stderr

    def test_a_file_that_is_there_is_not_written_over(self, tmp_path: Path) -> None:
        (tmp_path / "given.json").write_text(json.dumps(API))
        (tmp_path / "oci-push.yaml").write_text("mine")
        done = program("integrations", "import", "given.json", "-o", "oci-push.yaml", cwd=tmp_path, code=2)
        assert "is there already" in done.stderr
        assert (tmp_path / "oci-push.yaml").read_text() == "mine"

    def test_secrets_do_not_go_to_the_terminal(self, tmp_path: Path) -> None:
        (tmp_path / "given.json").write_text(json.dumps(API))
        program("integrations", "import", "given.json", "--with-secrets", cwd=tmp_path, code=2)
