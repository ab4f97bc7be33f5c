"""Marked secrets in every place that holds one, servers that repeat what they are sent: nothing of it is shown."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from cloudendpoints import Answered, Asked, Endpoint, GoogleTokens
from images import layer, make_layout
from program import program
from pushing import QUICK

from oci_push.errors import OciPushError
from oci_push.events import Event
from oci_push.model.access import Access, Login, Trust
from oci_push.model.identity import AzureIdentity, GoogleIdentity, Identity
from oci_push.model.secret import Secret
from oci_push.protocol.ping import ping
from oci_push.registry.connections import Connections
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.scope import Scope
from oci_push.transport.session import TransportSettings

MARK = "mark3d/s+cret"
FORMS = (MARK, quote(MARK, safe=""), base64.b64encode(f"robot:{MARK}".encode()).decode(), f"{MARK}".split("/")[0])


def shows(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


class Parrot:
    """A registry and token server that answers every request with what it was sent."""

    def __init__(self, status: int, kind: str, scheme: str) -> None:
        self.status = status
        self.kind = kind
        self.scheme = scheme
        self.heard: list[str] = []

    def root(self, asked: Asked) -> Answered:
        """Ask for a login, and repeat one."""
        if "authorization" in asked.headers:
            return self.repeat(asked)
        realm = f'Bearer realm="http://{asked.headers["host"]}/token",service="x"'
        return Answered(401, {}, {"WWW-Authenticate": realm if self.scheme == "bearer" else 'Basic realm="x"'})

    def repeat(self, asked: Asked) -> Answered:
        """Repeat headers, fields and body."""
        authorization = asked.headers.get("authorization", "")
        packed = authorization.removeprefix("Basic ")
        with contextlib.suppress(ValueError):
            authorization += " " + base64.b64decode(packed, validate=True).decode()
        said = f"cannot take {authorization} {json.dumps(dict(asked.fields))} {asked.body.decode('utf-8', 'replace')}"
        self.heard.append(said)
        if self.kind == "text":
            return Answered(self.status, said)
        if self.kind == "oauth":
            return Answered(self.status, {"error": "invalid", "error_description": said})
        return Answered(self.status, {"errors": [{"code": said, "message": said, "detail": said}]})


@pytest.fixture(params=[(401, "oauth"), (400, "oci"), (403, "text"), (503, "oci"), (429, "oauth")], ids=str)
def parrot(request: pytest.FixtureRequest) -> Parrot:
    status, kind = request.param
    return Parrot(status, kind, "bearer")


@contextlib.contextmanager
def listening(parrot: Parrot) -> Iterator[Endpoint]:
    answers = {"/v2/": parrot.root, "/token": parrot.repeat, "/tenant/oauth2/v2.0/token": parrot.repeat}
    answers |= {"/oauth2/exchange": parrot.repeat, "/v2/a/manifests/1": parrot.root}
    with Endpoint(answers) as endpoint:
        yield endpoint


def plant(home: Path, address: str) -> None:
    entry = {"auth": base64.b64encode(f"robot:{MARK}".encode()).decode()}
    hosts = {
        address: entry,
        "own.example": {"username": MARK, "password": MARK},
        "token.example": {"identitytoken": MARK},
    }
    (home / "home/.docker").mkdir(parents=True)
    (home / "home/.docker/config.json").write_text(json.dumps({"auths": hosts}))


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "oci:image", "ADDRESS/a:1", "--debug", "--retries", "1", "--report", "report.json", "--json"],
        ["auth", "explain", "ADDRESS/a:1", "--debug"],
        ["auth", "explain", "ADDRESS/a:1", "--json"],
        ["doctor", "ADDRESS/a", "--debug"],
        ["whoami", "--json"],
        ["whoami"],
        ["integrations", "import", "home/.docker/config.json"],
        ["logout", "ADDRESS"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.parametrize("scheme", ["bearer", "basic"])
def test_no_command_shows_a_login(arguments: list[str], scheme: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    parrot = Parrot(401, "oci", scheme)
    with listening(parrot) as endpoint:
        plant(tmp_path, endpoint.address)
        words = [word.replace("ADDRESS", endpoint.address) for word in arguments]
        shown = run_any(words, tmp_path)
    report = tmp_path / "report.json"
    assert shows(shown + (report.read_text() if report.exists() else "")) == []
    assert not parrot.heard or any(shows(said) for said in parrot.heard)


def test_login_shows_no_password_that_is_refused(parrot: Parrot, tmp_path: Path) -> None:
    with listening(parrot) as endpoint:
        words = ["login", endpoint.address, "-u", "robot", "--password-stdin", "--debug"]
        assert shows(run_any(words, tmp_path, stdin=MARK)) == []
    assert any(shows(said) for said in parrot.heard)
    assert not (tmp_path / "home/.docker/config.json").exists()


def run_any(words: list[str], cwd: Path, stdin: str = "") -> str:
    """Run whatever comes of it, and give all that was printed."""
    done = program(*words, cwd=cwd, code=None, stdin=stdin)
    return done.stdout + done.stderr


def google_identity(endpoint: Endpoint) -> Identity:
    value = {**GoogleTokens().keyfile(f"{endpoint.url}/token"), "private_key_id": MARK, "extra": MARK}
    return GoogleIdentity(Secret(json.dumps(value)))


def gcloud_identity(endpoint: Endpoint) -> Identity:
    value = {"type": "authorized_user", "client_id": "id", "client_secret": MARK, "refresh_token": MARK}
    return GoogleIdentity(Secret(json.dumps({**value, "token_uri": f"{endpoint.url}/token"})))


def broken_identity(endpoint: Endpoint) -> Identity:
    return GoogleIdentity(Secret(f'{{"private_key": "{MARK}'))


def damaged_key(endpoint: Endpoint) -> Identity:
    return GoogleIdentity(Secret(json.dumps({**GoogleTokens().keyfile("https://x"), "private_key": MARK})))


def azure_identity(endpoint: Endpoint) -> Identity:
    return AzureIdentity("tenant", "app", Secret(MARK))


def plain_azure_identity(endpoint: Endpoint) -> Identity:
    return AzureIdentity("", "app", Secret(MARK))


@pytest.mark.parametrize(
    "make", [google_identity, gcloud_identity, broken_identity, damaged_key, azure_identity, plain_azure_identity]
)
def test_no_cloud_identity_shows_in_message_event_log_or_traceback(
    make: object, parrot: Parrot, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    with listening(parrot) as endpoint, caplog.at_level(logging.DEBUG):
        identity = make(endpoint)  # type: ignore[operator]
        host = "acme.azurecr.io" if isinstance(identity, AzureIdentity) else "gcr.io"
        error = refused(host, endpoint, identity, {"AZURE_AUTHORITY_HOST": endpoint.url}, events)
    told = "".join(traceback.format_exception(error)) + str(error.hint) + caplog.text + repr(events) + repr(identity)
    assert shows(told) == []
    assert "PRIVATE KEY" not in told


def test_a_plain_login_shows_in_no_traceback_either(parrot: Parrot, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    with listening(parrot) as endpoint, caplog.at_level(logging.DEBUG):
        error = refused("reg.example", endpoint, Login("robot", Secret(MARK)), {}, events)
    assert shows("".join(traceback.format_exception(error)) + caplog.text + repr(events)) == []


def refused(
    host: str, endpoint: Endpoint, who: Identity | Login, env: Mapping[str, str], events: list[Event]
) -> OciPushError:
    scope = Scope(FakeClock())
    settings = TransportSettings(call_retry=QUICK, env=env)
    connections = Connections(scope, settings, blob_retry=QUICK, random=lambda: 0.5, emit=events.append)
    login = who if isinstance(who, Login) else None
    identity = None if isinstance(who, Login) else who
    access = Access(host, login, Trust(plain_http=True), address=endpoint.address, identity=identity)
    with contextlib.closing(connections), pytest.raises(OciPushError) as caught:
        connections.session(access).run(scope, ping(host))
    return caught.value
