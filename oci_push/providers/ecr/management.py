"""ECR's management API, as far as a push gains by it: repositories, many blobs at once, mounting, clear errors.

Blobs and manifests travel by the distribution API: raw bytes over one connection instead of base64 in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from oci_push.errors import DeniedError, NetworkError, NotFoundError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import LogMessage
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.providers.base import Cloud
from oci_push.providers.ecr.aws import Aws
from oci_push.providers.ecr.credentials import EcrCredentials
from oci_push.providers.ecr.identity import MUTABILITIES, EcrCreation
from oci_push.runtime.context import Context
from oci_push.runtime.log import Log
from oci_push.runtime.single_flight import SingleFlight

_log = Log(__name__)
_MOST_DIGESTS = 100
Answer = TypeVar("Answer")


class EcrManagement:
    """Act on one account's registry in one region, with `creation` for the repositories that are missing."""

    def __init__(self, credentials: EcrCredentials, aws: Aws, cloud: Cloud, creation: EcrCreation | None) -> None:
        self._logins = credentials
        self._aws = aws
        self._cloud = cloud
        self._creation = creation
        self._prepared: SingleFlight[str, bool] = SingleFlight()
        self._mounting: SingleFlight[str, str] = SingleFlight()
        self._tag_rules: SingleFlight[str, Mapping[str, Any]] = SingleFlight()

    def real_host(self, context: Context) -> str:
        """Return the registry's host with its account."""
        return str(self._logins.host(context))

    def prepare(self, context: Context, repository: Repository) -> None:
        """Create the repository if it is missing and we were told to; once, however many threads ask."""
        creation = self._creation
        if creation is not None:
            self._prepared.get(repository.path, lambda: self._prepare(context, repository, creation))

    def present(self, context: Context, repository: Repository, digests: Iterable[Digest]) -> frozenset[Digest] | None:
        """Return which are there, asking for up to a hundred in one request (BatchCheckLayerAvailability)."""
        found: set[Digest] = set()
        wanted = list(digests)
        try:
            for start in range(0, len(wanted), _MOST_DIGESTS):
                found |= self._available(context, repository, wanted[start : start + _MOST_DIGESTS])
        except NotFoundError:
            return frozenset()
        except (RegistryError, NetworkError) as error:
            _log.debug("asking for each blob instead: %s", error)
            return None
        return frozenset(found)

    def can_mount(self, context: Context) -> bool:
        """Return the account's setting BLOB_MOUNTING; where it may not be read, a mount is worth its try."""
        return self._mounting.get("", lambda: self._read_mounting(context)) != "DISABLED"

    def keeps_tag(self, context: Context, repository: Repository, tag: str) -> bool | None:
        """Return what the repository's tag mutability and its exclusions say of a tag (DescribeRepositories)."""
        known = self._tag_rules.get(repository.path, lambda: self._read_tag_rules(context, repository))
        kind = str(known.get("imageTagMutability"))
        if kind not in MUTABILITIES:
            return None
        filters = [str(one.get("filter")) for one in known.get("imageTagMutabilityExclusionFilters", ())]
        is_excluded = any(re.fullmatch(".*".join(map(re.escape, text.split("*"))), tag) for text in filters)
        return kind.startswith("IMMUTABLE") != (is_excluded and kind.endswith("_WITH_EXCLUSION"))

    def explain(self, context: Context, repository: Repository, error: OciPushError) -> OciPushError:
        """Return an error that says so where the repository is missing: ECR answers 404 or just hangs up."""
        if not isinstance(error, NotFoundError | NetworkError | UploadRejectedError):
            return error
        try:
            if self._exists(context, repository, self._aws.ask):
                return error
            host = self._logins.host(context)
        except OciPushError as unknown:
            _log.debug("cannot find out whether %s exists: %s", repository, unknown)
            return error
        return NotFoundError(
            f"{repository}: the repository does not exist in account {host.account} in {host.region}",
            hint="create it, or let --create-repository or create_repository: true do so; "
            "if it should be there, check region and name",
            status=404,
            codes=("NAME_UNKNOWN",),
        )

    def _prepare(self, context: Context, repository: Repository, creation: EcrCreation) -> bool:
        try:
            if self._exists(context, repository, self._aws.call):
                return True
        except DeniedError as error:
            _log.debug("creating %s without looking first: %s", repository, error)
        account = self._logins.host(context).account
        try:
            self._call(context, "CreateRepository", repository, registryId=account, **_settings(creation))
        except RegistryError as error:
            if "RepositoryAlreadyExistsException" in error.codes:
                return True  # another push was faster
            raise
        self._cloud.emit(LogMessage(f"{repository}: repository created"))
        if creation.lifecycle_policy:
            self._call(
                context,
                "PutLifecyclePolicy",
                repository,
                registryId=account,
                lifecyclePolicyText=creation.lifecycle_policy,
            )
        return True

    def _exists(self, context: Context, repository: Repository, send: Callable[..., object]) -> bool:
        try:
            self._describe(context, repository, send)
        except NotFoundError:
            return False
        return True

    def _describe(self, context: Context, repository: Repository, send: Callable[..., Answer]) -> Answer:
        account = self._logins.host(context).account
        asked = {"what": str(repository), "registryId": account, "repositoryNames": [repository.path]}
        return send(context, "ecr", "DescribeRepositories", **asked)

    def _available(self, context: Context, repository: Repository, digests: list[Digest]) -> set[Digest]:
        answer = self._aws.ask(
            context,
            "ecr",
            "BatchCheckLayerAvailability",
            what=str(repository),
            registryId=self._logins.host(context).account,
            repositoryName=repository.path,
            layerDigests=[str(digest) for digest in digests],
        )
        there = {e.get("layerDigest") for e in answer["layers"] if e.get("layerAvailability") == "AVAILABLE"}
        return {digest for digest in digests if str(digest) in there}

    def _read_mounting(self, context: Context) -> str:
        try:
            answer = self._aws.ask(context, "ecr", "GetAccountSetting", name="BLOB_MOUNTING")
        except (RegistryError, NetworkError) as error:
            _log.debug("BLOB_MOUNTING is not known: %s", error)
            return "UNKNOWN"
        return str(answer.get("value") or "UNKNOWN")

    def _read_tag_rules(self, context: Context, repository: Repository) -> Mapping[str, Any]:
        try:
            answer = self._describe(context, repository, self._aws.ask)
        except (RegistryError, NetworkError) as error:
            _log.debug("whether tags of %s may move is not known: %s", repository, error)
            return {}
        return next(iter(answer.get("repositories", ())), {})

    def _call(self, context: Context, operation: str, repository: Repository, **parameters: object) -> None:
        name = repository.path
        self._aws.call(context, "ecr", operation, what=str(repository), repositoryName=name, **parameters)


def _settings(creation: EcrCreation) -> dict[str, object]:
    """Return CreateRepository's parameters; what is not said is left to the account's defaults."""
    given: dict[str, object] = {}
    if creation.scan_on_push:
        given["imageScanningConfiguration"] = {"scanOnPush": True}
    if creation.mutability:
        given["imageTagMutability"] = creation.mutability
    if creation.exclusions:
        given["imageTagMutabilityExclusionFilters"] = [
            {"filterType": "WILDCARD", "filter": text} for text in creation.exclusions
        ]
    if creation.encryption:
        encryption = {"encryptionType": creation.encryption}
        if creation.kms_key:
            encryption["kmsKey"] = creation.kms_key
        given["encryptionConfiguration"] = encryption
    if creation.tags:
        given["tags"] = [{"Key": key, "Value": value} for key, value in creation.tags]
    return given
