"""`docs/architecture.md` says what is so: every package and rung, and no name of something that is gone."""

from __future__ import annotations

import re

import pytest
from sourcecode import PACKAGE, PROJECT, modules
from test_architecture import BESIDE, LADDER

ARCHITECTURE = (PROJECT / "docs" / "architecture.md").read_text()
PAGES = [PROJECT / "CONTRIBUTING.md", PROJECT / "SECURITY.md", *sorted((PROJECT / "docs").glob("*.md"))]
ROW = re.compile(r"^\| (\d+|beside) \| `(\w+)` \| (.+) \|$", re.MULTILINE)


def test_the_ladder_of_the_page_is_the_one_that_is_checked() -> None:
    said: dict[str, set[str]] = {}
    for rung, package, _ in ROW.findall(ARCHITECTURE):
        said.setdefault(rung, set()).add(package)
    beside = said.pop("beside")
    rungs = [set(names) - {"", "__main__"} for names in LADDER]
    assert [said[rung] for rung in sorted(said, key=int)] == [names for names in rungs if names]
    assert beside == set(BESIDE)


@pytest.mark.parametrize("package", BESIDE)
def test_a_package_beside_the_ladder_sees_what_its_row_says(package: str) -> None:
    (holds,) = [holds for _, name, holds in ROW.findall(ARCHITECTURE) if name == package]
    number = {name: int(rung) for rung, name, _ in ROW.findall(ARCHITECTURE) if rung != "beside"}
    match = re.search(r"sees (\d+) to (\d+)", holds)
    assert match is not None, holds
    low, high = (int(text) for text in match.groups())
    named = set(re.findall(r"`(\w+)`", holds[match.end() :]))
    assert {name for name, rung in number.items() if low <= rung <= high} | named == BESIDE[package]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_module_that_is_named_exists(page) -> None:
    known = {module.name.removeprefix(f"{PACKAGE.name}.") for module in modules()}
    packages = {name.split(".")[0] for name in known}
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = []
    for name in re.findall(rf"`(?:{PACKAGE.name}\.)?([^`\n]+)`", text):
        dotted = re.fullmatch(r"(\w+)\.(\w+(?:\.\w+)*)", name)
        if re.fullmatch(r"(?:[\w-]+/)+[\w-]*\.py|(?:tests|docs|bench|[a-z]+)/|(?:\w+/)+test_\w+|tests(?:/\w+)+", name):
            places = (name.rstrip("/"), f"{name}.py")
            found = any(
                (folder / place).exists() for folder in (PROJECT, PACKAGE, PROJECT / "tests") for place in places
            )
        elif dotted and dotted[1] in packages and dotted[1] != "secret":
            module, _, attribute = name.rpartition(".")
            holder = PACKAGE / f"{module.replace('.', '/')}.py"
            found = name in known or (holder.exists() and attribute in holder.read_text())
        else:
            continue
        if not found:
            missing.append(name)
    assert missing == []


def test_every_package_of_the_tests_has_its_row() -> None:
    folders = {path.name for path in (PROJECT / "tests").iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert {name for name in folders if f"`tests/{name}`" not in ARCHITECTURE} == set()
