"""All that refers to a manifest, and what refers to that: the tree of ``referrers``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial

from msgspec import Struct, field

from oci_push.engine.looking import tree
from oci_push.engine.looking.attached import listed, signed
from oci_push.errors import OciPushError, SourceError
from oci_push.forms import VERSION, Version
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import first_error, run_all

MOST = 10_000
_MOST_DEPTH = 32


class Referring(Struct, frozen=True):
    """One manifest that refers to another; `found_by` is ``api``, the tag that lists it, or cosign's tag that it has.

    `problem` says why it is not known what refers to it.
    """

    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    annotations: Mapping[str, str]
    found_by: str
    referrers: tuple[Referring, ...]
    problem: str | None


class ReferrersTree(Struct, frozen=True):
    """What ``referrers --json`` prints; `total` counts all, those that were left out as well."""

    version: Version
    name: str
    digest: Digest
    media_type: str
    total: int
    referrers: tuple[Referring, ...]


class _Found(Struct):
    below: dict[Digest, list[tuple[Descriptor, str]]] = field(default_factory=dict)
    problems: dict[Digest, str] = field(default_factory=dict)


def referrers_tree(
    context: Context, client: RepositoryClient, name: str, root: Descriptor, types: Sequence[str] = ()
) -> ReferrersTree:
    """Ask what refers to `root`, to that, and so on; with `types` only what is of such a type, and what leads there.

    Raises `SourceError` for more than `MOST`, and what goes wrong for the root itself.
    """
    found = _Found()
    has_api: bool | None = None
    level = [root.digest]
    seen = {root.digest}
    total = 0
    for depth in range(_MOST_DEPTH):
        jobs = [partial(_ask, client=client, subject=one, has_api=has_api) for one in level]
        outcomes = run_all(context, jobs, limit=tree.AT_ONCE)
        damaged = [bool(depth) and isinstance(e := one.error, OciPushError) and tree.is_damage(e) for one in outcomes]
        error = first_error([one for one, is_damaged in zip(outcomes, damaged, strict=True) if not is_damaged])
        if error is not None:
            raise error
        wanted: dict[Digest, None] = {}
        for subject, outcome, is_damaged in zip(level, outcomes, damaged, strict=True):
            if is_damaged:
                found.problems[subject] = str(outcome.error)
                continue
            entries, told = outcome.get()
            has_api = told if has_api is None else has_api
            found.below[subject] = entries
            total += len(entries)
            wanted.update((one.digest, None) for one, _ in entries if one.digest not in seen)
        if total > MOST:
            raise SourceError(f"{name}: more than {MOST} manifests refer to it")
        if not wanted:
            break
        seen.update(wanted)
        level = list(wanted)
    else:
        found.problems.update((one, f"lies more than {_MOST_DEPTH} deep") for one in level)
    return ReferrersTree(
        VERSION, name, root.digest, root.media_type, total, tuple(_nodes(found, root.digest, types, {root.digest}))
    )


def _ask(
    context: Context, client: RepositoryClient, subject: Digest, has_api: bool | None
) -> tuple[list[tuple[Descriptor, str]], bool]:
    """Return what refers to a manifest and how each was found, and whether the registry keeps the list."""
    found = listed(context, client, subject, has_api=has_api)
    entries = {one.digest: (one, by) for one, by in found.entries}
    for one in signed(context, client, [subject]):
        entries.setdefault(one.descriptor.digest, (one.descriptor, one.tag))
    return list(entries.values()), found.has_api


def _nodes(found: _Found, subject: Digest, types: Sequence[str], opened: set[Digest]) -> Iterator[Referring]:
    """Return what refers to a manifest; of what is listed again and again, what is below is shown once."""
    for one, by in found.below.get(subject, ()):
        is_new = one.digest not in opened
        opened.add(one.digest)
        below = tuple(_nodes(found, one.digest, types, opened)) if is_new else ()
        problem = found.problems.get(one.digest)
        if types and not below and not any(fnmatchcase(one.artifact_type, glob) for glob in types):
            continue
        yield Referring(one.digest, one.media_type, one.size, one.artifact_type, one.annotations, by, below, problem)
