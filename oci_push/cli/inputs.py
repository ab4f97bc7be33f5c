"""Files that commands read: the pipeline and the configuration beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from oci_push.cli.options import read_stdin
from oci_push.cli.output import tell
from oci_push.errors import ConfigError
from oci_push.language.config import load_config
from oci_push.language.config_values import NAMED, Allowed, ConfigOrigin
from oci_push.language.integrations import Config
from oci_push.variables.lookup import VariableSource, names_in

CONFIG_NAME = "oci-push.yaml"
_NAMED_BY, _ALLOWED_BY = "OCI_PUSH_CONFIG", "OCI_PUSH_ALLOW_ENV"
_HERE = "in the working folder"
_MOST_BYTES = 64 * 1024 * 1024


def read_config(
    pipeline: Path | None, given: Path | None, env: Mapping[str, str], allowed: Sequence[str] | None = None
) -> Config:
    """Read ``oci-push.yaml``: named, beside the pipeline, in the working folder, in the user's folder; or none.

    One that was found beside the pipeline or in the working folder may only read what `allowed`, ``OCI_PUSH_ALLOW_ENV``
    and the user's own configuration let it read, and its `notice` says that it is used.
    """
    given = given or (Path(env[_NAMED_BY]) if env.get(_NAMED_BY) else None)
    if given:
        return _load(given, env, NAMED)
    own = _own_place(env)
    for place, where in ((pipeline.parent if pipeline else None, "beside the pipeline"), (Path(), _HERE)):
        found = place / CONFIG_NAME if place is not None else None
        if found is None or not _is_file(found) or (own is not None and _is_file(own) and found.samefile(own)):
            continue
        return _found(found, where, own, env, allowed or ())
    return _load(own, env, NAMED) if own is not None and _is_file(own) else Config()


def tell_found(*configs: Config) -> None:
    """Say once of each configuration that was found, not named, that it is used."""
    for notice in dict.fromkeys(config.notice for config in configs if config.notice):
        tell(notice)


def _found(path: Path, where: str, own: Path | None, env: Mapping[str, str], allowed: Sequence[str]) -> Config:
    may = Allowed.parse_list(allowed, "--allow-env") | Allowed.parse_list([env.get(_ALLOWED_BY, "")], _ALLOWED_BY)
    if own is not None and _is_file(own):
        may |= _load(own, env, NAMED).allowed
    origin = ConfigOrigin(path.parent, is_named=False, allowed=may)
    if not origin.may_read(path):
        raise ConfigError(f"{path}: is a link that leads out of its folder", hint=f"name it: --config {path}")
    names = ", ".join(sorted(str(one) for one in may)) or "none"
    notice = f"using {path} {where}; it may use these environment variables: {names}"
    return replace(_load(path, env, origin), notice=notice)


def _own_place(env: Mapping[str, str]) -> Path | None:
    user = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    return Path(user) / "oci-push" / CONFIG_NAME if user else None


def _load(path: Path, env: Mapping[str, str], origin: ConfigOrigin) -> Config:
    config = load_config(read_bytes(path), str(path), env, lambda file: file.read_text(encoding="utf-8"), origin)
    config.learn_secrets()
    return config


def _is_file(place: Path) -> bool:
    """Say whether a usual place holds a file; one that may not even be looked at holds none."""
    try:
        return place.is_file()
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Read a whole file, or stdin for ``-``; raises `ConfigError`."""
    if str(path) == "-":
        return read_stdin("-", _MOST_BYTES)
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


def given_source(option: str, values: Mapping[str, str]) -> VariableSource:
    """Make a source of what an option gave: literal, as a CI puts strangers' words there; a note says so."""
    for name, value in values.items():
        if names_in(value) and not name.startswith("secrets."):
            tell(f"note: {option}: the ${{{{…}}}} in the value of {name} stays as it is written")
    return VariableSource(option, values, is_literal=True, is_own=True)
