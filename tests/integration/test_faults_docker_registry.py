"""Debian's registry with no room left, with twenty who push the same at once, and with a hundred images in one run."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from images import layer, make_layout, make_raw_layout, noise
from programs import clean_environment
from proxy import TcpProxy
from registries import DebianRegistry, Mode
from skopeo import Skopeo

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@pytest.fixture
def registry(make_registry: Callable[[Mode], DebianRegistry]) -> DebianRegistry:
    return make_registry(Mode())


def start(home: Path, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start the program with a home of its own; a crowd of them is not what coverage should be counted in."""
    home.mkdir(exist_ok=True)
    env = clean_environment(home, {"PYTHONPATH": str(ROOT)})
    return subprocess.Popen(
        [sys.executable, "-m", "oci_push", *arguments],
        env={name: value for name, value in env.items() if not name.startswith("COVERAGE_")},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for it; a traceback fails the test."""
    out, errors = child.communicate(timeout=300)
    assert "Traceback" not in errors, errors
    return child.returncode, out, errors


def limit_files(process: int, size: int) -> None:
    """Let a process write files up to so many bytes, as a full disk does."""
    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))


def test_a_registry_without_room_is_told_and_has_no_tag_until_there_is_room(
    registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    image = make_raw_layout(tmp_path / "image", noise(3 * MIB))
    target = f"{registry.host}/full:1"
    limit_files(registry.process, MIB)
    code, _, errors = finish(start(tmp_path / "home", "push", "--retries", "1", f"oci:{image.path}", target))
    assert code in (5, 6), errors
    assert not [r for r in registry.requests() if r.method == "PUT" and "/manifests/" in r.path]

    limit_files(registry.process, resource.RLIM_INFINITY)
    registry.start()
    code, out, errors = finish(start(tmp_path / "home", "push", f"oci:{image.path}", target))
    assert code == 0, errors
    assert out.split() == [f"{target}@{image.digest}"]
    assert skopeo.digest(f"docker://{target}") == image.digest


def test_no_room_for_temporary_files_is_told_with_what_to_do(registry: DebianRegistry, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, {"PYTHONPATH": str(ROOT)})
    done = subprocess.run(
        # -B: a module's compiled form, cut off at the limit, would be in the way of all who come after.
        [sys.executable, "-B", "-c", LIMITED, "push", "-", f"{registry.host}/spool:1"],
        # Coverage would want to write a file at the end, which is just what this child may not.
        env={name: value for name, value in env.items() if not name.startswith("COVERAGE_")},
        input=noise(2 * MIB),
        capture_output=True,
        timeout=300,
        check=False,
    )
    errors = done.stderr.decode()
    assert done.returncode == 3, errors
    assert "temporary file" in errors
    assert "--tmpdir" in errors
    assert "Traceback" not in errors


LIMITED = (
    "import resource; from oci_push.cli.app import main; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.getrlimit(resource.RLIMIT_FSIZE)[1])); main()"
)


def test_twenty_who_push_the_same_image_at_once_all_succeed(
    registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    image = make_layout(tmp_path / "image", *(layer(n, 100_000) for n in range(4)))
    target = f"{registry.host}/crowd:1"
    children = [start(tmp_path / f"home{n}", "push", f"oci:{image.path}", target) for n in range(20)]
    ended = [finish(child) for child in children]
    assert [(code, errors) for code, _, errors in ended if code] == []
    assert {out.strip() for _, out, _ in ended} == {f"{target}@{image.digest}"}
    assert skopeo.digest(f"docker://{target}") == image.digest
    skopeo.copy(f"docker://{target}", f"oci:{tmp_path / 'back'}:x")


def test_a_hundred_images_go_out_in_one_run(registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
    shared = layer(1000, 50_000)
    images = [make_layout(tmp_path / f"image{n}", shared, layer(n)) for n in range(100)]
    steps = "\n".join(
        f"      s{n}: {{type: push, candidate: 'oci:image{n}', image_name: many/i{n}, "
        f"registry: '{registry.host}', tag: '1'}}"
        for n in range(100)
    )
    (tmp_path / "pipeline.yml").write_text(f"version: '1.0'\nsteps:\n  all:\n    type: parallel\n    steps:\n{steps}\n")
    code, out, errors = finish(start(tmp_path / "home", "run", "pipeline.yml", cwd=tmp_path))
    assert code == 0, errors
    pushed = {line.partition("@")[0]: line.partition("@")[2] for line in out.split()}
    assert pushed == {f"{registry.host}/many/i{n}:1": image.digest for n, image in enumerate(images)}
    for n in (0, 57, 99):
        assert skopeo.digest(f"docker://{registry.host}/many/i{n}:1") == images[n].digest


def test_a_line_that_is_slow_and_breaks_again_and_again_brings_the_image(
    registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    image = make_raw_layout(tmp_path / "image", noise(6 * MIB))
    with TcpProxy(registry.port) as line:
        line.delay(0.01)
        line.throttle(8 * MIB)
        line.cut_after(2 * MIB, times=3)
        code, out, errors = finish(start(tmp_path / "home", "push", f"oci:{image.path}", f"{line.host}/line:1"))
    assert code == 0, errors
    assert out.strip().endswith(f"@{image.digest}")
    assert skopeo.digest(f"docker://{registry.host}/line:1") == image.digest
