"""The documentation as a site: it builds without a warning, needs no network, says all there is; links lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pageblocks import DOCS, ROOT

from oci_push.cli.app import COMMANDS, command_of
from oci_push.cli.schema import FORMS
from oci_push.cli.typed import every_command
from oci_push.cli.words import Argument, parameters

sys.path.append(str(DOCS / "site"))
import drawings

AT_ROOT = [*sorted(ROOT.glob("*.md")), ROOT / "bench" / "README.md"]
"""Pages that people read where the code is; those of docs/ are Sphinx's to check."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "read")]
    done = subprocess.run([*command, str(DOCS), str(folder / "html")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class _Text(HTMLParser):
    """What a page says, and what a browser fetches for it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.text = ""
        self.fetched: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe"):
            self.fetched.append(values.get("src") or "")
        elif tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.fetched.append(values.get("href") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    abroad = {(page.name, one) for page in pages for one in _Text(page).fetched if re.match(r"\w+:|//", one)}
    assert abroad == set()


def test_no_page_shows_a_comment_that_was_meant_for_the_build(site: Path) -> None:
    assert [page.name for page in site.rglob("*.html") if "made:" in _Text(page).text] == []


def test_the_reference_has_every_command_and_option(site: Path) -> None:
    text = _Text(site / "reference" / "commands.html").text
    for words, place in every_command(COMMANDS):
        assert f"oci-push {' '.join(words)}" in text
        for one in parameters(command_of(place)):
            if not isinstance(one.marker, Argument):
                assert one.names[0] in text, (words, one.names)


def test_the_reference_has_every_key(site: Path) -> None:
    config, pipeline = FORMS["config"](), FORMS["pipeline"]()
    text = _Text(site / "reference" / "configuration.html").text
    registry = config["properties"]["registries"]["items"]
    assert [key for key in (*config["properties"], *registry["properties"]) if key not in text] == []
    text = _Text(site / "reference" / "pipeline.html").text
    push = pipeline["$defs"]["push"]
    assert [key for key in (*pipeline["properties"], *push["properties"]) if key not in text] == []


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_a_drawing_is_what_the_script_draws(name: str) -> None:
    assert (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8") == drawings.DRAWINGS[name]().svg()


@pytest.mark.parametrize("page", AT_ROOT, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_beside_the_code_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^()\s]+)\)", text)):
        if target.startswith(("https://", "http://")):
            continue
        place = (page.parent / target) if target else page
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            wrong.append(f"{target}#{anchor}")
    assert wrong == []


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
