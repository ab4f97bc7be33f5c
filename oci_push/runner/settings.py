"""What a run of a pipeline may be told, beside what the file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from oci_push.language.steps import MAX_WAIT_S
from oci_push.runner.simulate import Assumed
from oci_push.runner.simulated_results import SimulatedResults

MAX_STEPS_AT_ONCE = 64
"""How many steps of a parallel pipeline really run at one moment; each has threads of its own."""


class RunSettings(Struct, frozen=True):
    """The run's own switches.

    `assumed` are results of steps that oci-push does not run itself. `requires_push` fails a run in which no push step
    ran, or lets it pass; where nothing is said it fails, unless a step's own conditions wanted it so. `env` is what
    allowed shell commands see. `read_file` gives the text of a file that an annotation names, or nothing.
    """

    assumed: SimulatedResults = field(default_factory=lambda: SimulatedResults({}))
    foreign_succeeds: bool = False
    auto_push: bool = False
    allow_exec: bool = False
    annotate_referrer: bool = False
    max_wait_s: float = MAX_WAIT_S
    requires_push: bool | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    read_file: Callable[[str], str | None] = lambda _: None

    def as_assumed(self) -> Assumed:
        """Return the part that a simulation needs."""
        return Assumed(
            self.assumed,
            self.foreign_succeeds,
            self.auto_push,
            self.max_wait_s,
            requires_push=self.requires_push,
        )
