"""What to write instead: the mistakes that people make with this language, known by their errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from oci_push.expressions.functions import FUNCTIONS
from oci_push.expressions.javascript.values import Value

_DASHED = re.compile(r"[\w$]+(?:-[\w$]+)+(?=\.)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NEVER = re.compile(r"""\.result\s*[!=]=\s*["'](finished|error|failed|succeeded)["']""")
_VARIABLE = re.compile(r"\$\{\{(.{1,200}?)\}\}")
_STRANGE_BLANKS = frozenset("\xa0\u200b\u2007\u202f\ufeff")
_TYPE_ANEW = "there is a blank that is not the usual one: type it anew"
_INSTEAD = {
    "contains": "includes",
    "test": "match",
    "toUpperCase": "upper",
    "toLowerCase": "lower",
    "replaceAll": "replace",
    "substr": "substring",
    "slice": "substring",
    "trimStart": "trimLeft",
    "trimEnd": "trimRight",
}
_IN_WORDS = {"startsWith": 'match(text, "^start", false)', "endsWith": 'match(text, "end$", false)'}
_OPERATORS = {"===": "==", "!==": "!=", "&": "&&", "|": "||"}
_SIGNATURES = {
    "match": 'match(text, "regular expression", false); the last argument tells whether case is ignored',
    "replace": "replace(text, what, by)",
    "substring": "substring(text, start, end)",
}


def find_hint(text: str, error: str, position: int, names: Mapping[str, Value]) -> str:
    """Return what to write instead, or nothing.

    `text` is the expression and `position` the place of the error in it; without an error, what is true but surely not
    meant is looked for.
    """
    if not error:
        return _suspicion(text)
    for pattern, advise in _ADVICE.items():
        found = re.match(pattern, error, re.DOTALL)
        if found:
            return advise(_Case(text, text[position:], names, found[1] if found.re.groups else ""))
    return ""


class _Case(Struct, frozen=True):
    """What a piece of advice may look at: `word` is what the error names, `here` the text from its place on."""

    text: str
    here: str
    names: Mapping[str, Value]
    word: str


def _suspicion(text: str) -> str:
    if found := _NEVER.search(text):
        return f"a step's result is never {found[1]!r}: it is success, failure, skipped, pending or running"
    if "match(" in text and any(escape[1] in "dDwWsS." for escape in _ESCAPE.finditer(text)):
        return r'a backslash in a text must be doubled: match("v1", "^v\\d$", false)'
    return ""


def _identifier(case: _Case) -> str:
    if not _STRANGE_BLANKS.isdisjoint(case.word):
        return _TYPE_ANEW
    if case.here.startswith("Variable"):
        return _similar(case.word, case.names)
    if dashed := _dashed(case):
        return f'a name with a dash is read as a subtraction: write Variable("{dashed}")'
    if case.word.lower() in ("true", "false", "null"):
        return f"write {case.word.lower()}"
    if case.word in FUNCTIONS:
        return f"{case.word} is a function: write {case.word}(…)"
    return _similar(case.word, case.names) or 'put a text in quotes, and a variable too: "${{NAME}}"'


def _member(case: _Case) -> str:
    if not _STRANGE_BLANKS.isdisjoint(case.word):
        return _TYPE_ANEW
    if dashed := _dashed(case):
        return f'a name with a dash is read as a subtraction: write Variable("{dashed}")'
    steps = case.names.get("steps")
    return _similar(case.word, {"result": None, **(steps if isinstance(steps, Mapping) else {})})


def _dashed(case: _Case) -> str:
    """Find the name with a dash of which only the start was read."""
    known = (name for name in case.names if "-" in name and case.here.startswith(name))
    found = max(known, key=len, default="")
    if not found and (written := _DASHED.match(case.here)):
        found = written[0]
    return found


def _similar(word: str, names: Mapping[str, Value]) -> str:
    close = difflib.get_close_matches(word[:100], [name for name in names if len(name) <= 100], 1, 0.75)
    return f"did you mean {close[0]}?" if close else ""


def _undefined(name: str) -> str:
    return f'the variable {name.strip()} is not set; in quotes it stays as it is written: "${{{{{name.strip()}}}}}"'


def _unexpected(case: _Case) -> str:
    if case.word == "=":
        return "write == to compare"
    if case.word == "{" and (variable := _VARIABLE.search(case.text)):
        return _undefined(variable[1])
    return ""


def _compound(case: _Case) -> str:
    word = re.match(r"\s*(and|or|not)\b", case.here, re.IGNORECASE)
    if word:
        return f"write {({'and': '&&', 'or': '||', 'not': '!'})[word[1].lower()]} for {word[1]}"
    return "an operator is missing here; texts are put in quotes, conditions joined with && or ||"


def _function(case: _Case) -> str:
    if case.word in _IN_WORDS:
        return f"write {_IN_WORDS[case.word]}"
    known = {name.lower(): name for name in FUNCTIONS}
    instead = _INSTEAD.get(case.word) or known.get(case.word.lower())
    if instead is None:
        close = difflib.get_close_matches(case.word[:100].lower(), known, 1)
        instead = known[close[0]] if close else None
    return f"did you mean {instead}?" if instead else f"there are {', '.join(FUNCTIONS)}"


def _signature(case: _Case) -> str:
    return f"write {_SIGNATURES[case.word]}" if case.word in _SIGNATURES else ""


def _argument(case: _Case) -> str:
    if case.word == "Member":
        return 'write Member(Variable("name"), "member")'
    if case.word == "substring":
        return "indexes are numbers, without quotes"
    return ""


def _always(advice: str) -> Callable[[_Case], str]:
    return lambda case: advice


_ADVICE: Mapping[str, Callable[[_Case], str]] = MappingProxyType(
    {
        r"Invalid identifier: '(.*)'": _identifier,
        r"Undefined identifier member: '(.*)'": _member,
        r"Invalid identifier member": _always('write a.b for a["b"], or Member(a, "b")'),
        r"Invalid binary operator: (.*)": lambda case: (
            f"write {_OPERATORS[case.word]}" if case.word in _OPERATORS else "the language has no such operator"
        ),
        r'Unexpected "(.)"': _unexpected,
        r"Unclosed quote": _always(
            "a quote inside a text needs a backslash before it, or the other kind round the text"
        ),
        r"Cannot handle compound": _compound,
        r"Unknown function: '(.*)'": _function,
        r"Invalid function name type: 'MemberExpression'": _always(
            'texts have no functions: write includes(text, "x")'
        ),
        r"Expected \d+ arguments for function '(.*)'": _signature,
        r"Invalid argument #\d+ of type \w+ for function '(\w+)'": _argument,
        r"The operator (?:&&|\|\||!) cannot be used with": _always('compare, or convert: Boolean("text")'),
        r"The operator \S+ cannot be used with (?:number,string|string,number)\.": _always(
            "both sides must be of one type: convert with Number(…) or String(…)"
        ),
        r"Cannot evaluate object": _always("compare one of its members, such as .result"),
        r"Trinary": _always("use && and || instead"),
        r"Array": _always("compare with each value, joined with ||"),
        r"Variable names cannot start": _always("put a text in quotes"),
        r"More than \d+ calls": _always('join the regular expressions: match(text, "one|other", false)'),
        r"length must be": _always("shorten it, or the variables in it"),
    }
)
