"""What may come next on a command line, for the shell that asks at each TAB.

A person waits for it, so nothing is imported: the words are in a table that is made from the commands
(`cli.complete_words`), and of ``oci-push.yaml`` only the lines that name a registry are looked at. `cli.completion`
prints the scripts that ask here.
"""

from __future__ import annotations

import os

from oci_push.cli.complete_words import COMMANDS, OPTIONS, SCHEMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oci_push.cli.complete_words import Values

    Found = Iterator[tuple[str, str]]

_MOST_BYTES = 1024 * 1024
_GOES_ON = (":", "=", "/")
"""What ends a word that is not yet whole, so that no blank follows it."""
_HELP = ("-h", "--help")


def answer(words: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what may come next, a word a line, with a tab and what it is where the shell shows that.

    The first of `words` is the shell. For ``bash`` the line up to the cursor follows, and what bash breaks words at,
    as it wants the part behind the last break only; for others the words after the program's name, the last one being
    typed. The first line says what the shell must know: ``files`` where the words are names of files, ``nospace`` where
    no blank follows; fish wants no such line.
    """
    shell, *rest = words or ["fish"]
    if shell == "bash":
        line, breaks = (*rest, "", "")[:2]
        typed = split(line)[1:] or [""]
    else:
        breaks, typed = "", list(rest) or [""]
    current = typed[-1]
    found: dict[str, str] = {}
    for value, text in candidates(typed, env):
        if value.startswith(current) and value.isprintable():
            found.setdefault(value, text)
    if shell == "fish":
        return "\n".join(f"{value}\t{text}" for value, text in found.items())
    is_files = any("/" in value or os.path.exists(_path_of(value)) for value in found)
    flags = ["files"] * is_files + ["nospace"] * bool(found and all(value.endswith(_GOES_ON) for value in found))
    if shell == "bash":
        cut = max((current.rfind(mark) + 1 for mark in ":=" if mark in breaks), default=0)
        lines = [value[cut:] for value in found]
    else:
        lines = [f"{value}\t{text}" for value, text in found.items()]
    return "\n".join([" ".join(flags), *lines])


def split(line: str) -> list[str]:
    """Return a line's words as a shell would read them; the last one, which is being typed, may be empty."""
    words, word, quote, is_escaped = [], "", "", False
    for char in line:
        if is_escaped:
            word, is_escaped = word + char, False
        elif char == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote = char
        elif char.isspace():
            if word:
                words.append(word)
            word = ""
        else:
            word += char
    return [*words, word]


def candidates(typed: Sequence[str], env: Mapping[str, str]) -> Found:
    """Return what may stand in the place of the last word, with what it is."""
    *before, current = typed
    path, left = "", list(before)
    while left and (deeper := f"{path} {left[0]}".strip()) in COMMANDS:
        path = deeper
        left.pop(0)
    _, arguments, numbers = COMMANDS.get(path, ("", None, ()))
    if arguments is None:
        if not left:
            yield from _commands(path, current)
        return
    known = {word: number for number in numbers for word in OPTIONS[number][0]}
    place, waiting, given = 0, "", set()
    for word in left:
        name, is_joined, _ = word.partition("=")
        if waiting:
            waiting = ""
        elif name in known:
            given.add(known[name])
            waiting = name if not is_joined and OPTIONS[known[name]][1] is not None else ""
        elif not word.startswith("-") or word == "-":
            place += 1
    if waiting:
        yield from _values(OPTIONS[known[waiting]][1], current, env)
    elif current.startswith("-") and "=" in current:
        name, _, text = current.partition("=")
        if name in known:
            yield from ((f"{name}={value}", text) for value, text in _values(OPTIONS[known[name]][1], text, env))
    elif current.startswith("-"):
        for number in numbers:
            words, _, may_repeat, text = OPTIONS[number]
            if may_repeat or number not in given:
                yield from ((word, text) for word in words if len(word) > 2 or current == word)
        yield from ((word, "Show help.") for word in _HELP if len(word) > 2 or current == word)
    elif arguments:
        kind, repeats = arguments[min(place, len(arguments) - 1)]
        if place < len(arguments) or repeats:
            yield from _values(kind, current, env)


def _commands(above: str, current: str) -> Found:
    start = f"{above} " if above else ""
    for name, (summary, _, _) in COMMANDS.items():
        rest = name.removeprefix(start)
        if name.startswith(start) and rest and " " not in rest:
            yield rest, summary
    if current.startswith("-"):
        yield "--help", "Show help."
        if not above:
            yield "--version", "Print the version."


def _values(kind: Values, text: str, env: Mapping[str, str]) -> Found:
    if isinstance(kind, tuple):
        yield from ((value, "") for value in kind)
    elif kind in ("file", "folder"):
        yield from _paths(text, folders_only=kind == "folder")
    elif kind == "source":
        yield from _sources(text)
    elif kind == "registry":
        yield from (
            (value, f"registry of {place}") for name, host, place in _registries(env) for value in (name, host) if value
        )
    elif kind == "host":
        yield from ((f"{host}/", f"{name} of {place}") for name, host, place in _registries(env) if host)


def _sources(text: str) -> Found:
    for scheme, kind, _ in SCHEMES:
        if text.startswith(scheme):
            if kind:
                found = _paths(text[len(scheme) :], folders_only=kind == "folder")
                yield from ((f"{scheme}{path}", note) for path, note in found)
            return
    yield from ((scheme, written) for scheme, _, written in SCHEMES)
    yield from _paths(text, folders_only=False)


def _paths(text: str, *, folders_only: bool) -> Found:
    folder, slash, start = text.rpartition("/")
    place = os.path.expanduser(folder + slash) or "."
    try:
        with os.scandir(place) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        return
    for name, is_folder in found:
        if (name.startswith(".") and not start.startswith(".")) or (folders_only and not is_folder):
            continue
        yield f"{folder}{slash}{name}{'/' * is_folder}", ""


def _path_of(value: str) -> str:
    """Return the path in a candidate, after an option's name and a scheme."""
    value = value.partition("=")[2] if value.startswith("-") else value
    return next((value[len(scheme) :] for scheme, kind, _ in SCHEMES if kind and value.startswith(scheme)), value)


def _registries(env: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Return name, host and file of the registries of an oci-push.yaml, where each key has a line of its own."""
    own = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME", ""), ".config")
    for place in filter(
        None, (env.get("OCI_PUSH_CONFIG"), "oci-push.yaml", os.path.join(own, "oci-push/oci-push.yaml"))
    ):
        try:
            with open(place, encoding="utf-8", errors="replace") as file:
                lines = file.read(_MOST_BYTES).splitlines()
        except OSError:
            continue
        name = host = ""
        is_inside = False
        for line in [*lines, "end:"]:
            words = line.strip()
            is_item = words == "-" or words.startswith("- ")
            key, colon, value = words.removeprefix("-").strip().partition(":")
            value = value.partition(" #")[0].strip().strip("\"'")
            is_top = line[:1] not in (" ", "-", "#", "")
            if is_top or is_item:
                if name:
                    yield name, "" if "${" in host else host, place
                name = host = ""
            if is_top:
                is_inside = key == "registries"
            elif is_inside and colon and key == "name":
                name = value
            elif is_inside and colon and key == "domain":
                host = value
        return
