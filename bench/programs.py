"""The programs that are compared, and the words that make each do a piece of work. A new rival is one class here.

A method returns the commands of the work, run one after the other, or none where a program has no way to do it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.measuring import Command

REFERENCE = "v1"
"""The reference in every OCI layout of the bench."""


class Target(msgspec.Struct, frozen=True):
    """A repository as `HOST:PORT/NAME`, the tags to push, and the authority's file where its registry speaks TLS."""

    repository: str
    tags: tuple[str, ...] = ("v1",)
    ca_file: str = ""

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS. The environment says whom to trust, to programs that heed `SSL_CERT_FILE`."""
        return bool(self.ca_file)

    @property
    def host(self) -> str:
        """Address and port."""
        return self.repository.partition("/")[0]

    @property
    def name(self) -> str:
        """The repository's name in its registry."""
        return self.repository.partition("/")[2]

    def references(self) -> list[str]:
        """Return one reference for each tag."""
        return [f"{self.repository}:{tag}" for tag in self.tags]


class Program:
    """A program that pushes images."""

    name: str
    version_words: tuple[str, ...] = ("--version",)
    is_ours = False

    @property
    def path(self) -> str:
        """How it is called."""
        return self.name

    def version(self) -> str:
        """Return what it says its version is, in one line; some builds of crane do not know theirs."""
        command = (self.path, *self.version_words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        words = " ".join((done.stdout or done.stderr).split())
        return words[:60] if any(map(str.isdigit, words)) else "of a version that it does not know"

    def print_version(self) -> Command:
        """Return the command that prints the version."""
        return (self.path, *self.version_words)

    def print_help(self) -> Command:
        """Return the command that prints the help of the whole program."""
        return (self.path, "--help")

    def complete(self) -> tuple[Command, dict[str, str]]:
        """Return what a shell runs for TAB after the program's name, with its additions to the environment."""
        return (self.path, "__complete", ""), {}  # all rivals are made with Cobra

    def settle(self, home: Path, hosts: Sequence[str], tls: bool) -> None:
        """Write what the program needs in its home to talk to registries."""

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        """Return how an OCI layout is pushed to each tag of a repository."""
        return []

    def push_saved(self, saved: Path, targets: Sequence[Target]) -> list[Command]:
        """Return how a tar of `docker save` is pushed to several repositories."""
        return []

    def copy(self, source: Target, target: Target) -> list[Command]:
        """Return how an image is copied from one repository to another."""
        return []

    def push_all(
        self, layouts: Sequence[Path], targets: Sequence[Target], home: Path, *, is_parallel: bool
    ) -> list[Command]:
        """Return how several images are pushed, as the steps of one build; `is_parallel` where they may be at once."""
        each = [self.push(layout, target, home) for layout, target in zip(layouts, targets, strict=True)]
        return [command for commands in each for command in commands]


class Python(Program):
    """The interpreter alone, which bounds from below what a program in Python can do."""

    name = "python -c pass"

    def version(self) -> str:
        return sys.version.split()[0]

    def print_version(self) -> Command:
        return (sys.executable, "-c", "pass")

    print_help = print_version

    def complete(self) -> tuple[Command, dict[str, str]]:
        return self.print_version(), {}


class OciPush(Program):
    """This project's program."""

    name = "oci-push"
    is_ours = True

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def path(self) -> str:
        return self._path

    def complete(self) -> tuple[Command, dict[str, str]]:
        return (self.path, "__complete", "bash", "oci-push push --"), {}

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        return [(*self._push(target), f"oci:{layout}:{REFERENCE}", self._destination(target))]

    def push_saved(self, saved: Path, targets: Sequence[Target]) -> list[Command]:
        return [(*self._push(targets[0]), f"docker-archive:{saved}", *map(self._destination, targets))]

    def copy(self, source: Target, target: Target) -> list[Command]:
        return [(*self._push(target), f"docker://{source.references()[0]}", self._destination(target))]

    def push_all(
        self, layouts: Sequence[Path], targets: Sequence[Target], home: Path, *, is_parallel: bool
    ) -> list[Command]:
        """Return one `run` of a pipeline with a push step for each image, and write the pipeline."""
        steps: dict[str, object] = {}
        candidates: list[str] = []
        for number, (layout, target) in enumerate(zip(layouts, targets, strict=True)):
            steps[f"build{number}"] = {"type": "build", "image_name": target.name, "tag": target.tags[0]}
            steps[f"push{number}"] = {
                "type": "push",
                "candidate": f"${{{{build{number}}}}}",
                "registry": "bench",
                "tag": target.tags[0],
            }
            candidates += ["--candidate", f"build{number}=oci:{layout}:{REFERENCE}"]
        home.mkdir(parents=True, exist_ok=True)
        pipeline, config = home / "pipeline.yml", home / "oci-push.yaml"
        # Both as JSON, which readers of YAML take.
        mode = "parallel" if is_parallel else "sequential"
        pipeline.write_text(json.dumps({"version": "1.0", "mode": mode, "steps": steps}))
        registry = {"name": "bench", "provider": "other", "domain": targets[0].host}
        config.write_text(json.dumps({"registries": [registry]}))
        words = ("--quiet", *self._transport(targets[0]), "--config", str(config))
        return [(self.path, "run", *words, *candidates, str(pipeline))]

    def _push(self, target: Target) -> tuple[str, ...]:
        return (self.path, "push", "--quiet", *self._transport(target))

    def _transport(self, target: Target) -> tuple[str, ...]:
        return ("--ca-file", target.ca_file) if target.tls else ("--plain-http",)

    def _destination(self, target: Target) -> str:
        return f"{target.repository}:{','.join(target.tags)}"


class Crane(Program):
    """`crane` of go-containerregistry."""

    name = "crane"
    version_words = ("version",)

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        first, *others = target.references()
        tags = [("crane", "tag", *self._plain(target), first, other.rpartition(":")[2]) for other in others]
        return [("crane", "push", *self._plain(target), str(layout), first), *tags]

    def push_saved(self, saved: Path, targets: Sequence[Target]) -> list[Command]:
        return [("crane", "push", *self._plain(target), str(saved), target.references()[0]) for target in targets]

    def copy(self, source: Target, target: Target) -> list[Command]:
        return [("crane", "copy", *self._plain(target), source.references()[0], target.references()[0])]

    def _plain(self, target: Target) -> tuple[str, ...]:
        return () if target.tls else ("--insecure",)


class Oras(Program):
    """`oras`; it does not read the tars of `docker save`."""

    name = "oras"
    version_words = ("version",)

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        plain = () if target.tls else ("--to-plain-http",)
        destination = f"{target.repository}:{','.join(target.tags)}"
        return [("oras", "cp", "--no-tty", "--from-oci-layout", f"{layout}:{REFERENCE}", *plain, destination)]

    def copy(self, source: Target, target: Target) -> list[Command]:
        plain = () if target.tls else ("--from-plain-http", "--to-plain-http")
        return [("oras", "cp", "--no-tty", *plain, source.references()[0], target.references()[0])]


class Regctl(Program):
    """`regctl` of regclient."""

    name = "regctl"
    version_words = ("version",)

    def settle(self, home: Path, hosts: Sequence[str], tls: bool) -> None:
        config = home / ".regctl" / "config.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        described = {host: {"hostname": host, "tls": "enabled" if tls else "disabled"} for host in hosts}
        config.write_text(json.dumps({"hosts": described}))

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        source = f"ocidir://{layout}:{REFERENCE}"
        return [("regctl", "image", "copy", source, reference) for reference in target.references()]

    def push_saved(self, saved: Path, targets: Sequence[Target]) -> list[Command]:
        return [("regctl", "image", "import", target.references()[0], str(saved)) for target in targets]

    def copy(self, source: Target, target: Target) -> list[Command]:
        return [("regctl", "image", "copy", source.references()[0], target.references()[0])]


class Skopeo(Program):
    """`skopeo`."""

    name = "skopeo"

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        source = f"oci:{layout}:{REFERENCE}"
        return [(*self._copy(target), source, f"docker://{reference}") for reference in target.references()]

    def push_saved(self, saved: Path, targets: Sequence[Target]) -> list[Command]:
        source = f"docker-archive:{saved}"
        return [(*self._copy(target), source, f"docker://{target.references()[0]}") for target in targets]

    def copy(self, source: Target, target: Target) -> list[Command]:
        names = (f"docker://{source.references()[0]}", f"docker://{target.references()[0]}")
        return [(*self._copy(target), *self._plain(source, "src"), *names)]

    def _copy(self, target: Target) -> tuple[str, ...]:
        return ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", *self._plain(target, "dest"))

    def _plain(self, target: Target, end: str) -> tuple[str, ...]:
        return () if target.tls else (f"--{end}-tls-verify=false",)


class FromStorage(Program):
    """`buildah` and `podman`: they push from a storage of their own, into which the image is put before (not timed)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def push(self, layout: Path, target: Target, home: Path) -> list[Command]:
        words = (self.name, *self._storage(home))
        plain = () if target.tls else ("--tls-verify=false",)
        image = self._put(layout, words, home)
        return [(*words, "push", "--quiet", *plain, image, f"docker://{name}") for name in target.references()]

    def _storage(self, home: Path) -> tuple[str, ...]:
        folder = home.parent / f"storage-{self.name}"
        root = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))
        return (*root, "--storage-driver", "overlay")

    def _put(self, layout: Path, words: Command, home: Path) -> str:
        """Unpack the layout into the storage, once; return the image's ID."""
        noted = home.parent / f"storage-{self.name}-{layout.name}"
        if not noted.exists():
            command = (*words, "pull", "--quiet", f"oci:{layout}:{REFERENCE}")
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                return "no-image-as-the-storage-refused-it"
            noted.write_text(done.stdout.split()[-1])
        return noted.read_text()


RIVALS: tuple[Program, ...] = (
    Crane(),
    Oras(),
    Regctl(),
    Skopeo(),
    FromStorage("buildah"),
    FromStorage("podman"),
)


def found_rivals(only: Sequence[str] = ()) -> tuple[list[Program], list[str]]:
    """Return the rivals to compare with, and why others are missing; `only` leaves out all that it does not name."""
    wanted = [program for program in RIVALS if not only or program.name in only]
    found = [program for program in wanted if shutil.which(program.name)]
    missing = [f"{program.name}: not on PATH" for program in wanted if program not in found]
    known = [program.name for program in RIVALS]
    return found, missing + [f"{name}: no rival of this bench" for name in only if name not in known]
