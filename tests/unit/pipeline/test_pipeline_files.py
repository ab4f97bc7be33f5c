"""Pipelines and configurations: what they mean, and what is refused with which words."""

from __future__ import annotations

import pytest
from parsing import parse_pipeline, to_plain

from oci_push.errors import ConfigError, OciPushError
from oci_push.language.config import load_config
from oci_push.language.document import Timestamp, YamlMapping, load
from oci_push.language.integrations import Config
from oci_push.language.resolve import ResolvedPush, resolve_push
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import ParallelStep, PushStep, flatten
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.source import SourceGrammar
from oci_push.sources.table import SOURCES
from oci_push.variables.lookup import Variables, interpolate

REGISTRIES = """
registries:
  - {name: hub, provider: dockerhub, default: true, username: one, password: "${PW}"}
  - {name: second, provider: dockerhub, username: two, password: "${PW}", primary: false}
  - {name: gcr, provider: gcr, domain: gcr.io, repositoryPrefix: team-a, username: u, password: "${PW}"}
  - {name: local, provider: other, domain: "localhost:5000", insecure: true}
"""


def config(text: str = REGISTRIES, **env: str) -> Config:
    return load_config(text, "oci-push.yaml", {"PW": "secret", **env}, lambda path: "from-file")


def resolve(step: str, *, settings: Config | None = None, **variables: str) -> ResolvedPush:
    """Resolve the step ``p`` of a pipeline that also has a build step."""
    text = f"version: '1.0'\nsteps:\n  b: {{type: build, image_name: owner/app}}\n  p: {{type: push, {step}}}\n"
    pipeline = parse_pipeline(text, "p.yml")
    (push,) = (s for s in flatten(pipeline.steps) if isinstance(s, PushStep))
    resolve_context = ResolveContext(
        settings or config(),
        Variables.of(variables),
        pipeline.builds(),
        {"b": "oci:built"},
        SourceGrammar(SOURCES, lambda _: False),
        steps=frozenset({"b", "p"}),
    )
    return resolve_push(push, resolve_context)


def endpoint(step: str, **variables: str) -> RegistryEndpoint:
    """Give how the one target of such a step is reached."""
    (target,) = resolve(step, **variables).targets
    return target.endpoint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("0012", 12), ("0o14", 12), ("1e3", 1000.0), ("08", 8),
        ("1_000", 1000), ("1.10", 1.1), ("1.0.1", "1.0.1"), ("~", None), ("True", True), ("'1'", "1"),
        ("2024-01-01", Timestamp("2024-01-01")), ("123e456", float("inf")), ("0x1F", 31), (".5", 0.5), ("e", "e"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    root = load(f"k: {text}", "f").root
    assert isinstance(root, YamlMapping)
    assert to_plain(root) == {"k": value}


def test_merge_keys_and_anchors_are_followed() -> None:
    root = load("a: &x {k: 1, m: 2}\nb: {<<: *x, m: 3}", "f").root
    assert to_plain(root) == {"a": {"k": 1, "m": 2}, "b": {"k": 1, "m": 3}}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: the file is empty"),
        ("a: 1\na: 2", "f:2:1: duplicated mapping key 'a'"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: [1", "not YAML"),
        ("? [a]\n: b", "a key must be plain text"),
        ("[" * 100_000, "nest"),
        (BOMB, "too many values"),
        ("\ta: 1", "not YAML"),
    ],
)
def test_what_is_no_clean_yaml_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, "f")
    assert message in str(caught.value)


def test_variables_are_replaced_again_in_values_and_stay_when_undefined() -> None:
    known = {"A": "x${{B}}", "B": "y"}
    assert interpolate("${{ A }}-${{C}}", known.get).text == "xy-${{C}}"
    assert interpolate("${{A}}${{C}}", known.get).undefined == ("C",)


def test_a_circle_of_variables_names_the_chain() -> None:
    with pytest.raises(ConfigError, match="A -> B -> A"):
        interpolate("${{A}}", {"A": "${{B}}", "B": "${{A}}"}.get)


@pytest.mark.parametrize(
    ("step", "target"),
    [
        ("candidate: '${{b}}'", "docker.io/owner/app:latest"),
        ("candidate: '${{b}}', registry: gcr, tag: v1", "gcr.io/team-a/owner/app:v1"),
        ("candidate: '${{b}}', registry: gcr, image_name: gcr.io/x/y, tag: v1", "gcr.io/team-a/x/y:v1"),
        ("candidate: alpine:3, registry: local", "localhost:5000/alpine:latest"),
        ("candidate: 'us.gcr.io/proj/app:1', registry: local, tag: q", "localhost:5000/proj/app:q"),
        ("candidate: alpine", "docker.io/library/alpine:latest"),
        ("candidate: '${{b}}', registry: 'reg.example.com:444', tag: '${{T}}'", "reg.example.com:444/owner/app:t"),
    ],
)
def test_targets_follow_domain_prefix_name_and_tag(step: str, target: str) -> None:
    done = resolve(step, T="t")
    assert done.references() == (target,)


def test_tag_comes_before_tags_and_repeats_count_once() -> None:
    assert resolve("candidate: '${{b}}', tag: a, tags: [b, a, c]").tags == ("a", "b", "c")


def test_two_logins_on_one_host_are_two_accesses() -> None:
    first, second = endpoint("candidate: '${{b}}'"), endpoint("candidate: '${{b}}', registry: second")
    assert first.host == second.host
    assert first != second


def test_credentials_of_the_step_win_and_stay_secret() -> None:
    done = endpoint("candidate: '${{b}}', registry: gcr, credentials: {username: me, password: '${{P}}'}", P="hidden")
    assert done.credential is not None
    assert done.credential.username == "me"
    assert "hidden" not in repr(done)


def test_a_missing_environment_variable_is_told_when_the_registry_is_used() -> None:
    settings = load_config(REGISTRIES, "oci-push.yaml", {}, lambda path: "")
    resolve("candidate: '${{b}}', registry: local", settings=settings)
    with pytest.raises(ConfigError, match=r"oci-push.yaml:3:\d+: environment variable PW is not set"):
        resolve("candidate: '${{b}}'", settings=settings)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("candidate: '${{b}}', tag: '${{NOPE}}'", r"unresolved variable \$\{\{NOPE\}\}"),
        ("candidate: '${{b}}', registry: hup", "Registry 'hup' does not exist"),
        ("candidate: '${{b}}', tag: a/b", "contains '/'"),
        ("candidate: '${{b}}', image_name: 'x:1'", "holds a tag"),
        ("candidate: '${{b}}', image_name: Owner/App", "lower-case"),
        ("candidate: 'not a reference'", "candidate"),
    ],
)
def test_what_cannot_be_resolved_names_file_line_and_column(step: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"p\.yml:4:\d+: .*{message}"):
        resolve(step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {}", '"version" is required'),
        ("version: '1.1'\nsteps: {}", "Current version: 1.1 is invalid"),
        ("version: 1.0", '"steps" is required'),
        ("version: 1.0\nsteps: {p: {type: push}}", '"candidate" is required'),
        ("version: 1.0\nsteps: {p: {type: push, candidate: a, tagg: x}}", '"tagg" is not allowed'),
        ("version: 1.0\nsteps: {p: {type: push, candidate: a, ta: x}}", 'Did you mean "tag"?'),
        (
            "version: 1.0\nsteps: {p: {type: push, candidate: a, tag: 1.1}}",
            '"tag" must be a string. Current value: 1.1',
        ),
        ("version: 1.0\nsteps: {p: {type: push, candidate: a, tags: x}}", '"tags" must be an array'),
        ("version: 1.0\nsteps: {p: {type: push, candidate: ''}}", "is not allowed to be empty"),
        ("version: 1.0\nsteps: {a.b: {type: push, candidate: a}}", "step name cannot contain"),
        ("version: 1.0\nsteps: {p: {type: push, candidate: a, stage: s}}", '"stage" must be one of []'),
        ("version: 1.0\nsteps: {p: {type: push, candidate: a, retry: {maxAttempts: 0}}}", "must be a positive number"),
        ("version: 1.0\nvariables: []\nsteps: {}", '"variables" is not allowed'),
    ],
)
def test_a_wrong_pipeline_is_refused_in_the_vendors_words(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pipeline(text, "p.yml")
    assert message in str(caught.value)


def test_all_problems_of_a_file_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pipeline("version: 2\nsteps: {p: {type: push, x: 1}, q: {type: push, candidate: 1}}", "p.yml")
    assert len(caught.value.problems) == 4


def test_arguments_win_over_the_steps_own_keys_also_in_parallel_children() -> None:
    step = "{type: push, tag: a, arguments: {candidate: c, tag: b}}"
    text = f"version: 1.0\nsteps: {{g: {{type: parallel, steps: {{p: {step}}}}}}}"
    (group,) = parse_pipeline(text, "p.yml").steps
    assert isinstance(group, ParallelStep)
    (push,) = group.steps
    assert isinstance(push, PushStep)
    assert [tag.text for tag in push.tags] == ["b"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), (".5h", 1800), ("0s", None), ("1d", None), ("s", None)]
)
def test_timeouts_are_numbers_with_a_unit_or_nothing(text: str, seconds: float | None) -> None:
    (push,) = parse_pipeline(
        f"version: 1.0\nsteps: {{p: {{type: push, candidate: a, timeout: {text}}}}}", "p.yml"
    ).steps
    assert isinstance(push, PushStep)
    assert push.settings.timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registries: [{name: a, domain: x.io}, {name: a, domain: y.io}]", "described twice"),
        (
            "registries: [{name: a, domain: x.io, default: true}, {name: b, domain: y.io, default: true}]",
            "both marked default",
        ),
        ("registries: [{name: a, domain: x.io/path}]", "domain is HOST"),
        ("registries: [{name: a, domain: x.io, colour: red}]", '"colour" is not allowed'),
        ("registries: [{name: a, provider: odd, domain: x.io}]", "must be one of"),
        ("registry: []", '"registry" is not allowed'),
    ],
)
def test_a_wrong_configuration_is_refused(text: str, message: str) -> None:
    with pytest.raises(OciPushError) as caught:
        config(text)
    assert message in f"{caught.value} {caught.value.hint}"


def test_a_secret_written_out_is_accepted_with_a_warning() -> None:
    settings = config("registries: [{name: a, domain: x.io, username: u, password: plain}]")
    assert [w.line for w in settings.warnings] == [1]
    assert "plain" not in str(settings.warnings[0])
