"""Push with one request broken, and judge what came of it.

A scenario is a kind of push; it is run once to count its requests, then once for each request and each fault. What
holds after every run, whatever broke: the tag names the image byte for byte, or what it named before; an error is one
of ours; no thread and no open session is left, and nothing waits for ever.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from faulttable import KINDS, Kind
from images import Layout, LayoutWriter, layer, make_layout
from pushing import LOGIN, Pushing, difference

from oci_push.errors import OciPushError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.retry import RetryPolicy
from oci_push.sandbox.faults import Action, Answer, Fault, Headers, Redirect
from oci_push.sandbox.options import SandboxOptions
from oci_push.sandbox.server import Sandbox
from oci_push.sandbox.store import Store, describe

HANG_S = 60.0
_SILENCE_S = 10.0
"""How long the client waits for a byte; a machine with much else to do is slow, and that is no fault of ours."""
_STALL_S = 0.4
"""The same where the fault is that none comes: such runs wait for real."""
_UPLOAD_ID = re.compile(r"/blobs/uploads/([0-9a-f]{32})")


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
    login: bool = False
    thin: int = 8


@dataclass(slots=True)
class Figures:
    """Count runs and how they ended; `wrong` lists what must never happen."""

    runs: int = 0
    recovered: int = 0
    clean_errors: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.runs} runs: {self.recovered} recovered, {self.clean_errors} clean errors, {len(self.wrong)} wrong"
        )


def _index(path: Path) -> Layout:
    writer = LayoutWriter(path)
    shared = layer(1)
    return writer.close(writer.index(writer.image(shared, layer(2)), writer.image(shared)))


def _referrer(path: Path) -> Layout:
    writer = LayoutWriter(path)
    subject = {"mediaType": media.OCI_MANIFEST, "digest": f"sha256:{'5' * 64}", "size": 7}
    return writer.close(writer.image(layer(1), subject=subject))


SCENARIOS: dict[str, Scenario] = {
    "one image": Scenario(SandboxOptions(), lambda path: make_layout(path, layer(1)), thin=1),
    "with tokens": Scenario(SandboxOptions(auth="bearer"), lambda path: make_layout(path, layer(1)), login=True),
    "an index, two tags": Scenario(SandboxOptions(multi_tag=True), _index, ("app:1,2",)),
    "in pieces": Scenario(
        SandboxOptions(chunk_max=40_000), lambda path: make_layout(path, layer(1, 200_000)), ("app:1",)
    ),
    "two repositories": Scenario(SandboxOptions(), lambda path: make_layout(path, layer(1)), ("app:1", "mirror:1")),
    "a copy": Scenario(SandboxOptions(mount=False), lambda path: make_layout(path, layer(1)), from_registry=True),
    "a referrer": Scenario(SandboxOptions(referrers=False), _referrer),
    "all at once": Scenario(
        SandboxOptions(auth="bearer"),
        lambda path: make_layout(path, *(layer(n) for n in range(4))),
        ("app:1,2", "mirror:1"),
        at_once=4,
        login=True,
    ),
}

LARGE: dict[str, Scenario] = {
    "large, in pieces": Scenario(SandboxOptions(), lambda path: make_layout(path, layer(1, 80_000_000))),
    "large, as distribution 2.8 has it": Scenario(
        SandboxOptions(resume=False), lambda path: make_layout(path, layer(1, 80_000_000))
    ),
}
"""Layers of 40 MB, which go in pieces by themselves; only for ``--sweep all``."""


class Sweep:
    """Run one scenario again and again against one sandbox; each run has repositories of its own."""

    def __init__(self, scenario: Scenario, folder: Path, sandbox: Sandbox, other: Sandbox) -> None:
        self.scenario = scenario
        self.image = scenario.make(folder / "image")
        self._before = make_layout(folder / "before", layer(77))
        self._sandbox = sandbox
        self._other = other
        self._count = 0
        self.figures = Figures()

    def begin(self) -> Figures:
        """Count from nought."""
        self.figures = Figures()
        return self.figures

    @cached_property
    def requests(self) -> int:
        """Count the requests of a run in which nothing breaks."""
        name = self._next()
        errors = self._push(name)
        assert errors == []
        return self._sandbox.traffic.count(path_pattern=f"{name}/")

    def cases(self, fault: str, *, thin: int) -> Iterator[int]:
        """Give the numbers of the requests to break in this way: every one, or one in `thin`, others for each fault."""
        kind = KINDS[fault]
        if kind.tokens and not self.scenario.login:
            return
        place = list(KINDS).index(fault)
        thin *= 3 if thin > 1 and kind.stalls else 1
        yield from (number for number in range(1, self.requests + 1) if (number + place) % thin == 0)

    def run(self, broken: Sequence[tuple[int, str, Kind]]) -> None:
        """Push with these requests broken (number, the fault's name, the fault), and judge."""
        name = self._next()
        for number, _, kind in broken:
            action = self._filled(kind)
            self._sandbox.faults.add(Fault(path=f"{name}/", nth=number, times=kind.times, action=action))
        what = ", ".join(f"request {number}: {fault}" for number, fault, _ in broken)
        self.figures.runs += 1
        outcome = self._push(name, _STALL_S if any(kind.stalls for _, _, kind in broken) else _SILENCE_S)
        found = list(self._judge(name, outcome, must_pass=len(broken) == 1 and broken[0][2].passes))
        if found:
            trail = "\n    ".join(
                f"{r.method} {r.path[:110]} -> {r.status} {r.fault}" for r in self._sandbox.traffic.requests
            )
            self.figures.wrong.append(f"{what}: {'; '.join(found)}\n    {trail}")
        elif outcome:
            self.figures.clean_errors += 1
        else:
            self.figures.recovered += 1

    def _next(self) -> str:
        self._count += 1
        self._sandbox.faults.clear()
        self._sandbox.traffic.clear()
        return f"run{self._count}"

    def _push(self, name: str, stall_s: float = _SILENCE_S) -> list[BaseException]:
        """Push on a thread of its own, so that a hang is noticed; gives the errors."""
        scenario, host = self.scenario, self._sandbox.address
        for target in scenario.targets:
            repository, _, tags = target.partition(":")
            plant(self._sandbox.store, f"{name}/{repository}", self._before, tags.split(","))
        source = f"oci:{self.image.path}"
        if scenario.from_registry:
            plant(self._sandbox.store, f"{name}/source", self.image, ["1"])
            source = f"docker://{host}/{name}/source:1"
        pushing = Pushing(
            clock=FakeClock(),
            login=LOGIN if scenario.login else None,
            stall_s=stall_s,
            at_once=scenario.at_once,
            policy=RetryPolicy(),
        )
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results = pushing.push(source, *(f"{host}/{name}/{target}" for target in scenario.targets))
                errors.extend(result.error for result in results if result.error is not None)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is judged
                errors.append(error)

        thread = threading.Thread(target=work, name="sweep", daemon=True)
        thread.start()
        thread.join(HANG_S)
        if thread.is_alive():
            errors.append(TimeoutError(f"the push hangs for {HANG_S:g} seconds"))
        return errors

    def _judge(self, name: str, errors: list[BaseException], *, must_pass: bool) -> Iterator[str]:
        for error in errors:
            if not isinstance(error, OciPushError) or not str(error):
                yield f"{type(error).__name__}: {error}"
        if must_pass and errors:
            yield f"not got over: {errors[0]}"
        for target in self.scenario.targets:
            repository, _, tags = target.partition(":")
            for tag in tags.split(","):
                yield from self._judge_tag(f"{name}/{repository}", tag, is_done=not errors)
            strange = set(self._sandbox.store.tags(f"{name}/{repository}")) - set(tags.split(","))
            if any(not tag.startswith("sha256-") for tag in strange):
                yield f"strange tags {strange}"
        yield from self._judge_rest(name)

    def _judge_tag(self, repository: str, tag: str, *, is_done: bool) -> Iterator[str]:
        differs = difference(self._sandbox, repository, tag, self.image)
        if differs and (is_done or difference(self._sandbox, repository, tag, self._before)):
            yield f"wrong tag {repository}:{tag}: {differs}"

    def _judge_rest(self, name: str) -> Iterator[str]:
        left = [t.name for t in threading.enumerate() if t.name.startswith("oci-push") and t.is_alive()]
        if left:
            yield f"threads left: {left}"
        requests = self._sandbox.traffic.requests
        known = {match for request in requests for match in _UPLOAD_ID.findall(request.path)}
        unheard = sum(1 for r in requests if r.method == "POST" and r.fault)
        # A DELETE that was broken itself is all that could be done. And a registry that says that a session is gone
        # or done, or sends us elsewhere for it, has only itself to ask.
        excused = [
            r
            for r in requests
            if r.status == 404
            or (r.fault and (r.method == "DELETE" or r.status == 204 or r.fault in ("Headers", "Redirect")))
        ]
        broken = {match for r in excused for match in _UPLOAD_ID.findall(r.path)}
        open_now = {u.id for u in self._sandbox.store.uploads() if u.repository.startswith(f"{name}/")} - broken
        if open_now & known or len(open_now - known) > unheard:
            yield f"sessions left open: {sorted(open_now)}"
        if self._sandbox.problems:
            yield f"the sandbox broke: {self._sandbox.problems}"

    def _filled(self, kind: Kind) -> Action:
        def fill(text: str) -> str:
            other = self._other.url.replace("127.0.0.1", "localhost")  # another name is another host
            return text.replace("{own}", self._sandbox.url).replace("{other}", other)

        action = kind.action
        match action:
            case Answer():
                return dataclasses.replace(action, headers={k: fill(v) for k, v in action.headers.items()})
            case Headers():
                return dataclasses.replace(action, set={k: fill(v) for k, v in action.set.items()})
            case Redirect():
                return dataclasses.replace(action, location=fill(action.location).replace("{{path}}", "{path}"))
        return action


@contextmanager
def sweep(scenario: Scenario, folder: Path) -> Iterator[Sweep]:
    """Give a sweep of a scenario with its registries running."""
    with Sandbox(options=scenario.options) as sandbox, Sandbox() as other:
        yield Sweep(scenario, folder, sandbox, other)


def plant(store: Store, repository: str, image: Layout, tags: Sequence[str]) -> None:
    """Put an image into a repository without any request."""
    waiting, nodes = [Digest.parse(image.digest)], list[Manifest]()
    while waiting:
        digest = waiting.pop()
        raw = (image.path / "blobs" / digest.algorithm / digest.encoded).read_bytes()
        nodes.append(Manifest.parse(raw, "", digest))
        waiting.extend(child.digest for child in nodes[-1].children)
    for blob in image.blobs:
        digest = Digest.parse(blob)
        copy = image.path / f"copy-{digest.encoded}"
        shutil.copyfile(image.path / "blobs" / digest.algorithm / digest.encoded, copy)
        store.add_blob(repository, digest, copy)
    for node in reversed(nodes):
        stored = describe(node.raw, node.media_type, node.digest)
        store.add_manifest(repository, stored, node.raw, tuple(tags) if str(node.digest) == image.digest else ())
