"""`oci-push man`: the manual page, made from what `--help` is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oci_push import __version__
from oci_push.cli.app import ABOUT, GROUPS, command_of
from oci_push.cli.command import run_command
from oci_push.cli.describe import describe
from oci_push.cli.examples import EXAMPLES
from oci_push.cli.output import say_text
from oci_push.errors import CODES, PAGE
from oci_push.runtime.context import Context

_EXIT = (
    ("0", "All went well."),
    ("1", "Of several targets some failed; or something else went wrong."),
    ("2", "The command line, a pipeline or a configuration is wrong. Nothing was done."),
    ("3", "The image cannot be read."),
    ("4", "A login is missing or cannot be used."),
    ("5", "The registry refused."),
    ("6", "No answer came: network, proxy or TLS."),
    ("7", "A time limit ended the work."),
    ("130, 143", "Stopped by Ctrl-C or SIGTERM."),
)
_ENVIRONMENT = (
    ("OCI_PUSH_CONFIG", "Names an oci-push.yaml that is trusted, as --config does."),
    ("OCI_PUSH_ALLOW_ENV", "What an oci-push.yaml that was found may use, as --allow-env does."),
    ("DOCKER_CONFIG, REGISTRY_AUTH_FILE, DOCKER_AUTH_CONFIG", "Where logins are: a folder, a file, the text itself."),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "Proxies, by the rules of curl."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificate authorities in the place of the system's."),
    ("TMPDIR", "Where temporary files go, if --tmpdir names no folder."),
)
_FILES = (
    ("oci-push.yaml", "Registries, beside the pipeline or in the working folder."),
    ("~/.config/oci-push/oci-push.yaml", "The user's own."),
    ("~/.docker/config.json, containers/auth.json", "Logins, as docker and podman keep them."),
)


def man() -> None:
    """Print the manual page, in the form that man(1) reads."""

    def work(context: Context) -> int:
        say_text(page())
        return 0

    run_command(work, what="man")


def page() -> str:
    """Return the whole page as roff."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield f'.TH OCI\\-PUSH 1 "" "oci\\-push {_text(__version__)}" "User Commands"'
    yield from (".SH NAME", f"oci\\-push \\- {_text(ABOUT.rstrip('.'))}")
    yield from (".SH SYNOPSIS", ".B oci\\-push", ".I COMMAND", "[ARGS]...")
    yield from (".SH DESCRIPTION", f"{_text(ABOUT)}")
    yield "Each command has its options and examples below; oci\\-push COMMAND \\-\\-help prints the same."
    for title, group in GROUPS.items():
        yield f'.SH "{_text(title.upper())}"'
        yield from _commands(group)
    for title, rows in (("EXIT STATUS", _EXIT), ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        yield f'.SH "{title}"'
        for name, text in rows:
            yield from _row(name, text)
    yield from (".SH ERRORS", f"Each error names a code, which is explained at {_text(PAGE)}:")
    for code, meaning in CODES.items():
        yield from _row(code, f"{meaning.title}.")


def _commands(table: Mapping[str, Any], *above: str) -> Iterator[str]:
    for name, (_, place) in table.items():
        if isinstance(place, str):
            yield from _command((*above, name), place)
        else:
            yield from _commands(place, *above, name)


def _command(path: tuple[str, ...], place: str) -> Iterator[str]:
    described = describe(command_of(place))
    name = " ".join(path)
    yield f'.SS "{_text(f"oci-push {name} {described.usage}".rstrip())}"'
    for number, paragraph in enumerate(described.paragraphs):
        yield from ([".PP"] if number else [])
        yield _text(paragraph)
    for heading, rows in described.headings.items():
        yield from (".PP", f".B {_text(heading)}")
        for row in rows:
            yield from _row(row.written, row.text)
    for number, example in enumerate(EXAMPLES.get(name, ())):
        yield from ([] if number else [".PP", ".B Examples"])
        yield from (".TP", _text(example.text), ".nf", _text(example.line), ".fi")


def _row(name: str, text: str) -> Iterator[str]:
    yield from (".TP", f".B {_text(name)}", _text(text))


def _text(text: str) -> str:
    """Return a text as roff prints it as it is: hyphens that may be copied, no line that is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("~", "\\(ti")
    escaped = escaped.replace("'", "\\(aq").replace("^", "\\(ha").replace("`", "\\(ga")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
