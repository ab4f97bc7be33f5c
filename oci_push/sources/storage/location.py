"""Where containers-storage keeps its images, as podman and buildah find it (man 5 containers-storage.conf).

One main file counts: the one that ``CONTAINERS_STORAGE_CONF`` names, else the first of the user's, ``/etc`` and
``/usr/share``. Newer versions read drop-ins beside it (``storage.conf.d``) and ``CONTAINERS_STORAGE_CONF_OVERRIDE``.
``STORAGE_DRIVER`` and ``STORAGE_OPTS`` go before files, and what stands in brackets before a name goes before all.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from oci_push.errors import ConfigError, SourceError
from oci_push.events import Emit, LogMessage
from oci_push.sources.files import unreadable
from oci_push.sources.settings import Surroundings

DRIVERS = ("overlay", "vfs")
"""Those that can be read, the usual one first."""
_SYSTEM_FILES = (Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf"))
_ROOTS_STORE = "/var/lib/containers/storage"
_MOST_BYTES = 1024 * 1024
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_KINDS: Mapping[type, str] = {str: "text", list: "a list", dict: "a table"}
Value = TypeVar("Value")
_WRITTEN = "containers-storage:[[DRIVER@]GRAPHROOT[+RUNROOT][:OPTIONS]]NAME[:TAG|@DIGEST], or an image's ID"


class StorageName(Struct, frozen=True):
    """What stands behind ``containers-storage:``: the image's name, and what its brackets say of the store."""

    image: str
    driver: str = ""
    graphroot: str = ""
    options: tuple[str, ...] = ()


class Place(Struct, frozen=True):
    """A folder with images and layers of one driver."""

    root: Path
    driver: str

    @property
    def images(self) -> Path:
        """Return the folder of what is known of images."""
        return self.root / f"{self.driver}-images"

    @property
    def layers(self) -> Path:
        """Return the folder of what is known of layers, their tar-splits among it."""
        return self.root / f"{self.driver}-layers"

    def content(self, layer: str) -> Path:
        """Return the folder of a layer's files."""
        if self.driver == "vfs":
            return self.root / "vfs" / "dir" / layer
        return self.root / self.driver / layer / "diff"


class _Said(Struct):
    """What files say as some version of the library reads them; empty where they say nothing."""

    driver: str = ""
    graphroot: str = ""
    rootless_path: str = ""
    imagestore: str = ""
    additional: list[str] = field(default_factory=list)


def parse_name(text: str) -> StorageName:
    """Take apart what stands behind the scheme; raises `ConfigError`."""
    if not text.startswith("["):
        return StorageName(_named(text))
    inside, closed, image = text[1:].partition("]")
    if not closed:
        raise ConfigError(f"source containers-storage:{text}: its bracket is not closed", hint=f"write {_WRITTEN}")
    driver, at, rest = inside.rpartition("@") if "@" in inside.partition("/")[0] else ("", "", inside)
    place, _, options = rest.partition(":")
    graphroot = place.partition("+")[0]
    if graphroot and not graphroot.startswith("/"):
        if at or "/" in graphroot:
            problem = f"source containers-storage:{text}: {graphroot!r} is no absolute path"
            raise ConfigError(problem, hint=f"write {_WRITTEN}")
        driver, graphroot = graphroot, ""
    return StorageName(_named(image), driver, graphroot, tuple(one for one in options.split(",") if one))


def _named(image: str) -> str:
    if not image or any(letter.isspace() or not letter.isprintable() for letter in image):
        raise ConfigError("source containers-storage: names no image", hint=f"write {_WRITTEN}")
    return image


def find_places(name: StorageName, around: Surroundings, emit: Emit) -> tuple[Place, ...]:
    """Return where the image may be, best first; raises `SourceError` where there is no store at all."""
    expand = _Expander(around)
    asked = _usual(name.driver or around.env.get("STORAGE_DRIVER", ""))
    roots: list[str] = []
    found: list[Place] = []
    others: list[Place] = []
    for said in _readings(around):
        roots.append(name.graphroot or _graphroot(said, around, expand))
        said = _with_options(said, name, around)
        there = _places(Path(roots[-1]), asked, said, expand)
        others += _places(Path(roots[-1]), "", said, expand) if asked and not there else ()
        if any(_has_images(one) for one in there):
            found = there
            break
        found = found or there
    if found and roots[-1] != roots[0] and any(_has_images(one) for one in found):
        emit(LogMessage(f"{roots[0]} holds no images: {roots[-1]} is read, as older podman and buildah do"))
    for place in found:
        if place.driver not in DRIVERS:
            raise SourceError(
                f"{place.root}: is kept by the driver {place.driver}, which is not read: {', '.join(DRIVERS)} are",
                hint="write it out: buildah push NAME oci:DIR, then push oci:DIR",
            )
    if not found:
        which = f"no images of the driver {asked}" if asked else "no images"
        other = next((one for one in others if one.driver in DRIVERS and _has_images(one)), None)
        raise SourceError(
            f"containers-storage: {which} are kept in {', '.join(dict.fromkeys(roots))}",
            hint=f"there are some of another: containers-storage:[{other.driver}@{other.root}]NAME"
            if other
            else "images of root and of each user are apart: run this as the one who built it, or name the store: "
            "containers-storage:[overlay@/path/of/graphroot]NAME",
        )
    return tuple(found)


def _places(root: Path, asked: str, said: _Said, expand: _Expander) -> list[Place]:
    """Return what is there of one reading of the files: the graphroot's places, then those of further stores."""
    drivers = (asked,) if asked else tuple(dict.fromkeys((_usual(said.driver) or DRIVERS[0], *DRIVERS)))
    own = _own([Place(root, driver) for driver in drivers])
    others = [Path(expand(one)) for one in (said.imagestore, *said.additional) if one]
    further = [Place(one, driver) for one in others for driver in ((own[0].driver,) if own else drivers)]
    return [*own, *(place for place in further if _is_there(place.images))]


def _has_images(place: Place) -> bool:
    return _is_there(place.images / "images.json", doubt=False)


def _with_options(said: _Said, name: StorageName, around: Surroundings) -> _Said:
    options = name.options or tuple(one for one in around.env.get("STORAGE_OPTS", "").split(",") if one)
    if options:
        said.additional = [value for key, _, value in (one.partition("=") for one in options) if _is_stores(key)]
    return said


def _own(places: list[Place]) -> list[Place]:
    """Return the places of a graphroot that have images, else one that has layers, else one that is closed.

    Where several drivers have had the same graphroot, as nobody says which one is meant, each has images of its own.
    """
    has_images = [one for one in places if _has_images(one)]
    if has_images:
        return has_images
    has_layers = [one for one in places if _is_there(one.layers, doubt=False)]
    return (has_layers or [one for one in places if _is_there(one.layers)])[:1]


def _home(around: Surroundings) -> Path:
    """Return the home folder; without ``HOME`` that of the user's entry in ``passwd``, as the library has it."""
    if around.home is not None:
        return around.home
    import pwd

    try:
        return Path(pwd.getpwuid(around.uid).pw_dir)
    except KeyError:
        return Path("/")


def is_rootless(around: Surroundings) -> bool:
    """Return whether the store is a user's own: also for who is root only inside of ``buildah unshare``."""
    return around.uid != 0 or bool(around.env.get("_CONTAINERS_USERNS_CONFIGURED"))


def _graphroot(said: _Said, around: Surroundings, expand: _Expander) -> str:
    own = expand(said.graphroot)
    if not is_rootless(around):
        return own or _ROOTS_STORE
    data = around.env.get("XDG_DATA_HOME") or str(_home(around) / ".local" / "share")
    if own and own != _ROOTS_STORE:
        return own
    return expand(said.rootless_path) or str(Path(data) / "containers" / "storage")


def _readings(around: Surroundings) -> list[_Said]:
    """Return what the files say: as the library reads them since 2026, and as it did before.

    Which one has made the store cannot be seen. Before there were no drop-ins, root had a file of its own only by
    ``XDG_CONFIG_HOME``, and of the system's file a user took the rootless path but no graphroot.
    """
    env, is_user = around.env, is_rootless(around)
    named, override = env.get("CONTAINERS_STORAGE_CONF", ""), env.get("CONTAINERS_STORAGE_CONF_OVERRIDE", "")
    own = [Path(env.get("XDG_CONFIG_HOME") or _home(around) / ".config") / "containers" / "storage.conf"]
    latest = _Said()
    if named:
        _add(latest, Path(named), must_exist=True)
    else:
        for file in (*_first([*own, *_SYSTEM_FILES]), *_drop_ins([*own, *_SYSTEM_FILES], is_user=is_user)):
            _add(latest, file)
    if override:
        _add(latest, Path(override), must_exist=True)

    with suppress(ConfigError, SourceError):  # of files that newer ones do not read
        mine = [Path(named)] if named else _first(own if is_user or env.get("XDG_CONFIG_HOME") else [])
        before = _before(mine, is_user=is_user)
        # Debian 12's takes a user's graphroot not from a file that a variable names.
        return [latest, before, *([_Said(before.driver)] if named and is_user else [])]
    return [latest]


def _before(mine: list[Path], *, is_user: bool) -> _Said:
    said, systems = _Said(), _Said()
    for file in _first(_SYSTEM_FILES):
        _add(systems, file)
    for file in mine:
        _add(said, file)
    if not mine:
        said = systems
        said.graphroot = "" if is_user else said.graphroot
    said.rootless_path = said.rootless_path or systems.rootless_path
    return said


def _first(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if _is_there(file)][:1]


def _drop_ins(files: list[Path], *, is_user: bool) -> list[Path]:
    """Return the drop-ins beside `files`, by name; of one name, that beside the first file counts."""
    kind = "rootless" if is_user else "rootful"
    found: dict[str, Path] = {}
    for file in reversed(files):
        for folder in (file.with_name("storage.conf.d"), file.with_name(f"storage.{kind}.conf.d")):
            try:
                found.update({path.name: path for path in folder.iterdir() if path.suffix == ".conf"})
            except OSError:
                continue
    return [found[name] for name in sorted(found)]


def _add(said: _Said, path: Path, *, must_exist: bool = False) -> None:
    try:
        # Not waiting for a writer, where it is a pipe.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            raw = file.read(_MOST_BYTES + 1) or b""
    except FileNotFoundError as problem:
        if must_exist:
            raise ConfigError(f"{path}: no such file, and a variable names it for containers-storage") from problem
        return
    except OSError as problem:
        raise unreadable(str(path), problem) from problem
    try:
        if len(raw) > _MOST_BYTES:
            raise ValueError("is too large")
        value = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{path}: cannot be read as TOML ({problem})") from problem
    table = _value(path, value, "storage", dict) or {}
    options = _value(path, table, "options", dict) or {}
    said.driver = _value(path, table, "driver", str) or said.driver
    said.graphroot = _value(path, table, "graphroot", str) or said.graphroot
    said.rootless_path = _value(path, table, "rootless_storage_path", str) or said.rootless_path
    said.imagestore = (
        _value(path, table, "imagestore", str) or _value(path, options, "imagestore", str) or said.imagestore
    )
    listed = _value(path, options, "additionalimagestores", list)
    if listed is not None:
        said.additional = [one for one in listed if isinstance(one, str) and one]


def _value(path: Path, table: Mapping[str, object], key: str, kind: type[Value]) -> Value | None:
    value = table.get(key)
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{path}: {key} must be {_KINDS[kind]}")
    return value


def _usual(driver: str) -> str:
    return "overlay" if driver == "overlay2" else driver


def _bare(key: str) -> str:
    """Return an option's name without the driver's: ``overlay.imagestore`` is ``imagestore``."""
    return key.strip().rpartition(".")[2]


def _is_stores(key: str) -> bool:
    return _bare(key) == "imagestore" or _bare(key) == "additionalimagestores"


class _Expander:
    """Put in variables as the library does: ``$HOME``, ``$UID``, and those of the environment."""

    def __init__(self, around: Surroundings) -> None:
        uid = around.env.get("_CONTAINERS_ROOTLESS_UID") or str(around.uid)
        self._values = {"HOME": str(_home(around)), "UID": uid, "USER": "", **around.env, "EUID": uid}

    def __call__(self, text: str) -> str:
        """Return a path with its variables put in; one that is not set is nothing."""
        return _VARIABLE.sub(lambda found: self._values.get(found[1] or found[2], ""), text)


def _is_there(path: Path, *, doubt: bool = True) -> bool:
    """Return whether something is there; `doubt` is the answer where this user may not look."""
    try:
        os.stat(path)
    except PermissionError:
        return doubt
    except (OSError, ValueError):  # the latter for a name with NUL in it
        return False
    return True
