"""The first oci-push.yaml and pipeline of a project: text with comments, from what was found in its folder.

Values in, text out; who looks for them is `cli.init`'s business. No secret is ever among them: a login is a variable
that the environment sets, or stays in the login file that has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

PLACEHOLDER = "registry.example.com"
"""The host that stands there where none was found."""


class FoundImage(Struct, frozen=True):
    """An image that lies in the folder: the `source` that reads it, and what its step may be called after."""

    source: str
    name: str


class FoundRegistry(Struct, frozen=True):
    """A registry, what was read to know of it, and the variables with its login where no login file has one."""

    host: str
    path: str = ""
    origin: str = ""
    user_variable: str = ""
    password_variable: str = ""


class Found(Struct, frozen=True):
    """What a folder and its surroundings tell; `recipe` is a Dockerfile or Containerfile, `service` the CI."""

    image_name: str
    recipe: str = ""
    images: tuple[FoundImage, ...] = ()
    registries: tuple[FoundRegistry, ...] = ()
    service: str = ""
    has_revision: bool = False
    has_branch: bool = False
    notes: tuple[str, ...] = ()


class Started(Struct, frozen=True):
    """The two files, and the variables that a run wants from the environment, as ``--allow-env`` takes them."""

    config: str
    pipeline: str
    variables: tuple[str, ...]


_OF_GIT_HOSTS = {
    "github.com": FoundRegistry("ghcr.io", "", "", "GITHUB_ACTOR", "GITHUB_TOKEN"),
    "gitlab.com": FoundRegistry("registry.gitlab.com", "", "", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
}
_OF_SERVICES = {"GitHub Actions": _OF_GIT_HOSTS["github.com"], "GitLab CI": _OF_GIT_HOSTS["gitlab.com"]}
SERVICE_REGISTRY = "CI_REGISTRY"
"""The variable by which GitLab names the registry of an installation of its own."""


def usual_registry(service: str, git_host: str, own_host: str) -> FoundRegistry | None:
    """Return the registry that belongs to a CI service, or to where the code is; `own_host` goes before."""
    if found := _OF_SERVICES.get(service):
        is_own = service == "GitLab CI" and own_host
        return replace(found, host=own_host if is_own else found.host, origin=f"this is {service}")
    if found := _OF_GIT_HOSTS.get(git_host):
        return replace(found, origin=f"the git remote is at {git_host}")
    return None


def start(found: Found) -> Started:
    """Write both files."""
    registries = found.registries or (
        FoundRegistry(
            PLACEHOLDER, "", "no login and no CI tells of one: CHANGE THIS", "REGISTRY_USER", "REGISTRY_PASSWORD"
        ),
    )
    names = _unique(one.host if not one.path else f"{one.host}/{one.path}" for one in registries)
    images = found.images or (FoundImage("oci:image", found.image_name),)
    wanted = [f"{name}@{one.host}" for one in registries for name in (one.user_variable, one.password_variable) if name]
    steps = _unique(one.name.rpartition("/")[2] for one in images)
    return Started(
        _text(_config(found, registries, names, images, steps)),
        _text(_pipeline(found, names, images, steps, wanted)),
        tuple(wanted),
    )


def _config(
    found: Found,
    registries: Sequence[FoundRegistry],
    names: Sequence[str],
    images: Sequence[FoundImage],
    steps: Sequence[str],
) -> Iterator[str]:
    yield "# Written by oci-push init: registries by name, and where the images of build steps are."
    yield "# Passwords do not belong here: ${NAME} is taken from the environment when it is used."
    yield "# All keys: oci-push schema config"
    yield "registries:"
    for number, (one, name) in enumerate(zip(registries, names, strict=True)):
        yield f"  - name: {_scalar(name)}" + (f"  # {_comment(one.origin)}" if one.origin else "")
        yield f"    domain: {_scalar(one.host)}"
        if one.path:
            yield f"    repository_prefix: {_scalar(one.path)}"
        if number == 0:
            yield "    default: true              # of pushes that name no registry"
        if one.user_variable:
            yield f'    username: "${{{one.user_variable}}}"'
            yield f'    password: "${{{one.password_variable}}}"'
        else:
            yield "    # its login stays in the login file, where oci-push finds it"
    yield ""
    yield "# STEP: SOURCE, for each build step of the pipeline. Not built here: your builder writes it,"
    yield "# as in: buildah build --layers -t app . && buildah push app oci:image, or without that push"
    yield "# containers-storage:app, from where buildah and podman keep it"
    yield "candidates:"
    for image, step in zip(images, steps, strict=True):
        yield f"  {_scalar(f'build-{step}')}: {_scalar(image.source)}"
    yield ""
    yield "# Variables of pipelines, under ${{NAME}} there. What CI services and git tell is known already:"
    yield "# oci-push variables lists it."
    yield "variables: {}"


def _pipeline(
    found: Found, names: Sequence[str], images: Sequence[FoundImage], steps: Sequence[str], wanted: Sequence[str]
) -> Iterator[str]:
    allowed = "".join(f" --allow-env {name}" for name in wanted)
    yield "# Written by oci-push init."
    yield "#   what it would do:           oci-push plan pipeline.yml"
    yield "#   rehearse it:                oci-push run pipeline.yml --sandbox"
    yield f"#   do it:                      oci-push run pipeline.yml{allowed}"
    yield "# All keys: oci-push schema pipeline"
    if found.service:
        yield f"# Branch, revision and pull request are those that {_comment(found.service)} tells of."
    for note in found.notes:
        yield f"# {_comment(note)}"
    yield 'version: "1.0"'
    yield "stages: [build, publish]"
    yield "steps:"
    names_of_images = _image_names(found, images, steps)
    for number, (image, step, image_name) in enumerate(zip(images, steps, names_of_images, strict=True)):
        yield from ([""] if number else [])
        yield f"  {_scalar(f'build-{step}')}:"
        built = f"of {_comment(found.recipe)}; " if found.recipe and number == 0 else ""
        yield f"    type: build                # {built}not built here: it says what the image is called"
        yield "    stage: build"
        yield f"    image_name: {_scalar(image_name)}"
        yield f"  {_scalar(f'push-{step}')}:"
        yield "    type: push"
        yield "    stage: publish"
        yield f"    title: {_scalar(f'Push {image_name}')}"
        yield f"    candidate: ${{{{build-{step}}}}}  # {_comment(image.source)}, see candidates: in oci-push.yaml"
        yield f"    registry: {_scalar(names[0])}"
        yield "    tags:"
        if found.has_revision:
            yield '      - "${{CF_SHORT_REVISION}}"           # the commit'
        if found.has_branch:
            yield '      - "${{CF_BRANCH_TAG_NORMALIZED}}"    # the branch, as a tag may be written'
        if not (found.has_revision or found.has_branch):
            yield "      - latest"
        yield "    retry: {maxAttempts: 2, delay: 5}"
    yield ""
    yield "    # Only of some branches, when you want that:"
    yield "    # when:"
    yield "    #   branch: {only: [main]}"
    for name in names[1:]:
        yield f"    # To push there too, add a step with: registry: {_comment(name)}"


def _image_names(found: Found, images: Sequence[FoundImage], steps: Sequence[str]) -> list[str]:
    """Return what each image is called: the first as the project, further ones below it."""
    return [
        found.image_name if number == 0 else f"{found.image_name}/{step}"
        for number, (_, step) in enumerate(zip(images, steps, strict=True))
    ]


def _unique(texts: Iterable[str]) -> list[str]:
    """Return names that steps and registries may have, each once."""
    found: list[str] = []
    for text in texts:
        name = base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "app"
        number = 1
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found.append(name)
    return found


def _scalar(text: str) -> str:
    """Return a YAML scalar, in quotes where it could be read as something else."""
    is_plain = re.fullmatch(r"[a-z][a-z0-9./_-]*(:[a-z0-9][a-z0-9./_:-]*)?", text)
    is_word = text in ("true", "false", "null", "yes", "no", "on", "off")
    return text if is_plain and not is_word else json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
