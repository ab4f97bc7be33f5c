"""The code blocks of the documentation, and what a comment in the line above one says of it.

``<!-- not run: REASON -->`` stands above a block that no test can run here, ``<!-- file: NAME -->`` above one that the
commands of its page find as a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "bench" / "README.md", *DOCS.rglob("*.md")])
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>\S*)")
_MARK = re.compile(r"^ *<!-- (?P<kind>not run|file): (?P<text>\S.*?) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """One block: `why_not` is the reason for which it is not run, `file` the name under which commands find it."""

    page: Path
    line: int
    language: str
    text: str
    why_not: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        """Return where it is, as editors understand it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """Return the blocks of a page in order; `text` stands for what is in the file."""
    lines = iter(enumerate((page.read_text(encoding="utf-8") if text is None else text).splitlines(), 1))
    found = []
    mark: re.Match[str] | None = None
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            mark = _MARK.match(line) or (mark if not line.strip() else None)
            continue
        inside = []
        for _, inner in lines:
            if inner.strip() == fence["fence"]:
                break
            inside.append(inner.removeprefix(fence["indent"]))
        said = {mark["kind"]: mark["text"]} if mark else {}
        content = "".join(f"{one}\n" for one in inside)
        found.append(Block(page, number, fence["language"], content, said.get("not run", ""), said.get("file", "")))
        mark = None
    return found
