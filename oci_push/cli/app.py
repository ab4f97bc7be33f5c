"""The command line's entry: a command's module, and what it needs, is imported only when it is called."""

from __future__ import annotations

import importlib
import sys

import typer

from oci_push import __version__
from oci_push.cli.output import lost_results, open_doors, say, tell
from oci_push.model.secret import learn_logins

_COMMANDS = {
    "push": ("oci_push.cli.push", "push"),
    "eval": ("oci_push.cli.evaluate", "evaluate_command"),
    "run": ("oci_push.cli.run", "run"),
    "plan": ("oci_push.cli.plan", "plan"),
    "login": ("oci_push.cli.login", "login"),
    "logout": ("oci_push.cli.login", "logout"),
    "whoami": ("oci_push.cli.whoami", "whoami"),
    "auth": ("oci_push.cli.auth", "auth"),
    "doctor": ("oci_push.cli.doctor", "doctor"),
    "integrations": ("oci_push.cli.integrations", "integrations"),
    "ecr": ("oci_push.cli.ecr", "ecr"),
    "sandbox": ("oci_push.cli.sandbox", "sandbox"),
    "schema": ("oci_push.cli.schema", "schema"),
    "validate": ("oci_push.cli.validate", "validate"),
    "variables": ("oci_push.cli.variables", "variables_command"),
}


def main() -> None:
    """Run the program; where all went well but stdout did not take the results, end with 1."""
    open_doors()
    for word in sys.argv:
        learn_logins(word)
    try:
        _run()
    except SystemExit as end:
        lost = lost_results()
        if lost is None:
            raise
        tell(f"error: the results could not be printed: {lost.strerror}")
        raise SystemExit(end.code or 1) from None


def _run() -> None:
    named = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    wanted = [named] if named in _COMMANDS else list(_COMMANDS)
    app = typer.Typer(
        name="oci-push",
        help="Push container images to registries over HTTP: no daemon, no root.",
        no_args_is_help=True,
        add_completion=named not in _COMMANDS,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in wanted:
        module, function = _COMMANDS[name]
        found = getattr(importlib.import_module(module), function)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    app()


def _version(show: bool) -> None:  # typer calls it with the option's value
    if show:
        say(f"oci-push {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Push container images to registries over HTTP: no daemon, no root."""
