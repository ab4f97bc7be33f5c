"""Copies in other regions as plain text: one line on stdout for each that is there, the failures on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from oci_push.cli.failures import show_error
from oci_push.cli.output import say
from oci_push.engine.replicate import ReplicaResult


def show_replicas(results: Sequence[ReplicaResult], *, is_quiet: bool) -> None:
    """Print each place that serves the image, unless `is_quiet`, and each failure."""
    for result in results:
        if result.error is not None:
            show_error(result.error)
        elif not is_quiet:
            say(f"{result.repository} {result.outcome}")
