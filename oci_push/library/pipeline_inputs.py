"""A pipeline joined with its configuration, variables, candidates and assumptions; and where a rehearsal goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.integrations import Config
from oci_push.language.parse import Reading
from oci_push.language.registry_choice import add_stand_ins
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import Pipeline, flatten
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.sources.table import GRAMMAR
from oci_push.variables.lookup import Variables


class Inputs(Struct, frozen=True):
    """Everything that was read; `stand_ins` are registries that a rehearsal has and nobody describes."""

    pipeline: Pipeline
    resolve_context: ResolveContext
    simulated_results: SimulatedResults
    warnings: tuple[Diagnostic, ...]
    stand_ins: tuple[str, ...]


def join_inputs(
    reading: Reading,
    read_config: Callable[[], Config],
    gather: Callable[[Config, Pipeline], Variables],
    candidates: Mapping[str, str],
    assumed: Sequence[str],
    *,
    for_run: bool,
    with_login: bool,
    **resolving: Any,
) -> Inputs:
    """Check it all against one another; raises `ConfigError` with everything that is wrong.

    `candidates` are images by step, `assumed` are ``STEP=RESULT``. A run without logins is a rehearsal. `resolving` are
    further fields of `ResolveContext`.
    """
    if reading.pipeline is None:
        raise ConfigError(problems=reading.errors)
    parsed = reading.pipeline
    config = read_config()
    config = replace(config, lacking={**parsed.lacking, **config.lacking})
    known = frozenset(step.name for step in flatten(parsed.steps))
    for step in candidates:
        if step not in known:
            raise ConfigError(f"candidate of {step}: the pipeline has no step {step!r}")
    variables = gather(config, parsed)
    stand_ins: Sequence[str] = ()
    if for_run and not with_login:
        config, stand_ins = add_stand_ins(parsed, config, variables)
    resolve_context = ResolveContext(
        config,
        variables,
        parsed.builds(),
        {**config.candidates, **candidates},
        GRAMMAR,
        steps=known,
        with_login=with_login,
        wants_images=for_run,
        **resolving,
    )
    simulated = SimulatedResults.parse(assumed, parsed)
    return Inputs(parsed, resolve_context, simulated, (*config.warnings, *reading.warnings), tuple(stand_ins))


@contextmanager
def rehearsal_registry(wanted: bool) -> Iterator[str]:
    """Give the address of a registry inside this process, empty where none is wanted."""
    if not wanted:
        yield ""
        return
    from oci_push.sandbox.server import RehearsalRegistry

    with RehearsalRegistry() as sandbox:
        yield sandbox.address
