"""Run `oci-push validate` inside this process, and read the cases of the pipeline language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from program import program
from published import check_json

from oci_push.forms import ValidationForm

CASES = Path(__file__).with_name("pipelines") / "push-step-cases.yaml"
_LONG = ("@@REPEAT:x:12001@@", "x" * 12_001)


@dataclass(frozen=True, slots=True)
class Validated:
    """Hold what a call printed as JSON."""

    exit_code: int
    valid: bool
    errors: tuple[Mapping[str, object], ...]
    warnings: tuple[Mapping[str, object], ...]

    def messages(self, what: str = "errors") -> str:
        """Give all messages as one text."""
        return "\n".join(str(problem["message"]) for problem in getattr(self, what))

    def codes(self, what: str = "errors") -> list[object]:
        """List the vendor's numbers."""
        return [problem["code"] for problem in getattr(self, what) if problem["code"]]


def read_cases(*kinds: str) -> list[dict[str, object]]:
    """Give the cases of some kinds, in the order of the file."""
    with CASES.open(encoding="utf-8") as file:
        cases = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["cases"]
    return [{**case, "yaml": case["yaml"].replace(*_LONG)} for case in cases if case["kind"] in kinds]


def run_validate(folder: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run the command with a home that holds nothing; give the exit code and what it printed."""
    done = program("validate", *arguments, cwd=Path.cwd(), code=None, stdin=stdin, HOME=str(folder / "home"))
    return done.returncode, done.stdout


def validate(folder: Path, text: str | bytes, *arguments: str, config: str | None = None) -> Validated:
    """Write a pipeline, with a configuration beside it where there is one, and validate it."""
    file = folder / "pipeline.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    if config is not None:
        (folder / "oci-push.yaml").write_text(config, encoding="utf-8")
    code, output = run_validate(folder, str(file), "--json", *arguments)
    check_json(output, ValidationForm)
    found = json.loads(output)
    assert list(found) == ["version", "valid", "errors", "warnings"]
    return Validated(code, found["valid"], tuple(found["errors"]), tuple(found["warnings"]))


def config_of(context: Mapping[str, object]) -> str:
    """Write a case's context as ``oci-push.yaml``."""
    registries = []
    for registry in context["registries"]:  # type: ignore[attr-defined]  # a list of mappings
        described = dict(registry)
        if described["provider"] == "ecr":
            described["region"] = "us-east-1"
        if described["provider"] == "dockerhub":
            described.pop("domain", None)
        registries.append(described)
    return json.dumps({"registries": registries, "variables": context["variables"]})
