"""The file that `oci-push mirror` copies by: our own form, skopeo's for ``sync --src yaml``, or regsync's.

::

    images:
      - from: registry.example.com/team/*      # a repository, a glob of them, or one image; or a list
        to: mirror.example.com/{path}          # {host}, {path}, {name} and {tag} are the source's; or a list
        tags: ["1.*", latest]                  # globs; left out: every tag
        exclude: ["*-rc*"]
        versions: ">=1.2 <2"
        newest: 5                              # of those that are left, by version
        platforms: [linux/amd64, linux/arm64]

Whose form a file has is told by its keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.config_values import NAMED, ReadText, ValueReader
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence, load
from oci_push.language.mirror_regsync import read_regsync
from oci_push.language.mirror_skopeo import KEYS as SKOPEO_KEYS
from oci_push.language.mirror_skopeo import read_skopeo
from oci_push.language.mirror_values import platforms_of, range_of, texts_of
from oci_push.language.scalar_rules import Boolean, Number, PlainText
from oci_push.language.scalars import boolean, child, entries, items, number
from oci_push.language.schema import Field, Fields, Items, OneOf
from oci_push.model.mirroring import (
    GLOB,
    PLACEHOLDERS,
    Filter,
    MirrorAccess,
    MirrorFile,
    MirrorJob,
    MirrorSource,
    Pattern,
)
from oci_push.model.reference import Reference, Repository, check_host, is_host, is_tag, shown


def load_mirror(
    text: str | bytes, path: str, env: Mapping[str, str], read: ReadText, destination: str = "", *, scoped: bool = False
) -> MirrorFile:
    """Return what a file of any form says; raises one `ConfigError` with everything that is wrong with it.

    `destination` and `scoped` are where skopeo's form goes to, which its file does not say. `env` and `read` are for
    values that name variables and files.
    """
    root = load(text, path).root
    form = form_of(root)
    diagnostics = Diagnostics()
    if form == "skopeo":
        if not destination:
            raise ConfigError(
                f"{path}: this is a file of skopeo's form, which does not say where images go",
                hint="name it after the file: HOST[:PORT][/PREFIX]",
            )
        found = read_skopeo(root, _destination(destination), diagnostics, scoped=scoped)
    elif destination or scoped:
        given = "a destination" if destination else "--scoped"
        raise ConfigError(
            f"{path}: says itself where images go, and {given} is given, too", hint="that is for skopeo's form alone"
        )
    else:
        values = ValueReader(env, read, NAMED, diagnostics)
        found = read_regsync(root, values) if form == "regsync" else _read(root, values)
    diagnostics.once()
    diagnostics.errors.sort(key=_place)
    diagnostics.raise_errors()
    return MirrorFile(form, found.jobs, found.accesses, tuple(sorted(diagnostics.warnings, key=_place)))


def load_accesses(text: str | bytes, path: str, env: Mapping[str, str], read: ReadText) -> tuple[MirrorAccess, ...]:
    """Return how a file of any form says that registries are reached; raises `ConfigError`, also where it says nothing.

    Where its images go does not matter.
    """
    destination = "registry.invalid" if form_of(load(text, path).root) == "skopeo" else ""
    found = load_mirror(text, path, env, read, destination).accesses
    if not found:
        raise ConfigError(
            f"{path}: holds neither logins nor certificates",
            hint="a file of skopeo sync or of regsync may; oci-push.yaml is named by --config",
        )
    return found


def _place(problem: Diagnostic) -> tuple[int, int]:
    return problem.line, problem.column


def form_of(root: Node) -> str:
    """Return whose form a file has, as far as its keys tell."""
    keys = {entry.key.text for entry in entries(root)}
    if keys & {"sync", "creds"} and "images" not in keys:
        return "regsync"
    inside = {entry.key.text for outer in entries(root) for entry in entries(outer.value)}
    is_own = isinstance(child(root, "images"), YamlSequence) or "images" in keys
    return "skopeo" if inside & SKOPEO_KEYS and not is_own else "own"


def mirror_schema() -> dict[str, object]:
    """Return the JSON Schema of our own form; draft 7, which editors' YAML servers know best."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Images to be mirrored by oci-push",
        "description": "What oci-push mirror copies, from where and to where.",
        **MIRROR.to_json(),
    }


def _destination(text: str) -> str:
    bare = text.removeprefix("docker://").strip("/")
    host, slash, path = bare.partition("/")
    try:
        check_host(host)
        if slash:
            Repository(host, path)
    except ValueError as problem:
        raise ConfigError(f"destination {text!r}: {problem}", hint="write HOST[:PORT][/PREFIX]") from problem
    if not is_host(host):
        raise ConfigError(
            f"destination {text!r} names no registry",
            hint="a host has a dot, a port, or is localhost; docker.io is one",
        )
    return bare


_TEXT = PlainText(is_needed=True)
_TEXTS: Items[str] = Items(_TEXT, least=1)
_ONE_OR_MORE = OneOf[object]((_TEXTS, _TEXT))
_FLAG = Boolean(strict=True, variable=False, words="be true or false")
_SHARED: Mapping[str, Field] = {
    "to": Field(_ONE_OR_MORE, "Where they go: HOST/REPO, with {host}, {path}, {name} and {tag} of the source in it."),
    "tags": Field(_ONE_OR_MORE, "Globs of the tags that are meant; left out: every tag."),
    "exclude": Field(_ONE_OR_MORE, "Globs of tags that stay behind."),
    "versions": Field(_TEXT, "Only tags that are versions in this range, such as >=1.2 <2 or ^1.4."),
    "newest": Field(Number(positive=True), "Only so many tags, the newest versions."),
    "platforms": Field(_ONE_OR_MORE, "Only these images of an index: OS/ARCH[/VARIANT]."),
    "sparse": Field(_FLAG, "With platforms: leave the index as it is, with holes, where the registry takes that."),
    "referrers": Field(_FLAG, "Bring along what refers to an image: signatures, SBOMs.", default=True),
    "backup": Field(_TEXT, "Tag that keeps what is overwritten, such as {tag}-before."),
}
_JOB: Fields[None] = Fields(
    {"from": Field(_ONE_OR_MORE, "HOST/REPO, HOST/GLOB, HOST/REPO:TAG or HOST/REPO@DIGEST.", required=True), **_SHARED},
    words="an entry is a mapping with from and to",
)
MIRROR: Fields[None] = Fields(
    {
        "images": Field(Items(_JOB, least=1), "What is copied.", required=True),
        "defaults": Field(Fields[None](_SHARED), "What holds for every entry that does not say it itself."),
    },
    words="the file is a mapping with images",
)
"""Our own form."""
_OF_LISTS = ("tags", "exclude", "versions", "newest")


def _read(root: Node, values: ValueReader) -> MirrorFile:
    diagnostics = values.diagnostics
    MIRROR.check("value", root, "", diagnostics)
    defaults = child(root, "defaults")
    jobs = [
        _Job(item, defaults if isinstance(defaults, YamlMapping) else None, values, f"images.{place}").read()
        for place, item in enumerate(items(child(root, "images")))
        if isinstance(item, YamlMapping)
    ]
    return MirrorFile("own", tuple(jobs))


class _Job:
    """One entry of ``images``, and the defaults for what it does not say."""

    def __init__(self, node: YamlMapping, defaults: YamlMapping | None, values: ValueReader, path: str) -> None:
        self._node = node
        self._defaults = defaults
        self._values = values
        self._path = path
        self._diagnostics = values.diagnostics

    def read(self) -> MirrorJob:
        sources = self._sources()
        targets = self._targets(sources)
        newest = number(self._get("newest"))
        return MirrorJob(
            sources,
            targets,
            (self._filter(),),
            int(newest or 0),
            platforms=platforms_of(self._get("platforms"), f"{self._path}.platforms", self._diagnostics),
            is_sparse=self._is_sparse(),
            referrers=boolean(self._get("referrers")),
            backup=self._backup(),
            place=f"{self._node.location.file}:{self._node.location.line}",
        )

    def _get(self, key: str) -> Node | None:
        own = self._node.get(key)
        return own if own is not None or self._defaults is None else self._defaults.get(key)

    def _expanded(self, node: Scalar) -> str:
        values = self._values.apart()
        found = values.expanded(node)
        self._diagnostics.errors.extend(values.missing)
        return found or ""

    def _sources(self) -> tuple[MirrorSource, ...]:
        found: list[MirrorSource] = []
        for node in texts_of(self._node.get("from")):
            text = self._expanded(node).removeprefix("docker://")
            try:
                if text:
                    found.append(_source(text))
            except ValueError as problem:
                self._error(
                    node, f'"from": {_told(node, text, problem)}', "write HOST/REPO, for Docker Hub docker.io/REPO"
                )
        if found and all(one.references for one in found):
            for key in _OF_LISTS:
                node_of = self._node.get(key)
                if node_of is not None:
                    self._error(node_of, f'"{key}" has no effect: every source names its tag', "leave out one of them")
        return tuple(found)

    def _targets(self, sources: Sequence[MirrorSource]) -> tuple[str, ...]:
        given = self._get("to")
        if given is None:
            self._error(self._node, '"to" is required, here or in defaults', "write HOST/REPO")
        found: list[str] = []
        repositories = len({str(one) for one in sources}) + sum(one.is_glob for one in sources)
        for node in texts_of(given):
            text = self._expanded(node).removeprefix("docker://")
            if not text:
                continue
            problem = _problem_of(text)
            if not problem and repositories > 1 and not any(one in text for one in PLACEHOLDERS[1:3]):
                problem = "several repositories would go to this one"
            if problem:
                self._error(node, f'"to": {_told(node, text, problem)}', "write HOST/{path}, or HOST/PREFIX/{name}")
            found.append(text if _has_tag(text) else f"{text}:{{tag}}")
        return tuple(dict.fromkeys(found))

    def _filter(self) -> Filter:
        ranges = range_of(self._get("versions"), f"{self._path}.versions", self._diagnostics)
        allow, deny = (
            tuple(Pattern("glob", node.text) for node in texts_of(self._get(key))) for key in ("tags", "exclude")
        )
        return Filter(allow, deny, ranges)

    def _is_sparse(self) -> bool:
        is_sparse = bool(boolean(self._get("sparse")))
        node = self._node.get("sparse")
        if is_sparse and node is not None and self._get("platforms") is None:
            self._error(node, '"sparse" has no effect without platforms', "leave it out, or say which platforms")
        return is_sparse

    def _backup(self) -> str:
        node = self._get("backup")
        text = self._expanded(node) if isinstance(node, Scalar) and node.value is not None else ""
        if node is None or not text:
            return ""
        if "{tag}" not in text or not is_tag(text.replace("{tag}", "tag")):
            self._error(node, f'"backup": {text!r} is no tag of its own for every tag', "such as {tag}-before")
        elif len(texts_of(self._get("platforms"))) > 1 and not self._is_sparse():
            message = (
                '"backup" does not go together with several platforms: what would be overwritten is not known before'
            )
            self._error(node, message, "give one platform, or sparse")
        return text

    def _error(self, node: Node, message: str, hint: str) -> None:
        self._diagnostics.error(node.location, self._path, message, hint=hint)


def _told(node: Scalar, text: str, problem: object) -> str:
    """Return what is wrong with a text; what a variable holds is never shown."""
    return f"{shown(text)!r}: {problem}" if text in node.text else f"{node.text!r} does not hold what can stand here"


def _source(text: str) -> MirrorSource:
    host, slash, path = text.partition("/")
    if not slash or not is_host(host):
        raise ValueError("names no repository of a registry")
    if not GLOB.isdisjoint(path):
        if ":" in path or "@" in path:
            raise ValueError("a glob stands for repositories, and names no tag; tags: has globs of those")
        return MirrorSource(Repository(host, "x").host, path)
    found = Reference.parse(text, default_tag="")
    return MirrorSource(found.repository.host, found.repository.path, (found.target,) if found.target else ())


def _has_tag(template: str) -> bool:
    return ":" in template.rpartition("/")[2]


def _problem_of(template: str) -> str:
    """Return what is wrong with a target, judged by what it would be for some image; nothing for a good one."""
    text = template
    for name, value in zip(PLACEHOLDERS, ("host.example", "path/name", "name", "tag"), strict=True):
        text = text.replace(name, value)
    if "{" in text or "}" in text:
        return f"only {', '.join(PLACEHOLDERS)} are known"
    if "@" in text:
        return "a target has no '@'"
    host, slash, _ = text.partition("/")
    if not slash or not is_host(host):
        return "names no repository of a registry"
    try:
        Reference.parse(text)
    except ValueError as problem:
        return str(problem)
    return ""
