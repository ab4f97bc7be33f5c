"""What a CI reads out of a log: our commands whole, and none that a stranger has written."""

from __future__ import annotations

import io
import sys

import pytest

from oci_push.cli import output
from oci_push.cli.ci import Azure, Ci, GitHub, GitLab, Place, find_ci
from oci_push.cli.command import show_error
from oci_push.cli.output import Door
from oci_push.errors import ConfigError, Diagnostic, NetworkError
from oci_push.secret import Secret

PLACE = Place("a,b/pipe:line;].yml", 3, 7)


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({}, Ci),
        ({"CI": "true"}, Ci),
        ({"GITHUB_ACTIONS": "true"}, GitHub),
        ({"GITHUB_ACTIONS": "false"}, Ci),
        ({"TF_BUILD": "True"}, Azure),
        ({"GITLAB_CI": "true"}, GitLab),
    ],
)
def test_a_service_is_known_by_its_variable(env: dict[str, str], kind: type[Ci]) -> None:
    assert type(find_ci(env)) is kind


ISSUES = {
    "github": (GitHub(), "::error file=a%2Cb/pipe%3Aline;].yml,line=3,col=7::50%25 gone%0Ahint: wait"),
    "azure": (
        Azure(),
        "##vso[task.logissue type=error;sourcepath=a,b/pipe:line%3B%5D.yml;linenumber=3;columnnumber=7]"
        "50% gone hint: wait",
    ),
    "gitlab": (GitLab(), ""),
    "none": (Ci(), ""),
}


@pytest.mark.parametrize("case", ISSUES)
def test_an_annotation_has_its_place_and_is_escaped(case: str) -> None:
    ci, line = ISSUES[case]
    assert ci.issue("error", "50% gone\nhint: wait", PLACE) == line


@pytest.mark.parametrize("ci", [GitHub(), Azure(), GitLab()], ids=lambda ci: type(ci).__name__)
def test_text_of_strangers_makes_no_command_of_its_own(ci: Ci) -> None:
    secret = Secret("planted-in-commands").reveal()
    text = f"x\r\n::stop-commands::y\n##vso[task.setvariable variable=a]b section_end:1:x \x1b[2K {secret}"
    made = [ci.issue("warning", text, Place(text, 1, 1)), ci.opened(text, 5.0), ci.closed(text, 5.0)]
    for line in filter(None, made):
        assert secret not in line
        assert "\n" not in line
        assert line.count("\x1b") == line.count("\r") == (1 if isinstance(ci, GitLab) else 0)
        assert line.count("##vso[") == (1 if isinstance(ci, Azure) and "logissue" in line else 0)
        assert line.count("section_end:") == (1 if isinstance(ci, GitLab) and line.startswith("section_end:5:") else 0)
        assert line.startswith(("::warning ", "::group::", "::endgroup::", "##vso[", "##[", "section_"))


def shown(monkeypatch: pytest.MonkeyPatch, ci: Ci) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Door(stream, ci))
    return stream


def test_errors_are_annotated_once_with_hint_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, GitHub())
    problems = (
        Diagnostic("no such key", "p.yml", 2, 5, hint="did you mean tag?"),
        Diagnostic("too few", "p.yml", 9, 1),
    )
    show_error(ConfigError(problems=problems))
    show_error(ConfigError(problems=problems[:1]))
    show_error(NetworkError("registry.example: refused", hint="is it up?"), before="step p: ")
    output.warn("old", "renew it")
    output.tell("::error::of a stranger")
    assert stream.getvalue().splitlines() == [
        "::error file=p.yml,line=2,col=5::p.yml:2:5: no such key%0Ahint: did you mean tag?",
        "::error file=p.yml,line=9,col=1::p.yml:9:1: too few",
        "::error file=p.yml,line=2,col=5::p.yml:2:5: no such key%0Ahint: did you mean tag?",
        "::error::step p: registry.example: refused%0Ahint: is it up?",
        "::warning::old%0Ahint: renew it",
        ": :error::of a stranger",
    ]


def test_where_nobody_reads_along_errors_are_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, GitLab())
    show_error(NetworkError("registry.example: refused", hint="is it up?"))
    error = NetworkError("registry.example: refused")
    help = f"  help: {error.code} {error.link}\n"
    assert stream.getvalue() == f"error: registry.example: refused\n  hint: is it up?\n{help}"
