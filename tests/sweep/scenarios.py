"""The kinds of push that are broken: what is pushed, where to, and how the registry behaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from equipment.options import REHEARSAL, SandboxOptions
from images import Layout, LayoutWriter, layer, make_layout

from oci_push.model import media


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold a kind of push: how the registry behaves, what is pushed, and where to (below a run's own name).

    The usual tests break one request in `thin` in each way; ``--sweep all`` breaks every one.
    """

    options: SandboxOptions
    make: Callable[[Path], Layout]
    targets: tuple[str, ...] = ("app:1",)
    from_registry: bool = False
    at_once: int = 1
    credential: bool = False
    remember: bool = False
    thin: int = 8


def _one(path: Path) -> Layout:
    return make_layout(path, layer(1))


def _index(path: Path) -> Layout:
    writer = LayoutWriter(path)
    shared = layer(1)
    return writer.close(writer.index(writer.image(shared, layer(2)), writer.image(shared)))


def _referrer(path: Path) -> Layout:
    writer = LayoutWriter(path)
    subject = {"mediaType": media.OCI_MANIFEST, "digest": f"sha256:{'5' * 64}", "size": 7}
    return writer.close(writer.image(layer(1), subject=subject))


SCENARIOS: dict[str, Scenario] = {
    "one image": Scenario(SandboxOptions(), _one, thin=1),
    "with tokens": Scenario(SandboxOptions(auth="bearer"), _one, credential=True),
    "an index, two tags": Scenario(SandboxOptions(multi_tag=True), _index, ("app:1,2",)),
    "in pieces": Scenario(
        SandboxOptions(chunk_max=40_000, stale_cancel=False), lambda path: make_layout(path, layer(1, 200_000))
    ),
    "in pieces that are not kept": Scenario(
        SandboxOptions(chunk_max=40_000, resume=False), lambda path: make_layout(path, layer(1, 200_000))
    ),
    "two repositories": Scenario(SandboxOptions(), _one, ("app:1", "mirror:1")),
    "a copy": Scenario(SandboxOptions(mount=False), _one, from_registry=True),
    "a referrer": Scenario(SandboxOptions(referrers=False), _referrer),
    "in one request": Scenario(REHEARSAL, _one, ("app:1,2",), remember=True),
    "all at once": Scenario(
        SandboxOptions(auth="bearer"),
        lambda path: make_layout(path, *(layer(n) for n in range(4))),
        ("app:1,2", "mirror:1"),
        at_once=4,
        credential=True,
    ),
}

LARGE: dict[str, Scenario] = {
    "large, in pieces": Scenario(
        SandboxOptions(stale_cancel=False), lambda path: make_layout(path, layer(1, 80_000_000))
    ),
    "large, as distribution 2.8 has it": Scenario(
        SandboxOptions(resume=False), lambda path: make_layout(path, layer(1, 80_000_000))
    ),
}
"""Layers of 40 MB, which go in pieces by themselves; only for ``--sweep all``."""
