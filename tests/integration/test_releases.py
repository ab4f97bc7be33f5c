"""What a release consists of, made on this machine and used: the one file, the image, and what goes with them.

All is made from the unpacked source archive, and all packages are fetched once, as wheels: what `make release` and the
image's recipe do after that needs no network.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from buildah import Buildah
from ecrfront import host_of
from ecrworld import HOME, EcrWorld
from hatchling.builders.sdist import SdistBuilder
from images import Layout, layer, make_layout
from packages import normal
from programs import ProgramError, clean_environment, run
from registries import DebianRegistry
from skopeo import Skopeo
from tree import size_bytes

from oci_push import __version__

ROOT = Path(__file__).parents[2]
COMMITTED = 1_750_000_000
OURS_BYTES = 60_000_000
"""What the image may hold besides its base."""


@dataclass(frozen=True)
class Made:
    """A project without a history but one commit, the wheels it needs, and what `make release` made of it."""

    project: Path
    wheels: Path
    env: dict[str, str]

    @property
    def dist(self) -> Path:
        return self.project / "dist"

    @property
    def file(self) -> Path:
        (found,) = self.dist.glob("*.pyz")
        return found

    def release(self) -> subprocess.CompletedProcess[str]:
        # The environment is ready: this one.
        command = ["make", "-o", ".venv/.ready", f"PY={sys.executable}", "release"]
        return subprocess.run(command, cwd=self.project, env=self.env, capture_output=True, text=True, check=False)


def _unmeasured(home: Path) -> dict[str, str]:
    """Return a clean environment in which coverage does not count the copy of our code that is in a release."""
    return {name: value for name, value in clean_environment(home).items() if not name.startswith("COVERAGE_")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("release")
    env = _unmeasured(folder / "home")
    (sdist,) = SdistBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    project = folder / f"oci_push-{__version__}"
    wheels = folder / "wheels"
    about = tomllib.loads((project / "pyproject.toml").read_text())
    wanted = [*about["project"]["dependencies"], *about["build-system"]["requires"]]
    subprocess.run([sys.executable, "-m", "pip", "download", "-qq", "--dest", wheels, *wanted], check=True)
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "release", "--date", f"@{COMMITTED}"]):
        who = ["-c", "user.name=robot", "-c", "user.email=robot@example.com"]
        run(["git", *who, *command], env={**env, "GIT_COMMITTER_DATE": f"@{COMMITTED}"}, cwd=project)
    found = Made(project, wheels, {**env, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)})
    done = found.release()
    assert done.returncode == 0, done.stdout + done.stderr
    yield found
    shutil.rmtree(folder)


def test_a_release_has_all_its_parts_and_their_sums(made: Made) -> None:
    platform = getattr(sys.implementation, "_multiarch", sys.platform)
    names = {
        f"oci_push-{__version__}-py3-none-any.whl",
        f"oci_push-{__version__}.tar.gz",
        f"oci-push-{__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{platform}.pyz",
        f"oci-push-{__version__}.cdx.json",
    }
    assert {path.name for path in made.dist.iterdir()} == names | {"SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in (made.dist / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((made.dist / name).read_bytes()).hexdigest() for name in names}
    run(["git", "diff", "--exit-code", "HEAD"], env=made.env, cwd=made.project)


def test_what_is_not_committed_is_not_released(made: Made) -> None:
    stray = made.project / "stray.py"
    stray.touch()
    before = (made.dist / "SHA256SUMS").read_bytes()
    done = made.release()
    stray.unlink()
    assert done.returncode != 0
    assert "commit or remove what `git status` shows" in done.stderr
    assert (made.dist / "SHA256SUMS").read_bytes() == before


def test_the_bill_of_materials_lists_what_is_in_the_one_file(made: Made) -> None:
    bill = json.loads((made.dist / f"oci-push-{__version__}.cdx.json").read_text())
    with zipfile.ZipFile(made.file) as outer, outer.open("lib.zip") as file, zipfile.ZipFile(file) as archive:
        tops = {name.split("/")[1] for name in archive.namelist()}
    inside = {tuple(name.removesuffix(".dist-info").split("-")) for name in tops if name.endswith(".dist-info")}
    components = [*bill["components"], bill["metadata"]["component"]]
    listed = {f"pkg:pypi/{normal(name)}@{version}" for name, version in inside}
    assert {component["purl"] for component in components} == listed
    assert all(component["licenses"] for component in components)
    assert bill["metadata"]["timestamp"] == "2025-06-15T15:06:40+00:00"
    (needs,) = (
        row["dependsOn"] for row in bill["dependencies"] if row["ref"] == f"pkg:pypi/boto3@{_version(bill, 'boto3')}"
    )
    assert {need.partition("@")[0] for need in needs} == {
        "pkg:pypi/botocore",
        "pkg:pypi/jmespath",
        "pkg:pypi/s3transfer",
    }


def _version(bill: dict[str, list[dict[str, str]]], name: str) -> str:
    (found,) = (component["version"] for component in bill["components"] if component["name"] == name)
    return found


def test_the_one_file_holds_no_installer_no_tests_and_no_services_that_are_not_called(made: Made) -> None:
    assert made.file.stat().st_size < 20_000_000
    with zipfile.ZipFile(made.file) as outer, outer.open("lib.zip") as file, zipfile.ZipFile(file) as archive:
        names = [name.removeprefix("lib/") for name in archive.namelist()]
    services = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert services == {"ecr", "ecr-public", "sso", "sso-oidc", "signin", "sts"}
    assert not {"pip", "setuptools", "hatchling"} & {name.split("/")[0] for name in names}
    assert not [name for name in names if "/tests/" in name]
    sources = {name for name in names if name.endswith(".py")}
    cached = {f"{Path(name).parent}/{Path(name).name.split('.')[0]}.py" for name in names if name.endswith(".pyc")}
    assert {str(Path(name).parents[1] / Path(name).name) for name in cached} == sources


@dataclass(frozen=True)
class Images:
    """The base and our image in buildah's storage, ours as a layout, and a folder that containers see as /mnt."""

    buildah: Buildah
    base: str
    ours: str
    shared: Path

    def run(self, container: str, *command: str, has_network: bool = True, **env: str) -> str:
        """Run a command as a user whom nobody knows, with a read-only root and no variables but PATH and `env`."""
        return self.buildah.run_locked(container, *command, shared=self.shared, has_network=has_network, env=env).text


@pytest.fixture(scope="module")
def images(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    folder = tmp_path_factory.mktemp("images")
    buildah = Buildah(folder)
    buildah.base("localhost/python")
    args = {"BUILDER": "localhost/python", "BASE": "localhost/python", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    words = [word for name, value in args.items() for word in ("--build-arg", f"{name}={value}")]
    words += ["--isolation", "chroot", "--volume", f"{made.wheels}:/wheels:ro", "--tag", "localhost/oci-push"]
    buildah("build", "--quiet", *words, made.project)
    shared = folder / "shared"
    shared.mkdir()
    (shared / "tmp").mkdir()
    (shared / "tmp").chmod(0o777)
    shutil.copy2(made.file, shared / "oci-push.pyz")
    make_layout(shared / "image", layer(1), layer(2))
    buildah("push", "localhost/oci-push", f"oci:{shared}/ours:it")
    yield Images(buildah, buildah("from", "localhost/python"), buildah("from", "localhost/oci-push"), shared)
    buildah.remove()


def _root(images: Images) -> str:
    return json.loads((images.shared / "image/index.json").read_text())["manifests"][0]["digest"]


def test_the_one_file_needs_python_alone(images: Images, open_registry: DebianRegistry) -> None:
    """No network but loopback to a registry, no home, no user of that number, nothing to write to but TMPDIR."""
    destination = f"{open_registry.host}/onefile/app:1"
    words = ("python3", "/mnt/oci-push.pyz", "push", "oci:/mnt/image", destination)
    assert images.run(images.base, *words, TMPDIR="/mnt/tmp") == f"{destination}@{_root(images)}"
    (kept,) = (images.shared / "tmp").iterdir()
    assert kept.name == "oci-push-65532"

    planned = images.run(images.base, *words, "--plan", "--no-ask", has_network=False, TMPDIR="/mnt/tmp", HOME="/root")
    assert _root(images) in planned


def test_the_one_file_has_units_done_by_processes_of_itself(images: Images, open_registry: DebianRegistry) -> None:
    """Its workers are started from what it has unpacked: no other oci-push is there, and no package."""
    push = f"type: push, candidate: 'oci:/mnt/image', tag: '1', registry: '{open_registry.host}'"
    steps = "".join(f"  s{number}: {{{push}, image_name: onefile/by{number}}}\n" for number in range(3))
    (images.shared / "p.yml").write_text(f"version: '1.0'\nmode: parallel\nsteps:\n{steps}")
    program = ("python3", "/mnt/oci-push.pyz")
    done = images.run(images.base, *program, "run", "/mnt/p.yml", "--on", "local:2", "-q", TMPDIR="/mnt/tmp")
    wanted = [f"{open_registry.host}/onefile/by{number}:1@{_root(images)}" for number in range(3)]
    assert done.splitlines()[:3] == wanted

    (images.shared / "units").mkdir()
    (images.shared / "units").chmod(0o777)
    units, results = "/mnt/units/u.jsonl", "/mnt/units/r.jsonl"
    images.run(images.base, *program, "plan", "/mnt/p.yml", "--units", units, TMPDIR="/mnt/tmp")
    work = ("work", units, "--results", results, "--on", "local:2", "--json")
    report = json.loads(images.run(images.base, *program, *work, TMPDIR="/mnt/tmp"))
    assert report["counts"]["done"] == 3
    workers = {json.loads(line)["worker"] for line in (images.shared / "units/r.jsonl").read_text().splitlines()}
    assert 1 <= len(workers) <= 2


def test_the_one_file_says_what_to_do_where_nothing_can_be_written(images: Images) -> None:
    with pytest.raises(ProgramError) as caught:
        images.run(images.base, "python3", "/mnt/oci-push.pyz", "--version")
    assert caught.value.status == 2
    assert "nowhere to unpack to: " in caught.value.said
    assert "hint: name a folder that you can write to: OCI_PUSH_UNPACK=DIR" in caught.value.said


def test_the_one_file_uses_what_root_has_unpacked(made: Made, images: Images) -> None:
    ready = images.shared / "ready"
    ready.mkdir()
    run([sys.executable, made.file, "--version"], env={**made.env, "OCI_PUSH_UNPACK": str(ready)})
    words = ("python3", "/mnt/oci-push.pyz", "push", "--help")
    assert "Usage: oci-push push" in images.run(images.base, *words, OCI_PUSH_UNPACK="/mnt/ready")


def test_the_one_file_logs_in_to_amazon(made: Made, image: Layout, ecr: EcrWorld, tmp_path: Path) -> None:
    """What is left of botocore is enough for its search for keys, and for ECR's answer."""
    ecr.create(HOME, "onefile/app")
    env = {**_unmeasured(tmp_path / "home"), **ecr.environment, "SSL_CERT_FILE": str(ecr.authority.path)}
    destination = f"{host_of(HOME)}/onefile/app:1"
    done = run([sys.executable, made.file, "push", f"oci:{image.path}", destination], env=env)
    assert done.text == f"{destination}@{image.digest}"
    assert ecr.aws.calls == [f"{HOME} GetAuthorizationToken"]


def test_the_image_pushes_itself_from_a_read_only_root(
    images: Images, open_registry: DebianRegistry, skopeo: Skopeo
) -> None:
    destination = f"{open_registry.host}/tools/oci-push:1"
    said = images.run(images.ours, "oci-push", "push", "oci:/mnt/ours:it", destination)
    digest = skopeo.digest(f"docker://{destination}")
    assert said == f"{destination}@{digest}"
    assert digest == json.loads((images.shared / "ours/index.json").read_text())["manifests"][0]["digest"]

    config = json.loads(skopeo.config(f"docker://{destination}"))["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["oci-push"]
    assert config["Env"][0].startswith("PATH=/opt/oci-push/bin:")
    skopeo.copy(f"docker://{destination}", f"oci:{images.shared}/back:it")


def test_the_image_is_small_and_compiled(images: Images) -> None:
    root = Path(images.buildah("mount", images.ours))
    ours = root / "opt/oci-push"
    assert {path.name for path in ours.iterdir()} == {"bin", "bytecode", "lib"}
    assert size_bytes(ours) < OURS_BYTES
    assert not [*ours.rglob("__pycache__")]

    sources = {path.relative_to(ours / "lib").with_suffix("") for path in (ours / "lib").rglob("*.py")}
    compiled = ours / "bytecode/opt/oci-push/lib"
    assert {path.relative_to(compiled).with_suffix("").with_suffix("") for path in compiled.rglob("*.pyc")} == sources
    (unchecked,) = compiled.glob("oci_push/__init__.*.pyc")
    assert struct.unpack("<I", unchecked.read_bytes()[4:8]) == (1,)  # by hash, which is not looked at (PEP 552)

    library = Path(sysconfig.get_path("stdlib")).relative_to("/")
    for name in ("argparse", "json/__init__", "ssl"):
        source = (root / library / f"{name}.py").stat()
        (kept,) = (ours / "bytecode" / library).glob(f"{name}.*.pyc")
        assert struct.unpack("<III", kept.read_bytes()[4:16]) == (0, int(source.st_mtime), source.st_size)


def test_every_compiled_module_of_the_image_loads(images: Images) -> None:
    """Stripped, and with the libraries of the base alone."""
    before = "import sys; sys.path.append('/opt/oci-push/lib'); "
    modules = "cryptography.hazmat.primitives.ciphers.aead, isal.igzip_threaded, msgspec, regex, ssl, yaml, zstandard"
    modules += ", rich.progress, rich.traceback, typer.rich_utils"  # which import what is left of Pygments
    assert images.run(images.ours, "python3", "-IS", "-c", f"{before}import {modules}; print('all')") == "all"


def test_the_image_knows_the_services_of_amazon_that_are_called(images: Images) -> None:
    services = ("ecr", "ecr-public", "signin", "sso", "sso-oidc", "sts")
    program = "import sys; sys.path.append('/opt/oci-push/lib'); import boto3; "
    program += "session = boto3.Session('key', 'secret', region_name='us-east-1'); "
    program += f"print(*(session.client(name).meta.endpoint_url for name in {services}))"
    endpoints = images.run(images.ours, "python3", "-IS", "-c", program).split()
    assert endpoints[0] == "https://api.ecr.us-east-1.amazonaws.com"
    assert endpoints[-1] == "https://sts.us-east-1.amazonaws.com"
    assert len(endpoints) == len(services)
