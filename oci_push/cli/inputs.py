"""Files that commands read: the pipeline and the configuration beside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.pipeline.config import load_config
from oci_push.pipeline.integrations import Config

CONFIG_NAME = "oci-push.yaml"


def read_config(pipeline: Path | None, given: Path | None, env: Mapping[str, str]) -> Config:
    """Read ``oci-push.yaml``: named, beside the pipeline, in the working folder, in the user's folder; or none."""
    user = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    places = [given] if given else [Path(CONFIG_NAME)]
    if not given and pipeline is not None:
        places.insert(0, pipeline.parent / CONFIG_NAME)
    if not given and user:
        places.append(Path(user) / "oci-push" / CONFIG_NAME)
    for place in places:
        if given or _is_file(place):
            return load_config(read_bytes(place), str(place), env, lambda path: path.read_text(encoding="utf-8"))
    return Config()


def _is_file(place: Path) -> bool:
    """Say whether a usual place holds a file; one that may not even be looked at holds none."""
    try:
        return place.is_file()
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Read a whole file, or stdin for ``-``; raises `ConfigError`."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})", hint="check the file's name") from problem


def pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    """Take ``NAME=VALUE`` options apart; the last of one name wins."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{option} {text!r}: expected {form}")
        found[name.strip()] = value
    return found
