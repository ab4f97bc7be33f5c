"""A Sphinx extension: pages that are made when the site is built, so that nothing is written down twice.

A line ``<!-- made: NAME -->`` in a page stands for a part of the reference, which `reference.PARTS` makes from the
program. A page that is in `COPIES` is a file of the project's root, where people look for it too; its links are
written anew for the place that it has here.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path

import reference
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

HERE = Path(__file__).parents[1]
COPIES = {
    "security": "SECURITY.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "benchmarks": "bench/README.md",
    "measured": "bench/results/measured.md",
}
"""Pages by name, and the file of the project that each is."""
MADE = re.compile(r"^<!-- made: ([\w-]+) -->$", re.MULTILINE)
NOT_RUN = re.compile(r"^<!-- not run: (.+?) -->$", re.MULTILINE)
"""Why the tests do not run the block that follows; readers may know it."""
FILE = re.compile(r"^<!-- file: (\S+) -->$", re.MULTILINE)
"""What file the block that follows is."""
TREE = re.compile(r"^```\{toctree\}\n.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(([^()\s:#]+)(#[^()\s]*)?\)")


def setup(app: Sphinx) -> dict[str, object]:
    """Have every page filled when it is read."""
    app.connect("source-read", lambda app, name, text: text.__setitem__(0, filled(name, text[0])))
    app.connect("env-before-read-docs", _read_made_pages_again)
    return {"parallel_read_safe": True}


def filled(name: str, text: str) -> str:
    """Return a page with what is made for it."""
    page = HERE / f"{name}.md"
    file = HERE.parent / COPIES[name] if name in COPIES else page
    text = moved(file.read_text(encoding="utf-8") if name in COPIES else text, file.parent, page.parent)
    text = NOT_RUN.sub(r'<p class="not-run">Not run by our tests: \1.</p>\n', text)
    text = FILE.sub(r'<p class="not-run"><code>\1</code></p>\n', text)
    return MADE.sub(lambda match: _part(match[1]), TREE.sub(_existing, text))


def moved(text: str, folder: Path, to: Path) -> str:
    """Return the text of a file of one folder as it is read in another.

    Links to what is a page of the site go there, those to folders nowhere.
    """
    pages = {(HERE.parent / path).resolve(): HERE / f"{name}.md" for name, path in COPIES.items()}

    def link(match: re.Match[str]) -> str:
        place = (folder / match[2]).resolve()
        if place.is_dir():
            return match[1]
        return f"[{match[1]}]({os.path.relpath(pages.get(place, place), to)}{match[3] or ''})"

    return _LINK.sub(link, text)


def _existing(tree: re.Match[str]) -> str:
    """Leave out of a toctree the patterns that no page matches: Sphinx warns of them."""
    lines = tree[0].splitlines()
    return "\n".join(line for line in lines if "*" not in line or any(HERE.glob(f"{line}.md")))


def _part(name: str) -> str:
    if name not in reference.PARTS:
        raise ExtensionError(f"there is no part {name!r}; parts are {', '.join(reference.PARTS)}")
    return reference.PARTS[name]()


def _read_made_pages_again(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    """Add the pages whose text depends on more than their own file to those that are read."""
    for name in sorted(env.found_docs):
        if name not in names and (name in COPIES or MADE.search(Path(env.doc2path(name)).read_text(encoding="utf-8"))):
            names.append(name)
