"""What a run of a pipeline may be told, beside what the file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import field

from oci_push.runner.simulate import Assumed

MAX_STEPS_AT_ONCE = 64
"""How many steps of a parallel pipeline really run at one moment; each has threads of its own."""


class RunSettings(Assumed, frozen=True):
    """What is assumed of steps that oci-push does not run itself, and the run's own switches.

    `env` is what allowed shell commands see. `read_file` gives the text of a file that an annotation names, or nothing.
    """

    allow_exec: bool = False
    annotate_referrer: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    read_file: Callable[[str], str | None] = lambda _: None
