"""Changing an image's configuration (image-spec config.md): what is not named stays as it stands there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from oci_push.model.changes import Changes, ConfigChanges
from oci_push.model.manifest import load_json


def changed_config(raw: bytes, changes: Changes) -> dict[str, Any] | None:
    """Return a configuration with `changes`, ``None`` where it says all that already; raises ``ValueError``."""
    before, value = load_json(raw, "image config"), load_json(raw, "image config")
    _change(value, changes.config)
    if changes.epoch is not None:
        _date(value, changes.epoch)
    if value == before:
        return None
    load_json(raw, "image config", is_to_change=True)
    return value


def said_time(epoch: int) -> str:
    """Return seconds since 1970 as RFC 3339 has them."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _change(value: dict[str, Any], asked: ConfigChanges) -> None:
    inner: dict[str, Any] = {}
    if asked.labels:
        inner["Labels"] = _merged(_object(value, "Labels"), asked.labels)
    if asked.env:
        inner["Env"] = _variables(_list(value, "Env"), asked.env) or None
    for key, words in (("Entrypoint", asked.entrypoint), ("Cmd", asked.cmd)):
        if words is not None:
            inner[key] = list(words) or None
    for key, names in (("ExposedPorts", asked.exposed), ("Volumes", asked.volumes)):
        if names:
            inner[key] = _set(_object(value, key), names)
    texts = (("User", asked.user), ("WorkingDir", asked.working_dir), ("StopSignal", asked.stop_signal))
    inner |= {key: text for key, text in texts if text is not None}
    if inner:
        found = value.get("config")
        if not isinstance(found, dict | None):
            raise ValueError("image config: config is not an object")
        kept = dict(found or {})
        for key, new in inner.items():
            if new:
                kept[key] = new
            else:
                kept.pop(key, None)
        value["config"] = kept
    if asked.created is not None:
        value["created"] = asked.created


def _merged(found: Mapping[str, str], asked: Mapping[str, str | None]) -> dict[str, str]:
    """Return `found` with what is asked for, in the order it was there."""
    return {key: new for key, new in ({**found, **asked}).items() if new is not None}


def _variables(found: list[str], asked: Mapping[str, str | None]) -> list[str]:
    """Return variables with those that are asked for, each in the first place that it had; others are left alone."""
    waiting = dict(asked)
    made: list[str] = []
    for item in found:
        name = item.partition("=")[0]
        if name not in asked:
            made.append(item)
        elif (text := waiting.pop(name, None)) is not None:
            made.append(f"{name}={text}")
    return made + [f"{name}={text}" for name, text in waiting.items() if text is not None]


def _set(found: Mapping[str, Any], asked: Mapping[str, bool]) -> dict[str, Any]:
    """Return a set, which is an object of empty objects, with some names in it and others not."""
    there = {**found, **{name: found.get(name, {}) for name in asked}}
    return {name: one for name, one in there.items() if asked.get(name, True)}


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value["config"].get(key) if isinstance(value.get("config"), dict) else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"image config: {key} is not an object")
    return found


def _list(value: dict[str, Any], key: str) -> list[str]:
    found = value["config"].get(key) if isinstance(value.get("config"), dict) else None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"image config: {key} is not a list of texts")
    return found


def _date(value: dict[str, Any], epoch: int) -> None:
    """Date an image as buildx does for SOURCE_DATE_EPOCH: it is created then, and no step of its history is later."""
    value["created"] = said_time(epoch)
    history = value.get("history")
    for step in history if isinstance(history, list) else ():
        made = step.get("created") if isinstance(step, dict) else None
        if isinstance(made, str) and _is_later(made, epoch):
            step["created"] = said_time(epoch)


def _is_later(text: str, epoch: int) -> bool:
    """Return whether a time of RFC 3339 is after `epoch`; one that cannot be read is taken for later."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return True
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment > datetime.fromtimestamp(epoch, UTC)
