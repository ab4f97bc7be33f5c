"""The language as a JSON Schema, from the tables that pipelines are checked with, for editors to complete and explain.

It accepts all that `check_pipeline` accepts, and refuses what a schema can: rules that look at several places (stage
names, names used twice, which key of `arguments` wins) are left to ``oci-push validate``. It is draft 7, which editors'
YAML servers know best.
"""

from __future__ import annotations

from typing import TypeAlias

from oci_push.language.scalars import any_case
from oci_push.language.schema import Fields
from oci_push.language.schema_steps import COMMON
from oci_push.language.step_rules import FORBIDDEN, NAMES, ROOT, RUN_TYPES, SHARED, STEPS, TABLES
from oci_push.language.steps import HOOK_EVENTS, KNOWN_TYPES

Schema: TypeAlias = dict[str, object]

_OPEN_TIMEOUTS = ("pending-approval", "deploy")


def language_schema() -> Schema:
    """Return the schema of a pipeline file."""
    root = ROOT.to_json()
    properties = _properties(root)
    properties["version"] = {**properties["version"], "enum": ["1.0", "1", 1]}
    properties["steps"] = {**_steps(), "description": properties["steps"]["description"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Pipeline of push steps",
        "description": "A pipeline file as oci-push reads it. What a schema cannot say, `oci-push validate` checks.",
        **root,
        "$defs": {
            **{rule.name: rule.rule.to_json() for rule in SHARED},
            "hookStep": {"allOf": [_reference("step"), {"properties": dict.fromkeys(FORBIDDEN, False)}]},
            "step": _step(),
            "push": _typed("push"),
            "build": _typed("build"),
            "freestyle": _typed("freestyle"),
            "unsupported": _typed(""),
            "parallel": _parallel(),
        },
    }


def _step() -> Schema:
    """Return a step by its type; a type of others is accepted with any keys."""
    named = {"push": "push", "build": "build", "parallel": "parallel", "freestyle": "freestyle"}
    rest = sorted(KNOWN_TYPES - set(named) - set(_OPEN_TIMEOUTS))
    choices: list[Schema] = [
        {"if": {"required": ["type"], "properties": {"type": {"const": kind}}}, "then": _reference(name)}
        for kind, name in named.items()
    ]
    choices.append(
        {"if": {"required": ["type"], "properties": {"type": {"enum": rest}}}, "then": _reference("unsupported")}
    )
    untyped: Schema = {"properties": {"type": False, "arguments": False}}
    choices.append({"if": untyped, "then": _reference("freestyle")})
    kinds = "|".join(any_case(kind) for kind in RUN_TYPES)
    type_of: Schema = {
        "description": str(COMMON["type"].about),
        "anyOf": [
            {"enum": sorted(KNOWN_TYPES)},
            {"type": "string", "minLength": 1, "not": {"pattern": f"^({kinds})(:|$)"}},
        ],
    }
    return {"type": "object", "properties": {"type": type_of}, "allOf": choices}


def _typed(kind: str) -> Schema:
    """Return a step type: what is required may stand in `arguments`, `scale` and `matrix` too."""
    table = TABLES[kind]
    schema = table.to_json()
    properties = _properties(schema)
    inside = {**schema, "properties": {k: v for k, v in properties.items() if k != "arguments"}}
    inside.pop("required", None)
    properties["arguments"] = {**inside, "description": properties["arguments"]["description"]}
    properties["type"] = {"const": kind} if kind else {"type": "string"}
    every: Schema = {**inside, "description": "One step for each entry, side by side, with these keys over the others."}
    properties["scale"] = {"type": "object", "minProperties": 1, "additionalProperties": every}
    properties["scale"]["description"] = "Steps side by side, by name: the keys given here win over the step's own."
    properties["matrix"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "array", "minItems": 1},
        "description": "Keys with lists of values: one step side by side for every combination.",
    }
    required = schema.pop("required", None)
    if isinstance(required, list):
        elsewhere: list[Schema] = [{"required": [key]} for key in ("arguments", "scale", "matrix")]
        schema["anyOf"] = [{"required": required}, *_aliased(required, table), *elsewhere]
    if kind:
        schema["not"] = _old_and_new(schema.get("not"))
    return schema


def _aliased(required: list[str], table: Fields[None]) -> list[Schema]:
    return [{"required": [alias]} for alias, name in table.aliases.items() if required == [name]]


def _old_and_new(other: object) -> Schema:
    """Return what must not be: notes in the old place beside hooks for the same events."""
    events = HOOK_EVENTS[1:]
    old: Schema = {"anyOf": [{"required": [event]} for event in events]}
    new: Schema = {"required": ["hooks"], "properties": {"hooks": {"type": "object", **old}}}
    both: Schema = {"allOf": [new, old]}
    return {"anyOf": [other, both]} if other else both


def _parallel() -> Schema:
    """Return a group: mistakes in its own keys are warnings, so they are only explained."""
    about = {key: {"description": field.about} for key, field in TABLES["parallel"].fields.items()}
    return {
        "type": "object",
        "properties": {**about, "steps": {**_steps(), "minProperties": 1, **about["steps"]}},
        "anyOf": [{"required": ["steps"]}, {"required": ["arguments"]}],
    }


def _steps() -> Schema:
    return {**STEPS.to_json(), "propertyNames": dict(NAMES)}


def _properties(schema: Schema) -> dict[str, Schema]:
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101  # an object's schema has them
    return properties


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
