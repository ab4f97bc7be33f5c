"""The pushes of a pipeline as units, decided as its plan decides; hooks and exports are left to `run`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit
from oci_push.errors import ConfigError, OciPushError
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.runner.attempts import push_unit
from oci_push.runner.simulate import PlannedStep
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.work.planning import Layout, look, units_of
from oci_push.work.worker import Describe

_AT_ONCE = 8


def lay_out_steps(
    context: Context, steps: Sequence[PlannedStep], pusher: Pusher, describe: Describe
) -> tuple[Layout, tuple[OciPushError, ...]]:
    """Lay out what the steps of a plan push, reading each image; return it, with what cannot be laid out."""
    layout = Layout()
    running = [one for one in steps if one.runs and one.resolved is not None]
    jobs = [partial(_lay_out, step=one, pusher=pusher, describe=describe, layout=layout) for one in running]
    outcomes = run_all(context, jobs, limit=_AT_ONCE)
    errors: list[OciPushError] = []
    for one, outcome in zip(running, outcomes, strict=True):
        if isinstance(outcome.error, OciPushError):
            context.check()
            errors.append(outcome.error.with_more(f"; this is of step {one.step.name}"))
        elif outcome.error is not None:
            raise outcome.error
    return layout, tuple(errors)


def _lay_out(context: Context, step: PlannedStep, pusher: Pusher, describe: Describe, layout: Layout) -> None:
    resolved = step.resolved
    if resolved is None:
        return
    registries: dict[str, RegistryEndpoint] = {}
    push = _portable(push_unit(resolved, resolved.source, registries), registries, describe, step.step.name)
    pusher = pusher.knowing(registries)
    layout.add(units_of(push, look(push, pusher, context), pusher))


def _portable(push: PushUnit, registries: dict[str, RegistryEndpoint], describe: Describe, step: str) -> PushUnit:
    """Return a push that another machine can do; raises `ConfigError` where it takes what only this pipeline has."""
    for name, endpoint in registries.items():
        if describe(name) != endpoint:
            what = name.partition(" ")[2]
            raise ConfigError(
                f"step {step}: the login for {what} is written in the pipeline, and never goes into a unit",
                hint="describe the registry in oci-push.yaml, or use run --on",
            )
    bare = {name for name, endpoint in registries.items() if endpoint == RegistryEndpoint(endpoint.host)}
    targets = tuple(replace(one, registry="" if one.registry in bare else one.registry) for one in push.targets)
    pulled = "" if push.registry in bare else push.registry
    return replace(push, targets=targets, registry=pulled, is_final=True)
