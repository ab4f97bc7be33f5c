"""References, repositories and tags as people write them, for commands and programs; mistakes are told."""

from __future__ import annotations

from collections.abc import Sequence

from oci_push.errors import ConfigError
from oci_push.model.reference import DOCKER_HUB, Reference, Repository, check_tag, is_host, shown
from oci_push.sources.table import GRAMMAR


def repository_of(source: str) -> Repository | None:
    """Return the repository that a SOURCE lies in; ``None`` for a file. Raises `ConfigError`."""
    spec = GRAMMAR.parse(source)
    return Reference.parse(spec.path).repository if spec.kind == "registry" else None


def reference(text: str, *, default_tag: str = "latest") -> Reference:
    """Read ``HOST[:PORT]/REPO[:TAG|@DIGEST]``; raises `ConfigError`. A host is required, as for a push."""
    bare = text.removeprefix("docker://")
    if not is_host(bare.partition("/")[0]) or "/" not in bare:
        raise ConfigError(
            f"{shown(text)!r} names no repository of a registry",
            hint=f"write HOST[:PORT]/REPO[:TAG], for Docker Hub {DOCKER_HUB}/REPO",
        )
    try:
        return Reference.parse(bare, default_tag=default_tag)
    except ValueError as problem:
        raise ConfigError(f"{shown(text)!r}: {problem}", hint="write HOST[:PORT]/REPO[:TAG]") from problem


def repository(text: str) -> Repository:
    """Read ``HOST[:PORT]/REPO``; raises `ConfigError` where there is a tag as well."""
    found = reference(text)
    bare = text.removeprefix("docker://")
    if found.digest is not None or ":" in bare.rpartition("/")[2]:
        raise ConfigError(
            f"{shown(text)!r} names an image, and a repository is wanted", hint=f"write {found.repository}"
        )
    return found.repository


def subject_of(text: str, place: Repository) -> Reference:
    """Read a whole reference, or a tag or digest of the same repository; raises `ConfigError`."""
    whole = text if "/" in text else f"{place}@{text}" if ":" in text else f"{place}:{text}"
    found = reference(whole)
    if found.repository != place:
        raise ConfigError(
            f"--subject {found} lies in another repository than {place}",
            hint="a subject is found in its own repository alone: give a tag or digest of that",
        )
    return found


def tags_of(read: Reference, new: Sequence[str], option: str = "") -> tuple[str, ...]:
    """Return the tags that a result goes to: those that are wanted, else the one that was read, if it was a tag.

    `option` is what gave the wanted ones. Raises `ConfigError`.
    """
    try:
        wanted = tuple(dict.fromkeys(check_tag(one) for one in new))
    except ValueError as problem:
        said = f"{option}: {problem}" if option else str(problem)
        raise ConfigError(said, hint="write the tag alone, such as 1.2") from problem
    return wanted or ((read.tag,) if read.digest is None else ())
