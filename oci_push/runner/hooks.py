"""Hooks: what is done before and after a step or the pipeline. Shell commands only run where that was allowed.

Only `on_elected` can fail what it belongs to; the others are told about and never change the outcome.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit, LogMessage
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import Hook, Text, UnsupportedStep
from oci_push.model.outcomes import Status
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runner.notes import NoteWriter
from oci_push.runner.results import Annotation, HookResult
from oci_push.runner.schedule import Rules, Schedule
from oci_push.runner.settings import RunSettings
from oci_push.runtime.commands import run_shell
from oci_push.runtime.context import Context
from oci_push.variables.lookup import Variables

ELECTED = "on_elected"
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_OWN = re.compile(r"PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|LD_.*|DYLD_.*")
"""What the shell and its programs are run by; a variable of a pipeline does not replace it."""
_MOST_VALUE_BYTES = 100_000  # Linux takes 128 KiB for name and value
_NEEDS_LEAVE = "shell commands run only with --allow-exec"

RunSteps = Callable[[Schedule, ResolveContext, Context], Status]
"""Drive a schedule of a hook's steps to its end and return its status."""


class HookRunner(Struct, frozen=True):
    """Run the hooks of one owner: `owner` is a step's name, or ``pipeline``; `image` its image, if it pushed one.

    `states` and `workflow` are what expressions in notes see of the pipeline.
    """

    owner: str
    resolve_context: ResolveContext
    settings: RunSettings
    emit: Emit
    states: Mapping[str, str]
    workflow: str
    run_steps: RunSteps
    image: str = ""

    def run(self, hook: Hook | None, context: Context) -> tuple[HookResult | None, tuple[Annotation, ...]]:
        """Run a hook: notes last, so that they can hold what its steps export."""
        if hook is None:
            return None, ()
        variables = self.resolve_context.variables.inside_hooks()
        result = self._act(hook, variables, context)
        return result, self._write(hook, variables)

    def _act(self, hook: Hook, variables: Variables, context: Context) -> HookResult:
        what = f"{self.owner}: hook {hook.event}"
        try:
            if hook.commands:
                return self._result(hook, what, *run_commands(hook.commands, what, self._shell(variables), context))
            if hook.steps:
                self.emit(LogMessage(f"{what} begins"))
                resolve_context = replace(self.resolve_context, variables=variables)
                rules = Rules(hook.is_parallel, hook.fail_fast, hook.strict_fail_fast)
                status = self.run_steps(
                    Schedule(hook.steps, rules, VariablesEvaluator(variables)), resolve_context, context
                )
                return self._result(hook, what, status, "" if status == Status.SUCCESS else "one of its steps failed")
        except OciPushError as problem:
            return self._result(hook, what, Status.FAILURE, str(problem))
        return HookResult(hook.event, Status.SUCCESS)

    def _result(self, hook: Hook, what: str, status: Status, reason: str) -> HookResult:
        if status == Status.SKIPPED and hook.event == ELECTED:
            status = Status.FAILURE  # what was to come first has not happened
        if status != Status.SUCCESS:
            self.emit(LogMessage(f"{what} ended with {status}: {reason}", "warning"))
        return HookResult(hook.event, status, reason or None)

    def _write(self, hook: Hook, variables: Variables) -> tuple[Annotation, ...]:
        evaluator = VariablesEvaluator(variables)
        names = evaluator.names(self.states, self.workflow)
        writer = NoteWriter(variables, evaluator, names, self.settings.read_file, self.emit, self.image)
        try:
            return writer.write(hook.notes, hook.event)
        except OciPushError as problem:
            self.emit(LogMessage(f"{self.owner}: notes of {hook.event} cannot be made: {problem}", "warning"))
            return ()

    def _shell(self, variables: Variables) -> Shell:
        return Shell(variables, self.settings, self.emit)


class Shell(Struct, frozen=True):
    """Run shell commands, where that is allowed; a variable is in their environment what it is in ``${{NAME}}``.

    ``"$NAME"`` is then a word, whatever a stranger wrote into it, where ``${{NAME}}`` becomes text of the script. Names
    under ``secrets.`` are no names of the shell's: a secret is there only as a variable that refers to it.
    """

    variables: Variables
    settings: RunSettings
    emit: Emit

    def run(self, commands: tuple[Text, ...], context: Context) -> int:
        """Run commands as one script that ends at the first failure; return its exit code."""
        script = "\n".join(self.variables.interpolate(command.text).text for command in commands)
        return run_shell(script, self._environment(), context, lambda line: self.emit(LogMessage(f"  {line}")))

    def _environment(self) -> dict[str, str]:
        env = dict(self.settings.env)
        names = self.variables.names()
        for name in names:
            if not _SHELL_NAME.fullmatch(name) or _SHELL_OWN.fullmatch(name):
                continue
            with contextlib.suppress(ConfigError):  # a circle that nothing here may use
                value = names[name]
                # What no process can be given: one that asks for it sees it unset, and the others run.
                if "\0" not in value and len(value.encode(errors="surrogateescape")) < _MOST_VALUE_BYTES:
                    env[name] = value
                else:
                    env.pop(name, None)
        return env


def run_commands(commands: tuple[Text, ...], what: str, shell: Shell, context: Context) -> tuple[Status, str]:
    """Run commands; return a status and the reason for it."""
    if not shell.settings.allow_exec:
        return Status.SKIPPED, _NEEDS_LEAVE
    shell.emit(LogMessage(f"{what}: runs {len(commands)} commands"))
    try:
        code = shell.run(commands, context)
    except OSError as problem:
        return Status.FAILURE, f"the shell cannot be run ({problem.strerror})"
    return (Status.SUCCESS, "") if code == 0 else (Status.FAILURE, f"its commands ended with exit code {code}")


def run_foreign(step: UnsupportedStep, shell: Shell, context: Context) -> tuple[Status, str]:
    """Run a step of another type inside a hook: its commands, on this machine; its image has no meaning here."""
    if not step.commands:
        return Status.SKIPPED, f"type {step.type} is not run by oci-push"
    return run_commands(step.commands, f"step {step.name}", shell, context)
