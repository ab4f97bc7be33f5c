"""Text made fit to be shown: no secrets, nothing that talks to terminals, to readers' eyes or to the CI that logs it.

CI services read commands out of the logs of what they run, and much of what is logged was written by strangers:
branches, commit messages, titles, names inside of archives, answers of registries. How they look for commands:

* GitHub Actions and Gitea: ``::name …::`` at the start of a line, after blanks; ``##[name]`` anywhere (actions/runner,
  ``ActionCommand.cs``); Azure Pipelines: ``##vso[`` and ``##[`` anywhere;
* TeamCity: ``##teamcity[`` anywhere; GitLab: ``section_start:`` and ``section_end:`` anywhere;
* Buildkite: ``---``, ``+++``, ``~~~`` and ``^^^`` at the start of a line; Travis: ``travis_fold:``, ``travis_time:``.
"""

from __future__ import annotations

import json
import re

from oci_push.secret import Json, masked, masked_json

_COMMANDS = re.compile(
    r"^(?P<blanks>\s*)(?P<start>::|---(?=\s|$)|\+\+\+(?=\s|$)|~~~(?=\s|$)|\^\^\^(?=\s|$))"
    r"|(?P<first>#)(?P<rest>#\s*[A-Za-z_.-]*\[)"
    r"|(?P<word>section|travis)(?P<tail>_(?:start|end|fold|time):)",
    re.IGNORECASE,
)
_BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters and marks, for Unicode, that show nothing."""


def clean(text: str) -> str:
    """Return one line that may be printed: masked, what has no picture as its escape, commands broken up."""
    return defused(plain(masked(text)))


def quoted(text: str, most: int) -> str:
    """Return what others wrote for a message of ours: masked, on one line, and only then cut to `most` characters."""
    line = " ".join("".join(char if is_shown(char) else " " for char in masked(text)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def plain(text: str) -> str:
    """Write what keeps no line, hides, turns text round or would command a terminal as its escape; tabs may stay."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(char if is_shown(char) or char == "\t" else _escape(char) for char in text)


def is_shown(char: str) -> bool:
    """Return whether a character has a picture of its own, or is the blank."""
    return char.isprintable() and char not in _BLANK_LETTERS


def defused(line: str) -> str:
    """Break up with a blank what a CI would read as a command."""
    return _COMMANDS.sub(_broken, line)


def clean_json(value: Json) -> str:
    """Write JSON, masked and printable; what must not stand in a log is escaped, which its readers undo."""
    text = json.dumps(masked_json(value), indent=2, ensure_ascii=False)
    text = "".join(char if char == "\n" or is_shown(char) else _json_escape(char) for char in text)
    return "\n".join(_COMMANDS.sub(_escaped, line) for line in text.split("\n"))


def _broken(match: re.Match[str]) -> str:
    if match["start"]:
        return f"{match['blanks']}{match['start'][0]} {match['start'][1:]}"
    return f"# {match['rest']}" if match["first"] else f"{match['word']} {match['tail']}"


def _escaped(match: re.Match[str]) -> str:
    if match["start"]:
        return match[0]  # JSON has lines of its own, and texts begin with a quotation mark
    return f"#\\u0023{match['rest'][1:]}" if match["first"] else f"{match['word']}\\u005f{match['tail'][1:]}"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
