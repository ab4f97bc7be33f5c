"""`oci-push mutate`: what an image's config says, changed without its layers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import read_platform
from oci_push.cli.edits import NewTag, listener, pairs, show_edit
from oci_push.cli.looking import TransferAccess
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.words import SOURCE, TARGET, Argument, Option
from oci_push.errors import ConfigError
from oci_push.library.edits import EditPlace
from oci_push.model.changes import Changes, ConfigChanges
from oci_push.runtime.context import Context
from oci_push.sources.rewriting.config import said_time

_PORT = r"\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp|sctp))?"
_GONE = "-"
"""The word that takes a field away, since an empty one is most often a variable that was not set."""


@takes(TransferAccess)
def mutate(
    source: Annotated[str, Argument(metavar="REF|SOURCE", help="An image of a registry, or any SOURCE with a DEST.")],
    destination: Annotated[
        str, Argument(metavar="[DEST]", help="HOST[:PORT]/REPO[:TAG[,TAG…]]; without it the tag that was read.")
    ] = "",
    label: Annotated[
        list[str] | None, Option("Set a label; KEY- takes it away.", short="-l", metavar="KEY=VALUE", under=TARGET)
    ] = None,
    env: Annotated[
        list[str] | None, Option("Set a variable; NAME- takes it away.", short="-e", metavar="NAME=VALUE", under=TARGET)
    ] = None,
    entrypoint: Annotated[
        str,
        Option("Its entrypoint: words as in a shell, or a JSON list; - takes it away.", metavar="WORDS", under=TARGET),
    ] = "",
    cmd: Annotated[str, Option("Its command, in the same way.", metavar="WORDS", under=TARGET)] = "",
    user: Annotated[str, Option("Who runs it; - takes it away.", metavar="USER[:GROUP]", under=TARGET)] = "",
    workdir: Annotated[str, Option("Where it runs; - takes it away.", metavar="DIR", under=TARGET)] = "",
    created: Annotated[
        str, Option("When it was made, as RFC 3339 or in seconds since 1970.", metavar="TIME", under=TARGET)
    ] = "",
    expose: Annotated[
        list[str] | None, Option("A port that it serves; PORT- takes it away.", metavar="PORT[/tcp|/udp]", under=TARGET)
    ] = None,
    volume: Annotated[
        list[str] | None, Option("A folder that is a volume; DIR- takes it away.", metavar="DIR", under=TARGET)
    ] = None,
    stop_signal: Annotated[
        str, Option("The signal that stops it; - takes it away.", metavar="SIGNAL", under=TARGET)
    ] = "",
    platform: Annotated[
        str, Option("Of an index, change only this image.", metavar="OS/ARCH[/VARIANT]", under=SOURCE)
    ] = "",
    tag: NewTag = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: TransferAccess,
) -> None:
    """Change what the config of an image says, or of every image of an index, and tell the new digest.

    No layer is read, and none is sent where it is there already. What is not named stays as it is, the history, too.
    """

    def work(context: Context) -> int:
        config = ConfigChanges(
            labels=pairs(label or (), "--label"),
            env=pairs(env or (), "--env"),
            entrypoint=_words("--entrypoint", entrypoint),
            cmd=_words("--cmd", cmd),
            user=_text(user),
            working_dir=_text(workdir),
            created=_time(created),
            exposed={_port(name): is_there for name, is_there in _names("--expose", expose).items()},
            volumes=_names("--volume", volume),
            stop_signal=_text(stop_signal),
            platform=read_platform(platform),
        )
        if config == ConfigChanges(platform=config.platform):
            raise ConfigError("nothing is to be changed", hint="such as --label KEY=VALUE; see oci-push mutate --help")
        changes = Changes(config=config)
        place = EditPlace.of(source, destination, tag or (), "--tag")
        sources = () if place.is_own else (source,)
        with looking.looking(context, access, sources=sources, repositories=[place.goes_to.repository]) as look:
            done, errors = place.edit(look, changes, listener(is_quiet=quiet or as_json))
        return show_edit(done, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="mutate", timeout_s=access.timeout_s)


def _text(word: str) -> str | None:
    """Return what a field is set to: ``None`` for what was not given, an empty text to take it away."""
    return None if not word else "" if word == _GONE else word


def _words(name: str, text: str) -> tuple[str, ...] | None:
    """Read the words of a command, as a shell parts them or as a JSON list; none take it away."""
    if not text:
        return None
    if text == _GONE:
        return ()
    try:
        found = json.loads(text) if text.startswith("[") else shlex.split(text)
        if not found or not all(isinstance(one, str) for one in found):
            raise ValueError("not a list of words")
    except ValueError as problem:
        raise ConfigError(
            f"{name} {text!r}: {problem}", hint='write it as in a shell, or as a JSON list: ["app", "--serve"]'
        ) from problem
    return tuple(found)


def _names(option: str, texts: Sequence[str] | None) -> dict[str, bool]:
    """Read names that are set, and with ``-`` at the end taken away."""
    found: dict[str, bool] = {}
    for text in texts or ():
        name = text.removesuffix("-")
        if not name or name in found:
            raise ConfigError(f"{option} {text!r}: {'is there twice' if name else 'has no name'}")
        found[name] = name == text
    return found


def _port(text: str) -> str:
    """Return a port as docker writes it, with its protocol; raises `ConfigError`."""
    if not re.fullmatch(_PORT, text) or not all(0 < int(one) < 65536 for one in text.partition("/")[0].split("-")):
        raise ConfigError(f"--expose {text!r}: is no port", hint="such as 8080 or 53/udp; 8080- takes it away")
    return text if "/" in text else f"{text}/tcp"


def _time(text: str) -> str | None:
    """Read when an image was made (RFC 3339, or seconds since 1970); raises `ConfigError`."""
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            return said_time(int(text))
        if datetime.fromisoformat(text).tzinfo is None or not re.match(r"\d{4}-\d\d-\d\d[Tt]", text):
            raise ValueError("has no zone")
    except (ValueError, OverflowError, OSError) as problem:
        raise ConfigError(
            f"--created {text!r}: is no time", hint="such as 2026-01-02T03:04:05Z, or seconds since 1970"
        ) from problem
    return text
