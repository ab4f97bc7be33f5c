"""`oci-push validate`: everything that is wrong or strange about pipeline files, without running anything."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from msgspec import Struct, field

from oci_push.cli.command import run_command, takes
from oci_push.cli.inputs import read_bytes, read_config, tell_found
from oci_push.cli.options import CONFIG_NAME, AsJson, ConfigOptions, Var, given_source, pairs
from oci_push.cli.output import say, say_form
from oci_push.cli.words import SAFETY, Argument, Option
from oci_push.errors import ConfigError, Diagnostic
from oci_push.forms import ValidationForm
from oci_push.language.integrations import Config
from oci_push.language.parse import read_pipeline
from oci_push.language.schema_registries import Known
from oci_push.runtime.context import Context
from oci_push.variables.lookup import Variables, VariableSource
from oci_push.variables.system import MEANINGS

_STDIN = "<stdin>"
_SECRET = re.compile("password|credentials|secretAccessKey", re.IGNORECASE)
_LONGEST_LINE = 160


@takes(ConfigOptions)
def validate(
    pipelines: Annotated[
        list[Path], Argument(metavar="PIPELINE.yml...", help="Pipeline files; - reads one from stdin.")
    ],
    var: Var = None,
    strict: Annotated[bool, Option("Refuse also what only the vendor's own validator refuses.", under=SAFETY)] = False,
    as_json: AsJson = False,
    *,
    config: ConfigOptions,
) -> None:
    """Check pipeline files: all problems at once, with their places. Exit 0 if valid, 2 if not.

    Keys, types and what they mean together are always checked, expressions and branch patterns as far as they can be
    before a run. Where an oci-push.yaml is named by --config, or found beside the pipeline, in the working folder or in
    the user's folder, registries and variables are checked against it as well (codes 200 to 207, and 400). Without one
    nothing is said about registries, and AWS keys that cannot be right are warnings.
    """

    def work(context: Context) -> int:
        with _no_collecting():
            checked = [_check(path, config, var, strict=strict) for path in dict.fromkeys(pipelines)]
        errors = tuple(dict.fromkeys(problem for one in checked for problem in one.errors))
        warnings = tuple(dict.fromkeys(problem for one in checked for problem in one.warnings))
        if as_json:
            say_form(ValidationForm.of(_name(pipelines[0]), errors, warnings))
        else:
            tell_found(*(one.config for one in checked))
            _print(checked, errors, warnings)
        return 2 if errors else 0

    run_command(work, what="validate")


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Keep Python from looking for circles: a file becomes trees, and looking takes longer than checking them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Checked(Struct, frozen=True):
    """What checking one file gave; `text` is for showing lines of it."""

    name: str
    text: str
    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...] = ()
    has_config: bool = False
    config: Config = field(default_factory=Config)


def _check(path: Path, config: ConfigOptions, var: list[str] | None, *, strict: bool) -> _Checked:
    name = _name(path)
    known, settings = None, Config()
    errors: tuple[Diagnostic, ...] = ()
    try:
        raw = read_bytes(path)
        given = pairs(var, "--var", "NAME=VALUE")
    except ConfigError as problem:
        return _Checked(name, "", problem.problems)
    try:
        settings = read_config(None if str(path) == "-" else path, config, os.environ)
        known = _known(settings, given) if settings.path else None
    except ConfigError as problem:
        errors = problem.problems
    reading = read_pipeline(raw, name, known)
    found = (*reading.errors, *(reading.upstream if strict else ()))
    return _Checked(
        name,
        raw.decode("utf-8-sig", "replace"),
        (*errors, *_ordered(found)),
        (*settings.warnings, *_ordered(reading.warnings)),
        has_config=known is not None or bool(errors),
        config=settings,
    )


def _known(config: Config, given: Mapping[str, str]) -> Known:
    """Return what pipelines are checked against. Git is not asked: a variable that only a run has counts as known."""
    variables = Variables(
        [
            given_source("--var", given),
            VariableSource(f"variables: in {CONFIG_NAME}", config.variables, is_literal=not config.is_named),
            VariableSource("environment", os.environ, is_literal=True),
        ],
        secrets=config.secrets,
    )

    def lookup(name: str) -> str | None:
        token = f"${{{{{name}}}}}"
        if variables.lookup(name) is None:
            return token if name in MEANINGS else None
        try:
            return variables.interpolate(token).text
        except ConfigError:  # a circle; it is said when the variable is used
            return token

    return Known(config, lookup)


def _ordered(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(problems, key=lambda one: (one.line, one.column))


def _name(path: Path) -> str:
    return _STDIN if str(path) == "-" else str(path)


def _print(checked: list[_Checked], errors: tuple[Diagnostic, ...], warnings: tuple[Diagnostic, ...]) -> None:
    lines = {one.name: one.text.split("\n") for one in checked}
    for kind, problems in (("error", errors), ("warning", warnings)):
        for problem in problems:
            _print_problem(kind, problem, lines.get(problem.file, []))
    say(f"{_counted(len(errors), 'error')}, {_counted(len(warnings), 'warning')}")
    if not all(one.has_config for one in checked):
        say(f"registries were not checked: no {CONFIG_NAME} was found (--config names one)")


def _print_problem(kind: str, problem: Diagnostic, lines: list[str]) -> None:
    place = f"{problem.file}:{problem.line}:{problem.column}: " if problem.line else ""
    code = f" [{problem.code}]" if problem.code else ""
    say(f"{place}{kind}: {problem.message.rstrip()}{code}")
    shown = lines[problem.line - 1].rstrip("\r") if 0 < problem.line <= len(lines) else ""
    # A line that may hold a secret is not shown, nor one that no screen is wide enough for.
    if shown.strip() and len(shown) <= _LONGEST_LINE and not _SECRET.search(f"{shown} {problem.path}"):
        before = "".join("\t" if char == "\t" else " " for char in shown[: problem.column - 1])
        say(f"    {shown}")
        say(f"    {before}^")
    if problem.hint:
        say(f"  hint: {problem.hint}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
