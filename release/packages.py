"""What is installed with oci-push: the packages it cannot do without, what each needs, and under which licence it is.

`python3 release/packages.py` prints the table of docs/dependencies.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distributions

US = "oci-push"

ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
}
"""The licences that a package may have without anybody being asked, by SPDX name: none binds who uses oci-push."""

SPELLINGS = {
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
}
"""What packages without an SPDX expression say instead."""

DECLARED = {"python-dateutil": "Apache-2.0 OR BSD-3-Clause"}
"""The licences of packages whose metadata do not say it in words that a program can read; from their licence files."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r";.*\bextra\b")


def normal(name: str) -> str:
    """Return a package's name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(path: Sequence[str] = sys.path) -> Mapping[str, Distribution]:
    """Return oci-push and all that it needs, directly or not, as installed below `path`, by name."""
    there = {normal(found.name): found for found in reversed([*distributions(path=list(path))])}
    wanted, found = [US], dict[str, Distribution]()
    while wanted:
        name = wanted.pop()
        if name in there and name not in found:
            found[name] = there[name]
            wanted += needs(there[name])
    return dict(sorted(found.items()))


def needs(package: Distribution) -> list[str]:
    """Return the names that a package depends on, without its extras; some may be for other platforms."""
    lines = [line for line in package.requires or () if not _EXTRA.search(line)]
    return sorted({normal(match[0]) for line in lines if (match := _NAME.match(line))})


def licence_of(package: Distribution) -> str:
    """Return a package's licence as an SPDX expression; raises `LookupError` where it is unknown or not allowed."""
    name, about = normal(package.name), package.metadata
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if "License ::" in text]
    # Asked for by get_all: what is missing is None in Python's own class, and an error in that of importlib_metadata.
    told = [text for key in ("License-Expression", "License") for text in about.get_all(key) or ()]
    said = [DECLARED.get(name), *told, *classifiers]
    expressions: list[str] = [SPELLINGS.get(text, text) for text in said if text]
    found = next((text for text in expressions if _ids(text) <= ALLOWED), None)
    if found is None:
        raise LookupError(f"{name}: its licence is unknown or not allowed: {expressions}")
    return found


def _ids(expression: str) -> set[str]:
    return set(re.split(r" AND | OR ", expression.replace("(", "").replace(")", "")))


if __name__ == "__main__":
    for name, package in installed().items():
        if name != US:
            print(f"| {name} | {licence_of(package)} |")
