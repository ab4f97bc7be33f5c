"""JSON Schemas as tables: of files that people write (keys, values, defaults), and of JSON that is printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from marking import plain, table

Schema: TypeAlias = Mapping[str, Any]
Defs: TypeAlias = Mapping[str, tuple[Schema, str]]
"""The parts that a schema refers to, by name, and the title of each one's table, if it has one."""
_TYPES = {"string": "text", "integer": "number", "number": "number", "boolean": "`true`, `false`", "null": "null"}
_MOST_CHOICES = 24


# Files that people write


def written(schema: Schema, titles: Mapping[str, str], defs: Mapping[str, str] | None = None) -> str:
    """Return the keys of a file: its root's, and those of mappings in it that `titles` name by their key.

    `defs` names parts of the schema's own that get a table, by their title.
    """
    all_defs = {name: (one, (defs or {}).get(name, "")) for name, one in schema.get("$defs", {}).items()}
    parts = [_keys(schema, all_defs)]
    parts += [f"## {titles[key]}\n\n{_keys(inner, all_defs)}" for key, inner in _inner(schema, titles)]
    parts += [f"## {title}\n\n{_keys(all_defs[name][0], all_defs)}" for name, title in (defs or {}).items()]
    return "\n".join(parts)


def _inner(schema: Schema, titles: Mapping[str, str]) -> list[tuple[str, Schema]]:
    """Find the mappings below the keys of `titles`, outermost first."""
    found: list[tuple[str, Schema]] = []
    for key, value in schema.get("properties", {}).items():
        for one in (value, value.get("items", {}), *value.get("anyOf", ())):
            if "properties" in one:
                found += [(key, one)] if key in titles else []
                found += _inner(one, titles)
    return found


def _keys(schema: Schema, defs: Defs) -> str:
    required = schema.get("required", ())
    rows = []
    for key, value in schema["properties"].items():
        if value is False:
            continue
        default = "required" if key in required else _default(value)
        rows.append((f"`{key}`", _value(value, defs), default, plain(value.get("description", ""))))
    return table(("key", "value", "default", "meaning"), rows)


def _default(value: Schema) -> str:
    default = value.get("default")
    return "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _value(value: Schema, defs: Defs) -> str:
    """Return what a key may hold, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        inner, title = defs[name]
        if title:
            return f"[{name}](#{re.sub('[^a-z0-9]+', '-', title.lower())})"
        return "a step" if name.lower().endswith("step") else _value(inner, defs)
    if "enum" in value or "const" in value:
        return _choices(value.get("enum") or [value["const"]])
    if "then" in value:
        kinds = [_value(value[branch], defs) for branch in ("then", "else") if value.get(branch)]
        return " or ".join(dict.fromkeys(kinds))
    if "anyOf" in value:
        kinds = [_value(one, defs) for one in value["anyOf"]]
        if "`true`, `false`" in kinds:  # and the words that YAML of other ages has for it
            kinds = [kind for kind in kinds if kind not in ("`1`, `0`", "text")]
        if any("enum" in one for one in value["anyOf"]):  # a number is a text of YAML, and none of the choices
            kinds = [kind for kind in kinds if kind != "number"]
        return " or ".join(dict.fromkeys(kinds))
    kind = value.get("type", "")
    if isinstance(kind, list):
        return "text" if "string" in kind else _TYPES[kind[0]]
    if kind == "array":
        return _several(_value(value.get("items", {}), defs))
    if kind == "object":
        of = value.get("additionalProperties")
        return f"names and values ({_value(of, defs)})" if isinstance(of, dict) and of else "mapping"
    if value.get("pattern", "").startswith("^\\$\\{\\{") or value.get("pattern") == "\\$\\{":
        return "a variable"
    return _TYPES.get(kind, "any")


def _choices(values: Sequence[object]) -> str:
    seen = list(dict.fromkeys("null" if one is None else str(one) for one in values))
    shown = [f"`{one}`" for one in seen[:_MOST_CHOICES]]
    return ", ".join(shown) + (", …" if len(seen) > _MOST_CHOICES else "")


def _several(kind: str) -> str:
    """Return the words for a list."""
    words = {"text": "texts", "number": "numbers", "digest": "digests", "mapping": "mappings", "a step": "steps"}
    return f"list of {words[kind]}" if kind in words else "list" if kind == "any" else f"list of {kind}"


# JSON that is printed


def printed(schema: Schema) -> str:
    """Return each form of a published JSON: objects as tables of their fields, choices as lists."""
    titles = [(name, one) for name, one in schema["$defs"].items() if name not in ("Digest", "Repository")]
    return "\n".join(_form(name, one) for name, one in titles)


def _form(name: str, form: Schema) -> str:
    about = plain(" ".join(form.get("description", "").split()))
    if "enum" in form:
        return f"## {name}\n\n{about}\n\n{_choices(form['enum'])}\n"
    required = form.get("required", ())
    rows = [(f"`{key}`", _kind(one), "yes" if key in required else "no") for key, one in form["properties"].items()]
    return f"## {name}\n\n{about}\n\n{table(('field', 'value', 'always there'), rows)}"


def _kind(value: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return {"Digest": "digest", "Repository": "text: `HOST/REPO`"}.get(name, f"[{name}](#{name.lower()})")
    if "enum" in value:
        return _choices(value["enum"])
    if "anyOf" in value:
        if len(value["anyOf"]) > _MOST_CHOICES // 2:
            return "one of the events below"
        return " or ".join(map(_kind, value["anyOf"]))
    if value.get("type") == "array":
        return _several(_kind(value["items"]) if value.get("items") else "any")
    if value.get("type") == "object":
        of = value.get("additionalProperties")
        return f"names and values ({_kind(of)})" if isinstance(of, dict) and of else "object"
    kind = value.get("type", "")
    return _TYPES.get(kind if isinstance(kind, str) else "", "any")
