"""What the documentation shows is so: commands do what is written below them, programs run, files are valid.

A block that cannot be run here says why, and readers of the site see it. None is in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from pageblocks import DOCS, PAGES, ROOT, Block, blocks
from pagefolder import PageFolder

from oci_push.cli.schema import FORMS
from oci_push.language.parse import read_pipeline
from oci_push.sandbox.server import RehearsalRegistry

OWN_TESTS = ("install.md", "library.md", "output.md", "recipes.md", "recipes")
"""Pages, and a folder, whose blocks are run by tests of their own, which name them."""
PARTS_ARE_TESTED = ("push-step.md",)
"""Pages whose YAML is parts of a pipeline, which `tests/pipelines/test_language_page.py` puts where they belong."""
SHOWN = ("text",)
"""Languages of what is no code: forms, output, drawings of characters."""
FORM_OF = {
    "registries": "config",
    "candidates": "config",
    "rules": "replication",
    "images": "mirror",
    "policies": "policy",
}


def _has_own_test(page: Path) -> bool:
    return page.is_relative_to(DOCS) and page.relative_to(DOCS).parts[0] in OWN_TESTS


OURS = [page for page in PAGES if not _has_own_test(page)]
RUN = ("console", "python")
WITH_CODE = [page for page in OURS if any(one.language in RUN and not one.why_not for one in blocks(page))]


@pytest.fixture
def registry() -> Iterator[RehearsalRegistry]:
    """A registry that all hosts of a page lead to."""
    registry = RehearsalRegistry()
    registry.start()
    yield registry
    registry.stop()


@pytest.mark.parametrize("page", OURS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    neither = [one.place for one in blocks(page) if not one.why_not and not _is_tested(one)]
    assert neither == []


def _is_tested(block: Block) -> bool:
    if block.language in ("console", "python", "json", *SHOWN) or block.language.startswith("{"):
        return True
    return block.language == "yaml" and (bool(_form(block)) or block.page.name in PARTS_ARE_TESTED)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.timeout(60)
def test_commands_and_programs_do_what_the_page_says(page: Path, tmp_path: Path, registry: RehearsalRegistry) -> None:
    folder = tmp_path / "work"
    (folder / "build").mkdir(parents=True)
    here = PageFolder(folder, registry)
    wrong = []
    for block in (one for one in blocks(page) if not one.why_not):
        if block.file:
            (folder / block.file).write_text(block.text)
        if block.language == "python":
            here.python(block.text)
        if block.language == "console":
            wrong += [f"{block.place}: {problem}" for problem in _console(block, here)]
    assert not wrong, "\n".join(wrong)


def _console(block: Block, here: PageFolder) -> Iterator[str]:
    """Run a block's commands; give each whose output is not the one shown, or which fails and does not say so."""
    for command, shown in _commands(block.text):
        out, errors = here.run(command)
        printed = [*out.splitlines(), *errors.splitlines()]
        if here.code and command != "echo $?" and not any(line.startswith("error: ") for line in shown):
            yield f"`{command}` ended with {here.code}:\n{errors}"
        elif not _in_order(shown, printed):
            yield f"`{command}` printed otherwise:\n" + "\n".join(printed)


def _commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each command of a console with the lines below it."""
    found: list[tuple[str, list[str]]] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def _in_order(shown: list[str], printed: list[str]) -> bool:
    """Return whether all lines shown were printed, in their order; ``…`` is any text."""
    left = iter(printed)
    patterns = [re.compile(re.escape(line.rstrip()).replace("…", ".*")) for line in shown]
    return all(any(pattern.fullmatch(line.rstrip()) for line in left) for pattern in patterns)


EVERY = [one for page in OURS for one in blocks(page) if not one.why_not]


@pytest.mark.parametrize("block", [one for one in EVERY if one.language == "yaml"], ids=lambda one: one.place)
def test_a_file_of_a_page_is_valid(block: Block) -> None:
    form = _form(block)
    if form == "pipeline":
        reading = read_pipeline(block.text, block.place)
        assert (reading.errors, reading.warnings) == ((), ())
    elif form:
        jsonschema.validate(_plain(block), FORMS[form]())


def _form(block: Block) -> str:
    """Return the form of a file, told by its first keys; empty of a part of one."""
    keys = re.findall(r"^(\w+):", block.text, re.MULTILINE)
    if "steps" in keys and "version" in keys:
        return "pipeline"
    return next((FORM_OF[key] for key in keys if key in FORM_OF), "")


def _plain(block: Block) -> object:
    import yaml

    return yaml.safe_load(block.text)


@pytest.mark.parametrize("block", [one for one in EVERY if one.language == "json"], ids=lambda one: one.place)
def test_json_of_a_page_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("name", OWN_TESTS)
def test_pages_that_are_left_to_other_tests_have_some(name: str) -> None:
    if not (DOCS / name).exists():
        return
    others = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert [path for path in others if name in path.read_text(encoding="utf-8")]


# The reader of blocks itself


def test_marks_belong_to_the_next_block_alone() -> None:
    text = "<!-- not run: no\nreason -->\n<!-- not run: why -->\n\n```console\n$ a\n```\n\n```json\n1\n```\n"
    first, second = blocks(Path(__file__), text)
    assert (first.why_not, second.why_not, first.line) == ("why", "", 5)


def test_text_between_a_mark_and_a_block_parts_them() -> None:
    (block,) = blocks(Path(__file__), "<!-- not run: why -->\nSome text.\n```console\n$ a\n```\n")
    assert block.why_not == ""


def test_a_line_that_was_not_printed_is_noticed() -> None:
    assert _in_order(["a …", "c"], ["a b", "x", "c"])
    assert not _in_order(["c", "a …"], ["a b", "c"])
    assert not _in_order(["a.b"], ["axb"])
