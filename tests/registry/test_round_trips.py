"""How many round trips a push to a far registry takes, counted on a line on which answers wait for one another.

Connecting is one of them, and a TLS handshake is another; see `equipment.rounds`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from certificates import Authority
from equipment.options import SandboxOptions
from equipment.rounds import Line
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout, make_raw_layout, noise
from pushing import LOGIN, Pushing, is_whole

from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.transport.sockets import Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who sleeps is read in /proc")

CONNECTING = 1
TEN_TAGS = ",".join(f"t{n}" for n in range(10))


class FarNetwork(Network):
    """Everything is far away."""

    def round_trip_s(self, address: str, connect_s: float) -> float:
        return 0.08


def far(at_once: int = 32) -> Pushing:
    return Pushing(network=FarNetwork(), at_once=at_once)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_layout(tmp_path_factory.mktemp("many") / "image", *[layer(n) for n in range(60)])


def rounds(
    sandbox: Sandbox, image: Layout, target: str, pushing: Pushing | None = None, *, most_connections: int = 32
) -> int:
    """Push over a line and count its round trips."""
    pushing = pushing or far()
    sandbox.traffic.clear()
    with Line(sandbox.address) as line:
        (result,) = pushing.push(image, f"{line.address}/{target}")
        assert result.error is None
        assert line.connections <= most_connections
        return line.count


def test_sixty_small_blobs_take_seven(many: Layout) -> None:
    # Connect, look, open the uploads and close them in two waves of 32 connections, set the tag.
    with Sandbox() as sandbox:
        assert rounds(sandbox, many, "a:1") == CONNECTING + 1 + 2 * 2 + 1
        assert is_whole(sandbox, "a", "1", many)
        assert sandbox.traffic.count(method="HEAD") == 2


def test_sixty_small_blobs_over_tls_with_a_token_take_at_most_twelve(many: Layout, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    options = SandboxOptions(auth="bearer", ssl_context=authority.issue("registry").server_context())
    with Sandbox(options=options) as sandbox, Line(sandbox.address) as line:
        pushing = far()
        tls = TlsConfig(ca_file=authority.path, plain_http=False)
        pushing.endpoints = {line.address: RegistryEndpoint(line.address, LOGIN, tls)}
        (result,) = pushing.push(many, f"{line.address}/a:1")
        assert result.error is None
        assert is_whole(sandbox, "a", "1", many)
        assert line.count <= 12
        assert line.connections <= 32


def test_no_more_requests_go_at_once_than_the_user_allows(many: Layout) -> None:
    with Sandbox() as sandbox:
        assert rounds(sandbox, many, "a:1", far(at_once=16), most_connections=16) <= 12


def test_a_tag_that_names_the_image_already_takes_one(image: Layout) -> None:
    with Sandbox() as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        assert rounds(sandbox, image, "a:1") == CONNECTING + 1
        assert {r.method for r in sandbox.traffic.requests} == {"HEAD"}


def test_a_new_tag_on_an_image_that_is_there_takes_two(image: Layout) -> None:
    with Sandbox() as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        assert rounds(sandbox, image, "a:2") == CONNECTING + 2
        assert [r.method for r in sandbox.traffic.requests][2:] == ["PUT"]


def test_ten_new_tags_on_an_image_that_is_there_take_two(image: Layout) -> None:
    with Sandbox() as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        assert rounds(sandbox, image, f"a:{TEN_TAGS}", most_connections=10) == CONNECTING + 2
        assert [r.method for r in sandbox.traffic.requests] == ["HEAD"] * 2 + ["PUT"] * 10
        assert set(sandbox.store.tags("a")) == {"1", *TEN_TAGS.split(",")}


def test_ten_tags_that_name_the_image_already_take_two_and_nothing_is_written(image: Layout) -> None:
    with Sandbox() as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:{TEN_TAGS}")
        assert rounds(sandbox, image, f"a:{TEN_TAGS}") == CONNECTING + 2
        assert {r.method for r in sandbox.traffic.requests} == {"HEAD"}


def test_the_line_counts_what_waits_for_an_answer(image: Layout) -> None:
    # One request at a time: nothing is opened ahead, and each request waits for the one before.
    with Sandbox() as sandbox:
        took = rounds(sandbox, image, "a:1", far(at_once=1), most_connections=2)
        assert took == CONNECTING + sandbox.traffic.count()


@pytest.mark.parametrize("mebibytes", [30, 40])
def test_a_blob_of_two_pieces_has_no_idle_round_trip_after_the_last(mebibytes: int, tmp_path: Path) -> None:
    # Connect, look, ask for the blob, open, a piece, close with the rest, set the tag.
    large = make_raw_layout(tmp_path / "large", noise(mebibytes << 20))
    with Sandbox() as sandbox:
        assert rounds(sandbox, large, "a:1") == CONNECTING + 6
        assert is_whole(sandbox, "a", "1", large)


def test_a_large_blob_has_no_idle_round_trip_at_all_once_the_speed_is_known(tmp_path: Path) -> None:
    # One request at a time: of each blob ask for it, open and close its upload; a piece of the first one measures.
    large = make_raw_layout(tmp_path / "large", noise(30 << 20), noise(20 << 20, 2))
    with Sandbox() as sandbox:
        took = rounds(sandbox, large, "a:1", far(at_once=1), most_connections=2)
        assert took == CONNECTING + sandbox.traffic.count()
        assert sandbox.traffic.count(method="PATCH") == 1
        assert is_whole(sandbox, "a", "1", large)
