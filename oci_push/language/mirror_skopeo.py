"""The YAML of ``skopeo sync --src yaml`` (skopeo-sync(1)): registries, their images, and how each is reached.

::

    registry.example.com:
      images:
        busybox: []                       # every tag
        redis: ["1.0", "sha256:…"]
      images-by-tag-regex: {nginx: ^1\\.13}
      images-by-semver: {alpine: ">= 3.12"}
      credentials: {username: john, password: secret}
      tls-verify: true
      cert-dir: /home/john/certs

An image goes to the destination under the last part of its name, with ``--scoped`` under its whole name.
"""

from __future__ import annotations

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlEntry
from oci_push.language.mirror_values import named_host, pattern_of, range_of, texts_of
from oci_push.language.scalar_rules import Boolean, PlainText
from oci_push.language.scalars import boolean, child, entries, word
from oci_push.language.schema import Entries, Field, Fields, Items, OneOf
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Credential, is_loopback
from oci_push.model.mirroring import Filter, MirrorAccess, MirrorFile, MirrorJob, MirrorSource
from oci_push.model.reference import Repository, check_tag, is_host
from oci_push.secret import Secret

_TEXT = PlainText()
_TAGS: Items[str] = Items(_TEXT)
_NOTHING = PlainText(choices=("",), words="be a list")
_CREDENTIALS: Fields[None] = Fields({"username": Field(_TEXT), "password": Field(_TEXT)}, secret=True)
_REGISTRY: Fields[None] = Fields(
    {
        "images": Field(Entries[None](OneOf[object]((_TAGS, _NOTHING)), words="map images to lists of tags")),
        "images-by-tag-regex": Field(Entries[None](_TEXT, words="map images to regular expressions")),
        "images-by-semver": Field(Entries[None](_TEXT, words="map images to ranges of versions")),
        "credentials": Field(_CREDENTIALS),
        "tls-verify": Field(Boolean(strict=True, variable=False, words="be true or false")),
        "cert-dir": Field(_TEXT),
    },
    words="a registry is a mapping with images",
)
KEYS = frozenset(_REGISTRY.fields)
"""The keys of one registry, by which the form is told."""
_SKOPEO: Entries[None] = Entries(_REGISTRY, words="the file maps registries to their images")


def read_skopeo(root: Node, destination: str, diagnostics: Diagnostics, *, scoped: bool) -> MirrorFile:
    """Return what such a file says; what is wrong is added to `diagnostics`."""
    accesses = tuple(_access(entry) for entry in entries(root))  # first: its passwords are masked from here on
    _SKOPEO.check("value", root, "", diagnostics)
    target = f"{destination}/{{host}}/{{path}}:{{tag}}" if scoped else f"{destination}/{{name}}:{{tag}}"
    jobs: list[MirrorJob] = []
    for entry in entries(root):
        if not is_host(entry.key.text.partition("/")[0]):
            message = f"{entry.key.text!r} is no registry: a host has a dot, a port, or is localhost"
            diagnostics.error(entry.key.location, entry.key.text, message)
            continue
        before = len(jobs)
        jobs += _Registry(entry, target, diagnostics).jobs()
        if len(jobs) == before:
            diagnostics.warn(entry.key.location, entry.key.text, f"{entry.key.text}: no images are named")
        _note_certificates(entry, diagnostics)
    return MirrorFile("skopeo", tuple(jobs), tuple(one for one in accesses if one != MirrorAccess(one.host)))


def _access(entry: YamlEntry) -> MirrorAccess:
    host = named_host(entry.key.text.partition("/")[0])
    given = child(entry.value, "credentials")
    password = child(given, "password")
    credential = None
    if isinstance(password, Scalar) and password.value is not None:
        user = child(given, "username")
        name = user.text if isinstance(user, Scalar) and user.value is not None else ""
        credential = Credential(name, Secret(password.text), source=f"{password.location.file}: credentials")
    checked = boolean(child(entry.value, "tls-verify"), strict=True)
    # Without checking, skopeo falls back to http; a registry on this machine is asked by http at once.
    skip_verify = checked is False and not is_loopback(host)
    plain_http = False if checked else None  # who wants certificates checked wants TLS, on this machine as well
    return MirrorAccess(host, credential, plain_http, skip_verify, word(child(entry.value, "cert-dir")))


def _note_certificates(entry: YamlEntry, diagnostics: Diagnostics) -> None:
    node = child(entry.value, "tls-verify")
    host = entry.key.text.partition("/")[0]
    if node is not None and boolean(node, strict=True) is False and not is_loopback(host):
        message = f"{host}: certificates are not checked; skopeo would try http as well"
        diagnostics.warn(node.location, "tls-verify", message, hint="for a registry that talks http give --plain-http")


class _Registry:
    def __init__(self, entry: YamlEntry, target: str, diagnostics: Diagnostics) -> None:
        self._entry = entry
        self._target = target
        self._diagnostics = diagnostics

    def jobs(self) -> list[MirrorJob]:
        """Return a job for each image of a registry."""
        found = [self._named(one) for one in self._images("images")]
        found += [self._by_regex(one) for one in self._images("images-by-tag-regex")]
        found += [self._by_version(one) for one in self._images("images-by-semver")]
        return [one for one in found if one is not None]

    def _images(self, key: str) -> tuple[YamlEntry, ...]:
        return entries(child(self._entry.value, key))

    def _job(
        self, image: YamlEntry, references: tuple[str, ...] = (), tags: tuple[Filter, ...] = ()
    ) -> MirrorJob | None:
        name = f"{self._entry.key.text}/{image.key.text}"
        try:
            found = Repository.parse(name)
        except ValueError as problem:
            self._error(image.key, image, str(problem))
            return None
        source = MirrorSource(found.host, found.path, references)
        place = f"{image.key.location.file}:{image.key.location.line}"
        return MirrorJob((source,), (self._target,), tags, place=place)

    def _named(self, image: YamlEntry) -> MirrorJob | None:
        references: list[str] = []
        for node in texts_of(image.value):
            try:
                is_digest = ":" in node.text
                references.append(str(Digest.parse(node.text)) if is_digest else check_tag(node.text))
            except ValueError as problem:
                self._error(node, image, str(problem))
        return self._job(image, tuple(dict.fromkeys(references)))

    def _by_regex(self, image: YamlEntry) -> MirrorJob | None:
        path = f"{self._entry.key.text}.images-by-tag-regex.{image.key.text}"
        found = [pattern_of("search", node, path, self._diagnostics) for node in texts_of(image.value)]
        return self._job(image, tags=(Filter(allow=tuple(one for one in found if one is not None)),))

    def _by_version(self, image: YamlEntry) -> MirrorJob | None:
        path = f"{self._entry.key.text}.images-by-semver.{image.key.text}"
        return self._job(image, tags=(Filter(ranges=range_of(image.value, path, self._diagnostics)),))

    def _error(self, node: Scalar, image: YamlEntry, message: str) -> None:
        self._diagnostics.error(node.location, f"{self._entry.key.text}.{image.key.text}", message)
