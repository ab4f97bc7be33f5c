"""Secrets: text that never shows itself, and whatever shows text can take every known one out of it.

Making a `Secret` makes its text known to `masked`, whoever read it and wherever, so that what a server, a title or a
command's output repeats is found by every door without being told. The list of them is this program's one piece of
module state: a password read by one part of a run must not be printed by another that never heard of it.

How a text is found again: as it is, in any letter case; with characters escaped as URLs, JSON, Python and HTML do; and
inside base64, at each of the three places where it can begin there.

A text may have been cut before it came here: the first 16 characters of a longer secret are enough to find it.

What is not looked for: values shorter than 4 characters; common words, and plain numbers shorter than 6 digits, which
would maim every line. Values of 4 and 5 characters are found as whole words only.
"""

from __future__ import annotations

import base64
import hmac
import re
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

from msgspec import Struct

MASK = "***"

_MOST = 2048
_LEAST, _LEAST_INSIDE, _LEAST_LINE, _HEAD = 4, 6, 12, 16
_MOST_REST = 256
_START = 4
_LEAST_TOKEN, _DIGIT = 20, re.compile("[0-9]")
_COMMON_WORDS = """
access admin administrator anonymous auth basic bearer branch build builder changeit changeme container default
development docker dockerhub empty example false github gitlab guest hello image images latest localhost login main
manifest master mongo mysql none null oauth2accesstoken password passwd postgres prod production proxy public push
redis refresh_token registry release repository robot root sandbox secret secrets service staging success test testing
token true undefined user username version
"""
_COMMON = frozenset(_COMMON_WORDS.split())

Json: TypeAlias = object
"""What the standard library's ``json`` writes."""


class Secret:
    """Wrap a password, token or key; `reveal()` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _KNOWN.add(text)

    def reveal(self) -> str:
        """Return the text, for the one place that sends it."""
        _KNOWN.add(self._text)
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_raw(self._text), _raw(other._text))

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")


def masked(text: str) -> str:
    """Return `text` without known secrets, and without the logins and signatures of URLs. Do it before cutting."""
    spans = sorted(_KNOWN.spans(text))
    pieces: list[str] = []
    end = 0
    for start, stop in spans:
        if start >= end:
            pieces += (text[end:start], MASK)
        end = max(end, stop)
    return _without_logins("".join([*pieces, text[end:]]))


def masked_json(value: Json) -> Json:
    """Return a JSON value with every text in it masked; what is no text stays as it is."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {masked(key) if isinstance(key, str) else key: masked_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked_json(inner) for inner in value]
    return value


def learn_logins(text: str) -> None:
    """Make the passwords of URLs in `text` known; in front of a web address a token may stand alone, or a name."""
    for match in _URL_LOGIN.finditer(text) if "@" in text else ():
        alone = match["alone"] or ""
        found = match["password"] or (alone if len(alone) >= _LEAST_TOKEN and _DIGIT.search(alone) else "")
        if found:
            Secret(found)
            Secret(unquote(found))


# A colon, digits and a slash are a port. Whatever else follows the colon is a password, also with / in it.
_URL_LOGIN = re.compile(
    r"(?P<lead>//|https?:/)(?P<user>[^\s/?#@:]{0,256}):(?!\d*(?:[/?#\s]|$))(?P<password>[^\s\"'<>]{0,1024})@"
    r"|(?P<scheme>https?://?)(?P<alone>[^\s/?#@:]{1,1024})@",
    re.IGNORECASE,
)
_NAMED_LOGIN = re.compile(
    r"(?<![\w/:@.%-])(?P<user>[\w.%+~-]{1,256}):(?!//)(?P<password>[^\s/@:\"'<>]{1,1024})@"
    r"(?!sha\d+:)(?=[\w-]+\.[\w.-]*\w|localhost\b|[\w-]+:\d|\[)"
)

_SIGNATURE = re.compile(
    r"(?<=[?&;])((?:x-amz-|x-goog-)?(?:signature|security-token|credential)"
    r"|sig|_state|password|passwd|secret|client_secret|token|access_token|refresh_token|id_token|api_?key)"
    r"=[^&\s\"'<>#]+",
    re.IGNORECASE,
)


def _without_logins(text: str) -> str:
    if "=" in text:
        text = _SIGNATURE.sub(rf"\1={MASK}", text)
    if "@" not in text:
        return text
    text = _URL_LOGIN.sub(lambda m: f"{m['scheme'] or m['lead'] + m['user'] + ':'}{MASK}@", text)
    return _NAMED_LOGIN.sub(lambda m: f"{m['user']}:{MASK}@", text)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class _Known:
    """The secrets of this process; the one that was used the longest time ago makes room for a new one.

    A run of many uploads knows a thousand, and masks every line: spellings are found by how their anchors begin.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_text: dict[str, tuple[_Form, ...]] = {}
        self._by_start: dict[str, list[_Form]] = {}

    def add(self, text: str) -> None:
        """Make a text known, or the most recently used one."""
        with self._lock:
            forms = self._by_text.pop(text, None)
            if forms is None:
                forms = tuple(_forms(text))
                for form in forms:
                    self._by_start.setdefault(form.start, []).append(form)
            self._by_text[text] = forms
            if len(self._by_text) > _MOST:
                self._forget(self._by_text.pop(next(iter(self._by_text))))

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Return where known secrets stand in `text`; they may overlap."""
        lowered = text.lower()
        with self._lock:
            if len(self._by_start) > len(lowered):
                # The last one is empty, as the start of an anchor too short for one.
                starts = self._by_start.keys() & {lowered[at : at + _START] for at in range(len(lowered) + 1)}
            else:
                starts = {start for start in self._by_start if start in lowered}
            forms = [form for start in starts for form in self._by_start[start] if form.anchor in lowered]
        for form in forms:
            yield from form.spans(text)

    def _forget(self, forms: tuple[_Form, ...]) -> None:
        for form in forms:
            left = self._by_start[form.start]
            left.remove(form)
            if not left:
                del self._by_start[form.start]


class _Form:
    """One spelling of a secret; `anchor` is in lower case and in every text that holds it, and quickly looked for.

    `start` is how a long enough anchor begins, else nothing.
    """

    __slots__ = ("_head", "_is_word", "_pattern", "_rest", "anchor", "start")

    def __init__(self, text: str, *, is_word: bool = False) -> None:
        self._head, self._rest = text[:_HEAD], text[_HEAD:]
        self._is_word = is_word
        self._pattern: re.Pattern[str] | None = None
        self.anchor = max(re.findall("[0-9A-Za-z]+", self._head), key=len, default="").lower()
        self.start = self.anchor[:_START] if len(self.anchor) >= _START else ""

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        if self._pattern is None:
            spelled = "".join(map(_spellings, self._head))
            if self._rest and len(self._rest) < _MOST_REST:
                spelled += f"(?P<rest>{''.join(map(_spellings, self._rest))})?"
            self._pattern = re.compile(rf"(?<!\w){spelled}(?!\w)" if self._is_word else spelled, re.IGNORECASE)
        for match in self._pattern.finditer(text):
            end = match.end()
            is_whole = match.groupdict().get("rest") is not None
            for char in "" if is_whole else self._rest:  # cut, or too long for a pattern
                more = _spelled(char).match(text, end)
                if more is None:
                    break
                end = more.end()
            yield match.start(), end


def _forms(text: str) -> Iterator[_Form]:
    text = text.strip()
    if len(text) < _LEAST or text.lower() in _COMMON or (text.isdigit() and len(text) < _LEAST_INSIDE):
        return
    yield _Form(text, is_word=len(text) < _LEAST_INSIDE)
    if len(text) < _LEAST_INSIDE:
        return
    lines = text.splitlines()
    if len(lines) > 1:  # a key file: it is printed line by line
        yield from (_Form(line.strip()) for line in lines if len(line.strip()) >= _LEAST_LINE)
    raw = _raw(text)
    for shift in range(3):
        packed = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        # The first and the last sign hold bits of what stands beside it as well.
        first = (shift * 8 + 5) // 6
        yield _Form(packed[first : (shift + len(raw)) * 8 // 6])


_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


@lru_cache(maxsize=256)
def _spelled(char: str) -> re.Pattern[str]:
    return re.compile(_spellings(char), re.IGNORECASE)


def _spellings(char: str) -> str:
    """Return a pattern for a character as it is, and as it is escaped elsewhere."""
    if char.isascii() and char.isalnum():
        return char
    number = ord(char)
    units = char.encode("utf-16-be", "surrogatepass")
    ways = [
        "".join(f"%(?:25)*{byte:02x}" for byte in _raw(char)),
        "".join(rf"\\+u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)),
        rf"&\#(?:0*{number}|x0*{number:x});",
    ]
    if number < 256:
        ways.append(rf"\\+x{number:02x}")
    if char == " ":
        ways.append(r"\+")
    if char in "+-/_":  # base64 has two alphabets
        ways.append("[+-]" if char in "+-" else "[/_]")
    if char in _NAMED:
        ways.append(f"&{_NAMED[char]};")
    if char in _LETTERS:
        ways.append(rf"\\+{_LETTERS[char]}")
    return f"(?:{'|'.join(ways)}|\\\\*{re.escape(char)})"  # itself at last, as others begin with it


_KNOWN = _Known()


def repr_without(value: Struct, *hidden: str) -> str:
    """Return how a value shows itself to developers, without the fields that are long or secret."""
    fields = ", ".join(f"{name}={getattr(value, name)!r}" for name in value.__struct_fields__ if name not in hidden)
    return f"{type(value).__name__}({fields})"
