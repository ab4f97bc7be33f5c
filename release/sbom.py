"""Write what the one file is made of, for programs that look for known weaknesses: CycloneDX 1.6, as JSON.

`python3 release/sbom.py TREE FOLDER` takes what `tree` made and writes ``FOLDER/oci-push-VERSION.cdx.json``. The time
in it is that of ``SOURCE_DATE_EPOCH``, so that the same packages give the same bytes.

A generator from the index would bring twenty packages of its own, and read the same metadata that are read here.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import uuid
from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path

import packages


def make(tree: Path, folder: Path) -> Path:
    """Write the file; return its path. Raises `LookupError` for a licence that nobody has looked at."""
    found = packages.installed([str(tree / "lib")])
    us = found[packages.US]
    content: dict[str, object] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": _time(), "component": _component(us, "application")},
        "components": [_component(package, "library") for name, package in found.items() if name != packages.US],
        "dependencies": [_needs(package, found) for package in found.values()],
    }
    content["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content)).urn
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"oci-push-{us.version}.cdx.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def _time() -> str:
    second = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()


def _component(package: Distribution, kind: str) -> dict[str, object]:
    return {
        "type": kind,
        "bom-ref": _url(package),
        "name": packages.normal(package.name),
        "version": package.version,
        "description": next(iter(package.metadata.get_all("Summary") or ()), ""),
        "licenses": [{"expression": packages.licence_of(package)}],
        "purl": _url(package),
    }


def _needs(package: Distribution, found: Mapping[str, Distribution]) -> dict[str, object]:
    return {"ref": _url(package), "dependsOn": [_url(found[name]) for name in packages.needs(package) if name in found]}


def _url(package: Distribution) -> str:
    """Return the package's name for such programs (purl-spec, type pypi)."""
    return f"pkg:pypi/{packages.normal(package.name)}@{package.version}"


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2])))
