"""Keys of pipelines and steps: what each may hold, in which words it is refused, and what is only strange."""

from __future__ import annotations

import pytest

from oci_push.language.parse import Reading, read_pipeline


def read(step: str, root: str = "") -> Reading:
    """Read a pipeline with one step ``p``."""
    return read_pipeline(f"version: '1.0'\n{root}\nsteps:\n  p: {step}\n", "p.yml")


def push(keys: str, root: str = "") -> Reading:
    """Read a push step with some keys more."""
    return read(f"{{type: push, candidate: a, {keys}}}", root)


def said(reading: Reading) -> list[str]:
    return [one.message for one in reading.errors]


def warned(reading: Reading) -> list[str]:
    return [one.message for one in reading.warnings]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("tag: ''", '"tag" is not allowed to be empty'),
        ("tag: null", '"tag" must be a string'),
        ("tag: 0", '"tag" must be a string'),
        ("tag: 2024-01-01", '"tag" must be a string. Current value: 2024-01-01 '),
        ("tag: 123e456", '"tag" must be a string. Current value: Infinity '),
        ("tag: 1e3", '"tag" must be a string. Current value: 1000 '),
        ("tag: true", '"tag" must be a string. Current value: true '),
        ("tag: {a: 1}", '"tag" must be a string'),
        ("tags: null", '"tags" must be an array'),
        ("tags: [a, null]", '"1" must be a string'),
        ("tags: ['']", '"0" is not allowed to be empty'),
        ("provider: gcr",
         '"provider" with value "gcr" fails to match the required pattern: /^standard|docker|ecr$/. Current value: '
         "gcr "),
        ("credentials: {username: a}", '"password" is required'),
        ("credentials: {username: a, password: 7}", '"password" must be a string'),
        ("credentials: 'a:b'", '"credentials" must be an object'),
        ("secretAccessKey: 7", '"secretAccessKey" must be a string'),
        ("aws_duration_seconds: '${{D}}'", '"aws_duration_seconds" must be a number. Current value: ${{D}} '),
        ("aws_duration_seconds: true", '"aws_duration_seconds" must be a number. Current value: true '),
        ("aws_duration_seconds: .inf", '"aws_duration_seconds" must be a number. Current value: Infinity '),
        ("fail_fast: 2", '"fail_fast" must be a boolean. Current value: 2 '),
        ("fail_fast: ' yes'", '"fail_fast" must be a boolean. Current value:  yes '),
        ("fail_fast: null", '"fail_fast" must be a boolean'),
        ("strict_fail_fast: 'true'", '"strict_fail_fast" must be a boolean. Current value: true '),
        ("docker_machine: {make: {}}", '"make" is not allowed. Did you mean "create"?'),
        ("debug: {phases: {before: maybe}}", '"before" must be a boolean. Current value: maybe '),
        ("env: {type: kubernetes}", '"name" is required'),
        ("env: {name: a, type: swarm}", '"type" must be one of [kubernetes, helm-release]. Current value: swarm '),
        ("retry: {maxAttempts: -1}", '"maxAttempts" must be a positive number. Current value: -1 '),
        ("retry: {delay: 0}", '"delay" must be a positive number'),
        ("docker_machine: {create: {}, use: {}}", '"use" is not allowed'),
        ("retry: {maxAttempt: 1}", '"maxAttempt" is not allowed. Did you mean "maxAttempts"?'),
        ("when: {branches: {}}", '"branches" is not allowed. Did you mean "branch"?'),
        ("when: {branch: {only: [1]}}", '"0" must be a string. Current value: 1 '),
        ("when: {condition: {all: {a: ''}}}", '"a" is not allowed to be empty'),
        ("when: {condition: {any: {a-b: 'true'}}}", '"a-b" is not allowed'),
        ("when: {steps: []}", '"steps" must contain at least 1 items'),
        ("when: {steps: {any: []}}", '"any" must contain at least 1 items'),
        ("when: {steps: {all: [{name: a}], any: [{name: a}]}}",
         '"steps" contains a conflict between exclusive peers [all, any]'),
        ("when: {steps: [{name: a, state: x}]}", '"state" is not allowed. Did you mean "name"?'),
        ("on_success: {exec: [a]}", '"exec" is not allowed'),
        ("on_elected: {}", '"on_elected" is not allowed'),
        ("hooks: {on_start: [a]}", '"on_start" is not allowed. Did you mean "on_fail"?'),
        ("hooks: {on_fail: echo}", '"on_fail" must be an object. Current value: echo '),
        ("hooks: {on_fail: {}}", '"image" is required'),
        ("hooks: {on_fail: {commands: [a]}}", '"image" is required'),
        ("hooks: {on_fail: [1]}", '"0" must be a string. Current value: 1 '),
        ("hooks: {on_fail: {metadata: {set: []}, mode: parallel}}", '"mode" is not allowed. Did you mean "exec"?'),
        ("hooks: {on_fail: {steps: {a: {image: b}}, mode: both}}",
         '"mode" must be one of [sequential, parallel]. Current value: both '),
        ("on_fail: {annotations: {set: [{}]}}", '"annotations" is required'),
        ("on_fail: {annotations: {set: [{annotations: [{a: null}]}]}}", '"a" must be a string'),
        ("on_fail: {annotations: {set: [{annotations: [{a: ''}]}]}}", '"a" is not allowed to be empty'),
        ("on_fail: {annotations: {unset: [{annotations: [{a: 1}]}]}}", '"0" must be a string'),
        ("on_fail: {annotations: {unset: [{annotations: [a], display: a}]}}", '"display" is not allowed'),
        ("arguments: []", '"arguments" must be an object'),
        ("working_directory: x", '"working_directory" is not allowed'),
        ("registri: x", '"registri" is not allowed. Did you mean "registry"?'),
        ("Tag: x", '"Tag" is not allowed. Did you mean "tag"?'),
        ("foo: x", '"foo" is not allowed. Did you mean "env"?'),
        ("reg: x", '"reg" is not allowed. Did you mean "region"?'),
        ("zzzzzzzzzzzzzzzz: x", '"zzzzzzzzzzzzzzzz" is not allowed'),
    ],
)  # fmt: skip
def test_what_a_push_step_must_not_say(keys: str, message: str) -> None:
    assert said(push(keys)) == [message]


@pytest.mark.parametrize(
    "keys",
    [
        "tag: '${{A}}-x'", "provider: docker", "provider: ecr", "fail_fast: OFF", "fail_fast: 1", "fail_fast: 'Yes'",
        "fail_fast: '${{A}}-${{B}}'", "strict_fail_fast: '${{A}}'", "strict_fail_fast: false", "retry: {}", "when: {}",
        "retry: {maxAttempts: '2', delay: 5.5}", "docker_machine: {use: {node: a}}", "env: {name: a, endpoints: []}",
        "when: {branch: {only: [], ignore: [/x/i]}}", "when: {condition: {all: {}, any: {a_1: 'true'}}}",
        "debug: {phases: {before: 'yes', after: false}}", "hooks: {}", "hooks: {on_elected: [a]}, on_fail: {}",
        "hooks: {on_fail: {exec: {image: a}}}", "hooks: {on_fail: {exec: [a]}}", "timeout: null", "timeout: 1.5h",
        "hooks: {on_fail: {exec: {steps: {a: {image: b}}}}}", "on_fail: {}", "title: a, description: b",
        "hooks: {on_fail: {exec: [a], annotations: {set: [{annotations: [a]}]}}}", "arguments: {tag: a}",
        "on_fail: {metadata: {set: [{x: [a, {b: true, c: 1.5, d: {evaluate: '1'}}]}]}}",
    ],
)  # fmt: skip
def test_what_a_push_step_may_say(keys: str) -> None:
    reading = push(keys)
    assert (reading.errors, reading.warnings) == ((), ())


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("mode: Parallel", '"mode" must be one of [sequential, parallel]. Current value: Parallel '),
        ("stages: ['']", '"0" is not allowed to be empty'),
        ("fail_fast: []", '"fail_fast" must be a boolean; "fail_fast" must be a string; "fail_fast" must be an object'),
        ("strict_fail_fast: yes", '"strict_fail_fast" must be a boolean. Current value: yes '),
        ("success_criteria: {steps: []}", '"steps" must be an object; "steps" must contain at least 1 items'),
        ("success_criteria: {steps: {only: [1]}}", '"0" must be a string. Current value: 1 '),
        ("build_version: V2", '"build_version" must be one of [v1, v2]. Current value: V2 '),
        ("indicators: {}", '"indicators" must be an array'),
        ("x-anchors: []", '"x-anchors" is not allowed'),
        ("hooks: [a]", '"hooks" must be an object'),
    ],
)
def test_what_a_pipeline_must_not_say(root: str, message: str) -> None:
    assert said(read("{type: push, candidate: a}", root)) == [message]


@pytest.mark.parametrize(
    "root",
    [
        "stages: [a, a]", "fail_fast: false", "fail_fast: '${{A}}'", "indicators: [1, {a: b}]", "services: {}",
        "success_criteria: {steps: [p]}", "success_criteria: {condition: {all: {}}}", "build_version: v2",
        "hooks: {on_elected: {type: push, candidate: b}}",
    ],
)  # fmt: skip
def test_what_a_pipeline_may_say(root: str) -> None:
    reading = read("{type: push, candidate: a}", root)
    assert (reading.errors, reading.warnings) == ((), ())


@pytest.mark.parametrize("version", ["'1.0'", "1.0", "1", "'1'"])
def test_every_spelling_of_the_version_is_accepted(version: str) -> None:
    assert said(read_pipeline(f"version: {version}\nsteps: {{}}", "p.yml")) == []


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("2", "Current version: 2 is invalid. please change version to 1.0"),
        ("1.10", "Current version: 1.1 is invalid. please change version to 1.0"),
        ("true", "Current version: true is invalid. please change version to 1.0"),
        ("0", '"version" must be a positive number'),
        ("null", '"version" must be a number'),
    ],
)
def test_other_versions_are_refused(version: str, message: str) -> None:
    assert said(read_pipeline(f"version: {version}\nsteps: {{}}", "p.yml")) == [message]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{type: Push, candidate: a}", '"type" must be one of [push]. Current value: Push '),
        ("{type: 'build:1.0.0', image_name: a}", '"type" must be one of [build]. Current value: build:1.0.0 '),
        ("{type: null}", '"type" must be a string'),
        ("{type: ''}", '"type" is not allowed to be empty'),
        ("[]", '"p" must be an object'),
        ("{type: build}", '"image_name" is required'),
        ("{type: freestyle}", '"image" is required'),
        ("{type: parallel, steps: []}", '"steps" is required and must be an array of type steps'),
        ("{type: parallel, steps: {a: {type: pending-approval}}}", '"type" can\'t be pending-approval'),
    ],
)
def test_types_are_told_apart(step: str, message: str) -> None:
    assert said(read(step)) == [message]


def test_a_type_of_others_is_not_looked_into() -> None:
    reading = read("{type: 'acme/tool:1.2.3', anything: [1], when: 5}")
    assert (reading.errors, reading.warnings) == ((), ())


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{type: tool}", "Step version not specified. The latest version will be used, which may result in breaking"),
        ("{type: 'tool:latest'}", 'Invalid semantic version "latest" for step.'),
        ("{type: push, candidate: a, provider: xdocker1}", '"provider" is read as docker. Current value: xdocker1'),
        ("{type: push, candidate: a, tag: a, tags: [b]}", '"tag" and "tags" are both given; both are pushed'),
        ("{type: push, candidate: a, provider: ecr, registry: x}", '"registry" is ignored with provider: ecr'),
        ("{type: push, candidate: a, provider: docker, accessKeyId: x}", '"accessKeyId" is ignored with provider'),
        ("{type: push, candidate: a, aws_session_name: x}", '"aws_session_name" is ignored with no role_arn'),
        ("{type: push, candidate: a, image_name: Own/App}", '"image_name" must be in lower case'),
        ("{type: push, candidate: a, tag: a/b}", "tag 'a/b' contains '/'"),
        ("{type: push, candidate: a, timeout: 45}", '"timeout" must be a string. Current value: 45 '),
        ("{type: push, candidate: a, timeout: 1D}", '"timeout" with value "1D" fails to match the "<duration><units>'),
        ('{type: push, candidate: a, timeout: "5m\\n"}', '"timeout" with value "5m\n" fails to match'),
        ("{type: push, candidate: a, timeout: s}", '"timeout" has no number and is no limit. Current value: s '),
        ("{type: push, candidate: a, timeout: 597h}", '"timeout" is more than 2147484 s; that much is taken'),
        ("{type: push, candidate: a, retry: {maxAttempts: 11}}", '"maxAttempts" is more than 10; 10 is taken'),
        ("{type: push, candidate: a, retry: {maxAttempts: 1.5}}", '"maxAttempts" is no whole number; 1 is taken'),
        ("{type: push, candidate: a, retry: {delay: 3}}", '"delay" is less than the documented 5 seconds'),
        ("{type: push, candidate: a, retry: {exponentialFactor: 6}}", '"exponentialFactor" is more than 5; 5 is'),
        ("{type: push, candidate: a, on_fail: {annotations: {set: [{annotations: [1a]}]}}}", 'key "1a" should begin'),
        ("{type: push, candidate: a, when: {condition: {all: {x: 'a === b'}}}}", "Invalid binary operator: ==="),
        ("{type: push, candidate: a, when: {condition: {any: {x: 'f(1)'}}}}", "Unknown function: 'f'"),
        ("{type: push, candidate: a, when: {condition: {any: {x: \"lower('A', 'b')\"}}}}", "Expected 1 arguments"),
        ("{type: push, candidate: a, when: {branch: {only: ['/[/']}}}", "branch pattern matches nothing"),
        ("{type: parallel, bogus: 1, steps: {a: {type: push, candidate: b}}}", '"bogus" is not allowed'),
        ("{type: parallel, stage: x, steps: {a: {type: push, candidate: b}}}", '"stage" must be one of []'),
        ("{type: parallel, hooks: {}, steps: {a: {type: push, candidate: b}}}", '"hooks" of a parallel step is not'),
        ("{type: parallel, on_fail: {}, steps: {a: {type: push, candidate: b}}}", '"on_fail" of a parallel step is'),
    ],
)
def test_what_is_strange_is_a_warning(step: str, message: str) -> None:
    reading = read(step)
    assert said(reading) == []
    (warning,) = warned(reading)
    assert message in warning


@pytest.mark.parametrize("expression", ['"${{A}}" == "x"', "${{N}} > 3", "steps.${{S}}.result == 'success'", "a && !b"])
def test_an_expression_that_may_be_right_is_not_warned_about(expression: str) -> None:
    text = expression.replace("'", "''")
    assert warned(push(f"when: {{condition: {{all: {{x: '{text}'}}}}}}")) == []


@pytest.mark.parametrize(("value", "is_said"), [("false", False), ("no way", True), ("{a: 1}", True)])
def test_the_pipelines_fail_fast_takes_what_upstream_takes_and_warns(value: str, is_said: bool) -> None:
    reading = read("{type: push, candidate: a}", f"fail_fast: {value}")
    assert said(reading) == []
    assert bool(warned(reading)) is is_said


def test_a_long_value_is_cut_in_the_message() -> None:
    (message,) = said(push(f"stage: {'x' * 5000}"))
    assert len(message) < 300


def test_names_count_over_all_levels_and_types() -> None:
    text = """
version: '1.0'
steps:
  a: {type: 'acme/tool:1.0.0', steps: {b: 1}}
  b: {type: push, candidate: x}
  'c#': {type: push, candidate: x}
"""
    assert said(read_pipeline(text, "p.yml")) == [
        "step name exist more than once",
        'step name cannot contain ".", "#", "$", "[", or "]"',
    ]


@pytest.mark.parametrize(("name", "is_fine"), [("n" * 150, True), ("n" * 151, False), ("\U0001f600" * 76, False)])
def test_names_have_at_most_150_characters_of_javascript(name: str, is_fine: bool) -> None:
    reading = read_pipeline(f"version: '1.0'\nsteps:\n  '{name}': {{type: push, candidate: x}}\n", "p.yml")
    assert said(reading) == ([] if is_fine else ["step name length is limited to 150"])


def test_steps_of_hooks_may_be_called_like_others() -> None:
    assert said(push("hooks: {on_fail: {steps: {p: {type: parallel, steps: {p: {type: push, candidate: x}}}}}}")) == []


EXPORT = """
version: '1.0'
kind: %s
metadata: {name: o/r, project: o}
spec:
  triggers: [{type: git, repo: o/r, events: [push]}]
  concurrency: 0
  contexts: []
  stages: [publish]
  mode: parallel
  variables:
    - {key: VERSION, value: '1.4'}
    - {key: TOKEN, value: '*****', encrypted: true}
  steps:
    p: {type: push, stage: publish, candidate: a, tag: 'v-${{VERSION}}', registry: reg.example}
"""


def test_an_exported_pipeline_is_read_with_its_variables() -> None:
    reading = read_pipeline(EXPORT % "pipeline", "p.yml")
    assert reading.pipeline is not None
    assert reading.pipeline.is_parallel
    assert [step.name for step in reading.pipeline.steps] == ["p"]
    assert reading.pipeline.variables == {"VERSION": "1.4"}
    assert "TOKEN is encrypted" in reading.pipeline.lacking["TOKEN"].message
    assert not reading.warnings


def test_mistakes_in_an_exported_pipeline_have_their_places() -> None:
    reading = read_pipeline((EXPORT % "pipeline").replace("tag:", "tagg:"), "p.yml")
    assert [(one.line, one.column) for one in reading.errors] == [(15, 51)]


@pytest.mark.parametrize("kind", ["step-type", "project", "Deployment"])
def test_a_file_of_another_kind_gets_one_error_that_says_so(kind: str) -> None:
    reading = read_pipeline(EXPORT % kind, "p.yml")
    assert [one.message for one in reading.errors] == [f"this file describes a {kind!r}, not a pipeline"]


def test_an_exported_pipeline_whose_steps_are_elsewhere_says_where() -> None:
    text = "kind: pipeline\nspec: {specTemplate: {location: git, path: ./ci/codefresh.yml}}"
    assert "in another file: ./ci/codefresh.yml" in read_pipeline(text, "p.yml").errors[0].message


@pytest.mark.parametrize("kind", ["helm", "my/own:1.0.0", "freestyle, image: a", "build, image_name: a", "${{T}}"])
def test_a_stage_that_is_not_declared_is_refused_for_every_type(kind: str) -> None:
    text = f"version: '1.0'\nstages: [one]\nsteps:\n  a: {{type: {kind}, stage: two}}"
    assert '"stage" must be one of [one]' in read_pipeline(text, "p.yml").errors[0].message


def test_a_breakpoint_may_override_a_freestyle_step() -> None:
    step = "{%simage: a, debug: {phases: {before: true, override: true}}}"
    assert not read_pipeline("version: '1.0'\nsteps:\n  a: " + step % "", "p.yml").errors
    assert read_pipeline("version: '1.0'\nsteps:\n  a: " + step % "type: push, candidate: x, ", "p.yml").errors


@pytest.mark.parametrize("owner", ["steps: {}\nhooks:", "steps:\n  p:\n    type: push\n    candidate: a\n    hooks:"])
def test_stages_of_groups_in_hooks_are_compared_with_those_declared(owner: str) -> None:
    group = "{g: {type: parallel, steps: {a: {type: push, candidate: x, stage: nowhere}}}}"
    text = f"version: '1.0'\nstages: [build]\n{owner} {{on_success: {{steps: {group}}}}}\n"
    (problem,) = read_pipeline(text, "p.yml").errors
    assert problem.message == '"stage" must be one of [build]. Current value: nowhere '
    assert problem.path.endswith("hooks.on_success.steps.g.steps.a.stage")
