"""The command line's entry: one table of commands, of which only the one that is called is imported.

What the root itself says (`--help`, `--version`, an unknown command) comes from the table, before Typer is imported: a
person who asks for the version waits for Python and nothing else.
"""

from __future__ import annotations

import os
import sys

from oci_push import __version__

TYPE_CHECKING = False  # importing `typing` to learn this would double the time of --version
if TYPE_CHECKING:
    from typing import Any, NoReturn

    import typer

ABOUT = "Push container images to registries over HTTP: no daemon, no root."

GROUPS: dict[str, dict[str, tuple[str, str, str]]] = {
    "Images": {
        "push": ("push", "push", "Push an image to one or several repositories."),
    },
    "Pipelines": {
        "run": ("run", "run", "Run a pipeline's push steps."),
        "plan": ("plan", "plan", "Show what a pipeline would do, without a registry."),
        "validate": ("validate", "validate", "Check pipeline files, with line and column."),
        "eval": ("evaluate", "evaluate_command", "Evaluate a condition, and say why."),
        "variables": ("variables", "variables_command", "List a pipeline's variables and where they are from."),
        "schema": ("schema", "schema", "Print JSON Schemas of pipelines and configurations, for editors."),
    },
    "Logins": {
        "login": ("login", "login", "Log in to a registry and keep the login."),
        "logout": ("login", "logout", "Remove a login."),
        "whoami": ("whoami", "whoami", "Show which user goes to which registry."),
        "auth": ("auth", "auth", "Explain how a repository's registry lets us in."),
    },
    "Registries": {
        "doctor": ("doctor", "doctor", "Examine a registry with real requests."),
        "sandbox": ("sandbox", "sandbox", "Serve a registry on loopback, to rehearse with."),
        "integrations": ("integrations", "integrations", "Take over registries that are described elsewhere."),
        "ecr": ("ecr", "ecr", "Amazon ECR's own settings."),
    },
}
"""What the root's help lists: module and function of each command, and a summary of at most 62 characters."""

COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
_COMPLETION = ("--install-completion", "--show-completion")
_HELP = ("-h", "--help")
_OPTIONS = (
    ("-h, --help", "Show this; `oci-push COMMAND --help` tells more."),
    ("--version", "Print the version."),
    ("--install-completion", "Set up completion for the current shell."),
    ("--show-completion", "Print what sets it up."),
)


def start() -> None:
    """Run the program as a process of its own, which ends at once: taking it apart takes as long as half of a start.

    By then results are printed, files written and what was learnt is kept; nothing waits for the interpreter's end.
    """
    try:
        main()
        code = 0
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        code = end.code or 0
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code)


def main() -> None:
    """Run the program; where all went well but stdout did not take the results, end with 1."""
    words = sys.argv[1:]
    completing = os.environ.get("_OCI_PUSH_COMPLETE", "")
    if not completing and words[:1] == ["--version"]:
        _show(f"oci-push {__version__}", 0)
    if not completing and (not words or words[0] in _HELP):
        _show(root_help(), 0 if words else 2)
    from oci_push.cli.output import lost_results, open_doors, tell
    from oci_push.secret import learn_logins

    open_doors()
    for word in sys.argv:
        learn_logins(word)
    try:
        _run(words, is_completing=bool(completing))
    except SystemExit as end:
        lost = lost_results()
        if lost is None:
            raise
        tell(f"error: the results could not be printed: {lost.strerror}")
        raise SystemExit(end.code or 1) from None


def _show(text: str, code: int) -> NoReturn:
    """Print a text of ours alone, which needs no cleaning, and end."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except OSError:
        os._exit(code or 1)
    sys.exit(code)


def _run(words: list[str], *, is_completing: bool) -> None:
    if is_completing or words[0] in _COMPLETION:
        typed = os.environ.get("_TYPER_COMPLETE_ARGS", "") or os.environ.get("COMP_WORDS", "")
        named = next((word for word in typed.split()[1:] if word in COMMANDS), "")
        _make(named, with_completion=True)(prog_name="oci-push")
    elif words[0] in COMMANDS:
        _make(words[0], with_completion=False)(prog_name="oci-push")
    else:
        _refuse(words[0])


def root_help() -> str:
    """Return what `--help` prints before any command."""
    width = max(map(len, COMMANDS))
    lines = ["Usage: oci-push COMMAND [ARGS]...", "", f"  {ABOUT}"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:{width}}  {summary}" for name, (_, _, summary) in group.items())]
    lines += ["", "Options:", *(f"  {name:20}  {text}" for name, text in _OPTIONS)]
    return "\n".join(lines)


def _make(named: str, *, with_completion: bool) -> typer.Typer:
    """Build Typer's application; of the commands that are not `named` it knows the name and the summary alone."""
    import typer

    from oci_push.cli.command import Command

    app = typer.Typer(
        name="oci-push",
        help=ABOUT,
        no_args_is_help=True,
        add_completion=with_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": list(_HELP)},
    )
    app.callback()(_root)
    for name, (_, _, summary) in COMMANDS.items():
        if name != named:
            app.command(name, help=summary)(_root)
            continue
        found = command_of(name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, cls=Command)(found)
    return app


def command_of(name: str) -> Any:
    """Return what a command calls, or its group of commands, importing it now."""
    import importlib

    module, function, _ = COMMANDS[name]
    return getattr(importlib.import_module(f"oci_push.cli.{module}"), function)


def _root() -> None:
    """Push container images to registries over HTTP: no daemon, no root."""


def _refuse(word: str) -> None:
    import difflib

    from oci_push.cli.output import tell

    near = difflib.get_close_matches(word, (*COMMANDS, *_HELP, "--version", *_COMPLETION), n=1)
    kind = "option" if word.startswith("-") else "command"
    tell(f"error: no such {kind}: {word!r}")
    tell(f"  hint: {f'did you mean {near[0]}?' if near else 'see oci-push --help'}")
    sys.exit(2)
