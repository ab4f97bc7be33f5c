"""Stores of containers-storage made to harm: one clear error each, within the memory that is promised."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from images import layer
from measured import oci_push
from stores import StoreWriter, raw

MIB = 1024 * 1024


def many_images(store: StoreWriter) -> None:
    """Write a list of images of 1 GiB, as a hole."""
    with (store.root / "overlay-images/images.json").open("r+b") as file:
        file.truncate(1024 * MIB)


def many_records(store: StoreWriter) -> None:
    """Write a list of 330,000 images, as many as may be."""
    (store.root / "overlay-images/images.json").write_text(
        json.dumps([{"id": f"a{number}"} for number in range(330_000)])
    )


def more_records(store: StoreWriter) -> None:
    """Write a list of 400,000 images."""
    (store.root / "overlay-images/images.json").write_text(
        json.dumps([{"id": f"a{number}"} for number in range(400_000)])
    )


def deep(store: StoreWriter) -> None:
    """Write a list of layers that is nested half a million times."""
    (store.root / "overlay-layers/layers.json").write_text("[" * 500_000)


def long_split(store: StoreWriter) -> None:
    """Write a tar-split of 160 MiB in 160 KB that is not this layer's."""
    line = json.dumps(raw(bytes(60_000))).encode() + b"\n"
    split = store.split(store.layers[0]["id"])
    split.write_bytes(gzip.compress(line * 520, 6) * 4)


def endless_line(store: StoreWriter) -> None:
    """Write a tar-split of one line of 512 MiB."""
    split = store.split(store.layers[0]["id"])
    split.write_bytes(gzip.compress(b"x" * 16 * MIB) * 32)


def large_config(store: StoreWriter) -> None:
    """Write a config of 1 GiB, as a hole."""
    identity = store.images[0]["id"]
    with store.data(identity, f"sha256:{identity}").open("r+b") as file:
        file.truncate(1024 * MIB)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (many_images, "more than 33554432"),
        (many_records, "no such image"),
        (more_records, "too many values"),
        (deep, "is damaged"),
        (long_split, "layer has diff_id"),
        (endless_line, "has a line of more than"),
        (large_config, "more than 8388608"),
    ],
)
def test_a_store_that_means_harm_is_one_clear_error(
    harm: Callable[[StoreWriter], None], message: str, tmp_path: Path
) -> None:
    store = StoreWriter(tmp_path / "store")
    store.add(layer(1), names=("localhost/app:1",))
    harm(store)
    done = oci_push("digest", f"{store.source}app:1", home=tmp_path)
    assert done.code == 3
    assert message in done.errors
