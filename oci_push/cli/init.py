"""`oci-push init`: a first oci-push.yaml and pipeline, from what lies in this folder and what its surroundings tell."""

from __future__ import annotations

import os
import re
import shlex
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import targets
from oci_push.cli.command import run_command
from oci_push.cli.options import CONFIG_NAME
from oci_push.cli.output import say, say_text, warn
from oci_push.cli.words import OUTPUT, Option
from oci_push.credentials.files import AuthFiles
from oci_push.errors import ConfigError, CredentialsError
from oci_push.language.starter import SERVICE_REGISTRY, Found, FoundImage, FoundRegistry, Started, start, usual_registry
from oci_push.model.manifest import load_json
from oci_push.model.reference import Repository, is_host
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.runtime.files import write_whole
from oci_push.variables.ci_services import find_service
from oci_push.variables.git import git_environment, git_reader
from oci_push.variables.repository_url import parse_repository_url

PIPELINE_NAME = "pipeline.yml"
_DEPTH = 3
_MOST_ENTRIES = 20_000
_MOST_IMAGES = 8
_MOST_MEMBERS = 2_000
_MOST_INDEX_BYTES = 4 * 1024 * 1024
_NOT_ENTERED = frozenset({"node_modules", "vendor", "venv", "target", "__pycache__", "blobs"})
_RECIPE = re.compile(r"(?:Dockerfile|Containerfile)(?:\.[\w-]+)?|[\w-]+\.(?:Dockerfile|Containerfile)")
_WRITABLE = re.compile(r"[\w./@+, -]+")
"""Paths that a SOURCE can name: a colon would begin a reference, and ``${`` a variable."""


def init(
    output_dir: Annotated[
        Path | None, Option("Write into this folder, not into the working folder.", metavar="FOLDER", under=OUTPUT)
    ] = None,
    stdout: Annotated[bool, Option("Print what would be written, and write nothing.", under=OUTPUT)] = False,
) -> None:
    """Write an oci-push.yaml and a pipeline with comments, from what is found here.

    Looked for are Dockerfiles and Containerfiles, OCI layouts and image archives in this folder, the CI service that
    runs us, the hosts (never the secrets) of docker's and podman's login files, and the git remote. A file that is
    there already is never written over.
    """

    def work(context: Context) -> int:
        started = start(look_around(Path(), context))
        if stdout:
            for name, text in ((CONFIG_NAME, started.config), (PIPELINE_NAME, started.pipeline)):
                say(f"# ---- {name}")
                say_text(text)
            return 0
        folder = output_dir or Path()
        _write(folder, started)
        pipeline = shlex.quote(str(folder / PIPELINE_NAME))
        allowed = "".join(f" --allow-env {name}" for name in started.variables)
        say(f"wrote {folder / CONFIG_NAME} and {folder / PIPELINE_NAME}; look at both, then")
        say(f"  oci-push plan {pipeline}")
        say(f"  oci-push run {pipeline} --sandbox")
        say(f"  oci-push run {pipeline}{allowed}")
        return 0

    run_command(work, what="init")


def look_around(folder: Path, context: Context) -> Found:
    """Return what is found in a folder and in what surrounds this process; nothing is changed and nobody contacted."""
    environment = this_environment()
    env = environment.env
    notes: list[str] = []
    recipes, images = _files(folder, notes)
    facts = git_reader(command_runner(git_environment(env), context.clock), folder, context.clock)("")
    remote = parse_repository_url(facts.remote_url)
    service = find_service(env)
    told = {value.name: value.text for value in service.values(env)} if service else {}
    owner = told.get("CF_REPO_OWNER") or remote.owner
    name = told.get("CF_REPO_NAME") or remote.name
    usual = usual_registry(service.name if service else "", remote.host, _host(env.get(SERVICE_REGISTRY, "")))
    registries = [*_logins(targets.auth_files(None), notes)]
    if usual is not None:
        known = next((one for one in registries if one.host == usual.host), usual)
        registries = [known, *(one for one in registries if one is not known)]
    for note in notes:
        warn(note)
    return Found(
        _image_name(owner, name) or _image_name("", folder.resolve().name) or "app",
        recipes[0] if recipes else "",
        images,
        tuple(registries),
        service.name if service else "",
        has_revision=bool(told.get("CF_REVISION") or facts.revision),
        has_branch=bool(told.get("CF_BRANCH") or facts.branch or facts.tag),
        notes=tuple(notes),
    )


def _files(folder: Path, notes: list[str]) -> tuple[list[str], tuple[FoundImage, ...]]:
    """Return the recipes and the images below a folder, those least deep first."""
    recipes: list[str] = []
    images: list[FoundImage] = []
    for path in sorted(_walk(folder), key=lambda path: (len(path.parts), str(path))):
        shown = str(path.relative_to(folder))
        found: list[FoundImage] = []
        if path.name == "oci-layout":
            shown = str(path.parent.relative_to(folder))
            found = [*_of_layout(path.parent, shown)]
        elif path.suffix in (".tar", ".ociarchive") and _holds_image(path):
            found = [FoundImage(shown, path.stem)]
        elif _RECIPE.fullmatch(path.name):
            recipes.append(shown)
        for image in found:
            ref = image.source.removeprefix("oci:")[len(shown) :].removeprefix(":")
            if not (_WRITABLE.fullmatch(shown) and _WRITABLE.fullmatch(ref or "-")):
                notes.append(f"{image.source!r} is left out: a SOURCE cannot be written with this name")
            elif len(images) == _MOST_IMAGES:
                notes.append(f"there are more images than {_MOST_IMAGES}; the others are left out")
                return recipes, tuple(images)
            else:
                images.append(image)
    if len(recipes) > 1:
        notes.append(f"of {len(recipes)} files to build images by, {recipes[0]} was taken for the first image")
    return recipes, tuple(images)


def _walk(folder: Path) -> Iterator[Path]:
    """Return the files below a folder, not too deep and not too many; links to folders are not followed."""
    left = _MOST_ENTRIES
    for place, folders, files in os.walk(folder):
        here = Path(place)
        is_deep = len(here.relative_to(folder).parts) >= _DEPTH
        folders[:] = [] if is_deep else [one for one in folders if not one.startswith(".") and one not in _NOT_ENTERED]
        for name in files:
            left -= 1
            if left < 0:
                return
            yield here / name


def _of_layout(place: Path, shown: str) -> Iterator[FoundImage]:
    """Return the images of an OCI layout: the only one, or each that has a name."""
    try:
        with (place / "index.json").open("rb") as file:
            entries = load_json(file.read(_MOST_INDEX_BYTES), "index.json")
    except (OSError, ValueError):
        return
    listed = entries.get("manifests") if isinstance(entries, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    name = Path(shown).name or Path().resolve().name
    if len(found) == 1:
        yield FoundImage(f"oci:{shown}", name)
        return
    for one in found:
        annotations = one.get("annotations")
        ref = annotations.get("org.opencontainers.image.ref.name") if isinstance(annotations, dict) else None
        if isinstance(ref, str) and ref:
            yield FoundImage(f"oci:{shown}:{ref}", f"{name}-{ref}")


def _holds_image(path: Path) -> bool:
    """Return whether a tar's beginning names what images have."""
    try:
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(archive):
                if member.name.removeprefix("./") in ("oci-layout", "manifest.json", "index.json"):
                    return True
                if number == _MOST_MEMBERS:
                    break
    except (OSError, tarfile.TarError, EOFError, ValueError):
        return False
    return False


def _logins(files: AuthFiles, notes: list[str]) -> Iterator[FoundRegistry]:
    """Return the registries that login files name, each host once; a file that cannot be read is noted."""
    try:
        keys = files.entries()
    except CredentialsError as problem:
        notes.append(f"login files were left out: {problem}")
        return
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if is_host(key.host) and (key.host, key.path) not in seen:
            seen.add((key.host, key.path))
            yield FoundRegistry(key.host, key.path, "docker's or podman's login files name it")


def _image_name(*parts: str) -> str:
    """Return an image's name made of an owner's and a project's; empty where none can be made."""
    path = "/".join(re.sub(r"[^a-z0-9/]+", "-", part.lower()).strip("-/") for part in parts if part)
    try:
        return Repository("localhost", path).path if path else ""
    except ValueError:
        return ""


def _host(text: str) -> str:
    return text if is_host(text) else ""


def _write(folder: Path, started: Started) -> None:
    """Write both files, or none."""
    texts: Mapping[Path, str] = {folder / CONFIG_NAME: started.config, folder / PIPELINE_NAME: started.pipeline}
    there = [str(path) for path in texts if os.path.lexists(path)]
    if there:
        raise _is_there(there)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_whole(path, text, is_new=True)
            written.append(path)
    except OSError as problem:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(problem, FileExistsError) and folder.is_dir():
            raise _is_there([str(problem.filename2 or folder)]) from problem
        raise ConfigError(
            f"{folder}: cannot be written to ({problem.strerror or problem})", hint="name another folder: --output-dir"
        ) from problem


def _is_there(names: list[str]) -> ConfigError:
    return ConfigError(
        f"{' and '.join(names)}: already there, and nothing is written over",
        hint="write into another folder with --output-dir, or look at it with --stdout",
    )
