"""One push step's attempts: resolve it, have the unit performed, and again as its `retry` block says.

The time limit starts with the step and covers reading the source and all waits. A failure of the configuration, an
exceeded limit and a cancel are final; everything else may be tried again.
"""

from __future__ import annotations

import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.engine.plan import PushTarget
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import Act, PushUnit, UnitResult, UnitTarget, image_id_of, perform
from oci_push.errors import ConfigError, DeadlineError, OciPushError, UntrustedError
from oci_push.events import Emit, LogMessage, RetryScheduled, StepStarted
from oci_push.language.resolve import ResolvedPush, resolve_build, resolve_push
from oci_push.language.resolve_source import StepImage
from oci_push.language.resolving import Pushed, ResolveContext
from oci_push.language.steps import BuildStep, PushStep, Retry, wait_s
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.runner.outputs import push_outputs
from oci_push.runner.simulate import step_variables
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost

_LARGEST_DATE_S = 250_000_000_000.0


class AttemptOutcome(Struct, frozen=True):
    """What the attempts of a step came to: the last one's result, and the error that counts for the step.

    `targets` are how its repositories were reached; there are none where it failed. `cost` is that of all attempts.
    """

    attempts: int
    waits_s: tuple[float, ...]
    last: UnitResult
    error: OciPushError | None
    resolved: ResolvedPush | None = None
    targets: tuple[PushTarget, ...] = ()
    cost: Cost = field(default_factory=Cost)


class PushAttempts:
    """Push one step's image; `resolve_context` holds its variables, `resolve` decides what goes where, `act` pushes."""

    def __init__(
        self,
        pusher: Pusher,
        step: PushStep | BuildStep,
        resolve_context: ResolveContext,
        emit: Emit,
        max_wait_s: float,
        act: Act = perform,
    ) -> None:
        self._pusher = pusher
        self._step = step
        self._context = resolve_context
        self._emit = emit
        self._max_wait_s = max_wait_s
        self._act = act
        self._cost = Cost()

    def run(self, context: Context, title: str, stage: str) -> AttemptOutcome:
        """Try until it succeeds or may not be tried again; raises nothing for what goes wrong with the push."""
        settings = self._step.settings
        inner = context.child(seconds=settings.timeout_s, what=f"step {self._step.name}")
        started = context.clock.monotonic()
        waits: list[float] = []
        tried = UnitResult()
        resolved: ResolvedPush | None = None
        attempt = 0
        if settings.timeout_s:
            self._emit(LogMessage(_countdown(settings.timeout_s, context.clock.now())))
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
            self._emit(LogMessage("Timeout exceeded. Step execution will be terminated", "warning"))
            self._emit(LogMessage("Trying to terminate step execution"))
            self._emit(LogMessage("Step termination completed"))
            failure = DeadlineError(
                f"step {self._step.name}: time limit of {settings.timeout_s:g} s exceeded "
                f"(ended after {context.clock.monotonic() - started:.1f} s)",
                hint="raise timeout: of the step, or see what took the time in the log",
            )
        targets = self._targets(resolved) if resolved is not None and failure is None else ()
        return AttemptOutcome(attempt, tuple(waits), tried, failure, resolved, targets, self._cost)

    def _resolve(self, attempt: int) -> ResolvedPush:
        variables = self._context.variables.overlay(step_variables(self._step, attempt))
        resolve_context = replace(self._context, variables=variables)
        if isinstance(self._step, BuildStep):
            return resolve_build(self._step, resolve_context)
        return resolve_push(self._step, resolve_context)

    def _try(self, resolved: ResolvedPush, context: Context) -> UnitResult:
        """Push once; an image that cannot be read is looked for in the fallback registries."""
        tried = self._perform(resolved, resolved.source, context)
        for source in resolved.source.instead:
            if (
                tried.error is None
                or tried.results
                or isinstance(tried.error, DeadlineError | UntrustedError)
                or context.is_cancelled
            ):
                break
            self._emit(
                LogMessage(f"{resolved.source.text} cannot be read ({tried.error}); trying {source.text}", "warning")
            )
            tried = self._perform(resolved, source, context)
        return tried

    def _perform(self, resolved: ResolvedPush, source: StepImage, context: Context) -> UnitResult:
        registries: dict[str, RegistryEndpoint] = {}
        unit = push_unit(resolved, source, registries)
        done = self._act(unit, self._pusher.knowing(registries), context, self._emit)
        self._cost += done.cost
        return done

    def _targets(self, resolved: ResolvedPush) -> tuple[PushTarget, ...]:
        return tuple(
            self._pusher.target(one.repository, resolved.tags, one.endpoint)
            for one in resolved.targets
            if one.repository is not None
        )


def push_unit(resolved: ResolvedPush, source: StepImage, registries: dict[str, RegistryEndpoint]) -> PushUnit:
    """Return the unit of a resolved push from `source`; how the registries it names are reached goes to `registries`.

    Pulling and pushing with one integration may differ in roles, so the names tell them apart.
    """

    def named(purpose: str, endpoint: RegistryEndpoint) -> str:
        name = f"{purpose} {endpoint.name}@{endpoint.host}"
        registries[name] = endpoint
        return name

    targets = tuple(
        UnitTarget(one.repository, resolved.tags, named("push", one.endpoint))
        for one in resolved.targets
        if one.repository is not None
    )
    pulled = named("pull", source.endpoint) if source.endpoint is not None else ""
    return PushUnit(source.source, targets, pulled, served_in=resolved.served_in)


def exported(done: AttemptOutcome) -> dict[str, str]:
    """Return the outputs that a successful push has."""
    if done.resolved is None or not done.last.results:
        return {}
    first = done.last.results[0]
    return dict(push_outputs(done.resolved.registry, first.repository, first.root, done.last.image_id))


def pushed_image(done: AttemptOutcome) -> Pushed | None:
    """Return what later steps push again when they name this one as their candidate."""
    if done.resolved is None or not done.last.results or not done.targets:
        return None
    first = done.last.results[0]
    return Pushed(first.repository, first.root, done.targets[0].endpoint, done.resolved.image_name)


def read_image_id(pusher: Pusher, source: StepImage, context: Context) -> str:
    """Return the digest of an image's configuration, for members of build steps; raises `OciPushError`."""
    with pusher.open(source.source, context, given=source.endpoint) as opened:
        return image_id_of(opened.manifest(context, opened.root(context)))


def _may_retry(problem: OciPushError, attempt: int, retry: Retry) -> bool:
    final = isinstance(problem, ConfigError | DeadlineError | UntrustedError) or problem.exit_code > 128
    return not final and attempt < retry.max_attempts


def _countdown(seconds: float, now: float) -> str:
    end = datetime.datetime.fromtimestamp(min(now + seconds, _LARGEST_DATE_S), datetime.UTC)
    return f"Initializing {seconds:g}s timeout countdown. Timeout estimated at: {end.isoformat(timespec='seconds')}"
