"""What an engine is told of units of work: how many shards, which image does them, where logins are; and its YAML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from string import Template
from typing import Literal

from msgspec import Struct, field

from oci_push.errors import ConfigError
from oci_push.forms import Version
from oci_push.sources.table import GRAMMAR
from oci_push.work.units import WorkUnit, hosts_of

USER = 65532
"""The user of the project's own image, as its Containerfile has it."""
TRIES = 3
"""How often a shard that failed is tried again."""
FINAL_CODES = (2, 3, 4, 8)
"""Exit codes that another try ends with, too: wrong use, the source, credentials, no signature that is trusted."""
PASSING_CODES = (1, 5, 6, 7)
"""Exit codes of which something may pass: several failures, a registry's answer, the network, a time limit."""
_PLAIN = re.compile(r"(--|/)?[A-Za-z][\w./@=-]*(:[\w./@=-]+)*", re.ASCII)
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_OF_THIS_MACHINE = "containers-storage:"
_ODD = re.compile(r"[^\t\x20-\x7e]")


class Volume(Struct, frozen=True):
    """A PersistentVolumeClaim, and where pods see it: the working folder, in which results are kept."""

    claim: str
    path: str = "/data"


class Carried(Struct, frozen=True):
    """The units as what a ConfigMap holds: a file's name, and the lines of YAML that are its data."""

    file: str
    data: Lines


class Export(Struct, frozen=True):
    """What is wanted. `file` holds the units, by the name that workers know.

    `secret` is where docker's config.json is; `config` a Secret with oci-push.yaml; empty where there is none. `limits`
    are how many units one shard may have under way at a registry. `carried` is how a ConfigMap holds the
    units, ``None`` where it is too small.
    """

    name: str
    file: str
    units: tuple[WorkUnit, ...]
    image: str
    shards: int
    at_once: int
    namespace: str = ""
    secret: str = ""
    account: str = ""
    config: str = ""
    volume: Volume | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    carried: Carried | None = None

    @property
    def limit_options(self) -> tuple[str, ...]:
        """Return what tells `work` of the limits."""
        return tuple(f"--host-limit={host}={number}" for host, number in self.limits.items())

    @property
    def is_signed(self) -> bool:
        """Return whether units are to be signed, which takes an oci-push.yaml that is named."""
        return any(one.is_signed for unit in self.units for one in unit.push.targets)

    @property
    def head(self) -> str:
        """Return the first comment."""
        return f"# Made by oci-push export: {_counted(len(self.units), 'unit')} in {_counted(self.shards, 'shard')}."


class Exported(Struct, frozen=True):
    """What ``export --json`` prints; `file` is where `text` was written to, ``None`` for nowhere."""

    version: Version
    engine: Literal["kubernetes-job", "argo", "gitlab-matrix", "github-matrix"]
    name: str
    units: int
    shards: int
    registries: tuple[str, ...]
    file: str | None
    text: str


def registries_named(units: Sequence[WorkUnit]) -> tuple[str, ...]:
    """Return the names that workers must find in an oci-push.yaml."""
    return tuple(dict.fromkeys(name for unit in units for name in unit.registries))


def files_read(units: Sequence[WorkUnit]) -> tuple[tuple[WorkUnit, str], ...]:
    """Return what units read that is in no registry: a path, or the whole SOURCE where it is no file either."""
    found: list[tuple[WorkUnit, str]] = []
    for unit in units:
        source = unit.push.source
        if source.startswith(_OF_THIS_MACHINE):
            found.append((unit, source))
        elif (spec := GRAMMAR.parse(source)).kind != "registry":
            found.append((unit, spec.path))
        found += [(unit, one.path) for one in unit.push.attach]
    return tuple(found)


def limits_of_shards(limits: Mapping[str, int], at_once: int, units: Sequence[WorkUnit]) -> Mapping[str, int]:
    """Return the part of each limit that one of several shards has; raises `ConfigError` where there is none."""
    for host, number in limits.items():
        if host not in hosts_of(units):
            raise ConfigError(
                f"--host-limit {host}={number}: no unit goes to {host}", hint=f"they go to {', '.join(hosts_of(units))}"
            )
        if number < at_once:
            raise ConfigError(
                f"--host-limit {host}={number} is less than one unit for each of {at_once} shards at once",
                hint="give fewer shards, or a smaller --at-once",
            )
    return {host: number // at_once for host, number in limits.items()}


def check_project(units: Sequence[WorkUnit]) -> None:
    """Refuse units that read what no job of a CI has in its checkout; raises `ConfigError`."""
    for unit, path in files_read(units):
        place = PurePosixPath(path)
        if path.startswith(_OF_THIS_MACHINE) or ".." in place.parts or place.is_absolute():
            raise ConfigError(
                f"{path}, which {unit.name} reads, is not in the project of the jobs",
                hint="name images by paths in the project, or push from a registry",
            )


def check_files(units: Sequence[WorkUnit], volume: Volume | None) -> None:
    """Refuse units that read what no pod has; raises `ConfigError`."""
    for unit, path in files_read(units):
        if volume is None:
            raise ConfigError(
                f"a pod has no {path}, which {unit.name} reads",
                hint="put the images into a volume: --volume CLAIM; or push from a registry",
            )
        place = PurePosixPath(volume.path, path)
        if path.startswith(_OF_THIS_MACHINE) or ".." in place.parts or not place.is_relative_to(volume.path):
            raise ConfigError(
                f"{path}, which {unit.name} reads, is not below {volume.path}, where pods see the volume",
                hint="name images by paths in the volume, or mount it elsewhere: --volume CLAIM:PATH",
            )


def written(template: str, **values: object) -> str:
    """Return a template of YAML with its values: numbers, names, and whole lines, which end with a line break."""
    return Template(template).substitute({name: _shown(value) for name, value in values.items()})


def block(text: str, indent: int) -> Lines:
    """Return lines to stand where a template names them at the beginning of a line."""
    return Lines(textwrap.indent(text, " " * indent))


class Lines(str):
    """Lines that are YAML already."""

    __slots__ = ()


def quoted(text: str) -> str:
    """Return a text as a value of YAML."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT else json.dumps(text)


def units_block(text: str, indent: int) -> Lines:
    """Return a file of units as lines of a literal block.

    What YAML has no printable form for, or readers would trip over, is written as JSON writes it, which means the same.
    """
    lines = (line.strip() for line in re.split(r"[\r\n]", text))
    return block("".join(f"{_ODD.sub(_escaped, line)}\n" for line in lines if line), indent)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _shown(value: object) -> str:
    return str(value) if isinstance(value, (Lines, int)) else quoted(str(value))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
