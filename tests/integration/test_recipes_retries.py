"""Exit codes in the recipes: a CI that can tell them apart tries again what may pass, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import yaml
from bare import PROGRAM, BarePlace, Mount
from real_images import RealImages
from registries import DebianRegistry, Mode, find_free_port
from workshop import RECIPES, Workshop

REPEATING = (
    "argo/workflowtemplate.yaml",
    "buildkite/pipeline.yml",
    "gitlab/templates/push.yml",
    "jenkins/Jenkinsfile",
    "kubernetes/job.yaml",
)
"""The recipes whose CI can tell exit codes apart."""


def repeated(name: str) -> set[int]:
    """Return the exit codes of oci-push that a recipe has tried again, of those that it can end with."""
    possible = {1, 2, 3, 4, 5, 6, 7, 130, 143}
    recipe = (RECIPES / name).read_text()
    match name.partition("/")[0]:
        case "gitlab":
            (job,) = list(yaml.safe_load_all(recipe))[1].values()
            return possible & set(job["retry"]["exit_codes"])
        case "argo":
            return possible & set(json.loads(re.search(r"in (\[[^]]+\])", recipe)[1]))  # type: ignore[index]
        case "kubernetes":
            first, second = yaml.safe_load(recipe)["spec"]["podFailurePolicy"]["rules"]
            # An evicted pod may end with any code: what is said of lost nodes has to come first.
            assert (first["action"], list(first)[1]) == ("Ignore", "onPodConditions")
            assert (second["action"], second["onExitCodes"]["operator"]) == ("FailJob", "NotIn")
            return possible & set(second["onExitCodes"]["values"])
        case "buildkite":
            rules = yaml.safe_load(recipe)["steps"][1]["retry"]["automatic"]
            return possible & {one["exit_status"] for one in rules}
        case "jenkins":
            return {int(re.search(r"status != (\d+) \|\|", recipe)[1])}  # type: ignore[index]
    raise ValueError(name)


def test_only_what_may_pass_is_tried_again(
    make_registry: Callable[[Mode], DebianRegistry], users: dict[str, str], real_images: RealImages, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path / "shop", real_images, make_registry(Mode(users=users)).host)
    place = BarePlace(mounts={"/images": Mount(workshop.place("images"), is_read_only=True)})

    def code(source: str, target: str) -> int:
        return place.run([PROGRAM, "push", "--retries", "0", source, target], env={}).code

    nobody_answers = code("oci:/images/layout", f"127.0.0.1:{find_free_port()}/team/app:1")
    no_login = code("oci:/images/layout", f"{workshop.host}/team/app:1")
    no_image = code("oci:/images/no-such", f"{workshop.host}/team/app:1")

    for name in REPEATING:
        assert nobody_answers in repeated(name), name
        assert {no_login, no_image} & repeated(name) == set(), name
        assert repeated(name) <= {6, 7, 143}, name
