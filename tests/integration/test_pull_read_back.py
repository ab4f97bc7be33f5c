"""What pull writes, read by skopeo and buildah, out of Debian's registry: equal digests, equal bytes."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from around import two_platforms
from buildah import Buildah
from images import layer, make_layout
from program import program
from registries import DebianRegistry
from skopeo import Skopeo


def pull(*words: str, cwd: Path) -> None:
    program("pull", *words, "--plain-http", cwd=cwd)


def test_skopeo_reads_layouts_and_archives_with_equal_digests(open_registry: DebianRegistry, tmp_path: Path) -> None:
    image = two_platforms(tmp_path / "image")
    name = f"{open_registry.host}/pull/index"
    program("push", "oci:image", f"{name}:1.4", "--no-memory", "--plain-http", cwd=tmp_path)
    pull(f"{name}:1.4", "oci:out", cwd=tmp_path)
    pull(f"{name}:1.4", "oci-archive:out.tar", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    for reference in (f"oci:{tmp_path}/out:1.4", f"oci-archive:{tmp_path}/out.tar:1.4"):
        assert skopeo.digest(reference) == image.digest
        skopeo.copy(reference, f"docker://{name}:back")
        assert skopeo.digest(f"docker://{name}:back") == image.digest


def test_a_layout_that_skopeo_made_is_added_to_and_still_read_by_it(
    open_registry: DebianRegistry, tmp_path: Path
) -> None:
    first, second = make_layout(tmp_path / "a", layer(1)), make_layout(tmp_path / "b", layer(2))
    name = f"{open_registry.host}/pull/added"
    for tag, folder in (("1", "a"), ("2", "b")):
        program("push", f"oci:{folder}", f"{name}:{tag}", "--no-memory", "--plain-http", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    skopeo.copy(f"docker://{name}:1", f"oci:{tmp_path}/out:1")
    pull(f"{name}:2", "oci:out", cwd=tmp_path)
    skopeo.copy(f"docker://{name}:1", f"oci:{tmp_path}/out:again")
    assert [skopeo.digest(f"oci:{tmp_path}/out:{tag}") for tag in ("1", "2", "again")] == [
        first.digest,
        second.digest,
        first.digest,
    ]


def test_docker_archive_is_the_image_that_skopeo_reads(open_registry: DebianRegistry, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1), layer(2, 100_000))
    name = f"{open_registry.host}/pull/loaded"
    program("push", "oci:image", f"{name}:1", "--no-memory", "--plain-http", cwd=tmp_path)
    pull(f"{name}:1", "docker-archive:d.tar", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    config = skopeo.config(f"docker://{name}:1")
    assert skopeo.config(f"docker-archive:{tmp_path}/d.tar") == config
    skopeo.convert(f"docker-archive:{tmp_path}/d.tar:{name}:1", f"oci:{tmp_path}/converted:1")
    assert program("digest", f"docker-archive:{tmp_path}/d.tar", cwd=tmp_path).stdout.strip() == image.digest


def test_buildah_loads_one_file_in_both_ways(open_registry: DebianRegistry, tmp_path: Path) -> None:
    """Podman reads by the same library; of a file that holds both it takes the layout, which has the digest."""
    image = make_layout(tmp_path / "image", layer(1))
    name = f"{open_registry.host}/pull/loaded"
    program("push", "oci:image", f"{name}:2", "--no-memory", "--plain-http", cwd=tmp_path)
    pull(f"{name}:2", "docker-archive:d.tar", cwd=tmp_path)
    with tempfile.TemporaryDirectory() as short:  # it refuses long paths
        buildah = Buildah(Path(short))
        try:
            loaded = buildah("pull", f"docker-archive:{tmp_path}/d.tar")
            named = json.loads(buildah("inspect", "--type", "image", f"{name}:2"))
            again = buildah("pull", f"oci-archive:{tmp_path}/d.tar")
            found = json.loads(buildah("inspect", "--type", "image", again))
        finally:
            buildah.remove()
    config = Skopeo(tmp_path / "skopeo").config(f"docker://{name}:2")
    assert loaded == again == named["FromImageID"] == hashlib.sha256(config).hexdigest()
    assert found["FromImageDigest"] == image.digest
