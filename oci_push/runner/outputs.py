"""Outputs of steps: what later steps, conditions and exports can know of one."""

from __future__ import annotations

from collections.abc import Mapping

from oci_push.language.resolve import ResolvedPush
from oci_push.language.steps import BuildStep, PushStep, Step, type_of
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.variables.lookup import Variables


def step_outputs(step: Step, result: str, variables: Variables) -> dict[str, str]:
    """Return what every step has, with a build's image as the pipeline names it."""
    found = {"name": step.name, "type": type_of(step), "result": str(result)}
    if step.settings.description:
        found["description"] = variables.interpolate(step.settings.description.text).text
    if isinstance(step, BuildStep) and step.image_name:
        name = variables.interpolate(step.image_name.text).text
        tag = variables.interpolate(step.tags_or_default[0].text).text
        found["imageName"] = name
        found["imageTagName"] = f"{name}:{step.cased(tag)}"
    return found


def push_outputs(registry: str, repository: Repository, digest: Digest, image_id: str) -> Mapping[str, str]:
    """Return what a push has after it succeeded: `digest` is the manifest's, `image_id` the configuration's."""
    return {"registry": registry, "imageId": image_id, "imageRepoDigest": f"{repository.familiar}@{digest}"}


def planned_outputs(step: Step, result: str, variables: Variables, resolved: ResolvedPush | None) -> dict[str, str]:
    """Return what a plan can know."""
    found = step_outputs(step, result, variables)
    if isinstance(step, PushStep) and resolved is not None:
        found["registry"] = resolved.registry
    return found
