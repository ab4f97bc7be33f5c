"""Variables: what a name means, in which order places are asked, and what a text may grow to."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import ConfigError
from oci_push.secret import Secret, masked
from oci_push.variables.interpolation import MAX_CHARACTERS, MAX_DEPTH
from oci_push.variables.lookup import Interpolated, Variables, VariableSource, names_in, only_name


def test_first_source_wins_and_says_where_a_value_is_from() -> None:
    variables = Variables(
        [VariableSource("--var", {"A": "1"}), VariableSource("environment", {"A": "2", "B": "3"}, is_literal=True)],
        secrets={"store": {"key": Secret("s")}},
    )
    assert (variables.lookup("A"), variables.lookup("B"), variables.lookup("C")) == ("1", "3", None)
    assert variables.origin("A") == "--var"
    assert variables.origin("B") == "environment"
    assert variables.origin("secrets.store.key") == "secrets"
    assert variables.origin("C") is None


def test_origin_names_the_services_variable_the_step_and_the_base() -> None:
    variables = Variables(
        [VariableSource("GitHub Actions", {"CF_BRANCH": "x"}, origins={"CF_BRANCH": "GITHUB_REF_NAME"})]
    )
    variables.export("p", {"result": "success"})
    assert variables.origin("CF_BRANCH") == "GitHub Actions (GITHUB_REF_NAME)"
    assert variables.origin("CF_BRANCH_TAG_NORMALIZED") == "derived from CF_BRANCH"
    assert variables.origin("steps.p.result") == "an earlier step"
    assert variables.overlay({"CF_BRANCH": "y"}).origin("CF_BRANCH") == "the step"


@pytest.mark.parametrize(
    ("text", "done", "undefined"),
    [
        ("plain", "plain", ()),
        ("${{A}}", "a", ()),
        ("x${{ A }}y${{\tB\t}}", "xayb", ()),
        ("${{a}}", "${{a}}", ("a",)),
        ("${{N}}-${{A}}-${{N}}-${{M}}", "${{N}}-a-${{N}}-${{M}}", ("N", "M")),
        ("$A ${A} ${{A", "$A ${A} ${{A", ()),
        ("${{}}", "${{}}", ()),
        ("${{ }}", "${{ }}", ()),
        ("${{${{A}}}}", "${{${{A}}}}", ("${{A",)),
        ("${{A}}}}", "a}}", ()),
        ("${{\nA}}${{A}}", "${{\nA}}a", ()),
        ("${{A\n}}", "${{A\n}}", ()),
        ("${{x ${{\n ${{A}}", "${{x ${{\n a", ()),
        ("${{{A}}}", "${{{A}}}", ("{A",)),
        ("${{IN}}", "<a${{N}}>", ("N",)),
        ("${{HALF}}A}}", "${{A}}", ()),
    ],
)
def test_tokens_are_replaced_where_defined_and_kept_where_not(text: str, done: str, undefined: tuple[str, ...]) -> None:
    variables = Variables.of({"A": "a", "B": "b", "IN": "<${{A}}${{N}}>", "HALF": "${{"})
    assert variables.interpolate(text) == Interpolated(done, undefined)


def test_names_of_a_text_are_listed() -> None:
    assert names_in("${{A}} ${{ b.c }} ${{ }} ${{A}}") == ("A", "b.c", "A")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("${{A}}", "A"),
        (" ${{ a b }} ", "a b"),
        ("x${{A}}", None),
        ("${{A}}${{B}}", None),
        ("A", None),
        ("${{ }}", None),
    ],
)
def test_a_text_that_is_one_variable_gives_its_name(text: str, name: str | None) -> None:
    assert only_name(text) == name


def test_a_circle_tells_its_chain() -> None:
    variables = Variables.of({"S": "${{A}}", "A": "x${{B}}", "B": "${{A}}"})
    with pytest.raises(ConfigError, match=r"variable A refers to itself \(A -> B -> A\)"):
        variables.interpolate("${{S}}")


def test_a_circle_through_a_derived_variable_tells_its_chain() -> None:
    variables = Variables.of({"CF_BRANCH": "${{CF_BRANCH_TAG_NORMALIZED}}"})
    with pytest.raises(ConfigError, match="CF_BRANCH_TAG_NORMALIZED -> CF_BRANCH -> CF_BRANCH_TAG_NORMALIZED"):
        variables.interpolate("${{CF_BRANCH_TAG_NORMALIZED}}")


def chain(length: int) -> Variables:
    names = {f"V{n}": f"${{{{V{n + 1}}}}}" for n in range(length - 1)}
    return Variables.of({**names, f"V{length - 1}": "end"})


def test_values_are_expanded_to_a_depth_and_no_further() -> None:
    assert chain(MAX_DEPTH).interpolate("${{V0}}").text == "end"
    with pytest.raises(ConfigError, match=f"V0 refers to others more than {MAX_DEPTH} deep"):
        chain(MAX_DEPTH + 1).interpolate("${{V0}}")


def test_depth_counts_what_was_expanded_before_in_the_same_text() -> None:
    variables = chain(MAX_DEPTH + 1)
    with pytest.raises(ConfigError, match="deep"):
        variables.interpolate("${{V5}}${{V1}}${{V0}}")


@pytest.mark.parametrize("leaf", ["x" * 1000, ""])
def test_a_bomb_of_doubling_values_is_refused_or_does_little_work(leaf: str) -> None:
    values = {f"B{n}": f"${{{{B{n + 1}}}}}" * 20 for n in range(9)} | {"B9": leaf}
    variables = Variables.of(values)
    if leaf:
        with pytest.raises(ConfigError, match=rf"variable B0 becomes longer than {MAX_CHARACTERS} characters"):
            variables.interpolate("${{B0}}")
    else:
        assert variables.interpolate("${{B0}}").text == ""


def test_a_text_that_repeats_a_long_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a text with \$\{\{A\}\} becomes longer"):
        Variables.of({"A": "x" * 10_000}).interpolate("${{A}}" * 1000)


def test_openings_without_end_take_no_time() -> None:
    text = "${{" * 300_000
    assert Variables().interpolate(text).text == text
    assert Variables().interpolate(f"{text}\n}}}}").text == f"{text}\n}}}}"


@pytest.mark.parametrize("name", ["secrets.prod.token", "PASSWORD"])
def test_what_strangers_write_is_never_expanded(name: str) -> None:
    variables = Variables(
        [VariableSource("--var", {"PASSWORD": "hunter2", "TITLE": "${{CF_COMMIT_MESSAGE}}"}),
         VariableSource("git", {"CF_COMMIT_MESSAGE": f"fix ${{{{{name}}}}}"}, is_literal=True)],
        secrets={"prod": {"token": Secret("hunter2")}},
    )  # fmt: skip
    assert variables.interpolate("${{CF_COMMIT_MESSAGE}}|${{TITLE}}").text == "|".join([f"fix ${{{{{name}}}}}"] * 2)


def test_a_literal_source_of_the_users_own_names_secrets_and_expands_nothing() -> None:
    variables = Variables(
        [VariableSource("--var", {"A": "${{secrets.a.b}}", "secrets.a.b": "given"}, is_literal=True, is_own=True)]
    )
    assert variables.interpolate("${{A}}").text == "${{secrets.a.b}}"
    assert variables.interpolate("${{secrets.a.b}}").secrets == (Secret("given"),)


def test_a_secret_that_was_given_is_known_before_it_is_asked_for() -> None:
    Variables([VariableSource("--var", {"secrets.cli.key": "given-not-asked-for"}, is_literal=True, is_own=True)])
    assert masked("title given-not-asked-for") == "title ***"


def test_secrets_are_found_by_context_and_key_and_are_known_to_be_used() -> None:
    token, certificate = Secret("t${{A}}"), Secret("c")
    variables = Variables(
        [VariableSource("--var", {"A": "a", "URL": "https://${{secrets.my-store.token}}@x", "secrets.cli.key": "k"})],
        secrets={"my-store": {"token": token, "tls@tls.crt": certificate}},
    )
    done = variables.interpolate("${{URL}} ${{ secrets.my-store.tls@tls.crt }} ${{secrets.cli.key}}")
    assert done.text == "https://t${{A}}@x c k"
    assert done.secrets == (token, certificate, Secret("k"))
    assert "t$" not in repr(done)
    assert variables.interpolate("${{A}}").secrets == ()


def test_secrets_stay_known_through_derived_variables() -> None:
    variables = Variables(
        [VariableSource("--var", {"CF_BRANCH": "${{secrets.a.b}}"})], secrets={"a": {"b": Secret("x/y")}}
    )
    done = variables.interpolate("${{CF_BRANCH_TAG_NORMALIZED}}")
    assert (done.text, done.secrets) == ("x_y", (Secret("x/y"),))


def test_secrets_do_not_come_from_the_environment() -> None:
    variables = Variables([VariableSource("environment", {"secrets.a.b": "c"}, is_literal=True)])
    assert variables.lookup("secrets.a.b") is None


@pytest.mark.parametrize("step", ["build", "build-step", "my step", "a/b", "größe", "steps", "secrets", "parentSteps"])
def test_members_of_steps_are_found_with_and_without_prefix(step: str) -> None:
    variables = Variables()
    variables.export(step, {"imageId": "sha256:1", "output.VERSION": "2"})
    done = variables.interpolate(
        f"${{{{steps.{step}.imageId}}}} ${{{{{step}.imageId}}}} ${{{{steps.{step}.output.VERSION}}}}"
    )
    assert done == Interpolated("sha256:1 sha256:1 2")


def test_members_are_unknown_until_their_step_has_ended() -> None:
    variables = Variables.of({"steps.p.result": "given"})
    assert variables.lookup("p.result") is None
    variables.export("p", {"result": "success"})
    variables.export("p", {"imageId": "i"})
    assert (variables.lookup("p.result"), variables.lookup("p.imageId")) == ("success", "i")
    assert variables.lookup("steps.p.result") == "success"
    assert variables.exports() == {"p": {"result": "success", "imageId": "i"}}


def test_a_steps_own_values_win_and_what_it_exports_is_seen_by_all() -> None:
    variables = Variables.of({"CF_STEP_NAME": "given", "A": "a"})
    view = variables.overlay({"CF_STEP_NAME": "p"}).overlay({"CF_CURRENT_ATTEMPT": "2"})
    view.export("p", {"result": "success"})
    assert view.interpolate("${{CF_STEP_NAME}}${{CF_CURRENT_ATTEMPT}}${{A}}").text == "p2a"
    assert variables.interpolate("${{CF_STEP_NAME}} ${{p.result}}").text == "given success"
    assert variables.lookup("CF_CURRENT_ATTEMPT") is None


def test_hooks_reach_the_pipelines_steps_and_keep_their_own() -> None:
    variables = Variables()
    variables.export("p", {"result": "success"})
    hook = variables.inside_hooks()
    hook.export("p", {"result": "failure"})
    hook.export("q", {"result": "skipped"})
    text = "${{parentSteps.p.result}} ${{steps.p.result}} ${{p.result}} ${{q.result}}"
    assert hook.interpolate(text).text == "success failure failure skipped"
    assert variables.interpolate(text).text == "${{parentSteps.p.result}} success success ${{q.result}}"
    variables.export("late", {"result": "success"})
    assert hook.interpolate("${{late.result}} ${{parentSteps.late.result}}").text == "success success"
    assert hook.overlay({"A": "a"}).interpolate("${{A}} ${{q.result}}").text == "a skipped"


def test_many_steps_may_end_at_once() -> None:
    variables = Variables()
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for each in range(50):
            variables.export(f"s{number}-{each}", {"result": "success"})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(variables.exports()) == 400


@pytest.mark.parametrize(
    ("branch", "tag"),
    [
        ("Feature/ABC-1", "Feature_ABC-1"), ("main", "main"), ("-x", "_x"), ("..x", "_.x"), ("a:b@c d", "a_b_c_d"),
        ("größe", "gr__e"), ("x" * 200, "x" * 128), ("", ""), ("v1.2_3", "v1.2_3"),
    ],
)  # fmt: skip
def test_branches_become_tags(branch: str, tag: str) -> None:
    variables = Variables.of({"CF_BRANCH": branch})
    assert variables.lookup("CF_BRANCH_TAG_NORMALIZED") == tag
    assert variables.interpolate("${{CF_BRANCH_TAG_NORMALIZED_LOWER_CASE}}").text == tag.lower()


def test_derived_variables_are_made_from_any_source_after_expanding() -> None:
    variables = Variables(
        [
            VariableSource("--var", {"CF_BRANCH": "a/${{N}}", "N": "7"}),
            VariableSource("git", {"CF_REVISION": "0123456789"}, True),
        ]
    )
    assert variables.interpolate("${{CF_BRANCH_TAG_NORMALIZED}} ${{CF_SHORT_REVISION}}").text == "a_7 0123456"


def test_derived_variables_that_are_set_stay_as_they_are() -> None:
    variables = Variables.of({"CF_BRANCH": "a/b", "CF_BRANCH_TAG_NORMALIZED": "A"}, {"CF_SHORT_REVISION": "s"})
    assert variables.lookup("CF_BRANCH_TAG_NORMALIZED") == "A"
    assert variables.lookup("CF_BRANCH_TAG_NORMALIZED_LOWER_CASE") == "a"
    assert variables.lookup("CF_SHORT_REVISION") == "s"


def test_derived_variables_of_something_undefined_are_undefined() -> None:
    variables = Variables.of({"CF_REVISION": "${{NOPE}}"})
    text = "${{CF_SHORT_REVISION}} ${{CF_BRANCH_TAG_NORMALIZED_LOWER_CASE}}"
    assert variables.interpolate(text).text == text
    assert variables.lookup("CF_SHORT_REVISION") is None


@pytest.mark.parametrize(
    ("message", "escaped"),
    [
        ("plain words, done.", "plain words, done."),
        ('say "hi" it\'s', r"say \"hi\" it\'s"),
        (r"say \"hi\" it\'s", r"say \"hi\" it\'s"),
        ("a $(b) `c`; d\n\te\\f", r"a \$\(b\) \`c\`\; d\n\te\\f"),
    ],
)
def test_commit_messages_are_escaped_once(message: str, escaped: str) -> None:
    assert Variables.of({"CF_COMMIT_MESSAGE": message}).lookup("CF_COMMIT_MESSAGE_ESCAPED") == escaped


def test_titles_of_pull_requests_are_escaped() -> None:
    assert Variables.of({"CF_PULL_REQUEST_TITLE": r"\""}).lookup("CF_PULL_REQUEST_TITLE_ESCAPED") == r"\\\""


def test_names_show_plain_variables_with_their_whole_values() -> None:
    variables = Variables(
        [
            VariableSource("--var", {"A": "x${{B}}", "secrets.a.b": "s"}),
            VariableSource("environment", {"B": "b", "CF_BRANCH": "m/n"}, True),
        ]
    ).overlay({"CF_STEP_NAME": "p"})
    variables.export("p", {"result": "success"})
    names = variables.names()
    assert dict(names) == {
        "CF_STEP_NAME": "p", "A": "xb", "B": "b", "CF_BRANCH": "m/n",
        "CF_BRANCH_TAG_NORMALIZED": "m_n", "CF_BRANCH_TAG_NORMALIZED_LOWER_CASE": "m_n",
    }  # fmt: skip
    assert len(names) == 6
    assert "secrets.a.b" not in names
    assert "p.result" not in names
