"""`oci-push completion`: the scripts that complete words in shells, and the table that they are answered from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from oci_push.cli.app import COMMANDS, COMPLETE, command_of
from oci_push.cli.command import run_command
from oci_push.cli.output import say_text
from oci_push.cli.words import Argument, Option, Parameter, parameters
from oci_push.runtime.context import Context
from oci_push.sources.table import SOURCES

_BASH = """\
# Completion of oci-push for bash; in ~/.bashrc: source <(oci-push completion bash)
_oci_push() {
    local flags line program=${COMP_WORDS[0]} typed=${COMP_LINE:0:COMP_POINT} breaks=$COMP_WORDBREAKS
    COMPREPLY=()
    {
        IFS= read -r flags
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done
    } < <("$program" @ASK@ bash "$typed" "$breaks" 2>/dev/null)
    if [[ $flags == *files* ]]; then
        compopt -o filenames 2>/dev/null
    fi
    if [[ $flags == *nospace* ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _oci_push oci-push
"""
_ZSH = """\
#compdef oci-push
# Completion of oci-push for zsh; in ~/.zshrc, after compinit: source <(oci-push completion zsh)
_oci_push() {
    local flags line
    local -a lines values shown how
    lines=("${(@f)$("${words[1]}" @ASK@ zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    flags=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        values+=("${line%%$'\\t'*}")
        [[ $line == *$'\\t' ]] && shown+=("${line%%$'\\t'*}") || shown+=("${line/$'\\t'/  -- }")
    done
    [[ $flags == *nospace* ]] && how+=(-S '')
    (( $#values )) && compadd "${how[@]}" -l -d shown -a values
}
if [[ $funcstack[1] == _oci_push ]]; then
    _oci_push "$@"
else
    compdef _oci_push oci-push
fi
"""
_FISH = """\
# Completion of oci-push for fish: oci-push completion fish > ~/.config/fish/completions/oci-push.fish
function __oci_push
    set -l words (commandline -opc)
    set -l program $words[1]
    set -l current (commandline -ct)
    set -e words[1]
    command $program @ASK@ fish $words "$current" 2>/dev/null
end
complete -c oci-push -f -a '(__oci_push)'
"""
SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": _BASH, "zsh": _ZSH, "fish": _FISH})
"""By shell; @ASK@ stands for the word that asks for candidates."""

Values: TypeAlias = "str | tuple[str, ...] | None"
_KINDS = {
    **dict.fromkeys(
        (
            "FILE",
            "FILE...",
            "FILE[:TYPE]",
            "FILE[:TYPE]...",
            "FILE[:TYPE]... DESTINATION",
            "JSON",
            "PEM",
            "PIPELINE.yml",
        ),
        "file",
    ),
    **dict.fromkeys(("PIPELINE.yml...", "RULES.yml"), "file"),
    "FOLDER": "folder",
    "SOURCE": "source",
    **dict.fromkeys(("DESTINATION...", "REF", "REF...", "REPO"), "host"),
    **dict.fromkeys(("HOST|INTEGRATION", "[HOST|INTEGRATION]...", "[REF|INTEGRATION]", "REF|INTEGRATION"), "registry"),
}
"""What values are, by what help calls them; all others are nobody's to know."""


def completion(shell: Annotated[str, Argument("For which shell.", metavar="SHELL", choices=tuple(SCRIPTS))]) -> None:
    """Print the script that completes words in a shell.

    It knows commands, options and their values, files and folders, the forms of a SOURCE, and the registries of an
    oci-push.yaml. It asks the program itself at each TAB, so it need not be made anew when that is updated.
    """

    def work(context: Context) -> int:
        say_text(SCRIPTS[shell].replace("@ASK@", COMPLETE))
        return 0

    run_command(work, what="completion")


def table() -> dict[str, Any]:
    """Return what `cli.complete_words` holds: options once, commands with the numbers of theirs."""
    options: list[Any] = []
    commands: dict[str, Any] = {}
    for path, summary, command in _walk(COMMANDS):
        if command is None:
            commands[path] = (summary, None, ())
            continue
        takes = parameters(command)
        numbers = []
        for one in takes:
            if isinstance(one.marker, Option):
                entry = _option(one)
                if entry not in options:
                    options.append(entry)
                numbers.append(options.index(entry))
        arguments = [(_values(one), one.is_many) for one in takes if isinstance(one.marker, Argument)]
        commands[path] = (summary, tuple(arguments), tuple(numbers))
    return {"COMMANDS": commands, "OPTIONS": tuple(options), "SCHEMES": tuple(_schemes())}


def _walk(commands: Mapping[str, Any], *above: str) -> Iterator[tuple[str, str, Any]]:
    for name, (summary, place) in commands.items():
        path = " ".join((*above, name))
        if isinstance(place, str):
            yield path, summary, command_of(place)
        else:
            yield path, summary, None
            yield from _walk(place, *above, name)


def _option(one: Parameter) -> tuple[Any, ...]:
    words = tuple(part for name in one.names for part in name.split("/"))
    return words, None if one.kind is bool else _values(one), one.is_many, one.marker.help.partition(". ")[0]


def _values(one: Parameter) -> Values:
    return one.choices or _KINDS.get(one.metavar, "")


def _schemes() -> Iterator[tuple[str, str, str]]:
    for form in SOURCES:
        if form.scheme:
            kind = "folder" if "DIR" in form.written else "file" if "FILE" in form.written else ""
            yield form.scheme, kind, form.written


def source_of_table() -> str:
    """Return the module `cli.complete_words`, as `make words` writes it."""
    found = table()
    return "\n".join(
        [
            '"""The words that shells complete, made from the commands by `make words`; `cli.complete` reads them."""',
            "",
            "# fmt: off",
            "# ruff: noqa: E501",
            "from __future__ import annotations",
            "",
            "TYPE_CHECKING = False",
            "if TYPE_CHECKING:",
            "    from typing import TypeAlias",
            "",
            '    Values: TypeAlias = "str | tuple[str, ...] | None"',
            "",
            "COMMANDS: dict[str, tuple[str, tuple[tuple[Values, bool], ...] | None, tuple[int, ...]]] = {",
            *(f"    {name!r}: {entry!r}," for name, entry in found["COMMANDS"].items()),
            "}",
            '"""By the words of each command: its summary, the arguments and which may repeat, its options."""',
            "OPTIONS: tuple[tuple[tuple[str, ...], Values, bool, str], ...] = (",
            *(f"    {entry!r}," for entry in found["OPTIONS"]),
            ")",
            '"""Words, kind of value (nothing of a flag), whether it may repeat, and what it does."""',
            "SCHEMES: tuple[tuple[str, str, str], ...] = (",
            *(f"    {entry!r}," for entry in found["SCHEMES"]),
            ")",
            '"""Of sources: what they begin with, what follows, and how they are written."""',
            "",
        ]
    )
