"""Jobs of CIs, and exchanges that take their ID tokens as the real ones do: signature, audience, end, and every field.

An `Issuer` signs with a key of its own. A CI of `CIS` gives a job the environment, endpoint or program that it is
documented to give. An `Exchange` keeps what it was sent, verified, or says why it refuses.
"""

from __future__ import annotations

import base64
import json
import shlex
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloudendpoints import Answer, Answered, Asked, Endpoint, segment, unpacked
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from oci_push.transport.sockets import Address, Network

SUBJECT = "repo:acme/app:ref:refs/heads/main"
REQUEST_TOKEN = "job-request-token-0123456789"  # of a job that is made up


class Issuer:
    """Sign ID tokens as one CI's issuer; `now` is the clock they are made by."""

    def __init__(self, url: str = "https://ci.example", key: RSAPrivateKey | None = None) -> None:
        self.url = url
        self.key = key or generate_private_key(65537, 2048)
        self.now: Callable[[], float] = lambda: 1_700_000_000.0
        self.made: list[str] = []

    def token(self, audience: object, *, life_s: float = 300, **more: object) -> str:
        """Make one; each is another."""
        now = int(self.now())
        claims = {"iss": self.url, "sub": SUBJECT, "aud": audience, "iat": now, "exp": now + life_s}
        claims |= {"jti": str(len(self.made)), **more}
        signed = f"{segment({'alg': 'RS256', 'typ': 'JWT'})}.{segment(claims)}"
        self.made.append(f"{signed}.{segment(self.key.sign(signed.encode(), PKCS1v15(), SHA256()))}")
        return self.made[-1]

    def refusal(self, token: str, audience: str) -> str:
        """Say why a token is none of this issuer's for an audience; nothing for one that is."""
        signed, _, signature = token.rpartition(".")
        try:
            raw = base64.urlsafe_b64decode(signature + "==")
            self.key.public_key().verify(raw, signed.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return "Invalid JWT Signature."
        claims = unpacked(signed.split(".")[1])
        if claims["iss"] != self.url or claims["sub"] != SUBJECT:
            return "Unknown issuer or subject."
        if audience not in (claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]):
            return "Wrong audience."
        return "" if self.now() < float(str(claims["exp"])) else "Token is expired."


@dataclass
class Job:
    """A job: what it runs under, and who signs its tokens. `endpoint` plays a CI's own token endpoint."""

    issuer: Issuer
    folder: Path
    endpoint: Endpoint
    env: dict[str, str] = field(default_factory=dict)

    def questions(self) -> list[str]:
        """Give the audiences that the CI was asked for, by request or program, in order."""
        said = self.folder / "asked"
        programs = said.read_text().splitlines() if said.exists() else []
        return [asked.fields["audience"] for asked in self.endpoint.asked] + programs

    def install(self, name: str, wanted: tuple[str, ...], audience: str) -> None:
        """Put a program on the PATH that prints a token where it is called so, and only then."""
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        (self.folder / "token").write_text(self.issuer.token(audience))
        words = " ".join(shlex.quote(word) for word in wanted)
        program.write_text(
            "#!/bin/sh\n"
            f"given=$(printf '%s\\n' \"$@\")\nwanted=$(printf '%s\\n' {words})\n"
            'if [ "$given" != "$wanted" ]; then echo "usage: $given" >&2; exit 2; fi\n'
            f"echo {shlex.quote(audience)} >> {self.folder}/asked\ncat {self.folder}/token; echo\n"
        )
        program.chmod(0o755)
        self.env["PATH"] = f"{program.parent}:/usr/bin:/bin"


def _actions(job: Job, audience: str, service: str = "") -> None:
    def answer(asked: Asked) -> Answered:
        if asked.headers.get("authorization") != f"Bearer {REQUEST_TOKEN}" or asked.fields.get("api-version") != "2.0":
            return Answered(401, {"message": "unauthorized"})
        return Answered(200, {"value": job.issuer.token(asked.fields["audience"])})

    job.endpoint.answers["/id-token"] = answer
    job.env |= {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{job.endpoint.url}/id-token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
    }
    if service:
        job.env[f"{service}_ACTIONS"] = "true"


def _gitlab(job: Job, audience: str) -> None:
    job.env |= {"GITLAB_CI": "true", "CI_SERVER_URL": job.issuer.url, "ANY_NAME": job.issuer.token(audience)}
    job.env["OTHER_ID_TOKEN"] = job.issuer.token("https://vault.example")


def _buildkite(job: Job, audience: str) -> None:
    job.install("buildkite-agent", ("oidc", "request-token", "--audience", audience), audience)
    job.env["BUILDKITE"] = "true"


def _circleci(job: Job, audience: str) -> None:
    job.install("circleci", ("run", "oidc", "get", "--claims", json.dumps({"aud": audience})), audience)
    job.env |= {"CIRCLECI": "true", "CIRCLE_OIDC_TOKEN_V2": job.issuer.token("the-organisations-id")}


def _codefresh(job: Job, audience: str) -> None:
    def answer(asked: Asked) -> Answered:
        if asked.headers.get("authorization") != f"Bearer {REQUEST_TOKEN}":
            return Answered(401, {"message": "unauthorized"})
        return Answered(200, {"id_token": job.issuer.token(asked.fields["audience"])})

    job.endpoint.answers["/api/oidc"] = answer
    job.env |= {
        "CF_BUILD_ID": "1",
        "CF_OIDC_REQUEST_URL": f"{job.endpoint.url}/api/oidc",
        "CF_OIDC_REQUEST_TOKEN": f"Bearer {REQUEST_TOKEN}",
    }


CIS: dict[str, Callable[[Job, str], None]] = {
    "GitHub Actions": _actions,
    "Forgejo Actions": lambda job, audience: _actions(job, audience, "FORGEJO"),
    "Gitea Actions": lambda job, audience: _actions(job, audience, "GITEA"),
    "GitLab CI": _gitlab,
    "Buildkite": _buildkite,
    "CircleCI": _circleci,
    "Codefresh": _codefresh,
}
"""How each CI gives a job a token for an audience, by its name."""


class Exchange:
    """Take ID tokens of one issuer for one audience; `seen` are those that were good, in order."""

    def __init__(self, issuer: Issuer, audience: str) -> None:
        self.issuer = issuer
        self.audience = audience
        self.seen: list[str] = []

    def answers(self, token: Callable[[Asked], str], wanted: Mapping[str, object], good: object) -> Answer:
        """Give what answers a request whose other fields are those wanted, and whose token is good."""

        def answer(asked: Asked) -> Answered:
            is_json = "json" in asked.headers.get("content-type", "")
            fields = json.loads(asked.body) if is_json else dict(asked.fields)
            for name in ("subject_token", "client_assertion"):
                fields.pop(name, None)
            if fields != wanted:
                return Answered(400, {"error": "invalid_request", "error_description": f"not {sorted(fields)}"})
            if reason := self.issuer.refusal(token(asked), self.audience):
                return Answered(401, {"error": "invalid_grant", "error_description": reason})
            self.seen.append(token(asked))
            return Answered(200, good)

        return answer


class World(Network):
    """An internet whose names lead to servers on loopback, at public addresses unless `addresses` says otherwise."""

    def __init__(self, ports: Mapping[str, str], addresses: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._addresses = {name: f"8.8.4.{number}" for number, name in enumerate(ports, 1)} | dict(addresses or {})
        self._doors = {self._addresses[name]: address for name, address in ports.items()}
        self.resolved: list[str] = []

    def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """Give the one address of a name."""
        if host[0].isdigit():
            return ((socket.AF_INET, (host, port)),)
        self.resolved.append(host)
        if host not in self._addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ((socket.AF_INET, (self._addresses[host], port)),)

    def connect(self, sock: socket.socket, address: Address) -> None:
        """Connect to the server that stands for an address."""
        host, port = self._doors.get(address[1][0], f"{address[1][0]}:{address[1][1]}").rsplit(":", 1)
        sock.connect((host, int(port)))


def basic_registry(user: str, password: str) -> Answer:
    """Give what answers ``/v2/`` of a registry that knows one login."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(asked: Asked) -> Answered:
        if asked.headers.get("authorization") == wanted:
            return Answered(200, {})
        return Answered(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": 'Basic realm="x"'})

    return answer


def secured(endpoint: Endpoint, context: ssl.SSLContext) -> Endpoint:
    """Have an endpoint speak TLS; before it is started."""
    server = endpoint._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return endpoint
