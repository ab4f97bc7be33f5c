"""Where the recipes of `docs/recipes` are run: folders as a CI lends them, stand-ins for builders, the program itself.

Builders, and the CI's own programs, are `standin-builder` under their names; all else is real: the shell lines, the
user and the read-only root that a recipe asks for, `oci-push`, and the registry.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from bare import PROGRAM, PROJECT, BarePlace, Done, Mount
from real_images import RealImages

RECIPES = PROJECT / "docs" / "recipes"
IMAGE = "registry.example.com/ci/oci-push:0.2"
"""What recipes call the image of the program."""

_TOOLS = ("buildah", "buildctl-daemonless.sh", "ko", "mvn", "bazel", "buildkite-agent")
_ENTRYPOINTS = {IMAGE: ["oci-push"], "gcr.io/kaniko-project/executor:v1.24.0": ["/kaniko/executor"]}


class Workshop:
    """Lend `/work` and other folders under `folder`; what is written there stays for the steps that follow."""

    def __init__(self, folder: Path, images: RealImages, host: str) -> None:
        self._folder = folder
        self.host = host
        pictures = self.place("images")
        for image in (images.layout, images.several, images.layout_archive, images.archive):
            if image.path.is_dir():
                shutil.copytree(image.path, pictures / image.path.name)
            else:
                shutil.copy(image.path, pictures)
        # umoci lets nobody else read what it writes; builders in CIs do.
        subprocess.run(["chmod", "-R", "a+rX", pictures], check=True)
        standin = Path(__file__).with_name("standin-builder")
        tools = self.place("tools")
        for name in _TOOLS:
            shutil.copy(standin, tools / name)
        shutil.copy(standin, self.place("kaniko") / "executor")
        shutil.copy(standin, self.place("work") / "gradlew")

    def place(self, name: str) -> Path:
        """Return a folder that everybody may write to, made when it is first asked for."""
        path = self._folder / name
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o777)
        return path

    def recipe(self, name: str) -> str:
        """Return a recipe's text, with the registry of the test where the reader puts in his own."""
        text = (RECIPES / name).read_text()
        return text.replace("registry.example.com/team/", f"{self.host}/{Path(name).parent.name}/")

    def documents(self, name: str) -> list[Any]:
        """Return what a recipe in YAML holds."""
        return list(yaml.safe_load_all(self.recipe(name)))

    def run(
        self,
        words: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        mounts: Mapping[str, Mount] | None = None,
        cwd: str = "/work",
        user: int = 1_000_650_000,
        group: int = 0,
    ) -> Done:
        """Run a command with `/work`, the images and the builders' stand-ins, as `user`, and expect it to succeed."""
        shared = {
            "/work": Mount(self.place("work")),
            "/images": Mount(self.place("images"), is_read_only=True),
            "/tools": Mount(self.place("tools"), is_read_only=True),
            "/kaniko": Mount(self.place("kaniko"), is_read_only=True),
        }
        place = BarePlace(mounts=shared | dict(mounts or {}), user=user, group=group)
        path = f"{PROGRAM.parent}:/tools:/usr/bin:/bin"
        done = place.run(words, env={"PATH": path, "LANG": "C", **env}, cwd=cwd)
        assert done.code == 0, f"exit code {done.code}\n{done.out}{done.said}"
        assert "Traceback" not in done.said
        return done

    def run_container(
        self, container: Mapping[str, Any], volumes: Mapping[str, Mount], pod: Mapping[str, Any] | None = None
    ) -> Done:
        """Run a container of a pod as Kubernetes would: its user, its variables, and of volumes what it mounts."""
        security = {**((pod or {}).get("securityContext", {})), **container.get("securityContext", {})}
        mounts = {
            mount["mountPath"]: Mount(volumes[mount["name"]].source, is_read_only=mount.get("readOnly", False))
            for mount in container.get("volumeMounts", [])
        }
        command = container.get("command") or _ENTRYPOINTS[container["image"]]
        return self.run(
            [*command, *container.get("args", [])],
            env={variable["name"]: variable["value"] for variable in container.get("env", [])},
            mounts=mounts,
            cwd=container.get("workingDir", "/"),
            user=security.get("runAsUser", 0),
            group=security.get("runAsGroup", 0),
        )


def filled(value: Any, pattern: str, meaning: Callable[[str], Any]) -> Any:
    """Return `value` with what `pattern` finds in its texts replaced by what its first group means.

    A list that stands for an item of a list takes its place there; one that stands for a text becomes the value.
    """
    if isinstance(value, dict):
        return {filled(name, pattern, meaning): filled(inner, pattern, meaning) for name, inner in value.items()}
    if isinstance(value, list):
        return [one for item in value for one in _several(item, filled(item, pattern, meaning))]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(pattern, value)
    if whole:
        return meaning(whole[1])
    return re.sub(pattern, lambda match: str(meaning(match[1])), value)


def _several(before: Any, after: Any) -> list[Any]:
    return after if isinstance(before, str) and isinstance(after, list) else [after]


def variables(lines: Sequence[str]) -> dict[str, str]:
    """Return a CI's list of ``NAME=value``."""
    return dict(line.split("=", 1) for line in lines)
