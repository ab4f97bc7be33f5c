"""containers-storage: where it is, what a name means, and layers put together bit for bit."""

from __future__ import annotations

import errno
import gzip
import json
import os
import pwd
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from images import config_of, layer, link, tar_of
from stores import StoreWriter, raw

from oci_push.errors import Cancelled, ConfigError, ContentMismatchError, OciPushError, SourceError
from oci_push.events import Event, LogMessage, ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.commands import Finished, RunCommand
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.settings import SourceSettings, Surroundings
from oci_push.sources.storage.beneath import Beneath
from oci_push.sources.storage.location import Place, find_places, parse_name
from oci_push.sources.storage.namespace import NamespaceOpener, read_ranges
from oci_push.sources.storage.naming import find_image
from oci_push.sources.storage.records import read_store
from oci_push.sources.table import GRAMMAR, open_source

ONE, TWO = layer(1), layer(2, 9000)


def opened(
    text: str,
    settings: SourceSettings | None = None,
    *,
    around: Surroundings | None = None,
    emit: Callable[[Event], None] = ignore,
) -> tuple[ImageReader, Context]:
    """Open a source."""
    context = Context(SystemClock())
    spec = GRAMMAR.parse(text)
    return open_source(spec, settings or SourceSettings(), context=context, emit=emit, around=around), context


def read(
    text: str, settings: SourceSettings | None = None, *, around: Surroundings | None = None
) -> tuple[Manifest, list[bytes]]:
    """Give the manifest of an image and the bytes of all layers, decompressed."""
    source, context = opened(text, settings, around=around)
    try:
        manifest = source.manifest(context, source.root(context))
        layers = [b"".join(bytes(b) for b in source.blob(context, one).blocks()) for one in manifest.layers]
        return manifest, [gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for one in layers]
    finally:
        source.close()


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_layers_are_put_together_bit_for_bit(driver: str, tmp_path: Path) -> None:
    store = StoreWriter(tmp_path, driver)
    directory = tarfile.TarInfo("d")
    directory.type = tarfile.DIRTYPE
    odd = tar_of(
        ("d", directory),
        ("d/empty", b""),
        ("d/one", b"x" * 513),
        link("d/hard", "d/one", hard=True),
        link("d/soft", "one"),
        ("ä/" + "long" * 40, b"y" * 1024),
        ("d/.wh.gone", b""),
    )
    store.add(ONE, odd, names=("localhost/app:latest",))
    manifest, layers = read(f"{store.source}app")
    assert layers == [ONE, odd]
    assert [one.media_type for one in manifest.layers] == [media.OCI_LAYER_GZIP] * 2
    assert manifest.annotations == {"made": "here"}


def test_without_compression_the_manifest_is_the_one_that_is_stored(store: StoreWriter) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    manifest, layers = read(f"{store.source}app:1", SourceSettings(compression="none"))
    assert str(manifest.digest) == store.images[0]["digest"]
    assert layers == [ONE, TWO]


@pytest.mark.parametrize("size", [None, -1])
def test_a_layer_whose_size_the_store_does_not_know_is_as_large_as_its_tar_split_says(
    size: int | None, store: StoreWriter
) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    for one in store.layers:
        one["diff-size"] = size
    store.write()
    manifest, layers = read(f"{store.source}app:1", SourceSettings(compression="none"))
    assert layers == [ONE, TWO]
    assert [one.size for one in manifest.layers] == [len(ONE), len(TWO)]


def test_layers_that_the_manifest_calls_gzip_and_names_by_their_tar_are_what_they_are(store: StoreWriter) -> None:
    """So podman load leaves an image of a docker archive (containers/image, docker/internal/tarfile/src.go)."""
    top = store.add(ONE, names=("localhost/app:1",))
    stored = json.loads(store.data(top, "manifest").read_bytes())
    stored["layers"][0]["mediaType"] = media.OCI_LAYER_GZIP
    store.keep(top, "manifest", json.dumps(stored).encode())

    manifest, layers = read(f"{store.source}app:1", SourceSettings(compression="none"))

    assert [(one.media_type, one.digest) for one in manifest.layers] == [(media.OCI_LAYER, Digest.of(ONE))]
    assert layers == [ONE]


def test_layers_in_zstd_make_an_oci_manifest(store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    manifest, _ = read(f"{store.source}app:1", SourceSettings(compression="zstd"))
    assert [one.media_type for one in manifest.layers] == [media.OCI_LAYER_ZSTD]


def test_a_body_can_be_read_from_any_byte(store: StoreWriter) -> None:
    store.add(TWO, names=("localhost/app:1",))
    source, context = opened(f"{store.source}app:1", SourceSettings(compression="none"))
    body = source.blob(context, source.manifest(context, source.root(context)).layers[0])
    assert b"".join(bytes(block) for block in body.blocks(5000)) == TWO[5000:]
    source.close()


def test_an_image_without_layers_is_one(store: StoreWriter) -> None:
    store.add(names=("localhost/empty:latest",))
    manifest, _ = read(f"{store.source}empty")
    assert manifest.layers == ()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("app", 0),
        ("app:latest", 0),
        ("localhost/app", 0),
        ("app:2", 1),
        ("alpine", 2),
        ("docker.io/alpine", 2),
        ("docker.io/library/alpine:latest", 2),
        ("index.docker.io/alpine", 2),
        ("team/tool", 3),
        ("quay.io/team/tool:latest", 3),
        ("tool", 3),
    ],
)
def test_names_mean_what_podman_takes_them_for(asked: str, found: int, store: StoreWriter) -> None:
    names = ("localhost/app:latest", "localhost/app:2", "docker.io/library/alpine:latest", "quay.io/team/tool:latest")
    added = [store.add(layer(number), names=(name,)) for number, name in enumerate(names)]
    source, context = opened(f"{store.source}{asked}")
    config = source.manifest(context, source.root(context)).config
    source.close()
    assert config is not None
    assert config.digest.encoded == added[found]


def test_images_are_found_by_id_and_digest(store: StoreWriter) -> None:
    first = store.add(ONE, names=("localhost/app:1", "quay.io/team/tool:2"))
    store.add(TWO)
    digest = store.images[0]["digest"]
    for asked in (
        first,
        first[:9],
        f"sha256:{first}",
        f"@{first}",
        f"app@{digest}",
        f"localhost/app@{digest}",
        f"tool@{digest}",
        f"@{digest}",
    ):
        manifest, _ = read(f"{store.source}{asked}")
        assert manifest.config is not None
        assert manifest.config.digest.encoded == first


def test_of_images_that_one_index_has_brought_the_one_that_was_pulled_by_its_digest_is_meant(
    store: StoreWriter,
) -> None:
    index = str(Digest.of(b"index"))
    ids = [store.add(one, names=(name,)) for one, name in ((ONE, "quay.io/app:1"), (TWO, f"quay.io/app@{index}"))]
    for image in store.images:
        image["digest"] = index
    store.write()
    known = read_store(Place(store.root, "overlay"), Context(SystemClock()), ignore)
    for asked in (f"quay.io/app@{index}", f"quay.io/app:1@{index}"):
        assert find_image([known], asked)[1].id == ids[1]
    with pytest.raises(SourceError, match="means several images"):
        find_image([known], f"@{index}")


def test_a_name_that_means_several_images_is_told_so(store: StoreWriter) -> None:
    store.add(ONE, names=("a.example/tool:1",))
    store.add(TWO, names=("b.example/tool:1",))
    with pytest.raises(SourceError, match="means several images") as caught:
        read(f"{store.source}tool:1")
    assert "a.example/tool:1" in str(caught.value.hint)


def test_who_names_no_image_is_told_which_there_are(store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    with pytest.raises(SourceError, match="no such image") as caught:
        read(f"{store.source}nothing")
    assert "localhost/app:1" in str(caught.value.hint)


def around(home: Path, uid: int = 1000, **env: str) -> Surroundings:
    """Give a user's surroundings."""
    return Surroundings({"HOME": str(home), **env}, home, uid)


def test_the_store_of_a_user_is_in_the_home(tmp_path: Path) -> None:
    StoreWriter(tmp_path / ".local/share/containers/storage", "vfs").add(ONE, names=("localhost/app:1",))
    assert read("containers-storage:app:1", around=around(tmp_path))[1] == [ONE]


def test_without_home_it_is_that_of_passwd() -> None:
    with pytest.raises(SourceError, match=f"kept in {pwd.getpwuid(1).pw_dir}/.local/share/containers/storage"):
        read("containers-storage:app", around=Surroundings(uid=1))
    with pytest.raises(SourceError, match=r"kept in /\.local/"):
        read("containers-storage:app", around=Surroundings(uid=4_000_000_000))


def test_storage_conf_names_the_store(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "mine", "vfs").add(ONE, names=("localhost/app:1",))
    conf = tmp_path / "storage.conf"
    conf.write_text('[storage]\ndriver = "vfs"\ngraphroot = "$HOME/mine"\n')
    given = around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf))
    assert read("containers-storage:app:1", around=given)[1] == [ONE]


def test_a_users_file_goes_before_the_systems_and_drop_ins_after_both(tmp_path: Path) -> None:
    folder = tmp_path / ".config/containers"
    (folder / "storage.conf.d").mkdir(parents=True)
    (folder / "storage.conf").write_text('[storage]\ndriver = "overlay"\ngraphroot = "/nowhere"\n')
    (folder / "storage.conf.d/50-mine.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/mine"\n')
    StoreWriter(tmp_path / "mine", "vfs").add(ONE, names=("localhost/app:1",))
    assert find_places(parse_name("app"), around(tmp_path), ignore) == (Place(tmp_path / "mine", "vfs"),)


def test_drop_ins_count_by_name_and_by_kind_of_user(tmp_path: Path) -> None:
    folder = tmp_path / ".config/containers"
    for name, root in (("conf.d/20", "b"), ("conf.d/10", "a"), ("rootless.conf.d/30", "c"), ("rootful.conf.d/40", "d")):
        path = folder / f"storage.{name}.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/{root}"\n')
        StoreWriter(tmp_path / root, "vfs").add(ONE)
    (folder / "storage.conf.d/99-not-read.txt").write_text("no TOML")
    assert find_places(parse_name("app"), around(tmp_path), ignore)[0].root == tmp_path / "c"
    override = tmp_path / "override.conf"
    override.write_text(f'[storage]\ngraphroot = "{tmp_path}/d"\n')
    given = around(tmp_path, CONTAINERS_STORAGE_CONF_OVERRIDE=str(override))
    assert find_places(parse_name("app"), given, ignore)[0].root == tmp_path / "d"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("[storage", "TOML"),
        ("x" * 1_100_000, "TOML"),
        ("storage = 1", "storage must be a table"),
        ('[storage]\ngraphroot = ["/x"]', "graphroot must be text"),
        ('[storage.options]\nadditionalimagestores = "/x"', "additionalimagestores must be a list"),
    ],
)
def test_a_file_that_a_variable_names_must_be_one(content: str | None, message: str, tmp_path: Path) -> None:
    conf = tmp_path / "storage.conf"
    if content is not None:
        conf.write_text(content)
    with pytest.raises(ConfigError, match=message):
        find_places(parse_name("app"), around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf)), ignore)


def test_the_driver_of_the_environment_goes_before_that_of_files(tmp_path: Path) -> None:
    for driver in ("overlay", "vfs"):
        StoreWriter(tmp_path / "s", driver).add(ONE)
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "overlay2"\ngraphroot = "{tmp_path}/s"\n')
    given = {"CONTAINERS_STORAGE_CONF": str(conf)}
    assert find_places(parse_name("app"), around(tmp_path, **given), ignore)[0].driver == "overlay"
    assert find_places(parse_name("app"), around(tmp_path, **given, STORAGE_DRIVER="vfs"), ignore)[0].driver == "vfs"


def test_a_rootless_path_counts_where_the_graphroot_is_roots(tmp_path: Path) -> None:
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ngraphroot = "/var/lib/containers/storage"\nrootless_storage_path = "{tmp_path}/of-$UID"\n'
    )
    StoreWriter(tmp_path / "of-1000").add(ONE)
    given = around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf))
    assert find_places(parse_name("app"), given, ignore)[0].root == tmp_path / "of-1000"


@pytest.mark.parametrize(
    "text",
    [
        '[storage]\ngraphroot = "/a\\u0000b"\n',
        '[storage]\ngraphroot = "/none"\n[storage.options]\nadditionalimagestores = ["/a\\u0000"]\n',
    ],
)
def test_a_path_that_no_file_can_have_holds_no_images(text: str, tmp_path: Path) -> None:
    conf = tmp_path / "storage.conf"
    conf.write_text(text)
    with pytest.raises(SourceError, match="no images are kept"):
        find_places(parse_name("app"), around(tmp_path, 0, CONTAINERS_STORAGE_CONF=str(conf)), ignore)


def test_a_pipe_as_storage_conf_says_nothing_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "storage.conf")
    given = around(tmp_path, CONTAINERS_STORAGE_CONF=str(tmp_path / "storage.conf"))
    with pytest.raises(SourceError, match="no images are kept"):
        find_places(parse_name("app"), given, ignore)


def test_inside_of_buildah_unshare_the_store_is_still_the_users(tmp_path: Path) -> None:
    StoreWriter(tmp_path / ".local/share/containers/storage").add(ONE, names=("localhost/app:1",))
    given = around(tmp_path, 0, _CONTAINERS_USERNS_CONFIGURED="done", _CONTAINERS_ROOTLESS_UID="1000")
    assert read("containers-storage:app:1", around=given)[1] == [ONE]


def test_images_and_layers_may_lie_in_additional_stores(tmp_path: Path) -> None:
    shared, mine = StoreWriter(tmp_path / "shared"), StoreWriter(tmp_path / "mine")
    shared.add(ONE, names=("docker.io/library/base:latest",))
    mine.add(ONE, TWO, names=("localhost/app:1",))
    below = mine.layers.pop(0)["id"]  # the base's layer is only in the shared store
    mine.split(below).unlink()
    mine.write()
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{mine.root}"\n'
        f'[storage.options]\nadditionalimagestores = ["{shared.root}"]\n'
    )
    given = around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf))
    assert read("containers-storage:base", around=given)[1] == [ONE]
    assert read("containers-storage:app:1", around=given)[1] == [ONE, TWO]
    options = around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf), STORAGE_OPTS=f"overlay.imagestore={tmp_path}")
    with pytest.raises(SourceError, match="no such image"):
        read("containers-storage:base", around=options)


def test_tar_splits_of_an_imagestore_lie_in_the_graphroot(tmp_path: Path) -> None:
    images = StoreWriter(tmp_path / "images")
    images.add(ONE, names=("localhost/app:1",))
    images.split(images.layers[0]["id"]).rename(tmp_path / "split")
    mine = StoreWriter(tmp_path / "mine")
    mine.write()
    (tmp_path / "split").rename(mine.split(images.layers[0]["id"]))
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ngraphroot = "{mine.root}"\nimagestore = "{images.root}"\n')
    given = around(tmp_path, 0, CONTAINERS_STORAGE_CONF=str(conf))
    assert read("containers-storage:app:1", around=given)[1] == [ONE]


def test_each_driver_that_has_had_a_graphroot_has_its_images(tmp_path: Path) -> None:
    StoreWriter(tmp_path, "overlay").add(ONE, names=("localhost/one:1",))
    StoreWriter(tmp_path, "vfs").add(TWO, names=("localhost/two:1",))
    assert read(f"containers-storage:[{tmp_path}]one:1")[1] == [ONE]
    assert read(f"containers-storage:[{tmp_path}]two:1")[1] == [TWO]
    with pytest.raises(SourceError, match="no such image"):
        read(f"containers-storage:[overlay@{tmp_path}]two:1")


def test_a_driver_that_is_asked_for_and_has_no_images_is_named(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "s", "overlay").add(ONE, names=("localhost/one:1",))
    with pytest.raises(SourceError, match="no images of the driver vfs are kept in") as caught:
        read(f"containers-storage:[{tmp_path}/s]one:1", around=around(tmp_path, STORAGE_DRIVER="vfs"))
    assert f"there are some of another: containers-storage:[overlay@{tmp_path}/s]NAME" in str(caught.value.hint)


def test_a_graphroot_that_is_not_there_gives_way_to_the_home_where_a_variable_names_the_file(tmp_path: Path) -> None:
    mine = StoreWriter(tmp_path / ".local/share/containers/storage")
    mine.add(ONE, names=("localhost/app:1",))
    conf = tmp_path / "storage.conf"
    conf.write_text('[storage]\ngraphroot = "/nowhere/at/all"\n')
    given = around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf))
    notes: list[Event] = []
    opened("containers-storage:app:1", around=given, emit=notes.append)[0].close()
    assert f"/nowhere/at/all holds no images: {mine.root} is read" in str(notes)


def test_a_graphroot_of_ones_own_file_that_is_not_there_is_not_made_up_for(tmp_path: Path) -> None:
    StoreWriter(tmp_path / ".local/share/containers/storage").add(ONE, names=("localhost/app:1",))
    (tmp_path / ".config/containers").mkdir(parents=True)
    (tmp_path / ".config/containers/storage.conf").write_text(f'[storage]\ngraphroot = "{tmp_path}/later"\n')
    with pytest.raises(SourceError, match=f"no images are kept in {tmp_path}/later"):
        read("containers-storage:app:1", around=around(tmp_path))


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_roots_own_file_names_the_store(variable: str, tmp_path: Path) -> None:
    StoreWriter(tmp_path / "s", "vfs").add(ONE, names=("localhost/app:1",))
    place = tmp_path / (".config" if variable == "HOME" else "c") / "containers"
    place.mkdir(parents=True)
    (place / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/s"\n')
    given = around(tmp_path, 0, **({} if variable == "HOME" else {variable: str(tmp_path / "c")}))
    assert read("containers-storage:app:1", around=given)[1] == [ONE]


def test_a_graphroot_with_an_imagestore_is_not_passed_over_for_want_of_images_of_its_own(tmp_path: Path) -> None:
    StoreWriter(tmp_path / ".local/share/containers/storage").add(ONE, names=("localhost/app:1",))
    StoreWriter(tmp_path / "images").add(TWO, names=("localhost/app:1",))
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ngraphroot = "{tmp_path}/new"\nimagestore = "{tmp_path}/images"\n')
    (tmp_path / "new/overlay-layers").mkdir(parents=True)
    assert read("containers-storage:app:1", around=around(tmp_path, CONTAINERS_STORAGE_CONF=str(conf)))[1] == [TWO]


def test_who_is_told_of_a_store_without_the_image_is_told_of_its_folder_once(tmp_path: Path) -> None:
    for driver in ("overlay", "vfs"):
        StoreWriter(tmp_path, driver).add(ONE, names=("localhost/app:1",))
    with pytest.raises(SourceError, match=f"no such image in {tmp_path}$"):
        read(f"containers-storage:[{tmp_path}]other:1")


def test_no_store_at_all_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images are kept in") as caught:
        read("containers-storage:app", around=around(tmp_path))
    assert "as the one who built it" in str(caught.value.hint)


def test_a_driver_that_is_not_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    StoreWriter(tmp_path, "btrfs").add(ONE, names=("localhost/app:1",))
    with pytest.raises(SourceError, match="driver btrfs") as caught:
        read(f"containers-storage:[btrfs@{tmp_path}]app:1")
    assert "buildah push" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "driver", "graphroot", "image"),
    [
        ("app:1", "", "", "app:1"),
        ("[vfs@/g]app", "vfs", "/g", "app"),
        ("[vfs@/g+/r]app", "vfs", "/g", "app"),
        ("[overlay@/g+/r:a=b,c=d]docker.io/library/app:1", "overlay", "/g", "docker.io/library/app:1"),
        ("[/g]app", "", "/g", "app"),
        ("[vfs]app", "vfs", "", "app"),
    ],
)
def test_brackets_name_a_store(text: str, driver: str, graphroot: str, image: str) -> None:
    found = parse_name(text)
    assert (found.driver, found.graphroot, found.image) == (driver, graphroot, image)


@pytest.mark.parametrize("text", ["[vfs@/g", "[vfs@g]app", "[vfs@/g]", "a b", "app\n"])
def test_what_is_no_name_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_name(text)
    assert "containers-storage:[" in str(caught.value.hint)


def no_split(store: StoreWriter, top: str) -> None:
    store.split(top).unlink()


def composefs(store: StoreWriter, top: str) -> None:
    (store.content(top).parent / "composefs-data").mkdir()


def gone(store: StoreWriter, top: str) -> None:
    store.layers[:] = [one for one in store.layers if one["id"] != top]


def unpacked_gone(store: StoreWriter, top: str) -> None:
    next(store.content(top).iterdir()).unlink()


def shorter(store: StoreWriter, top: str) -> None:
    next(store.content(top).iterdir()).write_bytes(b"short")


def changed(store: StoreWriter, top: str) -> None:
    path = next(store.content(top).iterdir())
    path.write_bytes(bytes(path.stat().st_size))


def a_link(store: StoreWriter, top: str) -> None:
    path = next(store.content(top).iterdir())
    path.unlink()
    path.symlink_to("/etc/hostname")


def a_fifo(store: StoreWriter, top: str) -> None:
    path = next(store.content(top).iterdir())
    path.unlink()
    os.mkfifo(path)


def a_link_as_folder(store: StoreWriter, top: str) -> None:
    (store.content(top) / "d").symlink_to("/etc")
    store.write_split(top, {"type": 1, "name": "d/passwd", "size": Path("/etc/passwd").stat().st_size})


def climbing(store: StoreWriter, top: str) -> None:
    store.write_split(top, {"type": 1, "name": "../../../etc/passwd", "size": 10})


def absolute(store: StoreWriter, top: str) -> None:
    store.write_split(top, {"type": 1, "name": "/etc/passwd", "size": Path("/etc/passwd").stat().st_size})


def negative(store: StoreWriter, top: str) -> None:
    store.write_split(top, {"type": 1, "name": "x", "size": -1})


def with_zero(store: StoreWriter, top: str) -> None:
    store.write_split(top, {"type": 1, "name": "x\0y", "size": 1})


def other_type(store: StoreWriter, top: str) -> None:
    store.write_split(top, {"type": 7})


def no_json(store: StoreWriter, top: str) -> None:
    store.split(top).write_bytes(gzip.compress(b"[1,2]\n"))


def deep_split(store: StoreWriter, top: str) -> None:
    store.split(top).write_bytes(gzip.compress(b'{"type":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"))


def a_fifo_as_split(store: StoreWriter, top: str) -> None:
    store.split(top).unlink()
    os.mkfifo(store.split(top))


def cut(store: StoreWriter, top: str) -> None:
    store.split(top).write_bytes(store.split(top).read_bytes()[:-9])


def no_last_line(store: StoreWriter, top: str) -> None:
    store.split(top).write_bytes(gzip.compress(json.dumps(raw(b"x")).encode()))


def long_line(store: StoreWriter, top: str) -> None:
    store.split(top).write_bytes(gzip.compress(b'{"type":2,"payload":"' + b"A" * (17 << 20)))


def round_and_round(store: StoreWriter, top: str) -> None:
    store.layers[0]["parent"] = top


def an_id_that_climbs(store: StoreWriter, top: str) -> None:
    store.images[0]["layer"] = store.layers[-1]["id"] = "../../etc"


def wrong_kind(store: StoreWriter, top: str) -> None:
    store.images[0]["names"] = "app"


def fewer_layers(store: StoreWriter, top: str) -> None:
    store.images[0]["layer"] = store.layers[0]["id"]


def other_config(store: StoreWriter, top: str) -> None:
    identity = store.images[0]["id"]
    store.keep(identity, f"sha256:{identity}", config_of(TWO))


def no_config(store: StoreWriter, top: str) -> None:
    identity = store.images[0]["id"]
    store.data(identity, f"sha256:{identity}").unlink()


def no_manifest(store: StoreWriter, top: str) -> None:
    store.data(store.images[0]["id"], "manifest").unlink()


def other_manifest(store: StoreWriter, top: str) -> None:
    (image,) = store.images
    image["big-data-digests"] = {"manifest": image["digest"]}
    path = store.data(image["id"], "manifest")
    path.write_bytes(path.read_bytes().replace(b'"here"', b'"herd"'))


def schema1(store: StoreWriter, top: str) -> None:
    store.keep(store.images[0]["id"], "manifest", b'{"schemaVersion":1,"fsLayers":[]}')


@pytest.mark.parametrize(
    ("harm", "message", "advice"),
    [
        (no_split, "has no tar-split", "podman push NAME oci:DIR"),
        (composefs, "composefs", "podman push NAME oci:DIR"),
        (gone, "missing from the store", "removed meanwhile"),
        (unpacked_gone, "not there any more", "removed while it was read"),
        (shorter, "has 5 bytes, the image says", "removed while it was read"),
        (changed, "layer has diff_id", "damaged"),
        (a_link, "no regular file", "again"),
        (a_fifo, "no regular file", "again"),
        (a_link_as_folder, "not there any more", ""),
        (climbing, "leads out of the layer", ""),
        (absolute, "not there any more", ""),
        (negative, "leads out of the layer", ""),
        (with_zero, "leads out of the layer", ""),
        (other_type, "unknown type 7", ""),
        (no_json, "is damaged", "again"),
        (deep_split, "is damaged", "again"),
        (a_fifo_as_split, "is no regular file", "again"),
        (cut, "cut short", ""),
        (no_last_line, "cut short", "again"),
        (long_line, "more than 16777216 bytes", ""),
        (round_and_round, "no lowest one", "damaged"),
        (an_id_that_climbs, "holds the ID '../../etc'", ""),
        (wrong_kind, "is damaged", ""),
        (fewer_layers, "its manifest lists 2 layers, its config 2, the store has 1", "damaged"),
        (other_config, "another digest", "damaged"),
        (no_config, "is missing", "damaged"),
        (no_manifest, "no manifest of an image", "manifest push"),
        (other_manifest, "its manifest is not what the store says", "damaged"),
        (schema1, "its manifest cannot be used", "podman push NAME oci:DIR"),
    ],
)
def test_a_store_that_cannot_be_read_is_refused_and_nothing_else_is_touched(
    harm: Callable[[StoreWriter, str], None], message: str, advice: str, store: StoreWriter
) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    harm(store, store.layers[-1]["id"])
    store.write()
    with pytest.raises(OciPushError, match=message) as caught:
        read(f"{store.source}app:1")
    assert isinstance(caught.value, SourceError | ContentMismatchError)
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize("content", ["null", "", " ", "[]"])
def test_a_store_of_nothing_holds_no_image(content: str, store: StoreWriter) -> None:
    store.write()
    (store.root / "overlay-images/images.json").write_text(content)
    with pytest.raises(SourceError, match="no such image"):
        read(f"{store.source}app")


def test_an_image_named_by_digest_has_it(store: StoreWriter) -> None:
    identity = store.add(ONE, names=("localhost/app:1",))
    digest = store.images[0]["digest"]
    kept = store.data(identity, "manifest")
    kept.write_bytes(kept.read_bytes().replace(b'{"made":"here"}', b'{"made":"elsewhere"}'))
    read(f"{store.source}app:1")
    with pytest.raises(SourceError, match=f"its manifest has another digest than {digest}"):
        read(f"{store.source}app@{digest}")


def test_a_digest_of_something_else_that_is_kept_with_an_image_is_not_the_images(store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    other = f"sha256:{'7' * 64}"
    store.images[0]["big-data-digests"] = {"signature": other, "manifest": store.images[0].pop("digest")}
    store.write()
    read(f"{store.source}app@{store.images[0]['big-data-digests']['manifest']}")
    with pytest.raises(SourceError, match="no such image"):
        read(f"{store.source}app@{other}")


def test_null_lists_are_no_names(store: StoreWriter) -> None:
    identity = store.add(ONE)
    store.images[0]["names"] = None
    store.write()
    assert read(f"{store.source}{identity}")[1] == [ONE]


def test_a_file_behind_a_link_in_its_layer_is_read_there(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/x").write_text("in")
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "back").symlink_to("../../../usr")
    beneath = Beneath(os.fsencode(tmp_path))
    for name in (b"lib/x", b"back/lib/x", b"/usr/lib/x", b"./usr//lib/x"):
        descriptor = beneath.open(name)
        assert os.read(descriptor, 9) == b"in"
        os.close(descriptor)
    beneath.close()


def test_folders_deeper_than_those_kept_open_are_read(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    (deep / "x").write_text("in")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    beneath = Beneath(os.fsencode(tmp_path))
    os.close(beneath.open(b"d/" * 60 + b"x"))
    os.close(beneath.open(b"d/" * 60 + b"x"))
    beneath.close()
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_links_that_go_round_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    beneath = Beneath(os.fsencode(tmp_path))
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        beneath.open(b"a/x")
    beneath.close()


_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_who_writes_to_the_store_is_waited_for(store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(store.root / "overlay-images/images.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == b"held\n"
        told = threading.Event()
        seen: list[list[bytes]] = []

        def listen(event: Event) -> None:
            if isinstance(event, LogMessage) and "another program writes to the store" in event.text:
                told.set()

        def work() -> None:
            source, _ = opened(f"{store.source}app:1", emit=listen)
            source.close()
            seen.append([])

        reader = threading.Thread(target=work)
        reader.start()
        assert told.wait(60)
        assert not seen
        writer.stdin.close()
        reader.join(60)
        assert seen


def test_a_wait_for_the_store_can_be_cancelled(store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(store.root / "overlay-layers/layers.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdout.readline()
        context = Context(SystemClock())
        context.cancel(Cancelled("enough"))
        with pytest.raises(Cancelled):
            open_source(GRAMMAR.parse(f"{store.source}app:1"), SourceSettings(), context=context, emit=ignore)
        writer.stdin.close()


def test_ranges_are_those_of_the_user_by_name_and_by_number(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("root:1:2\nme:100000:65536\n# a comment\n1000:300000:10\nme:bad:1\nme:5:0\n")
    assert read_ranges(path, "me", 1000) == [(100000, 65536), (300000, 10)]
    assert read_ranges(tmp_path / "none", "me", 1000) == []


class Mapper:
    """Map a child's numbers as newuidmap and newgidmap do, as far as a test may: its own user, and for root all."""

    def __init__(self, code: int = 0) -> None:
        self.calls: list[list[str]] = []
        self.code = code

    def __call__(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        """Write what is asked for."""
        self.calls.append(list(argv))
        program, process, *numbers = argv
        if self.code:
            return Finished(self.code, b"", b"newuidmap: uid range [0-1) -> [0-1) not allowed\n")
        if program == "newgidmap" and os.geteuid() != 0:
            Path(f"/proc/{process}/setgroups").write_text("deny")
        numbers = numbers if os.geteuid() == 0 else numbers[:3]
        ranges = [" ".join(numbers[at : at + 3]) for at in range(0, len(numbers), 3)]
        name = "uid_map" if program == "newuidmap" else "gid_map"
        Path(f"/proc/{process}/{name}").write_text("\n".join(ranges))
        return Finished(0)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Write which further numbers this user has."""
    folder = tmp_path / "etc"
    folder.mkdir()
    for name in ("subuid", "subgid"):
        (folder / name).write_text(f"{os.getuid()}:2000000:65536\n{os.getuid()}:3000000:10\n")
    return folder


def test_a_child_in_a_namespace_opens_many_files_with_one_question(tmp_path: Path, numbers: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(50):
        (tmp_path / "d" / str(number)).write_text(f"file {number}")
    (tmp_path / "s").symlink_to("/etc/passwd")
    mapper = Mapper()
    opener = NamespaceOpener("it", {}, mapper, Context(SystemClock()), numbers=numbers)
    names = [*(f"d/{number}".encode() for number in range(50)), b"none", b"s", b"../x"]
    said, opened = opener.open_each(os.fsencode(tmp_path), names)
    assert [os.read(one, 99) for one in opened] == [f"file {number}".encode() for number in range(50)]
    assert said == [0] * 50 + [errno.ENOENT, errno.EINVAL, errno.EINVAL]
    assert os.getsid(int(mapper.calls[0][1])) != os.getsid(0)  # Ctrl-C does not reach it
    for one in opened:
        os.close(one)
    assert opener.open_each(os.fsencode(tmp_path / "none"), [b"a", b"b"]) == ([errno.ENOENT] * 2, [])
    opener.close()
    opener.close()
    assert [one[0] for one in mapper.calls] == ["newuidmap", "newgidmap"]
    assert mapper.calls[0][2:] == [
        *("0", str(os.getuid()), "1"),
        *("1", "2000000", "65536"),
        *("65537", "3000000", "10"),
    ]


def no_program(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
    raise FileNotFoundError


@pytest.mark.parametrize(
    ("run_command", "why"), [(Mapper(1), "not allowed"), (no_program, "newuidmap is not installed")]
)
def test_without_a_namespace_it_says_where_to_run_it(
    run_command: RunCommand, why: str, numbers: Path, tmp_path: Path
) -> None:
    opener = NamespaceOpener("it", {}, run_command, Context(SystemClock()), numbers=numbers)
    with pytest.raises(SourceError, match=why) as caught:
        opener.open_each(os.fsencode(tmp_path), [b"a"])
    assert "buildah unshare oci-push" in str(caught.value.hint)
    opener.close()


def test_a_child_that_is_killed_is_told_as_that(tmp_path: Path, numbers: Path) -> None:
    (tmp_path / "a").write_text("x")
    mapper = Mapper()
    opener = NamespaceOpener("it", {}, mapper, Context(SystemClock()), numbers=numbers)
    _, (opened,) = opener.open_each(os.fsencode(tmp_path), [b"a"])
    os.close(opened)
    os.kill(int(mapper.calls[0][1]), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(SourceError, match=r"in a user namespace (has ended|does not answer)") as caught:
            opener.open_each(os.fsencode(tmp_path), [b"a"])
        assert "push again" in str(caught.value.hint)
    opener.close()


def test_a_child_that_could_not_be_mapped_is_gone_at_once(numbers: Path, tmp_path: Path) -> None:
    mapper = Mapper(1)
    opener = NamespaceOpener("it", {}, mapper, Context(SystemClock()), numbers=numbers)
    for _ in range(3):
        with pytest.raises(SourceError, match="not allowed"):
            opener.open_each(os.fsencode(tmp_path), [b"a"])
        assert not Path(f"/proc/{mapper.calls[-1][1]}").exists()


def test_a_child_that_hangs_is_ended(numbers: Path, tmp_path: Path) -> None:
    mapper = Mapper()
    opener = NamespaceOpener("it", {}, mapper, Context(SystemClock()), numbers=numbers)
    opener.open_each(os.fsencode(tmp_path), [b"a"])
    os.kill(int(mapper.calls[0][1]), signal.SIGSTOP)
    opener.close()
    assert not Path(f"/proc/{mapper.calls[0][1]}").exists()


def test_who_waits_for_a_child_that_hangs_can_be_stopped(numbers: Path, tmp_path: Path) -> None:
    mapper, context = Mapper(), Context(SystemClock())
    opener = NamespaceOpener("it", {}, mapper, context, numbers=numbers)
    opener.open_each(os.fsencode(tmp_path), [b"a"])
    os.kill(int(mapper.calls[0][1]), signal.SIGSTOP)
    ended: list[OciPushError] = []

    def ask() -> None:
        try:
            opener.open_each(os.fsencode(tmp_path), [b"a"])
        except OciPushError as problem:
            ended.append(problem)

    thread = threading.Thread(target=ask)
    thread.start()
    context.cancel()
    thread.join(30)
    opener.close()
    assert [type(one) for one in ended] == [Cancelled]


def test_who_has_no_further_numbers_is_told_where_they_are_given(tmp_path: Path) -> None:
    opener = NamespaceOpener("it", {}, Mapper(), Context(SystemClock()), numbers=tmp_path)
    with pytest.raises(SourceError, match="subuid gives"):
        opener.open_each(os.fsencode(tmp_path), [b"a"])
    opener.close()
