"""Reports for people and for CI services: JUnit's structure, Markdown as it is read, tables."""

from __future__ import annotations

import io
import sys
from xml.etree import ElementTree

import pytest
from happenings import APP, MB, MIRROR, ROOT, blob

from oci_push.cli.junit import junit_of
from oci_push.cli.output import Door
from oci_push.cli.results import Row, show_rows
from oci_push.cli.summary import markdown_of
from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import BlobResult
from oci_push.engine.unit import UnitResult
from oci_push.errors import DeniedError, NetworkError, OciPushError, SourceError
from oci_push.model.outcomes import BlobOutcome, ReplicaOutcome, Status, TagOutcome
from oci_push.model.reference import Repository
from oci_push.providers.replication import Place
from oci_push.runner.report import PipelineReport, PushReport
from oci_push.runner.results import RunReport, StepResult
from oci_push.secret import Secret


def pushed(repository: Repository = APP, error: OciPushError | None = None) -> PushResult:
    outcome = TagOutcome.FAILED if error else TagOutcome.PUSHED
    blobs = (
        BlobResult(blob(1), 20 * MB, BlobOutcome.UPLOADED, bytes_sent=20 * MB),
        BlobResult(blob(2), MB, BlobOutcome.MOUNTED),
        BlobResult(blob(3), MB, BlobOutcome.EXISTS),
    )
    tags = (TagResult("1", outcome), TagResult("latest", outcome))
    return PushResult(repository, ROOT, 900, "type", tags, () if error else blobs, error, 12.34)


DENIED = DeniedError("mirror.example.com/team/app: no", hint="log in")
RUN = RunReport(
    (
        StepResult("good", Status.SUCCESS, "push", "ship", "Push it", pushed=(pushed(),), seconds=12.5),
        StepResult("bad", Status.FAILURE, "push", "ship", "Mirror", pushed=(pushed(MIRROR, DENIED),), error=DENIED),
        StepResult("odd", Status.FAILURE, "push", "", "", reason="hook on_elected ended with failure"),
        StepResult("not", Status.SKIPPED, "push", "", "", reason="when: no"),
    ),
    1,
    Status.FAILURE,
)


def test_a_push_is_a_suite_with_a_case_for_each_repository_and_region() -> None:
    place = Place("eu-west-1", "1")
    replica = ReplicaResult(place, MIRROR, ReplicaOutcome.FAILED, NetworkError("late"), 3.0)
    text = junit_of(PushReport.of("oci:image", UnitResult((pushed(), pushed(MIRROR, DENIED)), replicas=(replica,))))
    root = ElementTree.fromstring(text)
    assert check_junit(root) == (3, 2, 0)
    (suite,) = root
    assert suite.get("name") == "push oci:image"
    good, bad, late = suite
    assert (good.get("name"), good.get("classname"), good.get("time")) == (str(APP), "oci-push.push", "12.340")
    assert good.findtext("system-out") == (
        f"{APP}:1@{ROOT}\n{APP}:latest@{ROOT}\nblobs: 1 exists, 1 mounted, 1 uploaded; 20.0 MB sent"
    )
    failure = bad.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("DeniedError", str(DENIED))
    assert failure.text == f"{DENIED}\nhint: log in"
    assert bad.find("system-out") is None
    assert late.get("name") == f"{MIRROR} (failed)"


def test_a_push_whose_source_is_bad_is_a_case_that_failed() -> None:
    root = ElementTree.fromstring(junit_of(PushReport.of("a.tar", UnitResult(error=SourceError("a.tar: is no image")))))
    assert check_junit(root) == (1, 1, 0)
    assert root[0][0].get("name") == "a.tar"


def test_a_run_is_a_suite_for_each_stage_with_a_case_for_each_step() -> None:
    root = ElementTree.fromstring(junit_of(PipelineReport.of(RUN)))
    assert check_junit(root) == (4, 2, 1)
    assert [(suite.get("name"), [case.get("name") for case in suite]) for suite in root] == [
        ("ship", ["Push it", "Mirror"]),
        ("default", ["odd", "not"]),
    ]
    odd, skipped = root[1][0].find("failure"), root[1][1].find("skipped")
    assert odd is not None
    assert odd.text == "hook on_elected ended with failure"
    assert skipped is not None
    assert skipped.get("message") == "when: no"


def check_junit(root: ElementTree.Element) -> tuple[int, int, int]:
    """See that the structure is that which Jenkins' schema asks for, and that counts are right; return them."""
    assert root.tag == "testsuites"
    total = [0, 0, 0]
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time"} == set(suite.keys())
        counts = [len(suite), len(suite.findall("*/failure")), len(suite.findall("*/skipped"))]
        assert [int(suite.get(name, "")) for name in ("tests", "failures", "skipped")] == counts
        total = [sum(pair) for pair in zip(total, counts, strict=True)]
        for case in suite:
            assert case.tag == "testcase"
            assert {"classname", "name", "time"} == set(case.keys())
            assert float(case.get("time", "")) >= 0
            tags = [child.tag for child in case]
            assert tags == sorted(tags, key=("skipped", "failure", "system-out").index)
            assert len(set(tags)) == len(tags)
    assert [int(root.get(name, "")) for name in ("tests", "failures", "skipped")] == total
    return total[0], total[1], total[2]


def test_junit_holds_no_secret_and_nothing_that_xml_cannot() -> None:
    secret = Secret("planted-in-report").reveal()
    error = SourceError(f"{secret} \x00\x1b\ud800\ufffe <![CDATA[ ]]> & \"'", hint=secret)
    text = junit_of(PushReport.of(f'"{secret}<', UnitResult((pushed(error=error),), error=error)))
    assert secret not in text
    root = ElementTree.fromstring(text.encode())
    assert "<![CDATA[ ]]> & \"'" in (root.findtext("*/testcase/failure") or "")


def rows() -> list[Row]:
    return [Row(pushed(), 3), Row(pushed(MIRROR, DENIED), 0)]


def test_markdown_has_a_table_and_what_went_wrong() -> None:
    assert markdown_of("Push oci:image", rows(), [("", DENIED)]) == (
        "### ❌ Push oci:image\n\n"
        "| Target | Tags | Digest | Sent | Mounted | There | Time | Retries |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| `{APP}` | `1, latest` | `{ROOT}` | 20.0 MB | 1 | 1 | 12 s | 3 |\n"
        f"| `{MIRROR}` | `-` | `failed` | 0 B | 0 | 0 | 12 s | 0 |\n\n"
        "- ❌ mirror.example.com/team/app: no\n"
        "  - hint: log in\n"
    )


def test_markdown_of_a_run_names_steps_and_why_some_were_skipped() -> None:
    text = markdown_of("p.yml: success", [Row(pushed(), 0, "p")], [], [("q", "when: no")])
    assert text.splitlines() == [
        "### ✅ p.yml: success",
        "",
        "| Step | Target | Tags | Digest | Sent | Mounted | There | Time | Retries |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| p | `{APP}` | `1, latest` | `{ROOT}` | 20.0 MB | 1 | 1 | 12 s | 0 |",
        "",
        "- ⏭️ **q**: when: no",
    ]


def test_markdown_shows_what_strangers_wrote_as_text() -> None:
    secret = Secret("planted-in-markdown").reveal()
    evil = f"<img src=x>|[a](http://b)`c`\n# {secret} **d**"
    text = markdown_of(evil, [Row(pushed(), 0, evil)], [(evil, SourceError(evil))], [(evil, evil)])
    assert secret not in text
    assert "\n# " not in text
    assert "\\<img src=x\\>\\|\\[a\\](http://b)\\`c\\` \\# \\*\\*\\* \\*\\*d\\*\\*" in text


TABLE = [
    "TARGET                         TAGS       DIGEST               SENT     MOUNTED  THERE  TIME  RETRIES",
    "registry.example.com/team/app  1, latest  sha256:4813494d137e  20.0 MB  1        1      12 s  3",
    "mirror.example.com/team/app    -          failed               0 B      0        0      12 s  0",
]
BLOCKS = [
    "registry.example.com/team/app",
    "  sha256:4813494d137e  1, latest",
    "  20.0 MB sent, 1 mounted, 1 there, 12 s, 3 retries",
    "mirror.example.com/team/app",
    "  failed  -",
    "  0 B sent, 12 s",
]


@pytest.mark.parametrize(("columns", "lines"), [(None, TABLE), (160, TABLE), (100, BLOCKS), (60, BLOCKS)])
def test_a_table_that_a_window_cannot_hold_becomes_blocks(
    columns: int | None, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Door(stream))
    show_rows(rows(), columns)
    assert stream.getvalue().splitlines() == lines


def test_the_table_of_a_run_begins_with_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Door(stream))
    show_rows([Row(pushed(), 0, "ship it")], None)
    show_rows([Row(pushed(), 0, "ship it")], 60)
    heads, row, block, *_ = stream.getvalue().splitlines()
    assert heads.startswith("STEP     TARGET")
    assert row.startswith("ship it  registry.example.com")
    assert block == "[ship it] registry.example.com/team/app"
