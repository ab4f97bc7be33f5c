"""What holds for every file: reading ends in a pipeline or in problems with places, and raises nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from parsing import to_plain

from oci_push.language.document import Location, Node, Scalar, YamlMapping, YamlSequence, load
from oci_push.language.integrations import Config, Integration
from oci_push.language.parse import read_pipeline
from oci_push.language.schema_registries import Known
from oci_push.language.yaml_scalars import resolve_plain

_PLACE = Location("c.yaml", 1, 1)
_CONFIG = Config((Integration("hub", "dockerhub", "docker.io", _PLACE), Integration("ecr", "ecr", "", _PLACE)))
KNOWN = Known(_CONFIG, {"R": "hub"}.get)
KEYS = st.sampled_from(
    [
        "version", "steps", "stages", "mode", "type", "candidate", "tag", "tags", "registry", "hooks", "on_success",
        "on_fail", "on_elected", "exec", "metadata", "annotations", "set", "unset", "when", "condition", "all", "any",
        "name", "on", "branch", "only", "ignore", "retry", "maxAttempts", "timeout", "arguments", "scale", "matrix",
        "fail_fast", "fail-fast", "credentials", "username", "password", "region", "role_arn", "success_criteria", "p",
        "q", "bogus", "<<",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "push", "parallel", "build", "freestyle", "hub", "nope", "1", "0", "1.5", "-1", "true", "null", "~", "5m", "45",
        "''", "'1.0'", "${{R}}", "'${{X}}'", "eu-west-1", "a", "success", "2024-01-01", "1e999", ".nan", "[]", "{}",
        "*a", "&a x", "a.b", "'a === b'",
    ]
)  # fmt: skip
MAPPINGS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=25,
)


def check(text: str | bytes) -> None:
    for known in (None, KNOWN):
        reading = read_pipeline(text, "p.yml", known)
        assert (reading.pipeline is None) == bool(reading.errors)
        for problem in (*reading.errors, *reading.warnings, *reading.upstream):
            assert problem.message
            assert problem.line >= 1
            assert problem.column >= 1


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    check(data)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    check(text)


@settings(max_examples=400)
@given(MAPPINGS)
def test_any_steps_are_read_or_refused(step: str) -> None:
    check(f"version: '1.0'\nsteps:\n  p: {step}\n")


@given(MAPPINGS, MAPPINGS)
def test_any_push_step_is_read_or_refused(one: str, other: str) -> None:
    check(f"version: '1.0'\nstages: [a]\nsteps:\n  p: {{type: push, candidate: a, when: {one}, hooks: {other}}}\n")


@given(st.text(alphabet="0123456789+-._eExXobabcdefInfNATZ: ", max_size=12))
def test_a_plain_scalar_has_a_value_of_its_own_kind(text: str) -> None:
    value = resolve_plain(text)
    if isinstance(value, str):
        assert value == text


def depth(node: Node) -> int:
    if isinstance(node, Scalar):
        return 0
    inside = node.items if isinstance(node, YamlSequence) else tuple(entry.value for entry in node.entries)
    return 1 + max((depth(one) for one in inside), default=0)


@given(st.lists(st.integers(min_value=0, max_value=3), min_size=1, max_size=60))
def test_aliases_never_make_a_file_deep_or_large(uses: list[int]) -> None:
    lines = ["a0: &a0 [x]"]
    for number, count in enumerate(uses, 1):
        lines.append(f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * count)}]")
    reading = read_pipeline("\n".join(lines), "p.yml")
    if "too many values" not in reading.errors[0].message:
        root = load("\n".join(lines), "p.yml").root
        assert isinstance(root, YamlMapping)
        assert depth(root) <= 100
        assert isinstance(to_plain(root), dict)
