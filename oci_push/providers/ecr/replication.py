"""ECR's replication: the registry's rules, and how far the copies of one image are.

Rules belong to the account's registry in one region and are replaced as a whole (PutReplicationConfiguration).
"""

from __future__ import annotations

from typing import Any

from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.providers.ecr import replication_rules
from oci_push.providers.ecr.aws import Aws
from oci_push.providers.ecr.credentials import EcrCredentials
from oci_push.providers.ecr.identity import in_region
from oci_push.providers.replication import Place, ReplicaState, ReplicationLimits, Rule
from oci_push.runtime.context import Context


class EcrReplication:
    """See and set one registry's rules."""

    def __init__(self, credentials: EcrCredentials, aws: Aws) -> None:
        self._logins = credentials
        self._aws = aws
        self.limits: ReplicationLimits = replication_rules

    def home(self, context: Context) -> Place:
        """Return which registry this is."""
        host = self._logins.host(context)
        return Place(host.region, host.account)

    def rules(self, context: Context) -> tuple[Rule, ...]:
        """Return the rules."""
        answer = self._aws.call(context, "ecr", "DescribeRegistry")
        return tuple(_read(rule) for rule in answer.get("replicationConfiguration", {}).get("rules", ()))

    def set_rules(self, context: Context, rules: tuple[Rule, ...]) -> None:
        """Replace all rules."""
        configuration = {"rules": [_write(rule) for rule in rules]}
        self._aws.call(context, "ecr", "PutReplicationConfiguration", replicationConfiguration=configuration)

    def moved(self, endpoint: RegistryEndpoint, place: Place) -> RegistryEndpoint:
        """Return how the same registry is reached in another place; raises ``ValueError`` where it cannot be."""
        return in_region(endpoint, place.region, place.account)

    def states(self, context: Context, repository: Repository, digest: Digest) -> tuple[ReplicaState, ...]:
        """Return what DescribeImageReplicationStatus says; an index is asked for by the index's own digest."""
        answer = self._aws.call(
            context,
            "ecr",
            "DescribeImageReplicationStatus",
            what=f"{repository}@{digest}",
            registryId=self._logins.host(context).account,
            repositoryName=repository.path,
            imageId={"imageDigest": str(digest)},
        )
        return tuple(
            ReplicaState(Place(e["region"], e["registryId"]), e["status"], e.get("failureCode", ""))
            for e in answer.get("replicationStatuses", ())
        )


def _read(rule: dict[str, Any]) -> Rule:
    return Rule(
        tuple(Place(e["region"], e["registryId"]) for e in rule.get("destinations", ())),
        tuple(e["filter"] for e in rule.get("repositoryFilters", ())),
        bool(rule.get("deleteReplication", {}).get("enabled", False)),
    )


def _write(rule: Rule) -> dict[str, object]:
    written: dict[str, object] = {
        "destinations": [{"region": place.region, "registryId": place.account} for place in rule.destinations]
    }
    if rule.prefixes:
        written["repositoryFilters"] = [{"filter": text, "filterType": "PREFIX_MATCH"} for text in rule.prefixes]
    if rule.deletes:
        written["deleteReplication"] = {"enabled": True}
    return written
