"""A registry source is read where ``registries.conf`` says, as podman would; what goes out goes where it was sent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.faults import Answer, DropBefore, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program

from oci_push.credentials.registries_conf import Place, RegistriesConf, read_registries_conf
from oci_push.errors import ConfigError
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def upstream() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def mirror(image: Layout) -> Iterator[Sandbox]:
    """Give a registry that has the image as ``hub/app:1``."""
    with Sandbox() as sandbox:
        program("push", "oci:image", f"{sandbox.address}/hub/app:1", cwd=image.path.parent)
        sandbox.traffic.clear()
        yield sandbox


@pytest.fixture
def target() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def push(folder: Path, source: str, target: Sandbox, *words: str, code: int = 0, **env: str) -> str:
    """Copy an image as the user's own registries.conf says; return what was said."""
    done = program("push", source, f"{target.address}/out:1", *words, cwd=folder, code=code, **env)
    return done.stderr


def conf(folder: Path, text: str) -> Path:
    path = folder / "home" / ".config" / "containers" / "registries.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mirrored(upstream: Sandbox, mirror: Sandbox, more: str = "", of_mirror: str = "") -> str:
    return (
        f'[[registry]]\nlocation = "{upstream.address}"\n{more}\n'
        f'[[registry.mirror]]\nlocation = "{mirror.address}/hub"\n{of_mirror}\n'
    )


def test_an_image_is_read_from_the_mirror_and_that_is_said(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    conf(folder, mirrored(upstream, mirror))
    said = push(folder, f"docker://{upstream.address}/app:1", target)
    assert f"{upstream.address}/app:1 is read from the mirror {mirror.address}/hub/app:1" in said
    assert f"there the tag is {image.digest}" in said
    assert target.store.manifest("out", "1") is not None
    assert upstream.traffic.count() == 0


def test_a_run_reads_from_it_too(image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox) -> None:
    folder = image.path.parent
    conf(folder, mirrored(upstream, mirror))
    step = (
        f"{{type: push, candidate: '{upstream.address}/app:1', image_name: out, registry: '{target.address}', tag: x}}"
    )
    (folder / "p.yml").write_text(f"version: '1.0'\nsteps:\n  p: {step}\n")
    assert "is read from the mirror" in program("run", "p.yml", cwd=folder).stderr
    assert upstream.traffic.count() == 0


def test_pull_reads_from_it_too(image: Layout, upstream: Sandbox, mirror: Sandbox) -> None:
    folder = image.path.parent
    conf(folder, mirrored(upstream, mirror))
    done = program("pull", f"{upstream.address}/app:1", "oci:saved", cwd=folder)
    assert f"is read from the mirror {mirror.address}/hub/app:1" in done.stderr
    assert (folder / "saved" / "blobs" / "sha256" / image.digest.partition(":")[2]).is_file()
    assert upstream.traffic.count(path_pattern="/blobs/") == 0


def test_copy_asks_the_registry_what_its_tags_name_and_reads_that_from_the_mirror(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    upstream.traffic.clear()
    conf(folder, mirrored(upstream, mirror))
    program("copy", f"{upstream.address}/app:1", f"{target.address}/out:1", cwd=folder)
    assert target.store.manifest("out", "1") is not None
    assert upstream.traffic.count(path_pattern="/blobs/") == 0
    assert mirror.traffic.count(path_pattern="/blobs/") > 0


def test_what_a_mirror_lacks_comes_from_the_registry_itself(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:2", cwd=folder)
    conf(folder, mirrored(upstream, mirror))
    said = push(folder, f"{upstream.address}/app:2", target)
    assert f"{upstream.address}/app:2 is not read from {mirror.address}" in said
    assert target.store.manifest("out", "1") is not None
    assert len(mirror.traffic.requests) == 1


def test_a_mirror_that_fails_is_asked_once(image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    mirror.faults.add(Fault("GET", "/manifests/", times=0, action=Answer(503)))
    conf(folder, mirrored(upstream, mirror))
    push(folder, f"{upstream.address}/app:1", target)
    assert len(mirror.traffic.requests) == 1


def test_a_mirror_from_which_nothing_comes_is_asked_once_in_a_run(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1,2", cwd=folder)
    program("push", "oci:image", f"{upstream.address}/other:1", cwd=folder)
    mirror.faults.add(Fault(times=0, action=DropBefore()))
    conf(folder, mirrored(upstream, mirror))
    step = "{type: push, candidate: '%s/%s:1', image_name: %s, registry: '%s', tag: x}"
    steps = "".join(f"  {one}: {step % (upstream.address, one, one, target.address)}\n" for one in ("app", "other"))
    (folder / "p.yml").write_text(f"version: '1.0'\nsteps:\n{steps}")
    said = program("run", "p.yml", cwd=folder).stderr
    assert said.count(f"is not read from {mirror.address}") == 1
    assert len(mirror.traffic.requests) == 1


def test_the_login_of_the_registry_is_not_shown_to_its_mirror(image: Layout, mirror: Sandbox, target: Sandbox) -> None:
    folder = image.path.parent
    asking = SandboxOptions(auth="basic")
    with Sandbox(options=asking) as upstream, Sandbox(options=asking) as closed:
        login = ("-u", "sandbox", "--password-stdin")
        for one in (upstream, closed):
            program("push", "oci:image", f"{one.address}/app:1", *login, cwd=folder, stdin="sandbox")
        program("login", upstream.address, *login, cwd=folder, stdin="sandbox")
        closed.traffic.clear()
        conf(
            folder,
            f'[[registry]]\nlocation = "{upstream.address}"\n[[registry.mirror]]\nlocation = "{closed.address}"\n',
        )
        said = push(folder, f"{upstream.address}/app:1", target)
        assert f"is not read from {closed.address}: " in said
        assert target.store.manifest("out", "1") is not None
        assert not [one for one in closed.traffic.requests if "authorization" in one.headers]


def test_a_registry_that_is_read_elsewhere_shows_that_place_no_login(image: Layout, target: Sandbox) -> None:
    folder = image.path.parent
    with Sandbox(options=SandboxOptions(auth="basic")) as moved:
        conf(folder, f'[[registry]]\nprefix = "registry.example/team"\nlocation = "{moved.address}/other"\n')
        entry = "{name: r, domain: registry.example, username: sandbox, password: sandbox}"
        (folder / "c.yaml").write_text(f"registries:\n  - {entry}\n")
        said = push(folder, "registry.example/team/app:1", target, "--config", "c.yaml", code=5)
        assert f"{moved.address}/other/app:1" in said
        assert not [one for one in moved.traffic.requests if "authorization" in one.headers]


def test_what_a_mirror_serves_is_checked_by_digest(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    other = make_layout(folder / "other", layer(2))
    program("push", "oci:other", f"{mirror.address}/hub/app:9", cwd=folder)
    wrong = mirror.store.manifest("hub/app", "9")
    assert wrong is not None
    answer = Answer(200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, wrong)
    mirror.faults.add(Fault("GET", "/manifests/sha256:", times=0, action=answer))
    conf(folder, mirrored(upstream, mirror))
    said = push(folder, f"{upstream.address}/app@{image.digest}", target)
    assert f"is not read from {mirror.address}: " in said
    stored = target.store.manifest("out", "1")
    assert stored is not None
    assert str(Digest.of(stored)) == image.digest != other.digest


@pytest.mark.parametrize(
    ("more", "of_mirror", "tag", "digest"),
    [
        ("", "", True, True),
        ("mirror-by-digest-only = true", "", False, True),
        ("", 'pull-from-mirror = "digest-only"', False, True),
        ("", 'pull-from-mirror = "tag-only"', True, False),
    ],
)
def test_a_mirror_may_be_for_tags_or_digests_alone(more: str, of_mirror: str, tag: bool, digest: bool) -> None:
    text = f'[[registry]]\nlocation = "a.example"\n{more}\n[[registry.mirror]]\nlocation = "m.example"\n{of_mirror}\n'
    for end, is_asked in ((":1", tag), (f"@{DIGEST}", digest)):
        places = read(text, f"a.example/app{end}")
        assert places == [f"m.example/app{end}"] * is_asked + [f"a.example/app{end}"]


def test_nothing_that_goes_out_goes_to_a_mirror(image: Layout, upstream: Sandbox, mirror: Sandbox) -> None:
    folder = image.path.parent
    conf(folder, mirrored(upstream, mirror, "blocked = true"))
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    program("tag", f"{upstream.address}/app:1", "2", cwd=folder)
    program("inspect", f"{upstream.address}/app:2", cwd=folder)
    assert mirror.traffic.count() == 0


def test_a_blocked_registry_is_not_read_from(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    path = conf(folder, mirrored(upstream, mirror, "blocked = true"))
    said = push(folder, f"{upstream.address}/app:1", target, code=2)
    assert f"{upstream.address}/app:1: {upstream.address} is blocked in {path}" in said
    assert upstream.traffic.count() + mirror.traffic.count() == 0


def test_an_insecure_mirror_is_spoken_to_without_tls_where_it_has_none(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    conf(folder, mirrored(upstream, mirror, of_mirror="insecure = true"))
    said = push(folder, f"{upstream.address}/app:1", target)
    assert "is read from the mirror" in said
    assert "warning" not in said


def test_a_file_in_the_working_folder_is_not_read(
    image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    for place in (folder / "registries.conf", folder / ".config" / "containers" / "registries.conf"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(mirrored(upstream, mirror))
    push(folder, f"{upstream.address}/app:1", target)
    assert mirror.traffic.count() == 0


@pytest.mark.parametrize("end", [":1", "@DIGEST"])
@pytest.mark.parametrize("mode", ["", "mirror-by-digest-only = true"])
def test_skopeo_reads_the_same_image_from_the_same_place(
    end: str, mode: str, image: Layout, upstream: Sandbox, mirror: Sandbox, target: Sandbox
) -> None:
    skopeo = shutil.which("skopeo")
    assert skopeo is not None
    folder = image.path.parent
    program("push", "oci:image", f"{upstream.address}/app:1", cwd=folder)
    text = mirrored(upstream, mirror, f"insecure = true\n{mode}", "insecure = true")
    path = conf(folder, text)
    source = f"{upstream.address}/app{end.replace('DIGEST', image.digest)}"
    places = []
    for reads in ("skopeo", "ours"):
        upstream.traffic.clear()
        mirror.traffic.clear()
        if reads == "ours":
            push(folder, f"docker://{source}", target)
        else:
            words = [skopeo, "--registries-conf", str(path), "inspect", "--raw", f"docker://{source}"]
            env = {"HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
            found = subprocess.run(words, env=env, capture_output=True, check=True, timeout=60)
            assert str(Digest.of(found.stdout)) == image.digest
        read_from = {
            name
            for name, one in (("upstream", upstream), ("mirror", mirror))
            if [each for each in one.traffic.select(method="GET", path_pattern="/manifests/") if each.status == 200]
        }
        places.append(read_from)
    assert places[0] == places[1]
    assert len(places[0]) == 1


class TestReading:
    """What the files say together, and which entry is for a reference."""

    @pytest.mark.parametrize(
        ("entries", "reference", "places"),
        [
            ({"a.example": "b.example"}, "a.example/x:1", ["b.example/x:1"]),
            ({"a.example": "b.example"}, "aa.example/x:1", ["aa.example/x:1"]),
            ({"a.example/x": "b.example/y"}, "a.example/xx:1", ["a.example/xx:1"]),
            ({"a.example/x": "b.example/y"}, "a.example/x/z:1", ["b.example/y/z:1"]),
            ({"a.example/x": "b.example/y"}, f"a.example/x@{DIGEST}", [f"b.example/y@{DIGEST}"]),
            ({"a.example/x:1": "b.example/y:2"}, "a.example/x:1", ["b.example/y:2"]),
            ({"a.example": "b.example", "a.example/x": "c.example"}, "a.example/x/y:1", ["c.example/y:1"]),
            ({"docker.io": "b.example/hub"}, "docker.io/library/alpine:3", ["b.example/hub/library/alpine:3"]),
            ({"docker.io": "b.example/hub/"}, "docker.io/alpine:3", ["b.example/hub/library/alpine:3"]),
            ({"*.example": "b.test"}, "deep.a.example/x:1", ["b.test/x:1"]),
            ({"*.example": ""}, "a.example/x:1", ["a.example/x:1"]),
            ({"*.example": "b.test"}, "a.test/y.example:1", ["a.test/y.example:1"]),
        ],
    )
    def test_the_longest_prefix_is_replaced(self, entries: dict[str, str], reference: str, places: list[str]) -> None:
        text = "".join(f'[[registry]]\nprefix = "{one}"\nlocation = "{to}"\n' for one, to in entries.items())
        assert read(text, reference) == places

    def test_mirrors_come_in_their_order_and_the_registry_last(self) -> None:
        text = '[[registry]]\nlocation = "a.example"\n' + "".join(
            f'[[registry.mirror]]\nlocation = "{one}"\n' for one in ("m.example", "n.example:5000/x")
        )
        assert read(text, "a.example/y:1") == ["m.example/y:1", "n.example:5000/x/y:1", "a.example/y:1"]

    def test_the_version_before_says_what_is_blocked_and_needs_no_tls(self, tmp_path: Path) -> None:
        text = "[registries.insecure]\nregistries = ['a.example']\n[registries.block]\nregistries = ['b.example']\n"
        found = read_text(text, tmp_path)
        reference = Reference.parse("a.example/x:1")
        assert found.places(reference) == (Place(reference, is_insecure=True),)
        with pytest.raises(ConfigError, match=r"b\.example is blocked"):
            found.places(Reference.parse("b.example/x:1"))

    def test_a_later_file_replaces_the_whole_entry(self, tmp_path: Path) -> None:
        folder = tmp_path / ".config/containers/registries.conf.d"
        folder.mkdir(parents=True)
        mirror = '[[registry.mirror]]\nlocation = "m.example"\n'
        (folder.parent / "registries.conf").write_text(f'[[registry]]\nlocation = "a.example"\n{mirror}')
        (folder / "20.conf").write_text('[[registry]]\nprefix = "a.example"\nlocation = "c.example"\n')
        (folder / "10.conf").write_text('[[registry]]\nprefix = "a.example"\nlocation = "b.example"\n')
        (folder / "30.txt").write_text('[[registry]]\nprefix = "a.example"\nlocation = "d.example"\n')
        assert names(read_registries_conf({}, tmp_path), "a.example/x:1") == ["c.example/x:1"]

    def test_a_named_file_goes_before_the_users(self, tmp_path: Path) -> None:
        (tmp_path / ".config/containers").mkdir(parents=True)
        (tmp_path / ".config/containers/registries.conf").write_text(
            "[[registry]]\nlocation = 'a.example'\nblocked = true"
        )
        assert read_text("[[registry]]\nlocation = 'b.example'", tmp_path).places(Reference.parse("a.example/x:1"))
        with pytest.raises(ConfigError, match="no such file"):
            read_registries_conf({"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "none")}, tmp_path)

    def test_what_holds_no_entry_is_not_parsed(self, tmp_path: Path) -> None:
        aliases = "# [[registry]]\n[aliases]\n'x' = 'docker.io/x' this is no TOML"
        assert read_text(aliases, tmp_path).entries == {}

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("[[registry]]\nlocation = ", "is no TOML"),
            pytest.param("[[registry]]\nx = " + "[" * 100_000, "nested too deeply", id="deep"),
            pytest.param("[[registry]]\nx = " + "9" * 5000, "is no TOML", id="digits"),
            ("[registries.insecure]\nregistries = 5", "registries.insecure.registries is no list of texts"),
            ("[registries.block]\nregistries = 'a.example'", "registries.block.registries is no list of texts"),
            pytest.param("[[registry]]\n" + "#" * 4 * 1024 * 1024, "has more than 4194304 bytes", id="long"),
            ("[registry]\nlocation = 'a.example'", "registry is no list of tables"),
            ("[[registry]]\nblocked = true", "has neither prefix nor location"),
            ("[[registry]]\nprefix = 'a.example'", "a.example: has no location"),
            ("[[registry]]\nlocation = 'https://a.example'", "is written without a scheme"),
            ("[[registry]]\nlocation = 5", "location is no text"),
            ("[[registry]]\nlocation = 'a.example'\nblocked = 'no'", "blocked is neither true nor false"),
            ("[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\ninsecure = true", "a mirror has no location"),
            (
                "[[registry]]\nlocation = 'a.example'\n"
                "[[registry.mirror]]\nlocation = 'm.example'\npull-from-mirror = 'x'",
                "pull-from-mirror = 'x': it is all, digest-only, tag-only",
            ),
            (
                "[[registry]]\nlocation = 'a.example'\nmirror-by-digest-only = true\n"
                "[[registry.mirror]]\nlocation = 'm.example'\npull-from-mirror = 'all'",
                "pull-from-mirror has no place beside mirror-by-digest-only",
            ),
        ],
    )
    def test_a_mistake_is_told_with_the_file(self, text: str, problem: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=problem.replace("[", r"\[")) as caught:
            read_text(text, tmp_path)
        assert str(caught.value).startswith(str(tmp_path / "named.conf"))

    def test_a_mark_of_utf_8_hides_no_entry(self, tmp_path: Path) -> None:
        found = read_text("\ufeff[[registry]]\nlocation = 'a.example'\nblocked = true", tmp_path)
        with pytest.raises(ConfigError, match=r"a\.example is blocked"):
            found.places(Reference.parse("a.example/x:1"))

    def test_a_location_that_is_no_host_is_not_taken_for_docker_hub(self, tmp_path: Path) -> None:
        found = read_text("[[registry]]\nprefix = 'a.example'\nlocation = 'mirror'", tmp_path)
        with pytest.raises(ConfigError, match="would be read from 'mirror/x:1': its host has neither a dot nor a port"):
            found.places(Reference.parse("a.example/x:1"))


def read_text(text: str, folder: Path) -> RegistriesConf:
    path = folder / "named.conf"
    path.write_text(text)
    return read_registries_conf({"CONTAINERS_REGISTRIES_CONF": str(path)}, folder)


def read(text: str, reference: str) -> list[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return names(read_text(text, Path(folder)), reference)


def names(found: RegistriesConf, reference: str) -> list[str]:
    return [str(one.reference) for one in found.places(Reference.parse(reference))]
