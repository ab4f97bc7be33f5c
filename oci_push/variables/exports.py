"""Exports: the outputs of finished steps as variables for what runs after us, in the forms that CIs read.

``imageRepoDigest`` of step ``push-prod`` is ``push_prod_imageRepoDigest``: step and output joined by ``_``, every
other character outside ``[A-Za-z0-9_]`` replaced by ``_``, and one put in front of a digit. Letter case stays, so
that no export is taken for ``PATH`` or a variable of the CI.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import assert_never

from oci_push.errors import ConfigError
from oci_push.runtime.files import write_result
from oci_push.secret import masked
from oci_push.variables.dotenv import format_dotenv

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


class ExportForm(Enum):
    """Name a form of exports."""

    DOTENV = "dotenv"
    GITHUB = "github"
    GITLAB = "gitlab"


def export_name(step: str, output: str) -> str:
    """Return the variable that a step's output is exported as."""
    name = _NOT_IN_NAMES.sub("_", f"{step}_{output}")
    return f"_{name}" if name[0].isdigit() else name


def check_export_names(steps: Iterable[str]) -> None:
    """Refuse steps whose exports would have the same names; for use before anything is pushed."""
    seen: dict[str, str] = {}
    for step in steps:
        # GitHub does not tell names apart by letter case.
        other = seen.setdefault(export_name(step, "").lower(), step)
        if other != step:
            raise ConfigError(
                f"steps {other!r} and {step!r} would be exported under the same names", hint="rename one of them"
            )


def exported_values(steps: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Return all outputs of all steps by their exported names; raises `ConfigError` when two share one."""
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for step, outputs in steps.items():
        for output, value in outputs.items():
            name = export_name(step, output)
            owner = owners.setdefault(name.lower(), f"{step}.{output}")
            if owner != f"{step}.{output}":
                raise ConfigError(f"{owner} and {step}.{output} would both be exported as {name}")
            found[name] = value
    return found


def format_exports(values: Mapping[str, str], form: ExportForm) -> str:
    """Write variables in a form; raises `ConfigError` for a value that it cannot hold."""
    match form:
        case ExportForm.DOTENV:
            return format_dotenv(values)
        case ExportForm.GITHUB:
            return "".join(_for_github(name, value) for name, value in values.items())
        case ExportForm.GITLAB:
            return "".join(_for_gitlab(name, value) for name, value in values.items())
        case _:
            assert_never(form)


def choose_form(path: str, given: str, env: Mapping[str, str]) -> ExportForm:
    """Choose by `given`, else by which of the CI's own files `path` is, else by the CI; raises `ConfigError`."""
    if given:
        try:
            return ExportForm(given)
        except ValueError as problem:
            known = ", ".join(form.value for form in ExportForm)
            raise ConfigError(f"--export-format {given!r} is not known", hint=f"known: {known}") from problem
    if path in (env.get("GITHUB_OUTPUT"), env.get("GITHUB_ENV")):
        return ExportForm.GITHUB
    return ExportForm.GITLAB if env.get("GITLAB_CI") else ExportForm.DOTENV


def _for_github(name: str, value: str) -> str:
    # A delimiter made from the value cannot be put into the value by whoever wrote it.
    delimiter = hashlib.sha256(f"{name}={value}".encode(errors="surrogatepass")).hexdigest()
    while delimiter in value:
        delimiter = hashlib.sha256(delimiter.encode()).hexdigest()
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _for_gitlab(name: str, value: str) -> str:
    # https://docs.gitlab.com/ci/variables/dotenv_variables/: no quotes, no comments, one line for each.
    if "\n" in value or "\r" in value:
        raise ConfigError(f"{name}: GitLab's dotenv reports hold no values of several lines")
    if value != value.strip():
        raise ConfigError(f"{name}: GitLab's dotenv reports hold no blanks around a value")
    return f"{name}={value}\n"


def write_exports(path: Path, form: ExportForm, steps: Mapping[str, Mapping[str, str]]) -> None:
    """Write the outputs of `steps`; raises `ConfigError`.

    GitHub's form is added to what the file holds already, as that file is shared. The others replace the file in one
    move, unless it is a device or a pipe. Others must be able to read them, so known secrets are taken out.
    """
    values = {name: masked(value) for name, value in exported_values(steps).items()}
    text = format_exports(values, form)
    if form is not ExportForm.GITHUB:
        write_result(path, text, "the exports")
        return
    try:
        with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    except OSError as problem:
        raise ConfigError(f"{path}: the exports cannot be written ({problem.strerror})") from problem
