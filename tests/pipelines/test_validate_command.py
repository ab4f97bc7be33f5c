"""`oci-push validate` as a user sees it: words, lines, several files, configurations, secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from validating import run_validate, validate

GOOD = "version: '1.0'\nsteps: {p: {type: push, candidate: a, registry: hub}}\n"
HUB = "registries: [{name: hub, provider: dockerhub}]\n"


def show(folder: Path, text: str, *arguments: str) -> list[str]:
    """Validate a pipeline and give the lines a user reads, without the folder."""
    (folder / "p.yml").write_text(text, encoding="utf-8")
    _, output = run_validate(folder, str(folder / "p.yml"), *arguments)
    return output.replace(f"{folder}/", "").splitlines()


def test_a_valid_file_is_said_to_be_so_and_what_was_not_looked_at(tmp_path: Path) -> None:
    assert show(tmp_path, GOOD) == [
        "0 errors, 0 warnings",
        "registries were not checked: no oci-push.yaml was found (--config names one)",
    ]


def test_a_problem_is_shown_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps:\n  p:\n    type: push\n    candidate: a\n    tag: 1.10\n    tags: []\n"
    assert show(tmp_path, text)[:-2] == [
        'p.yml:6:10: error: "tag" must be a string. Current value: 1.1',
        "        tag: 1.10",
        "             ^",
        '  hint: put it in quotes: "1.10"',
        'p.yml:6:5: warning: "tag" and "tags" are both given; both are pushed',
        "        tag: 1.10",
        "        ^",
        "  hint: put them all into tags",
    ]


def test_the_caret_stands_right_behind_tabs_and_wide_lines_are_left_out(tmp_path: Path) -> None:
    lines = show(tmp_path, f"version: '1.0'\nsteps:\n  p: {{type: push,\tcandidat: a}}\n  q: {{a: '{'x' * 200}'}}\n")
    assert lines[3:6] == [
        'p.yml:3:19: error: "candidat" is not allowed. Did you mean "candidate"?',
        "      p: {type: push,\tcandidat: a}",
        "                     \t^",
    ]
    assert lines[6:8] == ['p.yml:4:6: error: "image" is required', "3 errors, 0 warnings"]


def test_numbers_of_the_vendor_are_shown(tmp_path: Path) -> None:
    (tmp_path / "oci-push.yaml").write_text(HUB, encoding="utf-8")
    assert show(tmp_path, GOOD.replace("hub", "hob")) == [
        "p.yml:2:49: error: Registry 'hob' does not exist. [202]",
        "    steps: {p: {type: push, candidate: a, registry: hob}}",
        "                                                    ^",
        "  hint: did you mean 'hub'?",
        "1 error, 0 warnings",
    ]


@pytest.mark.parametrize(
    "keys",
    [
        "credentials: {username: u, password: hunter2, extra: 1}",
        "credentials: {username: u, password: 42424242}",
        "credentials: hunter2",
        "secretAccessKey: 42424242",
        "arguments: {secretAccessKey: [hunter2]}",
        "credentials: {username: u, password: 'hunter2'}, tag: 5",
    ],
)
def test_secrets_are_in_no_message(keys: str, tmp_path: Path) -> None:
    text = f"version: '1.0'\nsteps: {{p: {{type: push, candidate: a, {keys}}}}}\n"
    shown = "\n".join([*show(tmp_path, text), validate(tmp_path, text).messages()])
    assert "error" in shown
    assert "hunter2" not in shown
    assert "42424242" not in shown


def test_a_configuration_beside_the_pipeline_is_found(tmp_path: Path) -> None:
    assert validate(tmp_path, GOOD.replace("hub", "hob")).valid
    assert validate(tmp_path, GOOD.replace("hub", "hob"), config=HUB).codes() == [202]


def test_a_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(HUB, encoding="utf-8")
    done = validate(tmp_path, GOOD.replace("hub", "hob"), "--config", str(tmp_path / "other.yaml"))
    assert done.codes() == [202]


def test_a_configuration_without_registries_has_none(tmp_path: Path) -> None:
    assert validate(tmp_path, GOOD, config="variables: {A: b}").codes() == [200]


def test_mistakes_of_both_files_are_told_together(tmp_path: Path) -> None:
    done = validate(tmp_path, GOOD.replace("candidate", "kandidate"), config="registrys: []")
    assert [(Path(str(one["file"])).name, one["line"]) for one in done.errors] == [
        ("oci-push.yaml", 1),
        ("pipeline.yml", 2),
        ("pipeline.yml", 2),
    ]


def test_variables_on_the_command_line_count(tmp_path: Path) -> None:
    text = GOOD.replace("hub", "'${{R}}'")
    two = "registries: [{name: hub, provider: dockerhub}, {name: b, provider: other, domain: b.example}]"
    assert validate(tmp_path, text, config=two).codes("warnings") == [201]
    assert validate(tmp_path, text, "--var", "R=hub", config=two).codes("warnings") == []
    assert validate(tmp_path, text, "--var", "R=nope", config=two).codes("warnings") == [202]


@pytest.mark.parametrize("name", ["CF_BRANCH", "CF_REVISION"])
def test_variables_that_a_run_has_are_not_missed(name: str, tmp_path: Path) -> None:
    assert validate(tmp_path, GOOD.replace("hub", f"'${{{{{name}}}}}'"), config=HUB).codes("warnings") == []


def test_variables_that_go_round_in_a_circle_do_not_stop_the_check(tmp_path: Path) -> None:
    config = HUB + "variables: {R: '${{S}}', S: '${{R}}'}\n"
    assert validate(tmp_path, GOOD.replace("hub", "'${{R}}'"), config=config).valid


def test_what_only_the_vendor_refuses_is_refused_when_asked(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps: {p: {type: push, candidate: a, scale: {one: {tag: x}}}}\n"
    assert validate(tmp_path, text).valid
    done = validate(tmp_path, text, "--strict")
    assert (done.exit_code, done.messages()) == (2, '"scale" is not allowed')


def test_a_pipeline_comes_from_stdin(tmp_path: Path) -> None:
    code, output = run_validate(tmp_path, "-", "--json", stdin="version: 2\nsteps: {}\n")
    (problem,) = json.loads(output)["errors"]
    assert (code, problem["file"], problem["line"]) == (2, "<stdin>", 1)


def test_several_files_are_checked_in_one_call(tmp_path: Path) -> None:
    for name, text in (("a.yml", GOOD), ("b.yml", "steps: {}"), ("c.yml", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = [str(tmp_path / name) for name in ("a.yml", "b.yml", "c.yml", "nowhere.yml")]
    code, output = run_validate(tmp_path, *names, "--json")
    found = [(Path(one["file"]).name, one["message"]) for one in json.loads(output)["errors"]]
    assert code == 2
    assert found[:2] == [("b.yml", '"version" is required'), ("c.yml", "the file is empty")]
    assert "nowhere.yml: cannot be read (No such file or directory)" in found[2][1]


def test_a_broken_option_is_a_problem_like_others(tmp_path: Path) -> None:
    done = validate(tmp_path, GOOD, "--var", "R")
    assert done.exit_code == 2
    assert "--var 'R': expected NAME=VALUE" in done.messages()


@pytest.mark.parametrize("command", ["validate", "schema"])
def test_the_command_loads_no_http_client(command: str) -> None:
    code = f"import sys, oci_push.cli.{command}; print([m for m in ('httpx', 'boto3', 'ssl') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ("echo hi", '"commands" must be an array. Current value: echo hi'),
        ("[echo, 5]", '"1" must be a string. Current'),
    ],
)
def test_commands_that_would_be_dropped_are_warned_about(commands: str, message: str, tmp_path: Path) -> None:
    done = validate(tmp_path, f"version: '1.0'\nsteps: {{s: {{image: a, commands: {commands}}}}}\n")
    assert done.valid
    assert done.messages("warnings").startswith(message)


@pytest.mark.parametrize("step", ["type: push, candidate: a", "image: a", "type: composition"])
def test_a_retry_block_out_of_range_is_warned_about_on_every_type(step: str, tmp_path: Path) -> None:
    done = validate(tmp_path, f"version: '1.0'\nsteps: {{s: {{{step}, retry: {{maxAttempts: 11, delay: 4.5}}}}}}\n")
    assert done.valid
    assert done.messages("warnings").splitlines() == [
        '"maxAttempts" is more than 10; 10 is taken. Current value: 11 ',
        '"delay" is less than the documented 5 seconds. Current value: 4.5 ',
    ]


def test_all_axes_of_a_matrix_that_are_no_list_are_told_without_their_values(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps: {p: {type: push, candidate: a, matrix: {tag: x, secretAccessKey: hunter2}}}\n"
    done = validate(tmp_path, text)
    found = {(one["path"], one["message"]) for one in done.errors}
    assert found >= {
        ("steps.p.matrix.tag", '"tag" must be an array'),
        ("steps.p.matrix.secretAccessKey", '"secretAccessKey" must be an array'),
    }
    assert "hunter2" not in str(done)
