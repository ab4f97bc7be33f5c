"""What a SOURCE text means: the rule by which a text is one of the forms that are known.

Nothing is guessed. A registry is named by its scheme or by a first component with a dot, a port or ``localhost``;
a word that looks like a path is one, whether it exists or not; what is neither is an error that lists the forms.
The forms themselves, and who reads each, are `sources.table`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.model.reference import DOCKER_HUB, Reference, is_host, shown

IsPath = Callable[[str], bool]


class SourceForm(Struct, frozen=True):
    """One form of a SOURCE: its scheme, empty where it has none, the kind it means, and how it is written.

    `is_image` says that an image reference comes after the scheme, and not ``PATH[:REF]``; `is_whole` that it is
    neither, and left to who opens it.
    """

    scheme: str
    kind: str
    written: str
    is_image: bool = False
    is_whole: bool = False


_FOREIGN = {
    "docker-daemon": "docker save NAME | oci-push push - DESTINATION",
    "dir": "skopeo copy dir:PATH oci:DIR, then push oci:DIR",
    "sif": "skopeo copy sif:PATH oci:DIR, then push oci:DIR",
    "ostree": "skopeo copy ostree:IMAGE oci:DIR, then push oci:DIR",
    "tarball": "skopeo copy tarball:PATH oci:DIR, then push oci:DIR",
    "atomic": "skopeo copy atomic:IMAGE oci:DIR, then push oci:DIR",
    "http": "write docker://HOST/REPO:TAG, with --plain-http where the registry talks http",
    "https": "write docker://HOST/REPO:TAG",
    "file": "write the path alone, or oci:DIR, oci-archive:FILE, docker-archive:FILE",
}
"""Schemes that other programs have, and what to do instead."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PATH_STARTS = ("./", "../", "/", "~", "\\")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ARCHIVE = re.compile(r"\.(?:tar|tgz|tzst|txz|tbz2?|tar\.(?:gz|zst|zstd|xz|bz2|lz4|lzma|Z))(?=$|:|@)", re.IGNORECASE)


class SourceSpec(Struct, frozen=True):
    """A SOURCE taken apart: `kind` is its form's, `text` what the user wrote."""

    kind: str
    path: str
    ref: str
    text: str


class SourceGrammar(Struct, frozen=True):
    """The forms that are known, and `is_path`, which says whether a file or folder exists."""

    forms: tuple[SourceForm, ...]
    is_path: IsPath

    @property
    def known(self) -> str:
        """Return the forms as help texts and errors list them."""
        return ", ".join(form.written for form in self.forms)

    def parse(self, text: str) -> SourceSpec:
        """Take a SOURCE apart. Raises `ConfigError`."""
        found = self.read(text)
        if found is not None:
            return found
        told = f"source {shown(text)!r}"
        scheme = _SCHEME.match(text)
        unknown = f", and {scheme[0]} is no form that is known" if scheme else ""
        hint = f"write {self.known}"
        if is_host(text.rstrip("/").partition(":")[0]):
            raise ConfigError(f"{told}: no such file or folder, and as a registry it lacks a repository", hint=hint)
        try:
            reference = Reference.parse(text)
        except ValueError:
            problem = f"{told} is neither a file or folder that exists nor an image reference{unknown}"
            raise ConfigError(problem, hint=hint) from None
        raise ConfigError(
            f"{told}: no such file or folder, and it names no registry{unknown}",
            hint=f"for the image of Docker Hub write docker://{reference}; the forms are {self.known}",
        )

    def read(self, text: str) -> SourceSpec | None:
        """Take a SOURCE apart; ``None`` for a word that is no path and names no registry. Raises `ConfigError`."""
        if text == "-":
            return SourceSpec("stdin", "-", "", text)
        form = next((form for form in self.forms if form.scheme and text.startswith(form.scheme)), None)
        if form is not None and form.is_image:
            _check(text, text.removeprefix(form.scheme))
            return SourceSpec(form.kind, text.removeprefix(form.scheme), "", text)
        if form is not None and form.is_whole:
            rest = text.removeprefix(form.scheme)
            if not rest:
                raise ConfigError(f"source {text!r} names no image", hint=f"write {form.written}")
            return SourceSpec(form.kind, rest, "", text)
        if form is not None:
            path, ref = _split_ref(text.removeprefix(form.scheme), self.is_path)
            if not path:
                raise ConfigError(f"source {text!r} names no file", hint=f"write {form.written}")
            return SourceSpec(form.kind, path, ref, text)
        path, ref = _split_ref(text, self.is_path)
        if looks_like_path(text):
            return SourceSpec("file", path, ref, text)
        there, named = self.is_path(path), _names_registry(text)
        if there and named and is_reference(text):
            raise ConfigError(
                f"source {text!r} is a path that exists, and an image on the registry {named} as well",
                hint=f"write ./{text} for the path, docker://{text} for the image",
            )
        if there:
            return SourceSpec("file", path, ref, text)
        if named:
            _check(text, text)
            return SourceSpec("registry", text, "", text)
        self._refuse_scheme(text)
        return None

    def _refuse_scheme(self, text: str) -> None:
        """Raise for the schemes of other programs, and for URLs of any."""
        scheme = _SCHEME.match(text)
        if scheme is None or is_host(text.rstrip("/")):
            return
        instead = _FOREIGN.get(scheme[1].lower())
        if instead is None and not _URL.match(text) and "/" not in text:
            return  # a name with a tag
        raise ConfigError(
            f"source {shown(text)!r}: {scheme[0]} is no form that is known, and no such path exists",
            hint=f"{instead}; the forms are {self.known}" if instead else f"the forms are {self.known}",
        )


def looks_like_path(text: str) -> bool:
    """Return whether a text is written as a path: it begins as one, or ends as an archive does."""
    return text.startswith(_PATH_STARTS) or text in (".", "..") or bool(_DRIVE.match(text) or _ARCHIVE.search(text))


def _names_registry(text: str) -> str:
    """Return the host that a text begins with; empty where it begins with none."""
    host, slash, rest = text.partition("/")
    return host if slash and rest and not rest.startswith("/") and is_host(host) else ""


def _check(text: str, reference: str) -> None:
    try:
        Reference.parse(reference)
    except ValueError as problem:
        raise ConfigError(f"source {shown(text)!r}: {problem}", hint="write docker://HOST/REPO[:TAG]") from problem
    if "/" not in reference and is_host(reference.split(":")[0].partition("@")[0]):
        raise ConfigError(
            f"source {text!r} names a registry and no repository",
            hint=f"write docker://{reference}/REPO[:TAG], or docker://{DOCKER_HUB}/library/{reference}",
        )


def _split_ref(text: str, is_path: IsPath) -> tuple[str, str]:
    """Cut ``PATH[:REF]`` or ``PATH[@DIGEST]``; a path that exists as written wins."""
    if is_path(text):
        return text, ""
    before, at, digest = text.rpartition("@")
    if at and (":" in digest or digest.isdigit()):
        return before.removesuffix(":"), f"@{digest}"
    position = text.find(":")
    while position >= 0:
        if is_path(text[:position]):
            return text[:position], text[position + 1 :]
        position = text.find(":", position + 1)
    if _DRIVE.match(text):
        return text, ""
    path, colon, ref = text.partition(":")
    return (path, ref) if colon else (text, "")


def is_reference(text: str) -> bool:
    """Return whether a text could be read as a reference, Docker Hub's short names among them."""
    try:
        Reference.parse(text)
    except ValueError:
        return False
    return True
