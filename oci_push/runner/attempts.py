"""One push step's attempts: resolve, pull, plan, execute, and again as its `retry` block says.

The time limit starts with the step and covers reading the source and all waits. A failure of the configuration, an
exceeded limit and a cancel are final; everything else may be tried again.
"""

from __future__ import annotations

import datetime

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.push import PushResult
from oci_push.engine.replicate import ReplicaResult
from oci_push.errors import ConfigError, DeadlineError, OciPushError
from oci_push.events import Emit, Note, RetryScheduled, StepStarted
from oci_push.language.resolve import ResolvedPush, resolve_build, resolve_push
from oci_push.language.resolve_source import ImageSource
from oci_push.language.resolving import Pushed, ResolveContext
from oci_push.language.steps import BuildStep, PushStep, Retry, wait_s
from oci_push.model.manifest import Manifest
from oci_push.runner.outputs import push_members
from oci_push.runner.pusher import REPLICATION_S, Pusher
from oci_push.runner.regions import serve_everywhere
from oci_push.runner.simulate import step_variables
from oci_push.runtime.context import Context

_LARGEST_DATE_S = 250_000_000_000.0


class AttemptOutcome(Struct, frozen=True):
    """Tell what the attempts of a step came to; `members` are what later steps can know of the push."""

    attempts: int
    waits_s: tuple[float, ...]
    pushed: tuple[PushResult, ...]
    error: OciPushError | None
    resolved: ResolvedPush | None = None
    image_id: str = ""
    replicas: tuple[ReplicaResult, ...] = ()


class _Tried(Struct, frozen=True):
    pushed: tuple[PushResult, ...]
    image_id: str
    error: OciPushError | None
    replicas: tuple[ReplicaResult, ...] = ()


class PushAttempts:
    """Push one step's image; `resolve_context` holds its variables, `resolve` decides what is pushed where."""

    def __init__(
        self, pusher: Pusher, step: PushStep | BuildStep, resolve_context: ResolveContext, emit: Emit, max_wait_s: float
    ) -> None:
        self._pusher = pusher
        self._step = step
        self._context = resolve_context
        self._emit = emit
        self._max_wait_s = max_wait_s

    def run(self, context: Context, title: str, stage: str) -> AttemptOutcome:
        """Try until it succeeds or may not be tried again; raises nothing for what goes wrong with the push."""
        settings = self._step.settings
        inner = context.child(seconds=settings.timeout_s, what=f"step {self._step.name}")
        started = context.clock.monotonic()
        waits: list[float] = []
        tried = _Tried((), "", None)
        resolved: ResolvedPush | None = None
        attempt = 0
        if settings.timeout_s:
            self._emit(Note(_countdown(settings.timeout_s, context.clock.now())))
        try:
            while True:
                attempt += 1
                most = settings.retry.max_attempts
                self._emit(StepStarted(self._step.name, title, stage, attempt, most, settings.timeout_s))
                resolved = self._resolve(attempt)
                tried = self._try(resolved, inner)
                if tried.error is None or not _may_retry(tried.error, attempt, settings.retry):
                    break
                wait = wait_s(settings.retry, attempt, self._max_wait_s)
                self._emit(RetryScheduled(f"step {self._step.name}", str(tried.error), attempt, wait))
                waits.append(wait)
                inner.sleep(wait)
        except OciPushError as problem:
            tried = replace(tried, error=problem)
        failure = tried.error
        if failure is not None and context.reason is not None:
            failure = context.reason  # what a cancel breaks on its way fails for other reasons too
        elif isinstance(failure, DeadlineError) and settings.timeout_s:
            self._emit(Note("Timeout exceeded. Step execution will be terminated", "warning"))
            self._emit(Note("Trying to terminate step execution"))
            self._emit(Note("Step termination completed"))
            failure = DeadlineError(
                f"step {self._step.name}: time limit of {settings.timeout_s:g} s exceeded "
                f"(ended after {context.clock.monotonic() - started:.1f} s)",
                hint="raise timeout: of the step, or see what took the time in the log",
            )
        return AttemptOutcome(attempt, tuple(waits), tried.pushed, failure, resolved, tried.image_id, tried.replicas)

    def _resolve(self, attempt: int) -> ResolvedPush:
        variables = self._context.variables.overlay(step_variables(self._step, attempt))
        resolve_context = replace(self._context, variables=variables)
        if isinstance(self._step, BuildStep):
            return resolve_build(self._step, resolve_context)
        return resolve_push(self._step, resolve_context)

    def _try(self, resolved: ResolvedPush, context: Context) -> _Tried:
        """Push once; an image that cannot be read is looked for in the fallback registries."""
        tried = self._from(resolved, resolved.source, context)
        for source in resolved.source.instead:
            if tried.error is None or tried.pushed or isinstance(tried.error, DeadlineError) or context.is_cancelled:
                break
            self._emit(Note(f"{resolved.source.text} cannot be read ({tried.error}); trying {source.text}", "warning"))
            tried = self._from(resolved, source, context)
        return tried

    def _from(self, resolved: ResolvedPush, source: ImageSource, context: Context) -> _Tried:
        pusher = self._pusher
        repositories = [(target, target.repository) for target in resolved.targets if target.repository is not None]
        try:
            targets = tuple(pusher.target(place, resolved.tags, target.endpoint) for target, place in repositories)
            with pusher.open(source.source, context, given=source.endpoint, targets=len(targets)) as opened:
                pusher.check(opened, targets, context)
                plan = pusher.plan(opened, targets, context)
                image_id = image_id_of(plan.graph.root)
                results = pusher.execute(plan, opened, context)
        except OciPushError as problem:
            return _Tried((), "", problem)
        failed = next((result.error for result in results if result.error is not None), None)
        done = _Tried(results, image_id, failed)
        if failed is not None or resolved.served_in is None or pusher.is_rehearsal:
            return done
        return self._served(done, resolved.served_in, context)

    def _served(self, done: _Tried, regions: tuple[str, ...], context: Context) -> _Tried:
        """Wait until every region serves what was pushed; a region that does not is the step's failure."""
        found: list[ReplicaResult] = []
        inner = context.child(seconds=REPLICATION_S, what="waiting for replication")
        clients = self._pusher.clients
        try:
            for result in done.pushed:
                if result.endpoint is not None:
                    found += serve_everywhere(inner, clients, result.endpoint, result, regions, self._emit)
        except OciPushError as problem:
            return replace(done, error=problem, replicas=tuple(found))
        failed = next((replica.error for replica in found if replica.error is not None), None)
        return replace(done, error=failed, replicas=tuple(found))


def exported(done: AttemptOutcome) -> dict[str, str]:
    """Return the members that a successful push has."""
    if done.resolved is None or not done.pushed:
        return {}
    first = done.pushed[0]
    return dict(push_members(done.resolved.registry, first.repository, first.root, done.image_id))


def pushed_image(done: AttemptOutcome) -> Pushed | None:
    """Return what later steps push again when they name this one as their candidate."""
    first = next(iter(done.pushed), None)
    if first is None or first.endpoint is None or done.resolved is None:
        return None
    return Pushed(first.repository, first.root, first.endpoint, done.resolved.image_name)


def read_image_id(pusher: Pusher, source: ImageSource, context: Context) -> str:
    """Return the digest of an image's configuration, for members of build steps; raises `OciPushError`."""
    with pusher.open(source.source, context, given=source.endpoint) as opened:
        return image_id_of(opened.manifest(context, opened.root(context)))


def image_id_of(root: Manifest) -> str:
    """Return the digest of an image's configuration; an index has none and stands for itself."""
    return str(root.config.digest if root.config else root.digest)


def _may_retry(problem: OciPushError, attempt: int, retry: Retry) -> bool:
    final = isinstance(problem, ConfigError | DeadlineError) or problem.exit_code > 128
    return not final and attempt < retry.max_attempts


def _countdown(seconds: float, now: float) -> str:
    end = datetime.datetime.fromtimestamp(min(now + seconds, _LARGEST_DATE_S), datetime.UTC)
    return f"Initializing {seconds:g}s timeout countdown. Timeout estimated at: {end.isoformat(timespec='seconds')}"
