"""The page of features, as Markdown made from `docs/features.yaml`: what is had, and the command or test that shows it.

Run as a program it writes the page; a test holds it to the list.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from marking import table

DOCS = Path(__file__).parents[1]
TESTS = DOCS.parent / "tests"
LIST = DOCS / "features.yaml"
PAGE = DOCS / "features.md"
COMMAND = "oci-push "
"""What a line of `shown` begins with that is a command; another is the name of a test without ``test_``."""
HAVE = ("yes", "partly", "no")
_INTRODUCTION = """\
# Features

What people compare programs by that push images, and where each is seen: a command to type, or a test of `make test`
that fails without it. Rows whose number begins with F are had by some other program as well, those with N by none that
we know. The page is made from [features.yaml](features.yaml) by `make features`; a test reads every command of it,
looks for every test, and holds the page to the list.
"""


def read() -> list[dict[str, Any]]:
    """Return the groups of the list: each with a name and rows."""
    found = yaml.load(LIST.read_text(), yaml.BaseLoader)  # yes and no stay the words that they are
    assert isinstance(found, list)
    return found


def rows(groups: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every row of every group."""
    for group in groups:
        yield from group["rows"]


@cache
def tests() -> dict[str, str]:
    """Return the file of each test function, by its name without ``test_``."""
    found: dict[str, str] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name.removeprefix("test_"), str(path.relative_to(DOCS.parent)))
    return found


def page() -> str:
    """Return the page."""
    groups, where = read(), tests()
    parts = [_INTRODUCTION, _count("F", groups), _count("N", groups)]
    for group in groups:
        parts.append(f"## {group['group']}\n")
        made = [
            (
                one["id"],
                one["feature"],
                one["have"],
                "; ".join([*(_shown(text, where) for text in one["shown"]), *_remark(one)]),
            )
            for one in group["rows"]
        ]
        parts.append(table(("", "feature", "had", "shown by"), made))
    return "\n".join(parts)


def _shown(text: str, where: Mapping[str, str]) -> str:
    return f"`{text}`" if text.startswith(COMMAND) else f"{where[text]}: {text.replace('_', ' ')}"


def _remark(row: Mapping[str, str]) -> list[str]:
    return [row["remark"]] if "remark" in row else []


def _count(letter: str, groups: Sequence[Mapping[str, Any]]) -> str:
    """Return how many of the rows with a letter are had, a part counting half."""
    have = [one["have"] for one in rows(groups) if one["id"].startswith(letter)]
    points = have.count("yes") + have.count("partly") / 2
    return f"- {letter}: {points:g} of {len(have)}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
