"""Hooks: the forms an event may be written in.

A list of commands; one step; ``{steps, mode, fail_fast, strict_fail_fast}``; any of these under `exec` beside
`metadata` and `annotations`; or those two alone. The vendor's validator refuses a list under `exec` beside
annotations, which its documentation shows: here it is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Mapping, Node, Sequence
from oci_push.language.expand import HOOK_EVENTS
from oci_push.language.schema import Anything, Boolean, Choice, Field, Fields, Items, String, must, not_allowed
from oci_push.language.schema_notes import NOTES

CheckStep: TypeAlias = Callable[[str, Node, str], None]
"""Check a step that stands in a hook: its name, node and path."""

FORBIDDEN = ("debug", "on_start", "on_finish", "on_fail", "hooks", "stage")
"""What a step in a hook must not have; ``on_success`` is not among them, as upstream."""
GROUP = Fields(
    {
        "steps": Field(Anything({"type": "object"}), "Steps of the hook.", required=True),
        "mode": Field(Choice(("sequential", "parallel")), "In order, or together.", default="sequential"),
        "fail_fast": Field(Boolean(), "Whether a failure stops the hook.", default=True),
        "strict_fail_fast": Field(Boolean(strict=True), "Whether the hook fails after all.", default=False),
    }
)
WITH_NOTES = ("exec", "metadata", "annotations")


def check_hooks(node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    """Check the value of a `hooks` key."""
    if not isinstance(node, Mapping):
        diagnostics.error(node.mark, path, must("hooks", "be an object", node))
        return
    for entry in node.entries:
        event, where = entry.key.text, f"{path}.{entry.key.text}"
        if event in HOOK_EVENTS:
            _check_hook(event, entry.value, where, diagnostics, check_step)
        else:
            diagnostics.error(entry.key.mark, where, not_allowed(event, HOOK_EVENTS))


def _check_hook(event: str, node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    if not isinstance(node, Mapping) or not any(node.entry(key) for key in WITH_NOTES):
        _check_actions(event, node, path, diagnostics, check_step)
        return
    notes = Mapping(node.mark, tuple(entry for entry in node.entries if entry.key.text in NOTES.fields))
    NOTES.check(event, notes, path, diagnostics)
    for entry in node.entries:
        where = f"{path}.{entry.key.text}"
        if entry.key.text == "exec":
            if isinstance(entry.value, Sequence) and notes.entries:
                hint = "the documentation shows it, and the commands are read"
                diagnostics.refused_upstream(entry.value.mark, where, '"value" must be an object', hint=hint)
            _check_actions("exec", entry.value, where, diagnostics, check_step)
        elif entry.key.text not in WITH_NOTES:
            diagnostics.error(entry.key.mark, where, not_allowed(entry.key.text, WITH_NOTES))


def _check_actions(key: str, node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    if isinstance(node, Sequence):
        Items(String()).check(key, node, path, diagnostics)
        return
    steps = node.get("steps") if isinstance(node, Mapping) else None
    if steps is None:
        check_step(key, node, path)
        return
    GROUP.check(key, node, path, diagnostics)
    if not isinstance(steps, Mapping):
        diagnostics.error(steps.mark, f"{path}.steps", must("steps", "be an object", steps))
        return
    for entry in steps.entries:
        check_step(entry.key.text, entry.value, f"{path}.steps.{entry.key.text}")
