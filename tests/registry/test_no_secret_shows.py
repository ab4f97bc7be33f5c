"""Marked secrets in every place that holds one, servers that repeat what they are sent: nothing of it is shown."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import logging
import subprocess
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from cloudendpoints import Answered, Asked, Endpoint, GoogleTokens, segment
from images import config_of, docker_archive, layer, make_layout
from parrot import PLACES, Parrot
from program import program
from pushing import QUICK
from signingkeys import cosign_file, make, pem_of
from sigstoreservers import SigstoreServers

from oci_push.errors import OciPushError
from oci_push.events import Event
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.identity import CloudIdentity
from oci_push.protocol.ping import ping
from oci_push.providers.azure import AzureIdentity
from oci_push.providers.google import GoogleIdentity
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings

MARK = "mark3d/s+cret"
SIGNS = ("mark3d", "bWFyazNk", "hcmszZ", "tYXJrM2")
"""How the marks begin, plain and in base64: a part of one is too much."""


def shows(text: str) -> list[str]:
    return [text[max(0, at - 60) : at + 20] for sign in SIGNS if (at := text.lower().find(sign.lower())) >= 0]


def secret(name: str) -> str:
    """Give a marked secret of its own for a place, with signs in it that are escaped elsewhere."""
    return f"mark3d-{name}/s+cret=="


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plant(home: Path, address: str, kind: str) -> dict[str, str]:
    """Put marked secrets wherever logins are kept, the one for `address` as `kind`; gives the environment."""
    entries: dict[str, dict[str, str]] = {
        "auth": {"auth": packed(f"robot:{secret('auth')}")},
        "user": {"username": secret("user"), "password": secret("user")},
        "identity": {"identitytoken": secret("identity")},
        "bearer": {"registrytoken": f"{secret('bearer')}\n"},
        "bad": {"registrytoken": f"{secret('bad')} blank"},
        "short": {"auth": packed("robot:mark3d")},
    }
    hosts = {f"{name}.example": entry for name, entry in entries.items() if name != "bad"}
    hosts |= {address: entries[kind]} if kind in entries else {}
    folder = home / "home/.docker"
    folder.mkdir(parents=True)
    helpers = {address: "parrot"} if kind in ("helper", "broken-helper") else {}
    (folder / "config.json").write_text(json.dumps({"auths": hosts, "credHelpers": helpers}))
    said = json.dumps({"Username": "robot", "Secret": secret("helper")})
    ends = "exit 1" if kind == "broken-helper" else f"echo '{said}'"
    script = f"#!/bin/sh\ncat > /dev/null\necho 'token {secret('auth')} is old' >&2\n{ends}\n"
    (home / "bin").mkdir()
    (home / "bin/docker-credential-parrot").write_text(script)
    (home / "bin/docker-credential-parrot").chmod(0o755)
    (home / "password").write_text(f"{secret('file')}\n")
    (home / "oci-push.yaml").write_text(
        json.dumps(
            {
                "registries": [
                    {"name": "file", "domain": address, "username": "robot", "password_file": "password"},
                    {"name": "env", "domain": address, "username": "robot", "password": "${REG_PASSWORD}"},
                    {"name": "written", "domain": address, "username": "robot", "password": secret("written")},
                    {"name": "gar", "provider": "gar", "domain": "gar.example", "keyfile": secret("keyfile")},
                ],
                "secrets": {"store": {"key": secret("store"), "env": "${STORE}"}},
                "variables": {"REFERS": "${{secrets.store.key}}", "SAME": secret("written")},
            }
        )
    )
    make_layout(home / "image", layer(1))
    return {
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "REG_PASSWORD": secret("env"),
        "STORE": secret("store-env"),
        "HTTP_PROXY": f"http://robot:{quote(secret('proxy'), safe='')}@{address}",
    }


def left(home: Path, done: subprocess.CompletedProcess[str]) -> str:
    """Give all that was printed, and what was written into files."""
    files = [home / name for name in ("report.json", "exports.env")]
    return done.stdout + done.stderr + "".join(file.read_text() for file in files if file.exists())


KINDS = ("auth", "user", "identity", "bearer", "bad", "helper", "broken-helper", "proxy")
PUSH = ("push", "oci:image", "--retries", "0", "--debug", "--report", "report.json", "--json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_a_registry_repeats_is_shown(place: str, kind: str, tmp_path: Path) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, kind)
        target = "reg.example/a:1" if kind == "proxy" else f"{parrot.address}/a:1"
        done = program(*PUSH, target, "--plain-http", code=None, cwd=tmp_path, **env)
        assert shows(parrot.heard) or kind in ("bad", "broken-helper")
    assert shows(left(tmp_path, done)) == []
    assert done.returncode in (3, 4, 5, 6)


FORMS = (("json", "markdown"), ("plain", "junit"))


@pytest.mark.parametrize(("progress", "form"), FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_it_is_in_events_summaries_and_annotations(
    place: str, progress: str, form: str, tmp_path: Path
) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "auth")
        env |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "exports.env")}
        line = ("push", "oci:image", f"{parrot.address}/a:1", "--retries", "0", "--plain-http", "--progress", progress)
        done = program(*line, "--report", "report.json", "--report-format", form, code=None, cwd=tmp_path, **env)
        assert shows(parrot.heard)
    assert shows(left(tmp_path, done)) == []
    assert (tmp_path / "report.json").exists()
    assert (tmp_path / "exports.env").exists()
    assert done.returncode in (3, 4, 5, 6)


@pytest.mark.parametrize("place", ["errors", "token"])
def test_a_token_that_no_header_can_carry_goes_nowhere_and_is_its_files_fault(place: str, tmp_path: Path) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "bad")
        (tmp_path / "oci-push.yaml").unlink()  # whose login would come before the file's
        done = program("push", "oci:image", f"{parrot.address}/a:1", code=None, cwd=tmp_path, **env)
        assert parrot.heard == "nothing"
    assert done.returncode == 4
    assert "config.json: entry" in done.stderr
    assert "registrytoken: the token holds characters that no token has" in done.stderr
    assert "attempt" not in done.stderr


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_nothing_of_a_password_on_stdin_is_shown(place: str, ending: str, tmp_path: Path) -> None:
    with Parrot(place, "basic") as parrot:
        env = plant(tmp_path, parrot.address, "none")
        words = ("login", parrot.address, "-u", "robot", "--password-stdin", "--debug")
        done = program(*words, code=None, cwd=tmp_path, stdin=secret("stdin") + ending, **env)
        assert secret("stdin") in parrot.heard
    assert shows(left(tmp_path, done)) == []


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
@pytest.mark.parametrize("kind", ["auth", "bearer", "bad", "helper", "broken-helper"])
@pytest.mark.parametrize(
    "words",
    [
        ("auth", "explain", "ADDRESS/a:1", "--debug"),
        ("auth", "explain", "ADDRESS/a:1", "--json"),
        ("auth", "explain", "file"),
        ("doctor", "ADDRESS/a", "--debug"),
        ("doctor", "env", "--json"),
        ("whoami", "--json"),
        ("whoami",),
        ("variables",),
        ("variables", "--json"),
        ("integrations", "import", "home/.docker/config.json"),
        ("login", "written", "--debug"),
        ("logout", "ADDRESS"),
        ("push", "docker://ADDRESS/a:1", "ADDRESS/b:1", "--retries", "0", "--debug"),
        ("push", "https://robot:mark3d-url/x@ADDRESS/a", "https://robot:mark3d-url@ADDRESS/b:1"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_command_shows_a_login(words: tuple[str, ...], kind: str, scheme: str, tmp_path: Path) -> None:
    with Parrot("errors", scheme) as parrot:
        env = plant(tmp_path, parrot.address, kind)
        done = program(*(word.replace("ADDRESS", parrot.address) for word in words), code=None, cwd=tmp_path, **env)
    assert shows(left(tmp_path, done)) == []
    assert done.stdout + done.stderr


KEYS = {
    "right": (pem_of(make()), ""),
    "file": (cosign_file(make(), secret("pass")), secret("pass")),
    "locked": (cosign_file(make(), secret("pass")), secret("wrong")),
    "broken": (f"-----BEGIN PRIVATE KEY-----\n{secret('key')}\n-----END PRIVATE KEY-----\n", secret("pass")),
    "pkcs8": (pem_of(make(), secret("pass")), secret("pass")),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", ["errors", "text"])
@pytest.mark.parametrize(
    "words", [("sign", "ADDRESS/a:1", "--key"), (*PUSH, "ADDRESS/a:1", "--sign")], ids=["sign", "push"]
)
@pytest.mark.parametrize("way", ["signing.key", "env://KEY"])
def test_nothing_of_a_key_or_its_passphrase_is_shown(
    way: str, words: tuple[str, ...], place: str, key: str, tmp_path: Path
) -> None:
    pem, passphrase = KEYS[key]
    (tmp_path / "signing.key").write_text(pem)
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "auth") | {"KEY": pem, "COSIGN_PASSWORD": passphrase}
        line = [word.replace("ADDRESS", parrot.address) for word in words]
        done = program(*line, way, "--debug", "--plain-http", code=None, cwd=tmp_path, **env)
    told = left(tmp_path, done)
    assert shows(told) == []
    assert [one for one in pem.splitlines() if len(one) > 20 and not one.startswith("---") and one in told] == []
    assert done.returncode in (2, 3, 4, 5, 6)


PIPELINE = """
version: '1.0'
stages: ["stage mark3d-stage/s+cret=="]
steps:
  p:
    type: push
    title: ${{REFERS}} ${{SAME}} ${{FROM_FILE}} ${{secrets.given.key}} ${{ECHO}}
    description: ${{REFERS}}
    candidate: ${{IMAGE}}
    image_name: app
    registry: REGISTRY
    tag: t
    retry: {maxAttempts: 1}
    hooks:
      on_elected: ['echo "$REFERS" "$SAME" >&2', 'echo ${{secrets.store.env}}']
      on_fail:
        exec: ['env | sort | head -300']
        metadata: {set: [{'${{p.imageId}}': [{note: '${{REFERS}}'}]}]}
  inline:
    type: push
    candidate: ${{IMAGE}}
    image_name: app
    registry: ADDRESS
    credentials: {username: robot, password: '${{REFERS}}'}
    when: {condition: {all: {x: '"${{REFERS}}" != "${{SAME}} +"'}}}
"""


@pytest.mark.parametrize("registry", ["file", "env", "written"])
@pytest.mark.parametrize(
    "words",
    [
        ("run", "--debug", "--allow-exec", "--retries", "0", "--report", "report.json", "--export", "exports.env"),
        ("run", "--quiet", "--allow-exec", "--retries", "0", "--report", "report.json", "--export", "exports.env"),
        ("run", "--sandbox", "--allow-exec", "--report", "report.json", "--export", "exports.env"),
        ("plan",),
        ("plan", "--json"),
        ("validate",),
        ("validate", "--json"),
    ],
    ids=" ".join,
)
def test_no_run_shows_a_secret(words: tuple[str, ...], registry: str, tmp_path: Path) -> None:
    given = [
        "--var",
        "IMAGE=oci:image",
        "--var",
        f"secrets.given.key={secret('given')}",
        "--var",
        f"ECHO={secret('file')}",
    ]
    with Parrot("errors", "basic") as parrot:
        env = plant(tmp_path, parrot.address, "none")
        text = PIPELINE.replace("REGISTRY", registry).replace("ADDRESS", parrot.address)
        # What is written into a pipeline as it is, is no secret, unless something else says so.
        (tmp_path / "p.yml").write_text(text.replace("mark3d-stage/s+cret==", secret("written")))
        (tmp_path / "v.env").write_text(f"secrets.file.key={secret('var-file')}\nFROM_FILE={secret('var-file')}\n")
        more = [] if words[0] == "validate" else ["--var-file", "v.env"]
        done = program(*words, "p.yml", *given, *more, "--config", "oci-push.yaml", code=None, cwd=tmp_path, **env)
    assert shows(left(tmp_path, done)) == []
    assert done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # AWS's library leaves its sockets to the collector
@pytest.mark.parametrize("place", ["errors", "text", "warning", "redirect"])
@pytest.mark.parametrize("ending", ["", "\n", " and more"])
def test_nothing_of_awss_keys_is_shown(place: str, ending: str, tmp_path: Path) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "none") | {
            "AWS_ENDPOINT_URL": f"http://{parrot.address}",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": secret("aws"),
            "AWS_SESSION_TOKEN": secret("aws-session") + ending,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HTTP_PROXY": "",
        }
        target = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1"
        done = program(*PUSH, target, "--create-repository", code=None, cwd=tmp_path, **env)
        gc.collect()
        assert (secret("aws-session") in parrot.heard) == (ending != " and more")
    assert shows(left(tmp_path, done)) == []
    assert done.returncode in (4, 5, 6)


ROLE = "arn:aws:iam::123456789012:role/pusher"
JOBS = {
    "quay": "provider: quay, domain: '{}', username: org+robot, oidc: {{env: JOB_TOKEN}}",
    "jfrog": "provider: artifactory, domain: '{}', oidc_provider: jobs, oidc: {{command: [printenv, JOB_TOKEN]}}",
    "azure": "provider: acr, domain: acme.azurecr.io, tenant_id: t, client_id: app, oidc: {{file: job-token}},"
    " address: '{}', plain_http: true",
    "ecr": f"provider: ecr, region: eu-west-1, role_arn: '{ROLE}', oidc: {{{{env: JOB_TOKEN}}}}",
    "request": "provider: quay, domain: '{}', username: org+robot, oidc: auto",
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # AWS's library leaves its sockets to the collector
@pytest.mark.parametrize("words", ["push", "doctor"])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, place) for kind in JOBS for place in ("errors", "text", "warning", "redirect")),
        *((kind, "token") for kind in JOBS if kind != "request"),
    ],
)
def test_nothing_of_a_jobs_identity_is_shown_but_its_claims(kind: str, place: str, words: str, tmp_path: Path) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "none")
        audience = {"azure": "api://AzureADTokenExchange", "ecr": "sts.amazonaws.com"}.get(
            kind, f"https://{parrot.address}"
        )
        claims = {"iss": "https://ci.example", "sub": "the-subject", "aud": audience, "exp": 4e9}
        token = f"{segment({'alg': 'RS256'})}.{segment(claims)}.mark3d-jobs_signature"
        (tmp_path / "job-token").write_text(token)
        entry = f"{{name: job, {JOBS[kind].format(parrot.address)}}}"
        (tmp_path / "oci-push.yaml").write_text(f"registries: [{entry}]\n")
        step = "{type: push, candidate: 'oci:image', image_name: a, registry: job, tag: '1', retry: {maxAttempts: 1}}"
        (tmp_path / "p.yml").write_text(f"version: '1.0'\nsteps: {{p: {step}}}\n")
        env |= {"HTTP_PROXY": "", "JOB_TOKEN": token, "AWS_EC2_METADATA_DISABLED": "true"}
        env |= {"AWS_ENDPOINT_URL": f"http://{parrot.address}", "AZURE_AUTHORITY_HOST": f"http://{parrot.address}"}
        env |= {"ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{parrot.address}/job?x=1"}
        env |= {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret("request")}
        line = ("run", "p.yml") if words == "push" else (*words.split(), "job")
        more = ("--debug", "--config", "oci-push.yaml", *(("--retries", "0") if words == "push" else ()))
        done = program(*line, *more, code=None, cwd=tmp_path, **env)
        gc.collect()
        sent = secret("request") if kind == "request" else "mark3d-jobs_signature"
        assert sent in parrot.heard or (kind, words) == ("ecr", "doctor")  # which looks for the registry first
    assert shows(left(tmp_path, done)) == []
    assert done.returncode != 0


@pytest.mark.parametrize("place", ["errors", "text", "warning", "scope", "redirect", "path", "digest"])
@pytest.mark.parametrize("source", ["variable", "request"])
def test_nothing_of_a_token_that_signs_is_shown(source: str, place: str, tmp_path: Path) -> None:
    with Parrot(place) as parrot:
        env = plant(tmp_path, parrot.address, "none")
        with SigstoreServers() as servers:
            text = json.dumps(servers.config()).replace(servers.url, f"http://{parrot.address}")
        (tmp_path / "trust.json").write_text(text)
        claims = {"iss": "https://ci.example", "sub": "the-subject", "aud": "sigstore", "exp": 4e9}
        token = f"{segment({'alg': 'RS256'})}.{segment(claims)}.mark3d-jobs_signature"
        env["HTTP_PROXY"] = ""
        if source == "variable":
            env["SIGSTORE_ID_TOKEN"] = token
        else:
            env |= {"ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{parrot.address}/job?x=1"}
            env |= {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret("request")}
        words = ("--sign", "keyless", "--trust-root", "trust.json", "--plain-http")
        done = program(*PUSH, f"{parrot.address}/a:1", *words, code=None, cwd=tmp_path, **env)
        assert (secret("request") if source == "request" else "mark3d-jobs_signature") in parrot.heard
    assert shows(left(tmp_path, done)) == []
    assert done.returncode in (4, 5, 6)


def test_names_inside_of_an_archive_are_harmless(tmp_path: Path) -> None:
    env = plant(tmp_path, "reg.example", "auth")
    name = f"x\n::error::{secret('auth')}\x1b[31m\u202e"
    archive = docker_archive((name, layer(1)), config=config_of(layer(1)), paths=["nothing"])
    (tmp_path / "a.tar").write_bytes(archive.replace(b'"nothing"', json.dumps(name + "?").encode()))
    done = program("push", "docker-archive:a.tar", "reg.example/a:1", code=None, cwd=tmp_path, **env)
    assert shows(left(tmp_path, done)) == []
    assert "\x1b" not in done.stderr
    assert not any(line.lstrip().startswith("::") for line in done.stderr.splitlines())


class Repeating:
    """Answer as a token server that says everything it was sent, for those who call the library."""

    def __init__(self, status: int, kind: str) -> None:
        self.status = status
        self.kind = kind

    def root(self, asked: Asked) -> Answered:
        """Ask for a login, and repeat one."""
        if "authorization" in asked.headers:
            return self.repeat(asked)
        return Answered(
            401, {}, {"WWW-Authenticate": f'Bearer realm="http://{asked.headers["host"]}/token",service="x"'}
        )

    def repeat(self, asked: Asked) -> Answered:
        """Repeat headers, fields and body."""
        authorization = asked.headers.get("authorization", "")
        with contextlib.suppress(ValueError):
            authorization += " " + base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
        said = f"cannot take {authorization} {json.dumps(dict(asked.fields))} {asked.body.decode('utf-8', 'replace')}"
        if self.kind == "text":
            return Answered(self.status, said)
        if self.kind == "oauth":
            return Answered(self.status, {"error": "invalid", "error_description": said})
        return Answered(self.status, {"errors": [{"code": said, "message": said, "detail": said}]})


@pytest.fixture(params=[(401, "oauth"), (400, "oci"), (403, "text"), (503, "oci"), (429, "oauth")], ids=str)
def parrot(request: pytest.FixtureRequest) -> Repeating:
    return Repeating(*request.param)


@contextlib.contextmanager
def listening(parrot: Repeating) -> Iterator[Endpoint]:
    answers = {"/v2/": parrot.root, "/token": parrot.repeat, "/tenant/oauth2/v2.0/token": parrot.repeat}
    with Endpoint({**answers, "/oauth2/exchange": parrot.repeat}) as endpoint:
        yield endpoint


def google_identity(endpoint: Endpoint) -> CloudIdentity:
    value = {**GoogleTokens().keyfile(f"{endpoint.url}/token"), "private_key_id": MARK, "extra": MARK}
    return GoogleIdentity(Secret(json.dumps(value)))


def gcloud_identity(endpoint: Endpoint) -> CloudIdentity:
    value = {"type": "authorized_user", "client_id": "id", "client_secret": MARK, "refresh_token": MARK}
    return GoogleIdentity(Secret(json.dumps({**value, "token_uri": f"{endpoint.url}/token"})))


def broken_identity(endpoint: Endpoint) -> CloudIdentity:
    return GoogleIdentity(Secret(f'{{"private_key": "{MARK}'))


def damaged_key(endpoint: Endpoint) -> CloudIdentity:
    return GoogleIdentity(Secret(json.dumps({**GoogleTokens().keyfile("https://x"), "private_key": MARK})))


def azure_identity(endpoint: Endpoint) -> CloudIdentity:
    return AzureIdentity("tenant", "app", Secret(MARK))


def plain_azure_identity(endpoint: Endpoint) -> CloudIdentity:
    return AzureIdentity("", "app", Secret(MARK))


@pytest.mark.parametrize(
    "make", [google_identity, gcloud_identity, broken_identity, damaged_key, azure_identity, plain_azure_identity]
)
def test_no_cloud_identity_shows_in_message_event_log_or_traceback(
    make: object, parrot: Repeating, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    with listening(parrot) as endpoint, caplog.at_level(logging.DEBUG):
        identity = make(endpoint)  # type: ignore[operator]
        host = "acme.azurecr.io" if isinstance(identity, AzureIdentity) else "gcr.io"
        error = refused(host, endpoint, identity, {"AZURE_AUTHORITY_HOST": endpoint.url}, events)
    told = "".join(traceback.format_exception(error)) + str(error.hint) + caplog.text + repr(events) + repr(identity)
    assert shows(told) == []
    assert "PRIVATE KEY" not in told


def test_a_plain_login_shows_in_no_traceback_either(parrot: Repeating, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    with listening(parrot) as endpoint, caplog.at_level(logging.DEBUG):
        error = refused("reg.example", endpoint, Credential("robot", Secret(MARK)), {}, events)
    assert shows("".join(traceback.format_exception(error)) + caplog.text + repr(events)) == []


def refused(
    host: str, endpoint: Endpoint, who: CloudIdentity | Credential, env: Mapping[str, str], events: list[Event]
) -> OciPushError:
    context = Context(FakeClock())
    settings = TransportSettings(call_retry=QUICK, env=env)
    clients = RegistryClients(context, settings, blob_retry=QUICK, random=lambda: 0.5, emit=events.append)
    credential = who if isinstance(who, Credential) else None
    identity = None if isinstance(who, Credential) else who
    endpoint = RegistryEndpoint(
        host, credential, TlsConfig(plain_http=True), address=endpoint.address, identity=identity
    )
    with contextlib.closing(clients), pytest.raises(OciPushError) as caught:
        clients.session(endpoint).run(context, ping(host))
    return caught.value
