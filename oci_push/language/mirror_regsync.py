"""The YAML of regsync (regclient's ``docs/regsync.md``, version 1): logins, defaults and steps.

::

    version: 1
    creds:
      - {registry: registry.example.com, user: john, pass: '{{env "PASSWORD"}}'}
    defaults: {referrers: true}
    sync:
      - source: alpine
        target: registry.example.com/hub/alpine
        type: repository
        tags: {allow: ["3.\\\\d+", latest], deny: ["3.0"]}

Of Go's templates ``{{env "NAME"}}`` and ``{{file "PATH"}}`` are known, and in ``backup``, which is a tag beside the one
that is overwritten or an image elsewhere, ``{{.Ref.Tag}}`` and its like. A key that is known and cannot be honoured is
told; one whose loss would copy other images, or to elsewhere, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from oci_push.language.config_values import ValueReader
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence
from oci_push.language.mirror_values import named_host, pattern_of, platforms_of, range_of, texts_of
from oci_push.language.scalar_rules import Anything, Boolean, Choice, PlainText
from oci_push.language.scalars import boolean, child, entries, items
from oci_push.language.schema import Field, Fields, Items, OneOf
from oci_push.model.endpoint import Credential
from oci_push.model.mirroring import Filter, MirrorAccess, MirrorFile, MirrorJob, MirrorSource, Pattern
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, Reference, Repository, is_tag
from oci_push.secret import Secret

_TEXT = PlainText()
_NEEDED = PlainText(is_needed=True)
_TEXTS: Items[str] = Items(_TEXT)
_FLAG = Boolean(strict=True, variable=False, words="be true or false")
_ANYTHING = Anything()
_FILTER: Mapping[str, Field] = {"allow": Field(_TEXTS), "deny": Field(_TEXTS)}
_TAGS: Fields[None] = Fields({**_FILTER, "semverRange": Field(OneOf[object]((_TEXTS, _TEXT)))})

_WHEN = "when it runs is left to cron"
_PACE = "requests go as fast as the registry lets them, and wait as it asks for"
_IGNORED: Mapping[str, str] = {
    "interval": _WHEN,
    "schedule": _WHEN,
    "ratelimit": _PACE,
    "parallel": "how many go at once is decided by the distance; --jobs changes it",
    "fastCheck": "tags that name the same image already are never copied again",
    "forceRecursive": "tags that name the same image already are not copied again; oci-push check looks for holes",
    "includeExternal": "layers that are fetched from elsewhere stay there",
    "referrerSlow": "nothing is slower here without it",
    "hooks": "commands are not run",
    "blobLimit": "a blob may be as large as it is",
    "cacheCount": "nothing is read twice",
    "cacheTime": "nothing is read twice",
    "skipDockerConfig": "logins in docker's file are found as always; those of this file go before",
    "userAgent": "the program says what it is",
}
_REFUSED: Mapping[str, str] = {
    "mediaTypes": "images of every type would be copied",
    "referrerFilters": "all that refers to an image would be copied",
    "referrerSource": "what refers to an image is looked for in the image's own repository",
    "referrerTarget": "what refers to an image goes to the image's own repository",
}
_IGNORED_CREDS: Mapping[str, str] = {
    "credHelper": "put it into credHelpers of docker's config.json, which is read",
    "credHost": "the login is one for the registry's own name",
    "credExpire": "a login that the registry refuses is asked for again",
    "repoAuth": "tokens are asked for as the registry wants",
    "blobChunk": "the size of chunks is the registry's",
    "blobMax": "the size of chunks is the registry's",
    "reqPerSec": _PACE,
    "reqConcurrent": "how many requests go at once is decided by the distance; --jobs changes it",
    "priority": "there are no mirrors to choose from",
    "mirrors": "images are read from the registry itself",
    "apiOpts": "what a registry can do is found out",
    "api": "what a registry can do is found out",
    "scheme": 'it is deprecated; tls: "disabled" is for http',
}
_REFUSED_CREDS: Mapping[str, str] = {
    "hostname": "another host would be asked",
    "pathPrefix": "another repository would be read",
    "clientCert": "name it with --cert-file, or in oci-push.yaml",
    "clientKey": "name it with --key-file, or in oci-push.yaml",
}
_OTHERS = {name: Field(_ANYTHING) for name in (*_IGNORED, *_REFUSED)}
_STEP: Mapping[str, Field] = {"backup": Field(_TEXT), "digestTags": Field(_FLAG), "referrers": Field(_FLAG)}
_CRED: Fields[None] = Fields(
    {
        "registry": Field(_NEEDED, required=True),
        "user": Field(_TEXT),
        "pass": Field(_TEXT),
        "token": Field(_TEXT),
        "tls": Field(Choice(("enabled", "insecure", "disabled"))),
        "regcert": Field(_TEXT),
        **{name: Field(_ANYTHING) for name in (*_IGNORED_CREDS, *_REFUSED_CREDS)},
    },
    secret=True,
)
_SYNC: Fields[None] = Fields(
    {
        "source": Field(_NEEDED, required=True),
        "target": Field(_NEEDED, required=True),
        "type": Field(Choice(("registry", "repository", "image")), required=True),
        "tags": Field(_TAGS),
        "tagSets": Field(Items(_TAGS)),
        "repos": Field(Fields[None](_FILTER)),
        "platform": Field(_TEXT),
        "platforms": Field(_TEXTS),
        **_STEP,
        **_OTHERS,
    }
)
_REGSYNC: Fields[None] = Fields(
    {
        "version": Field(PlainText(pattern="^[01]$", words="be 1")),
        "creds": Field(Items(_CRED)),
        "defaults": Field(Fields[None]({**_STEP, **_OTHERS})),
        "sync": Field(Items(_SYNC), required=True),
    },
    words="the file is a mapping with creds, defaults and sync",
)
_TEMPLATE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_CALL = r'(env|file)\s+(?:"([^"]*)"|`([^`]*)`)'
_OF_TARGET = {".Ref.Tag": "{tag}", ".Ref.Repository": "{path}", ".Ref.Registry": "{host}"}
"""What templates in `backup` name of the target."""


def read_regsync(root: Node, values: ValueReader) -> MirrorFile:
    """Return what such a file says; what is wrong is added to the diagnostics of `values`."""
    root = _without_extensions(root)
    reader = _Reader(values)
    accesses = tuple(reader.access(item) for item in items(child(root, "creds")) if isinstance(item, YamlMapping))
    _REGSYNC.check("value", root, "", values.diagnostics)
    defaults = child(root, "defaults")
    reader.note(defaults, "defaults", _IGNORED, _REFUSED)
    steps = [item for item in items(child(root, "sync")) if isinstance(item, YamlMapping)]
    jobs = [reader.job(item, defaults, f"sync.{place}") for place, item in enumerate(steps)]
    return MirrorFile(
        "regsync",
        tuple(one for one in jobs if one is not None),
        tuple(one for one in accesses if one is not None and one != MirrorAccess(one.host)),
    )


def _without_extensions(node: Node) -> Node:
    """Return a document without the keys that begin with ``x-``, which are the user's own."""
    if isinstance(node, YamlMapping):
        own = [entry.key.text for entry in node.entries if entry.key.text.startswith("x-")]
        return node.without(*own).mapped(lambda entry: _without_extensions(entry.value))
    if isinstance(node, YamlSequence):
        return YamlSequence(node.location, tuple(map(_without_extensions, node.items)))
    return node


class _Reader:
    def __init__(self, values: ValueReader) -> None:
        self._values = values
        self._diagnostics = values.diagnostics

    def note(self, node: Node | None, path: str, ignored: Mapping[str, str], refused: Mapping[str, str]) -> None:
        """Tell of keys that are known and not honoured."""
        for entry in entries(node):
            name = entry.key.text
            if name in ignored:
                self._diagnostics.warn(
                    entry.key.location, f"{path}.{name}", f'"{name}" has no effect here: {ignored[name]}'
                )
            elif name in refused:
                message = f'"{name}" cannot be honoured: {refused[name]}'
                hint = "take it out, if that is what you want"
                self._diagnostics.error(entry.key.location, f"{path}.{name}", message, hint=hint)

    def access(self, node: YamlMapping) -> MirrorAccess | None:
        """Return how a registry is reached; its secrets are masked from here on."""
        secrets = {name: self._secret(node.get(name)) for name in ("pass", "token")}
        self.note(node, "creds", _IGNORED_CREDS, _REFUSED_CREDS)
        host = self._text(node.get("registry"))
        try:
            host = named_host(Repository(host, "x").host) if host else ""
        except ValueError as problem:
            self._diagnostics.error(node.location, "creds.registry", str(problem))
            return None
        if not host:
            return None
        user, tls = self._text(node.get("user")), node.get("tls")
        credential = None
        if secrets["pass"] or secrets["token"]:
            place = f"{node.location.file}: creds"
            credential = Credential(user, secrets["pass"], secrets["token"], source=place)
        said = tls.text if isinstance(tls, Scalar) else ""
        plain = {"disabled": True, "enabled": False, "insecure": False}.get(said)
        return MirrorAccess(host, credential, plain, said == "insecure", ca=self._text(node.get("regcert")))

    def job(self, node: YamlMapping, defaults: Node | None, path: str) -> MirrorJob | None:
        """Return what one step means."""
        self.note(node, path, _IGNORED, _REFUSED)
        kind, source, target = (self._text(node.get(name)) for name in ("type", "source", "target"))
        if not source or not target or kind not in ("registry", "repository", "image"):
            return None
        for name, text in (("source", source), ("target", target)):
            if text.startswith(("ocidir://", "ocifile://")):
                self._error(
                    node.get(name), f"{path}.{name}", f"{text!r} is no registry, and only those are mirrored here"
                )
                return None
        try:
            found, goes = _ends(kind, source.strip("/"), target.strip("/"))
        except ValueError as problem:
            written = [one.text for one in (node.get("source"), node.get("target")) if isinstance(one, Scalar)]
            # What a template holds is never shown.
            is_plain = not any(_TEMPLATE.search(one) for one in written)
            said = problem if is_plain else f"{' and '.join(map(repr, written))} do not hold what can stand here"
            self._error(node.get("source"), path, f"{said}, for a step of type {kind}")
            return None
        platforms, is_sparse = self._platforms(node, path)
        return MirrorJob(
            (found,),
            (goes,),
            self._tags(node, path),
            repositories=self._filter(node.get("repos"), f"{path}.repos"),
            platforms=platforms,
            is_sparse=is_sparse,
            referrers=self._referrers(node, defaults),
            backup=self._backup(node.get("backup") or child(defaults, "backup"), path),
            place=f"{node.location.file}:{node.location.line}",
        )

    def _platforms(self, node: YamlMapping, path: str) -> tuple[tuple[Platform, ...], bool]:
        """Return platforms, and whether their index stays as it is: it does where regsync is given a list of them."""
        one = platforms_of(node.get("platform"), f"{path}.platform", self._diagnostics)
        several = platforms_of(node.get("platforms"), f"{path}.platforms", self._diagnostics)
        if one and several:
            self._error(node.get("platforms"), path, '"platform" and "platforms" do not go together')
        return one or several, bool(several)

    def _referrers(self, node: YamlMapping, defaults: Node | None) -> bool:
        """Return whether what refers to an image comes along; here lists and tags of digests are one thing."""
        said = [boolean(node.get(key) or child(defaults, key), strict=True) for key in ("referrers", "digestTags")]
        return any(said)

    def _tags(self, node: YamlMapping, path: str) -> tuple[Filter, ...]:
        sets = [item for item in items(node.get("tagSets")) if isinstance(item, YamlMapping)]
        found = [self._filter(one, f"{path}.tagSets") for one in sets]
        given = node.get("tags")
        if given is not None or not found:
            found.insert(0, self._filter(given, f"{path}.tags"))
        return tuple(found)

    def _filter(self, node: Node | None, path: str) -> Filter:
        allow, deny = (self._patterns(child(node, key), f"{path}.{key}") for key in ("allow", "deny"))
        ranges = range_of(child(node, "semverRange"), f"{path}.semverRange", self._diagnostics, any_prerelease=True)
        return Filter(allow, deny, ranges)

    def _patterns(self, node: Node | None, path: str) -> tuple[Pattern, ...]:
        found = [pattern_of("whole", one, path, self._diagnostics) for one in texts_of(node)]
        return tuple(one for one in found if one is not None)

    def _backup(self, node: Node | None, path: str) -> str:
        if not isinstance(node, Scalar) or not node.text:
            return ""

        def place(match: re.Match[str]) -> str:
            if match[1] not in _OF_TARGET:
                known = ", ".join(f"{{{{{name}}}}}" for name in _OF_TARGET)
                self._error(node, f"{path}.backup", f"template {match[0]!r} is not understood; known are {known}")
            return _OF_TARGET.get(match[1], "{tag}")

        text = _TEMPLATE.sub(place, node.text).strip()
        if not _is_backup(text):
            message = f'"backup": {node.text!r} is neither a tag nor HOST/REPO:TAG'
            self._error(node, f"{path}.backup", message)
        elif "{tag}" not in text:
            self._diagnostics.warn(node.location, f"{path}.backup", f'"backup": {text!r} is the same for every tag')
        return text

    def _text(self, node: Node | None) -> str:
        """Return a text with its templates filled in."""
        if not isinstance(node, Scalar) or node.value is None:
            return ""

        def fill(match: re.Match[str]) -> str:
            call = re.fullmatch(_CALL, match[1])
            name = (call[2] or call[3] or "") if call else ""
            if call is None:
                message = 'a template is not understood; known are {{env "NAME"}} and {{file "PATH"}}'
                self._error(node, "", message)
                return ""
            if call[1] == "env":
                if name not in self._values.env:
                    self._error(node, "", f"environment variable {name} is not set")
                return self._values.env.get(name, "")
            try:
                return self._values.read(Path(name)).rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as problem:
                reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
                self._error(node, "", f"{name}: cannot be read ({reason})")
                return ""

        return _TEMPLATE.sub(fill, node.text)

    def _secret(self, node: Node | None) -> Secret | None:
        text = self._text(node)
        return Secret(text) if text else None

    def _error(self, node: Node | None, path: str, message: str) -> None:
        if node is not None:
            self._diagnostics.error(node.location, path, message)


def _is_backup(text: str) -> bool:
    """Return whether a backup, with placeholders, is a tag, or an image of a registry with one."""
    try:
        if "/" not in text:
            return is_tag(text.replace("{tag}", "tag"))
        sample = text
        for name, value in (("{host}", "host.example"), ("{path}", "path/name"), ("{tag}", "tag")):
            sample = sample.replace(name, value)
        return len(Destination.parse(sample).tags) == 1
    except ValueError:
        return False


def _ends(kind: str, source: str, target: str) -> tuple[MirrorSource, str]:
    """Return the source of a step and its target with placeholders; raises ``ValueError``."""
    if kind == "registry":
        host = Repository(source, "x").host
        bare = target.partition("/")
        Repository(bare[0], bare[2] or "x")
        return MirrorSource(host, "*"), f"{target}/{{path}}:{{tag}}"
    found = Reference.parse(source, default_tag="latest" if kind == "image" else "")
    goes = Reference.parse(target, default_tag="")
    if goes.digest is not None:
        raise ValueError(f"{target!r} names a digest, and what is copied decides that")
    if kind == "repository":
        if found.target or goes.tag:
            raise ValueError(f"{source if found.target else target!r} names an image, and a repository is wanted")
        return MirrorSource(found.repository.host, found.repository.path), f"{goes.repository}:{{tag}}"
    source_of = MirrorSource(found.repository.host, found.repository.path, (found.target,))
    return source_of, f"{goes.repository}:{goes.tag or ('latest' if found.digest is None else '{tag}')}"
