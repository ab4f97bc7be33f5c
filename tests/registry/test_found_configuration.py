"""An oci-push.yaml that lies in the working tree may be a stranger's: what it may read, and what it sends where."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

from oci_push.secret import Secret

PIPELINE = (
    "version: '1.0'\nsteps:\n  p: {type: push, candidate: 'oci:image', image_name: app, registry: inner, tag: x}\n"
)
PASSWORD = "hidden-word"


@pytest.fixture
def registry() -> Iterator[Sandbox]:
    options = SandboxOptions(auth="basic", username="robot", password=Secret(PASSWORD))
    with Sandbox(options=options) as sandbox:
        yield sandbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    make_layout(work / "image", layer(1))
    (work / "pipeline.yml").write_text(PIPELINE)
    return work


def describe(folder: Path, registry: Sandbox, keys: str, name: str = "inner", more: str = "") -> None:
    entry = f"{{name: {name}, domain: '{registry.address}', username: robot, {keys}}}"
    (folder / "oci-push.yaml").write_text(f"registries:\n  - {entry}\n{more}")


def run(folder: Path, *arguments: str, code: int = 0, **env: str) -> CompletedProcess[str]:
    return program("run", "pipeline.yml", *arguments, code=code, **env, cwd=folder)


def test_a_found_file_gets_no_variable_that_was_not_allowed(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${AWS_SECRET_ACCESS_KEY}"')
    done = run(folder, code=2, AWS_SECRET_ACCESS_KEY=PASSWORD)
    assert "environment variable AWS_SECRET_ACCESS_KEY is not allowed here" in done.stderr
    assert "--allow-env AWS_SECRET_ACCESS_KEY" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    assert registry.traffic.count() == 0


@pytest.mark.parametrize(
    "key",
    [
        "domain",
        "username",
        "repositoryPrefix",
        "address",
        "fallback_registry",
        "ca",
        "user_agent",
        "chunk_size",
        "mount",
    ],
)
def test_no_key_of_a_found_file_gets_it(key: str, registry: Sandbox, folder: Path) -> None:
    entry = {"name": "inner", "domain": registry.address, "username": "robot", "password": "x", key: "${OTHER}"}
    pairs = ", ".join(f'{name}: "{value}"' for name, value in entry.items())
    (folder / "oci-push.yaml").write_text(f"registries:\n  - {{{pairs}}}\n")
    done = run(folder, code=2, OTHER=registry.address)
    assert "environment variable OTHER is not allowed here" in done.stderr
    assert registry.traffic.count() == 0


@pytest.mark.parametrize("where", ["variables: {T: '${OTHER}'}", "secrets: {s: {t: '${OTHER}'}}"])
def test_variables_and_secrets_of_a_found_file_do_not_get_it(where: str, registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, f"password: {PASSWORD}", more=where)
    name = "T" if where.startswith("variables") else "secrets.s.t"
    (folder / "pipeline.yml").write_text(PIPELINE.replace("tag: x", f"tag: '${{{{{name}}}}}'"))
    done = run(folder, code=2, OTHER="planted")
    assert f"unresolved variable ${{{{{name}}}}}" in done.stderr
    assert "--allow-env OTHER" in done.stderr
    assert "planted" not in done.stderr + done.stdout


def test_the_pick_up_is_said_once_with_what_it_may_use(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"')
    done = run(folder, "--allow-env", "PW", PW=PASSWORD)
    assert done.stderr.count("oci-push.yaml beside the pipeline; it may use these environment variables: PW") == 1
    assert registry.store.tags("app") == ("x",)


@pytest.mark.parametrize("allowed", ["PW", "OTHER,PW", "PW@HOST"])
def test_the_environment_may_allow_it(allowed: str, registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"')
    run(folder, PW=PASSWORD, OCI_PUSH_ALLOW_ENV=allowed.replace("HOST", registry.address))
    assert registry.store.tags("app") == ("x",)


def test_the_users_own_configuration_may_allow_it(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"')
    own = folder / "home/.config/oci-push/oci-push.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("allow_env: [PW]\n")
    run(folder, PW=PASSWORD)
    assert registry.store.tags("app") == ("x",)


def test_a_found_file_allows_itself_nothing(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"', more="allow_env: [PW]\n")
    assert '"allow_env": a file that was found cannot allow itself' in run(folder, code=2, PW=PASSWORD).stderr
    assert registry.traffic.count() == 0


def test_a_variable_allowed_for_one_host_does_not_go_to_another(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"')
    done = run(folder, "--allow-env", "PW@registry.example.com", code=2, PW=PASSWORD)
    assert "PW is not allowed here" in done.stderr
    assert registry.traffic.count() == 0


def test_a_variable_allowed_for_one_host_does_not_go_to_an_address_beside_it(registry: Sandbox, folder: Path) -> None:
    keys = f'password: "${{PW}}", address: "{registry.address}", plain_http: true'
    (folder / "oci-push.yaml").write_text(
        f"registries:\n  - {{name: inner, domain: registry.example.com, username: robot, {keys}}}\n"
    )
    done = run(folder, "--allow-env", "PW@registry.example.com", code=2, PW=PASSWORD)
    assert "PW is not allowed here" in done.stderr
    assert registry.traffic.count() == 0


@pytest.mark.parametrize("named", ["*", "CI_*", "A B", ""])
def test_an_allow_list_names_variables_one_by_one(named: str, registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, 'password: "${PW}"')
    done = run(folder, "--allow-env", named, code=2, PW=PASSWORD)
    assert named == "" or f"--allow-env: {named!r} is no name of an environment variable" in done.stderr


@pytest.mark.parametrize("by", ["option", "environment", "home"])
def test_a_named_file_may_use_every_variable_and_file(by: str, registry: Sandbox, folder: Path) -> None:
    (folder.parent / "secret").write_text(f"{PASSWORD}\n")
    keys = f"password_file: '{folder.parent}/secret'"
    describe(folder, registry, keys)
    if by == "option":
        done = run(folder, "--config", "oci-push.yaml")
    elif by == "environment":
        done = run(folder, OCI_PUSH_CONFIG="oci-push.yaml")
    else:
        own = folder / "home/.config/oci-push"
        own.mkdir(parents=True)
        (folder / "oci-push.yaml").rename(own / "oci-push.yaml")
        done = run(folder)
    assert registry.store.tags("app") == ("x",)
    assert "using" not in done.stderr


@pytest.mark.parametrize("way", ["absolute", "dots", "link", "linked folder"])
@pytest.mark.parametrize("key", ["password_file", "token_file", "ca", "cert", "keyfile_path", "federated_token_file"])
def test_a_found_file_reads_nothing_outside_its_folder(way: str, key: str, registry: Sandbox, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "id").write_text(PASSWORD)
    (folder / "link").symlink_to(outside / "id")
    (folder / "there").symlink_to(outside)
    named = {"absolute": outside / "id", "dots": "../outside/id", "link": "link", "linked folder": "there/id"}[way]
    provider = {"keyfile_path": "gcr", "federated_token_file": "acr"}.get(key, "other")
    describe(folder, registry, f"provider: {provider}, {key}: '{named}'")
    done = run(folder, code=2)
    assert "lies outside the folder of this file" in done.stderr or "may only give a keyfile as" in done.stderr
    assert "--config" in done.stderr
    assert PASSWORD not in done.stderr
    assert registry.traffic.count() == 0


def test_a_found_file_reads_files_beside_it(registry: Sandbox, folder: Path) -> None:
    (folder / "robot.secret").write_text(f"{PASSWORD}\n")
    describe(folder, registry, "password_file: robot.secret")
    run(folder)
    assert registry.store.tags("app") == ("x",)


def test_a_found_file_is_no_link_out_of_its_folder(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, f"password: {PASSWORD}")
    (folder / "oci-push.yaml").rename(folder.parent / "elsewhere.yaml")
    (folder / "oci-push.yaml").symlink_to(folder.parent / "elsewhere.yaml")
    assert "is a link that leads out of its folder" in run(folder, code=2).stderr


def test_a_login_from_elsewhere_does_not_follow_an_address_of_a_found_file(registry: Sandbox, folder: Path) -> None:
    docker = folder / "home/.docker"
    docker.mkdir(parents=True)
    entry = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
    (docker / "config.json").write_text(f'{{"auths": {{"registry.example.com": {{"auth": "{entry}"}}}}}}')
    (folder / "oci-push.yaml").write_text(
        "registries:\n  - {name: inner, domain: registry.example.com,"
        f" address: '{registry.address}', plain_http: true}}\n"
    )
    done = run(folder, code=1)
    assert "gets no login from elsewhere" in done.stderr
    assert registry.traffic.count() > 0
    assert not [one for one in registry.traffic.requests if "authorization" in one.headers]
    run(folder, "--config", "oci-push.yaml")
    assert registry.store.tags("app") == ("x",)


@pytest.mark.parametrize("name", ["inner", "registry.example.com"])
def test_credentials_of_a_step_do_not_follow_an_address_of_a_found_file(
    name: str, registry: Sandbox, folder: Path
) -> None:
    (folder / "oci-push.yaml").write_text(
        "registries:\n  - {name: inner, domain: registry.example.com,"
        f" address: '{registry.address}', plain_http: true}}\n"
    )
    given = f"registry: {name}, credentials: {{username: robot, password: '${{{{WORD}}}}'}}"
    (folder / "pipeline.yml").write_text(PIPELINE.replace("registry: inner", given))
    said = run(folder, "--var", f"WORD={PASSWORD}", code=2).stderr
    assert "oci-push.yaml was found, not named, and says how" in said
    assert registry.traffic.count() == 0
    run(folder, "--var", f"WORD={PASSWORD}", "--config", "oci-push.yaml")
    assert registry.store.tags("app") == ("x",)


@pytest.mark.parametrize("provider", ["gcr", "acr", "ecr"])
def test_a_clouds_login_does_not_follow_an_address_of_a_found_file(
    provider: str, registry: Sandbox, folder: Path
) -> None:
    domain = {"gcr": "gcr.io", "acr": "a.azurecr.io", "ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"}[provider]
    (folder / "oci-push.yaml").write_text(
        f"registries:\n  - {{name: inner, provider: {provider}, domain: {domain}, region: eu-west-1,"
        f" address: '{registry.address}', plain_http: true}}\n"
    )
    done = run(folder, code=2)
    assert "may not say how a cloud's registry is reached" in done.stderr
    assert registry.traffic.count() == 0


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("domain: registry.example.com, username: robot, password: x", "registry.example.com"),
        ("provider: ecr, region: eu-west-1, headers: {x-key: x}", "ecr"),
    ],
)
def test_a_login_does_not_go_to_a_candidates_host_by_registry_context(
    entry: str, said: str, registry: Sandbox, folder: Path
) -> None:
    (folder / "oci-push.yaml").write_text(f"registries:\n  - {{name: inner, {entry}}}\n")
    step = f"{{type: push, candidate: '{registry.address}/evil:1', registry_context: inner, registry: inner}}"
    (folder / "pipeline.yml").write_text(f"version: '1.0'\nsteps:\n  p: {step}\n")
    done = run(folder, "--config", "oci-push.yaml", code=2)
    assert f"registry_context 'inner' is {said}, and the candidate is on" in done.stderr
    assert registry.traffic.count() == 0


def test_templates_in_variables_of_a_found_file_stay_as_they_are_written(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, f"password: {PASSWORD}", more="variables: {V: 'a-${{W}}', W: b}\n")
    (folder / "pipeline.yml").write_text(PIPELINE.replace("tag: x", "tag: '${{V}}'"))
    assert "V keeps its ${{…}} as it is written" in run(folder, code=2).stderr
    assert registry.traffic.count() == 0
    run(folder, "--config", "oci-push.yaml")
    assert registry.store.tags("app") == ("a-b",)


UNUSED = [
    "password_file: nowhere",
    "password: '${NOT_SET}'",
    "username: '${NOT_SET}'",
    "domain: '${NOT_SET}'",
    "repositoryPrefix: '${NOT_SET}'",
    "provider: gcr, keyfile_path: nowhere",
    "provider: ecr, region: '${NOT_SET}'",
    "provider: ecr, region: eu-west-1, secretAccessKey: '${NOT_SET}', accessKeyId: A",
    "provider: ecr, region: eu-west-1, createRepository: {lifecycle_policy: nowhere}",
    "provider: acr, clientSecretFile: nowhere",
]


@pytest.mark.parametrize("keys", UNUSED)
@pytest.mark.parametrize(
    "command", [("validate", "pipeline.yml"), ("plan", "pipeline.yml"), ("variables",), ("run", "pipeline.yml")]
)
def test_what_no_step_uses_is_not_read(keys: str, command: tuple[str, ...], registry: Sandbox, folder: Path) -> None:
    place = "" if "domain" in keys or "provider: ecr" in keys else ", domain: unused.example"
    describe(folder, registry, f"password: {PASSWORD}", more=f"  - {{name: unused, {keys}{place}}}\n")
    program(*command, "--config", "oci-push.yaml", cwd=folder)


def test_what_a_step_uses_is_read_before_anybody_is_asked(registry: Sandbox, folder: Path) -> None:
    describe(folder, registry, "password_file: nowhere")
    done = run(folder, "--config", "oci-push.yaml", code=2)
    assert "password_file: nowhere: cannot be read (No such file or directory)" in done.stderr
    assert registry.traffic.count() == 0
    program("run", "pipeline.yml", "--sandbox", "--config", "oci-push.yaml", cwd=folder)


def test_whoami_lists_what_it_can(registry: Sandbox, folder: Path) -> None:
    describe(
        folder, registry, f"password: {PASSWORD}", more="  - {name: b, domain: b.example, password_file: nowhere}\n"
    )
    assert "robot" in program("whoami", "--config", "oci-push.yaml", code=4, cwd=folder).stdout
    assert "robot" in program("whoami", "inner", "--config", "oci-push.yaml", cwd=folder).stdout
