"""Fixtures of the integration tests: real registries, real images, an independent reader.

Registries are shared by a module and keep their content: a test uses repository names of its own. A test that
stops, breaks or counts on exact totals of a registry makes one with `make_registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from awsservice import PARTNER, PASSWORD, AwsService, Moto
from certificates import Authority, Certificate
from ecrfront import EcrFront, host_of
from ecrworld import AWAY, HOME, EcrWorld
from images import Layout, layer, make_layout
from proxy import TcpProxy
from real_images import RealImages, make_real_images
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from tokenserver import TokenServer

USERS = {"robot": "correct horse: battery/staple", "guest": "guest-pass"}
"""Who htpasswd and token registries know. The first password has characters that careless code breaks on."""


@pytest.fixture(scope="session")
def users() -> dict[str, str]:
    return dict(USERS)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def real_images(tmp_path_factory: pytest.TempPathFactory) -> RealImages:
    return make_real_images(tmp_path_factory.mktemp("images") / "made")


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Give an image of two small layers."""
    return make_layout(tmp_path / "image", layer(1), layer(2))


@pytest.fixture
def make_registry(tmp_path: Path, authority: Authority) -> Iterator[Callable[[Mode], DebianRegistry]]:
    """Start registries that live as long as the test."""
    made: list[DebianRegistry] = []

    def make(mode: Mode) -> DebianRegistry:
        registry = DebianRegistry(tmp_path / f"registry-{len(made)}", mode, authority=authority)
        made.append(registry)
        registry.start()
        return registry

    yield make
    for registry in made:
        registry.stop()


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """Give a registry over http that asks nobody who they are."""
    with DebianRegistry(tmp_path_factory.mktemp("open")) as registry:
        yield registry


@pytest.fixture(scope="module")
def password_registry(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, users: dict[str, str]
) -> Iterator[DebianRegistry]:
    """Give a registry over TLS that wants Basic credentials."""
    mode = Mode(users=users, tls=authority.issue("password-registry"))
    with DebianRegistry(tmp_path_factory.mktemp("password"), mode, authority=authority) as registry:
        yield registry


@pytest.fixture
def token_server(authority: Authority, users: dict[str, str]) -> Iterator[TokenServer]:
    with TokenServer(authority.issue("token-signer"), users) as server:
        yield server


@pytest.fixture
def token_registry(
    make_registry: Callable[[Mode], DebianRegistry], token_server: TokenServer, authority: Authority
) -> DebianRegistry:
    """Give a registry that sends clients to `token_server`."""
    return make_registry(Mode(tokens=token_server, token_trust=authority.path))


@pytest.fixture
def proxy(open_registry: DebianRegistry) -> Iterator[TcpProxy]:
    """Give a breakable way to `open_registry`."""
    with TcpProxy(open_registry.port) as passing:
        yield passing


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    """Give a reader for open registries and for files."""
    return Skopeo(tmp_path / "skopeo-home")


@pytest.fixture
def trusting_skopeo(tmp_path: Path, authority: Authority) -> Skopeo:
    """Give a reader that is `robot` and trusts our authority."""
    return Skopeo(tmp_path / "skopeo-home", tls=authority.folder, credential=("robot", USERS["robot"]))


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ecr_registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DebianRegistry]]:
    """Give a registry for each region; it knows the password that moto hands out."""
    mode = Mode(users={"AWS": PASSWORD}, relative_urls=True)
    with (
        DebianRegistry(tmp_path_factory.mktemp(HOME), mode) as home,
        DebianRegistry(tmp_path_factory.mktemp(AWAY), mode) as away,
    ):
        yield {HOME: home, AWAY: away}


@pytest.fixture(scope="session")
def ecr_certificate(authority: Authority) -> Certificate:
    return authority.issue("ecr", hosts=(host_of(HOME), host_of(AWAY), host_of(AWAY, PARTNER)))


@pytest.fixture
def ecr(
    moto: Moto,
    ecr_registries: dict[str, DebianRegistry],
    ecr_certificate: Certificate,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EcrWorld]:
    """Give two regions of ECR, with no repositories in AWS's eyes yet; this process's AWS variables lead to it."""
    aws = AwsService(moto)
    front = EcrFront(ecr_registries, aws, ecr_certificate)
    world = EcrWorld(ecr_registries, aws, front, authority, tmp_path)
    for name, value in world.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    yield world
    front.stop()
    aws.stop()
