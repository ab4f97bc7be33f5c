"""Shards: which units one of several workers does, decided by each of them alone from the same file.

Units whose largest blob is the same stay together, so that it goes to a registry once and is mounted there. A group
that is larger than a fair part is cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.work.units import WorkUnit

_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})")
COUNT_VARIABLE = "OCI_PUSH_SHARDS"


class ShardVariables(Struct, frozen=True):
    """How a service tells a job which of several it is: `index` counts from `first`, `count` is how many there are."""

    name: str
    index: str
    count: str
    first: int


SERVICES = (
    # https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode : there is no variable of the count
    ShardVariables("a Kubernetes Indexed Job", "JOB_COMPLETION_INDEX", COUNT_VARIABLE, 0),
    # https://docs.gitlab.com/ci/variables/predefined_variables/ : only with parallel:
    ShardVariables("GitLab CI", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    # https://buildkite.com/docs/pipelines/configure/environment-variables
    ShardVariables("Buildkite", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    # https://circleci.com/docs/reference/variables/
    ShardVariables("CircleCI", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    # https://learn.microsoft.com/azure/devops/pipelines/build/variables : only with parallel:
    ShardVariables("Azure Pipelines", "SYSTEM_JOBPOSITIONINPHASE", "SYSTEM_TOTALJOBSINPHASE", 1),
    # https://cloud.google.com/run/docs/container-contract
    ShardVariables("Cloud Run jobs", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT", 0),
    # Where nothing sets one, as in a matrix of GitHub Actions.
    ShardVariables("a matrix", "OCI_PUSH_SHARD", COUNT_VARIABLE, 1),
)
"""Every service, in the order in which they are looked for: the first whose index is set says which shard it is."""


class Shard(Struct, frozen=True):
    """One of `count` parts; `number` counts from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


ALL = Shard(1, 1)


def read_shard(text: str, env: Mapping[str, str]) -> Shard:
    """Read ``K/N``, or ``env`` for what the CI or the cluster says; raises `ConfigError`."""
    if not text:
        return ALL
    if text == "env":
        return _from(env)
    match = _SHARD.fullmatch(text)
    if match is None:
        raise ConfigError(f"--shard {text!r} is no shard", hint="write K/N, such as 2/5, or env")
    return _checked(int(match[1]), int(match[2]), f"--shard {text}")


def _from(env: Mapping[str, str]) -> Shard:
    for one in SERVICES:
        if not env.get(one.index):
            continue
        for name in (one.index, one.count):
            if not re.fullmatch(r"\d{1,6}", env.get(name, "")):
                told = f"is {env[name]!r}" if env.get(name) else "is not set"
                raise ConfigError(
                    f"--shard env: {one.index} is set, as by {one.name}, and {name} {told}",
                    hint=f"set {name} to the number of shards" if name == one.count else "it must be a number",
                )
        return _checked(int(env[one.index]) - one.first + 1, int(env[one.count]), f"--shard env ({one.index})")
    names = ", ".join(one.index for one in SERVICES)
    raise ConfigError(f"--shard env: none of {names} is set", hint="write --shard K/N")


def _checked(number: int, count: int, what: str) -> Shard:
    if not 1 <= number <= count:
        raise ConfigError(f"{what}: there is no shard {number} of {count}", hint="shards count from 1/N to N/N")
    return Shard(number, count)


def share(units: Sequence[WorkUnit], shard: Shard) -> tuple[WorkUnit, ...]:
    """Return the units of one shard, in their order; all shards of a file have each unit exactly once."""
    if shard.count == 1:
        return tuple(units)
    groups: dict[object, list[int]] = {}
    for place, unit in enumerate(units):
        groups.setdefault(unit.large[0] if unit.large else place, []).append(place)
    fair = -(-len(units) // shard.count)
    pieces = [group[at : at + fair] for group in groups.values() for at in range(0, len(group), fair)]
    loads = [0] * shard.count
    mine: list[int] = []
    for piece in sorted(pieces, key=lambda one: (-len(one), one[0])):
        least = loads.index(min(loads))
        loads[least] += len(piece)
        if least == shard.number - 1:
            mine += piece
    return tuple(units[place] for place in sorted(mine))
