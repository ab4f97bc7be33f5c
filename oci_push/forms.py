"""The JSON of values, made from their types: reports, plans, events, errors, and their published JSON Schemas.

msgspec writes structures, numbers and enumerations. Digests, references and paths are text in JSON, an error is its
`ErrorForm`, and a secret is always ``***``. What is written can be read back into an equal value, but for secrets.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from oci_push import errors
from oci_push.errors import ConfigError, Diagnostic, OciPushError
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference, Repository, split
from oci_push.secret import MASK, Json, Secret

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

Version = Literal[1]
VERSION: Version = 1
"""Of every published form. Keys may be added under one version; none changes its meaning or goes away."""


class ErrorForm(Struct, frozen=True):
    """An error as data: its class, its message, its hint and its exit code; `code` and `link` as people are told.

    `problems` are the places of a configuration error; reports leave them out.
    """

    type: str
    message: str
    hint: str | None
    exit_code: int
    problems: tuple[Diagnostic, ...] | UnsetType = UNSET
    code: str | UnsetType = UNSET
    link: str | UnsetType = UNSET

    @classmethod
    def of(cls, error: OciPushError) -> ErrorForm:
        """Return an error as reports show it."""
        return cls(type(error).__name__, str(error), error.hint, error.exit_code, code=error.code, link=error.link)

    @classmethod
    def or_none(cls, error: OciPushError | None) -> ErrorForm | None:
        """Return an error as reports show it, or nothing for none."""
        return cls.of(error) if error is not None else None

    def error(self) -> OciPushError:
        """Return an error of the same class, text, hint and exit code; of an unknown class it is an `OciPushError`."""
        kind = getattr(errors, self.type, OciPushError)
        if not (isinstance(kind, type) and issubclass(kind, OciPushError)):
            kind = OciPushError
        made: OciPushError = kind(self.message)
        if isinstance(made, ConfigError) and self.problems:
            made = ConfigError(self.message, problems=self.problems)
        if self.code in errors.CODES:
            made = made.with_code(str(self.code))
        return made.with_hint(self.hint).with_exit_code(self.exit_code)


class ProblemForm(Struct, frozen=True):
    """One problem of a file; `code` is null where the vendor has no number for it."""

    file: str
    line: int
    column: int
    path: str
    code: int | None
    message: str
    hint: str | None

    @classmethod
    def of(cls, problem: Diagnostic, file: str) -> ProblemForm:
        """Return a problem; one without a file is one of `file`."""
        code = problem.code or None
        return cls(
            problem.file or file, problem.line, problem.column, problem.path, code, problem.message, problem.hint
        )


class ValidationForm(Struct, frozen=True):
    """What ``validate --json`` prints."""

    version: Version
    valid: bool
    errors: tuple[ProblemForm, ...]
    warnings: tuple[ProblemForm, ...]

    @classmethod
    def of(cls, file: str, failed: Iterable[Diagnostic], warned: Iterable[Diagnostic]) -> ValidationForm:
        """Return what was found; a problem without a file is one of `file`."""
        found = tuple(ProblemForm.of(one, file) for one in failed)
        return cls(VERSION, not found, found, tuple(ProblemForm.of(one, file) for one in warned))


def derive(kind: type[S], value: Struct, **changed: object) -> S:
    """Return a form of type `kind` with the fields that `value` has under the same names, and those given."""
    same = {name: getattr(value, name) for name in kind.__struct_fields__ if name not in changed}
    return kind(**same, **changed)


def encode(value: object) -> bytes:
    """Return a value's JSON."""
    return msgspec.json.encode(to_builtins(value))


def decode(data: bytes | str, kind: type[T] | Any) -> T:
    """Read JSON into a value of a type; raises ``ValueError`` for what is none."""
    try:
        found: T = from_builtins(msgspec.json.decode(data), kind)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem
    return found


def to_builtins(value: object) -> Json:
    """Return a value as what the standard library's ``json`` writes."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple(_READERS)):
        return str(value)
    if isinstance(value, OciPushError):
        form = ErrorForm.of(value)
        return to_builtins(structs.replace(form, problems=value.problems) if isinstance(value, ConfigError) else form)
    if isinstance(value, Struct):
        tag = value.__struct_config__.tag
        found: dict[str, Json] = {str(value.__struct_config__.tag_field): tag} if tag is not None else {}
        for name, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            item = getattr(value, name)
            if item is not UNSET:
                found[key] = to_builtins(item)
        return found
    if isinstance(value, Mapping):
        return {str(to_builtins(key)): to_builtins(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_builtins(item) for item in value]
    return value


def from_builtins(value: Json, kind: Any) -> Any:
    """Read what `to_builtins` has made into a value of type `kind`; raises ``ValueError``."""
    origin, kinds = get_origin(kind), get_args(kind)
    if kind in _READERS:
        return _READERS[kind](msgspec.convert(value, str))
    if kind is Secret:
        return Secret(MASK)
    if isinstance(kind, type) and issubclass(kind, OciPushError):
        return from_builtins(value, ErrorForm).error()
    if isinstance(kind, type) and issubclass(kind, Struct):
        found = msgspec.convert(value, dict[str, Any])
        known = {one.name: found[one.encode_name] for one in _fields(kind) if one.encode_name in found}
        types = {one.name: one.type for one in _fields(kind)}
        try:
            return kind(**{name: from_builtins(item, types[name]) for name, item in known.items()})
        except TypeError as problem:
            raise ValueError(f"{kind.__name__}: {problem}") from problem
    if origin is tuple:
        items = msgspec.convert(value, list)
        each = [kinds[0]] * len(items) if kinds[1:] == (...,) else kinds
        return tuple(from_builtins(item, inner) for item, inner in zip(items, each, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        pairs = msgspec.convert(value, dict[str, Any]).items()
        return {from_builtins(key, kinds[0]): from_builtins(item, kinds[1]) for key, item in pairs}
    if origin in (Union, UnionType):
        return _one_of(value, kinds)
    return msgspec.convert(value, kind)


def _one_of(value: Json, kinds: tuple[Any, ...]) -> Any:
    """Read a value of a union: nothing, one of several structures with tags, the only structure, or a plain value."""
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind not in (type(None), UnsetType))
    if len(kinds) == 1:
        return from_builtins(value, kinds[0])
    if isinstance(value, Mapping):
        for kind in kinds:
            config = kind.__struct_config__
            if value.get(config.tag_field) == config.tag:
                return from_builtins(value, kind)
        raise ValueError(f"{str(value)[:80]} is none of {', '.join(kind.__name__ for kind in kinds)}")
    return msgspec.convert(value, Union[kinds])  # noqa: UP007  # made of what is only known here


@lru_cache(128)
def _fields(kind: type[Struct]) -> tuple[structs.FieldInfo, ...]:
    return structs.fields(kind)


def schema(title: str, *kinds: type) -> dict[str, object]:
    """Return the JSON Schema of forms, any of which may stand there."""
    made, parts = msgspec.json.schema_components(kinds, schema_hook=lambda _: {"type": "string"})
    for kind in _READERS:
        if kind.__name__ in parts:
            parts[kind.__name__] = {"type": "string", "title": kind.__name__}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **(made[0] if len(made) == 1 else {"anyOf": list(made)}),
        "$defs": parts,
    }


def _repository(text: str) -> Repository:
    host, _, path = text.partition("/")  # as it is written: no rules for short names
    return Repository(host, path)


def _reference(text: str) -> Reference:
    name, tag, digest = split(text)
    return Reference(_repository(name), tag, digest)


_READERS: dict[Any, Callable[[str], object]] = {
    Digest: Digest.parse,
    Repository: _repository,
    Reference: _reference,
    Path: Path,
}
"""What is text in JSON, with how it is read."""
