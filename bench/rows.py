"""The rows of the bench: what is done, where, and the ratio that is aimed at. A new row is one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from bench.images import PIPELINE_IMAGES, PLATFORMS


class Kind(Enum):
    """What a program is asked to do."""

    FIRST_REQUEST = "first request"
    VERSION = "version"
    HELP = "help"
    COMPLETE = "complete"
    PUSH = "push"
    SAVED = "saved"
    COPY = "copy"
    COPY_OUT = "copy out"
    PIPELINE = "pipeline"
    STEPS = "steps"

    @property
    def is_start(self) -> bool:
        """Whether start-up is all of it: no registry, and Python alone is the measure."""
        return self in (Kind.FIRST_REQUEST, Kind.VERSION, Kind.HELP, Kind.COMPLETE)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `goal` is ours divided by the best rival's, both medians; of start-up, ours divided by Python's."""

    key: str
    title: str
    kind: Kind
    image: str = "typical"
    again: bool = False
    """The same program has pushed the image to this repository before; else the registry is empty."""
    new_tags: int = 0
    """Push this many tags that are not there; 0 is the one tag `v1`."""
    registries: int = 1
    rtt_ms: int = 0
    tls: bool = False
    goal: float | None = None
    goals_against: Mapping[str, float] = {}
    """Another goal where this rival is the best."""
    units: int = 1
    goal_each_ms: float | None = None
    """Milliseconds for each of `units`, where the work has no rival."""
    goal_cpu_s: float | None = None
    """Processor seconds, for layers of their usual size."""
    goal_peak_mib: float | None = None
    counted: bool = False
    """Requests and round trips are counted, in runs that are not timed."""
    from_storage: bool = False
    """Programs that push from a storage of their own take part."""

    @property
    def group(self) -> str:
        """The heading that the row stands under."""
        if self.kind.is_start:
            return "start-up"
        if self.units > 1:
            return "many"
        return f"{self.rtt_ms} ms away" if self.rtt_ms else "loopback"

    def goal_beside(self, best: str) -> float | None:
        """Return the goal where `best` is the best rival."""
        return self.goals_against.get(best, self.goal)


def _push_again(tags: str, new_tags: int, *, goal: float, goal_of_skopeo: float, rtt_ms: int = 0) -> Row:
    """Return a row of pushes that send no blob. The goal differs where only skopeo is there, which starts slowly."""
    is_far = rtt_ms > 0
    return Row(
        key=f"{tags.replace(' ', '-')}-{rtt_ms or 'near'}",
        title=f"{tags}, blobs there{' (TLS)' if is_far else ''}",
        kind=Kind.PUSH,
        again=True,
        new_tags=new_tags,
        rtt_ms=rtt_ms,
        tls=is_far,
        goal=goal,
        goals_against=dict.fromkeys(("skopeo", "buildah", "podman"), goal_of_skopeo),
        counted=not is_far,
        from_storage=not new_tags and not is_far,
    )


_ROWS = (
    Row(key="first-request", title="first request after exec", kind=Kind.FIRST_REQUEST, image="small", goal=5),
    Row(key="version", title="--version", kind=Kind.VERSION, image="", goal=2),
    Row(key="help", title="--help", kind=Kind.HELP, image="", goal=4),
    Row(key="completion", title="completion (TAB)", kind=Kind.COMPLETE, image="", goal=5),
    _push_again("same tag", 0, goal=4, goal_of_skopeo=1),
    _push_again("new tag", 1, goal=4, goal_of_skopeo=1.2),
    _push_again("ten tags", 10, goal=3, goal_of_skopeo=0.2),
    _push_again("same tag", 0, goal=1, goal_of_skopeo=1, rtt_ms=80),
    _push_again("new tag", 1, goal=0.95, goal_of_skopeo=0.95, rtt_ms=80),
    _push_again("ten tags", 10, goal=0.9, goal_of_skopeo=0.2, rtt_ms=80),
    Row(
        key="typical-near",
        title="cold, typical",
        kind=Kind.PUSH,
        goal=1.1,
        goal_cpu_s=0.3,
        goal_peak_mib=60,
        counted=True,
        from_storage=True,
    ),
    Row(
        key="typical-tls",
        title="cold, typical (TLS)",
        kind=Kind.PUSH,
        tls=True,
        goal=0.95,
        goal_cpu_s=0.6,
        goal_peak_mib=60,
    ),
    Row(key="typical-20", title="cold, typical (TLS)", kind=Kind.PUSH, tls=True, rtt_ms=20, goal=0.65),
    Row(key="typical-80", title="cold, typical (TLS)", kind=Kind.PUSH, tls=True, rtt_ms=80, goal=0.37),
    Row(
        key="many-near",
        title="cold, 60 small layers",
        kind=Kind.PUSH,
        image="many",
        goal=1.15,
        counted=True,
        from_storage=True,
    ),
    Row(key="many-tls", title="cold, 60 small layers (TLS)", kind=Kind.PUSH, image="many", tls=True, goal=1.25),
    Row(
        key="many-20", title="cold, 60 small layers (TLS)", kind=Kind.PUSH, image="many", tls=True, rtt_ms=20, goal=0.4
    ),
    Row(
        key="many-80", title="cold, 60 small layers (TLS)", kind=Kind.PUSH, image="many", tls=True, rtt_ms=80, goal=0.18
    ),
    Row(key="big-near", title="cold, 4 large layers", kind=Kind.PUSH, image="big", goal=1.05, goal_peak_mib=60),
    Row(key="index-near", title="cold, 4 platforms", kind=Kind.PUSH, image="index", goal=1.2, counted=True),
    Row(
        key="index-80",
        title="cold, 4 platforms (TLS)",
        kind=Kind.PUSH,
        image="index",
        tls=True,
        rtt_ms=80,
        goal=0.2,
    ),
    Row(
        key="saved-near",
        title="docker save, cold",
        kind=Kind.SAVED,
        image="saved",
        goal=0.5,
        goal_peak_mib=65,
        counted=True,
    ),
    Row(
        key="saved-again-80",
        title="docker save, again (TLS)",
        kind=Kind.SAVED,
        image="saved",
        again=True,
        tls=True,
        rtt_ms=80,
        goal=1.0,
    ),
    Row(
        key="saved-three",
        title="docker save to three registries",
        kind=Kind.SAVED,
        image="saved",
        registries=3,
        goal=0.35,
    ),
    Row(key="copy-near", title="copy in a registry, 60 layers", kind=Kind.COPY, image="many", counted=True),
    Row(
        key="copy-80",
        title="copy in a registry, 60 layers (TLS)",
        kind=Kind.COPY,
        image="many",
        tls=True,
        rtt_ms=80,
        goal=0.3,
    ),
    Row(key="copy-out-near", title="copy to another registry", kind=Kind.COPY_OUT, goal=0.7, goal_cpu_s=1.5),
    Row(key="copy-out-20", title="copy to another registry (TLS)", kind=Kind.COPY_OUT, tls=True, rtt_ms=20, goal=0.7),
    Row(
        key="pipeline-20",
        title="ten images in one pipeline",
        kind=Kind.PIPELINE,
        image="pipeline",
        rtt_ms=20,
        goal=0.35,
        counted=True,
    ),
    Row(
        key="steps-200",
        title="200 push steps of one image",
        kind=Kind.STEPS,
        image="small",
        units=200,
        goal_each_ms=6,
    ),
    Row(
        key="tags-1000",
        title="1,000 tags of one image",
        kind=Kind.PUSH,
        image="small",
        again=True,
        new_tags=1000,
        units=1000,
        goal_each_ms=0.7,
    ),
    Row(
        key="platforms-100",
        title=f"cold, index of {PLATFORMS} platforms",
        kind=Kind.PUSH,
        image="platforms",
        units=PLATFORMS,
        goal_each_ms=10,
    ),
)

GROUPS = ("start-up", "loopback", "20 ms away", "80 ms away", "many")
ROWS: tuple[Row, ...] = tuple(sorted(_ROWS, key=lambda row: GROUPS.index(row.group)))
"""In the order in which they are run and shown."""

assert PIPELINE_IMAGES == 10, "a title says so"
