"""Ladders inside the packages that have more than twelve files: what is decided below does not know who uses it.

So have the packages below a package that are about one thing in several steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from sourcecode import modules, own_imports

from oci_push.cli.app import COMMANDS
from oci_push.cli.typed import every_command

INNER: dict[str, tuple[tuple[str, ...], ...]] = {
    # Values that know no other; those made of them; manifests and what is said of a registry; what is made of both.
    "model": (
        ("digest", "display", "identity", "media", "platform", "versions"),
        ("*",),
        ("descriptor",),
        ("manifest", "reference"),
        ("source", "traffic"),
        ("artifact", "endpoint", "mirroring", "traffic_words", "trust"),
    ),
    # Values and one request; what a specification's section needs; what needs several sections.
    "protocol": (("call", "challenge", "credentials"), ("*",), ("referrers", "uploads")),
    # From one socket up to a request that is authenticated, limited and tried again.
    "transport": (
        ("credentials", "limits", "redirects", "tls", "tls_in_tls"),
        ("*",),
        ("sockets",),
        ("connection", "settings", "socks"),
        ("dialing",),
        ("pool",),
        ("session",),
    ),
    # A blob's upload, one repository, all registries of a run.
    "registry": (("*",), ("upload",), ("repository",), ("clients",)),
    # Reading and compressing; the forms of images; the table that opens them.
    "sources": (
        ("base",),
        ("*",),
        ("layout", "remote", "tars"),
        ("archive_images", "folders", "mirrored"),
        ("artifact_files", "docker_archive", "rewriting.*", "storage.*"),
        ("table",),
    ),
    # One blob, one tag, what a plan is; the push to one repository; to all of them; opening, planning and pushing;
    # one unit of it; what is made of many.
    "engine": (
        ("*",),
        ("repository_push",),
        ("artifacts.attach", "signing.tag", "verify"),
        ("signing.step",),
        ("push",),
        ("ahead", "beforehand", "replicate"),
        ("pusher", "regions"),
        ("signing.required",),
        ("artifacts.push", "editing.index_children", "machine", "unit"),
        ("copying.*", "editing.image", "saving.*", "signing.stored", "signing.there"),
    ),
    "engine.copying": (
        ("tag_lists",),
        ("*",),
        ("items",),
        ("copy",),
        ("backup", "forecast", "mirror_sources", "report", "selection"),
        ("mirror",),
        ("mirror_report",),
    ),
    "engine.saving": (("layout_folder", "place"), ("*",), ("into_archive", "into_layout"), ("pull", "save")),
    # Text with places; everything that gives it a meaning.
    "language": (("yaml_scalars",), ("document",), ("*",)),
    # What decides (schedule, conditions, simulation) knows nothing of those that do.
    "runner": (("*",), ("attempts", "report"), ("hooks",), ("steps",), ("run",)),
    # A call, and what people write; connections to look with; the functions that programs call.
    "library": (("calls", "naming", "pipeline_inputs", "selecting", "variables"), ("looking",), ("*",)),
    # Lines of files; what units are made into and done by; what has them done, here and elsewhere.
    "work": (
        ("memory", "results", "units"),
        ("*",),
        ("here",),
        ("dispatch", "pipelines", "serving"),
        ("dask_link", "dask_worker", "local", "remote"),
        ("dask_engine",),
    ),
    # What is printed; options and the frame of a command; what several commands share, and the commands.
    "cli": (("ci", "words"), ("output", "traffic_options"), ("command", "options"), ("*",)),
}
"""Lowest rung first; `*` is whatever no other rung names."""

MANY = 12


def rung_of(package: str, name: str) -> int:
    """Return the rung of a module, given its name below the package."""
    ladder = INNER[package]
    for number, patterns in enumerate(ladder):
        if "*" not in patterns and any(fnmatchcase(name, pattern) for pattern in patterns):
            return number
    return next(number for number, patterns in enumerate(ladder) if "*" in patterns)


def inner_imports(package: str) -> Iterator[tuple[str, str, str]]:
    """Return each import inside a package: place, importing name, imported name, both below the package."""
    start = f"oci_push.{package}."
    for module in modules():
        if module.name.startswith(start) and not module.is_package:
            for target, line in own_imports(module):
                if target.startswith(start) and target != module.name:
                    yield f"{module.where}:{line}", module.name.removeprefix(start), target.removeprefix(start)


@pytest.mark.parametrize("package", INNER)
def test_modules_of_a_large_package_import_only_from_their_rung_or_below(package: str) -> None:
    found = [
        f"{where} imports {target}, which is above it"
        for where, name, target in inner_imports(package)
        if rung_of(package, target) > rung_of(package, name)
    ]
    assert found == []


def test_no_command_is_imported_by_another_module() -> None:
    commands = {place.partition(":")[0] for _, place in every_command(COMMANDS)}
    assert [f"{where} imports {target}" for where, _, target in inner_imports("cli") if target in commands] == []


@pytest.mark.parametrize("package", INNER)
def test_every_rung_holds_a_module(package: str) -> None:
    start = f"oci_push.{package}."
    names = [m.name.removeprefix(start) for m in modules() if m.name.startswith(start) and not m.is_package]
    held = {pattern for pattern in sum(INNER[package], ()) if any(fnmatchcase(name, pattern) for name in names)}
    assert set(sum(INNER[package], ())) - held == set()


def test_every_large_package_has_a_ladder() -> None:
    rooms = [module.room for module in modules() if not module.is_package and module.name.count(".") == 2]
    large = {room for room in rooms if rooms.count(room) > MANY}
    assert large - set(INNER) == set()
