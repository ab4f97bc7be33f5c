"""Run `oci-push plan` inside this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from program import program
from published import check_json

from oci_push.runner.report import PipelinePlan


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold what a call printed: the plan, and what went to stderr."""

    exit_code: int
    value: Mapping[str, object]
    errors: str

    def step(self, name: str) -> Mapping[str, object]:
        """Give one step's row."""
        return next(step for step in self.steps() if step["name"] == name)

    def steps(self) -> list[Mapping[str, object]]:
        """Give all rows."""
        found = self.value["steps"]
        assert isinstance(found, list)
        return found

    def ran(self) -> set[str]:
        """Name the steps that run."""
        return {str(step["name"]) for step in self.steps() if step["decision"] == "run"}

    def order(self) -> list[list[str]]:
        """Give the names that start together, in order; parallel steps are left out, their children are not."""
        groups: dict[int, list[str]] = {}
        for step in self.steps():
            if step["decision"] == "run" and step["type"] != "parallel":
                groups.setdefault(int(str(step["group"])), []).append(str(step["name"]))
        return [groups[number] for number in sorted(groups)]


def plan(folder: Path, text: str, *arguments: str, registries: object = None, variables: object = None) -> Planned:
    """Write a pipeline with its configuration and plan it, in a home that holds nothing."""
    file = folder / "pipeline.yml"
    file.write_text(text, encoding="utf-8")
    given = dict(variables) if isinstance(variables, Mapping) else {}
    secrets = given.pop("secrets", {})
    config = {"registries": registries or [], "variables": given, "secrets": secrets}
    (folder / "oci-push.yaml").write_text(json.dumps(config), encoding="utf-8")
    done = program("plan", str(file), "--json", *arguments, cwd=Path.cwd(), code=None, HOME=str(folder / "home"))
    if done.stdout:
        check_json(done.stdout, PipelinePlan)
    return Planned(done.returncode, json.loads(done.stdout or "{}"), done.stderr)
