"""Variables as commands get them: options, files, the environment, git and the CI service, in order of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Struct

from oci_push.cli.inputs import read_bytes
from oci_push.cli.options import Var, given_source, pairs
from oci_push.cli.words import Option
from oci_push.errors import ConfigError
from oci_push.language.integrations import Config
from oci_push.library.variables import gather
from oci_push.runtime.clock import Clock
from oci_push.variables.dotenv import parse_dotenv
from oci_push.variables.lookup import Variables
from oci_push.variables.system import ReadGit


class VariableOptions(Struct, frozen=True):
    """Variables that are given by hand."""

    var: Var = None
    var_file: Annotated[list[Path] | None, Option("Set the variables of a dotenv file.", metavar="FILE")] = None


def gather_variables(
    given: VariableOptions,
    config: Config,
    env: Mapping[str, str],
    clock: Clock,
    *,
    own: Mapping[str, str] | None = None,
    read_git: ReadGit | None = None,
) -> Variables:
    """Return all sources together, in order of precedence; raises `ConfigError` for options and files that are wrong.

    A later option wins over an earlier one. `own` are those that a pipeline brings along. `read_git` asks git, about
    the working folder if it is not given.
    """
    files = [given_source(f"--var-file {path}", _read_file(path)) for path in reversed(given.var_file or [])]
    options = [given_source("--var", pairs(given.var, "--var", "NAME=VALUE")), *files]
    return gather(options, config, env, clock, own=own or {}, read_git=read_git)


def _read_file(path: Path) -> Mapping[str, str]:
    try:
        return parse_dotenv(read_bytes(path).decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{path}: the file is not UTF-8 text") from problem
