"""A small AWS for tests: two regions of ECR, STS, and a client that believes all of it to be the real thing."""

from __future__ import annotations

import base64
import contextlib
import http.client
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from awsservice import PASSWORD, AwsService
from certificates import Authority
from ecrfront import EcrFront, host_of
from images import Layout
from programs import clean_environment
from registries import DebianRegistry

from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.events import Event
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.reference import Destination, Repository
from oci_push.runtime.clock import Clock, FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.settings import TransportSettings

HOME, AWAY = "eu-west-1", "us-east-1"
"""The two regions there are."""
_PROJECT = Path(__file__).parents[2]


@dataclass
class EcrWorld:
    """Hold the two regions, and what a client needs to find them."""

    registries: Mapping[str, DebianRegistry]
    aws: AwsService
    front: EcrFront
    authority: Authority
    folder: Path
    clock: Clock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.aws.answers.setdefault("BatchCheckLayerAvailability", self._availability)

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that lead AWS's library and our transport here."""
        return {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "secret-of-akiatest",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "HTTPS_PROXY": self.front.url,
            "NO_PROXY": "127.0.0.1",
        }

    def create(self, region: str, *paths: str, **settings: object) -> None:
        """Make repositories, as somebody did long ago."""
        for path in paths:
            self.aws.create(region, path, settings)

    @contextmanager
    def pusher(self, endpoints: Sequence[RegistryEndpoint] = (), *, at_once: int = 4) -> Iterator[Pusher]:
        """Give a pusher of one run; its waits take no time."""
        quick = RetryPolicy(attempts=3, base_s=0.01, cap_s=0.02)
        options = Options(
            tls=TlsConfig(ca_file=str(self.authority.path)),
            endpoints={endpoint.host: endpoint for endpoint in endpoints},
            remember=False,
            blob_retry=quick,
            transport=TransportSettings(
                call_retry=quick, env=self.environment, near_requests=at_once, far_requests=at_once, spare_requests=0
            ),
        )
        around = Environment(self.environment, None, 0, lambda: 0.5)
        context = Context(self.clock, what="test")
        with contextlib.closing(Pusher(context, options, around, self.events.append)) as pusher:
            yield pusher

    def push(
        self, layout: Layout, *destinations: str, endpoints: Sequence[RegistryEndpoint] = (), at_once: int = 4
    ) -> tuple[PushResult, ...]:
        """Push a layout through the library."""
        parsed = [Destination.parse(one) for one in destinations]
        with self.pusher(endpoints, at_once=at_once) as pusher:
            targets = pusher.targets(parsed)
            with pusher.open(f"oci:{layout.path}", pusher.context, targets=len(targets)) as source:
                plan = pusher.plan(source, targets, pusher.context)
                return pusher.execute(plan, source, pusher.context)

    def run(
        self, *arguments: str, code: int = 0, without: Sequence[str] = (), more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the program as a user does, with the environment less `without` and with `more`."""
        env = {**clean_environment(self.folder / "home"), **self.environment, **(more or {})}
        env = {name: value for name, value in env.items() if name not in without}
        env |= {"SSL_CERT_FILE": str(self.authority.path), "PYTHONPATH": str(_PROJECT)}
        done = subprocess.run(
            [sys.executable, "-c", "from oci_push.cli.app import main; main()", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done

    def digest(self, region: str, path: str, tag: str) -> str:
        """Ask a region's registry itself what a tag names; empty for nothing."""
        accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        status, digest = self._head(region, f"/v2/{path}/manifests/{tag}", accept)
        return digest if status == 200 else ""

    def _availability(self, region: str, members: Mapping[str, object]) -> object:
        digests = members["layerDigests"]
        assert isinstance(digests, list)
        there = {d: self._head(region, f"/v2/{members['repositoryName']}/blobs/{d}", "*/*")[0] == 200 for d in digests}
        words = {True: "AVAILABLE", False: "UNAVAILABLE"}
        layers = [{"layerDigest": digest, "layerAvailability": words[is_there]} for digest, is_there in there.items()]
        return {"layers": layers, "failures": []}

    def _head(self, region: str, path: str, accept: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.registries[region].port, timeout=300)
        try:
            credential = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
            connection.request("HEAD", path, headers={"Authorization": f"Basic {credential}", "Accept": accept})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers.get("Docker-Content-Digest", "")
        finally:
            connection.close()


def repository(region: str, path: str) -> Repository:
    """Name a repository in one of the regions."""
    return Repository(host_of(region), path)
