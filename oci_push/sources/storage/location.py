"""Where containers-storage keeps its images, as podman and buildah find it (man 5 containers-storage.conf).

One main file counts: the one that ``CONTAINERS_STORAGE_CONF`` names, else the first of the user's, ``/etc`` and
``/usr/share``. Newer versions read drop-ins beside it (``storage.conf.d``) and ``CONTAINERS_STORAGE_CONF_OVERRIDE``.
``STORAGE_DRIVER`` and ``STORAGE_OPTS`` go before files, and what stands in brackets before a name goes before all.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from oci_push.errors import ConfigError, SourceError
from oci_push.sources.files import unreadable
from oci_push.sources.settings import Surroundings

DRIVERS = ("overlay", "vfs")
"""Those that can be read, the usual one first."""
_SYSTEM_FILES = (Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf"))
_ROOTS_STORE = "/var/lib/containers/storage"
_MOST_BYTES = 1024 * 1024
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
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
    """What files and variables say; empty where they say nothing."""

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


def find_places(name: StorageName, around: Surroundings) -> tuple[Place, ...]:
    """Return where the image may be, best first; raises `SourceError` where there is no store at all."""
    said = _read(around)
    options = name.options or tuple(one for one in around.env.get("STORAGE_OPTS", "").split(",") if one)
    if options:
        said.additional = [value for key, _, value in (one.partition("=") for one in options) if _is_stores(key)]
    expand = _Expander(around)
    roots = [Path(name.graphroot)] if name.graphroot else list(_graphroots(said, around, expand))
    driver = _usual(name.driver or around.env.get("STORAGE_DRIVER", ""))
    wanted = (driver,) if driver else tuple(dict.fromkeys((_usual(said.driver) or DRIVERS[0], *DRIVERS)))
    own = _own([Place(root, one) for root in roots for one in wanted])
    others = (said.imagestore, *said.additional)
    further = [Place(Path(expand(one)), d) for one in others if one for d in ((own[0].driver,) if own else wanted)]
    found = [*own, *(place for place in further if _is_there(place.images))]
    for place in found:
        if place.driver not in DRIVERS:
            raise SourceError(
                f"{place.root}: is kept by the driver {place.driver}, which is not read: {', '.join(DRIVERS)} are",
                hint="write it out: buildah push NAME oci:DIR, then push oci:DIR",
            )
    if not found:
        raise SourceError(
            f"containers-storage: no images are kept in {', '.join(map(str, roots))}",
            hint="images of root and of each user are apart: run this as the one who built it, or name the store: "
            "containers-storage:[overlay@/path/of/graphroot]NAME",
        )
    return tuple(found)


def _own(places: list[Place]) -> list[Place]:
    """Return the first place that has images, else one that has layers, else one that this user may not look into.

    Where several drivers have had the same graphroot, as nobody says which one is meant, each has images of its own.
    """
    has_images = [one for one in places if _is_there(one.images / "images.json", doubt=False)]
    if has_images:
        return [one for one in has_images if one.root == has_images[0].root]
    has_layers = [one for one in places if _is_there(one.layers, doubt=False)]
    return (has_layers or [one for one in places if _is_there(one.layers)])[:1]


def is_rootless(around: Surroundings) -> bool:
    """Return whether the store is a user's own: also for who is root only inside of ``buildah unshare``."""
    return around.uid != 0 or bool(around.env.get("_CONTAINERS_USERNS_CONFIGURED"))


def _graphroots(said: _Said, around: Surroundings, expand: _Expander) -> Iterator[Path]:
    own = expand(said.graphroot)
    if not is_rootless(around):
        yield Path(own or _ROOTS_STORE)
        return
    if own and own != _ROOTS_STORE:
        yield Path(own)
    if said.rootless_path:
        yield Path(expand(said.rootless_path))
    data = around.env.get("XDG_DATA_HOME") or (str(around.home / ".local" / "share") if around.home else "")
    if data:
        yield Path(data) / "containers" / "storage"


def _read(around: Surroundings) -> _Said:
    """Read what the files say, later ones over earlier ones."""
    said = _Said()
    env = around.env
    named = env.get("CONTAINERS_STORAGE_CONF")
    if named:
        _add(said, Path(named), must_exist=True)
    else:
        config = env.get("XDG_CONFIG_HOME") or (str(around.home / ".config") if around.home else "")
        files = [Path(config) / "containers" / "storage.conf"] if config and is_rootless(around) else []
        files += _SYSTEM_FILES
        main = next((file for file in files if _is_there(file)), None)
        if main is not None:
            _add(said, main)
        for drop_in in _drop_ins(files, "rootless" if is_rootless(around) else "rootful"):
            _add(said, drop_in)
    override = env.get("CONTAINERS_STORAGE_CONF_OVERRIDE")
    if override:
        _add(said, Path(override), must_exist=True)
    return said


def _drop_ins(files: list[Path], kind: str) -> list[Path]:
    """Return the drop-ins beside `files`, by name; of one name, that beside the first file counts."""
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
    table = value.get("storage")
    table = table if isinstance(table, dict) else {}
    options = table.get("options")
    options = options if isinstance(options, dict) else {}
    said.driver = _text(table, "driver") or said.driver
    said.graphroot = _text(table, "graphroot") or said.graphroot
    said.rootless_path = _text(table, "rootless_storage_path") or said.rootless_path
    said.imagestore = _text(table, "imagestore") or _text(options, "imagestore") or said.imagestore
    listed = options.get("additionalimagestores")
    if isinstance(listed, list):
        said.additional = [one for one in listed if isinstance(one, str) and one]


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


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
        self._values = {"HOME": str(around.home or ""), "UID": uid, "USER": "", **around.env, "EUID": uid}

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
