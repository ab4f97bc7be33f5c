"""Push container images to registries over HTTP, without a daemon and without root.

What a program needs is here, and imported when it is first used::

    import oci_push

    report = oci_push.push("oci:build/image", "registry.example.com/team/app:1.4.2")
    print(report.targets[0].digest)

A function is called as its command: `push`, `copy`, `inspect`, `tags`, and so on, ``blob get`` is `blob_get`. Beside
them `plan`, `plan_copy` and `plan_mirror` tell what the others would do, and `run_pipeline` and `plan_pipeline` are for
a pipeline. `oci_push.aio` has the same for asyncio, `oci_push.events` what they tell while they work. Every failure
that is expected is an `OciPushError`. What is named here and in these two modules is kept; everything else may change.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; `typing` costs time, and --version needs nothing
if TYPE_CHECKING:
    from oci_push import aio as aio
    from oci_push import events as events
    from oci_push.engine.artifacts.attachment import AttachedForm as AttachedForm
    from oci_push.engine.artifacts.attachment import Attachment as Attachment
    from oci_push.engine.artifacts.fetch import Fetching as Fetching
    from oci_push.engine.artifacts.push import ArtifactPush as ArtifactPush
    from oci_push.engine.artifacts.push import Attaching as Attaching
    from oci_push.engine.copying.mirror_report import MirrorReport as MirrorReport
    from oci_push.engine.copying.report import CopyReport as CopyReport
    from oci_push.engine.editing.change import Deletion as Deletion
    from oci_push.engine.editing.change import Tagging as Tagging
    from oci_push.engine.editing.image import ImageEdit as ImageEdit
    from oci_push.engine.editing.index_store import IndexChange as IndexChange
    from oci_push.engine.looking.check import Checkup as Checkup
    from oci_push.engine.looking.compare import Diff as Diff
    from oci_push.engine.looking.existence import Existence as Existence
    from oci_push.engine.looking.existence import NamedDigest as NamedDigest
    from oci_push.engine.looking.inspect import Inspection as Inspection
    from oci_push.engine.looking.listing import RepositoryList as RepositoryList
    from oci_push.engine.looking.listing import TagList as TagList
    from oci_push.engine.looking.referrers import ReferrersTree as ReferrersTree
    from oci_push.engine.push import PushOptions as PushOptions
    from oci_push.engine.pusher import Options as Options
    from oci_push.engine.raw import BlobSaved as BlobSaved
    from oci_push.engine.raw import BlobsDeleted as BlobsDeleted
    from oci_push.engine.raw import BlobsFound as BlobsFound
    from oci_push.engine.raw import BlobStored as BlobStored
    from oci_push.engine.raw import ManifestsFound as ManifestsFound
    from oci_push.engine.raw import ManifestStored as ManifestStored
    from oci_push.engine.saving.pull import Pull as Pull
    from oci_push.engine.signing.there import Signing as Signing
    from oci_push.engine.signing.trust import Verification as Verification
    from oci_push.errors import Cancelled as Cancelled
    from oci_push.errors import ConfigError as ConfigError
    from oci_push.errors import ContentMismatchError as ContentMismatchError
    from oci_push.errors import CredentialsError as CredentialsError
    from oci_push.errors import DeadlineError as DeadlineError
    from oci_push.errors import DeniedError as DeniedError
    from oci_push.errors import Diagnostic as Diagnostic
    from oci_push.errors import ImmutableTagError as ImmutableTagError
    from oci_push.errors import IncompleteError as IncompleteError
    from oci_push.errors import NetworkError as NetworkError
    from oci_push.errors import NotFoundError as NotFoundError
    from oci_push.errors import OciPushError as OciPushError
    from oci_push.errors import ProtocolViolationError as ProtocolViolationError
    from oci_push.errors import RateLimitedError as RateLimitedError
    from oci_push.errors import RegistryError as RegistryError
    from oci_push.errors import SourceError as SourceError
    from oci_push.errors import UnavailableError as UnavailableError
    from oci_push.errors import UntrustedError as UntrustedError
    from oci_push.errors import UploadRejectedError as UploadRejectedError
    from oci_push.events import Event as Event
    from oci_push.forms import ErrorForm as ErrorForm
    from oci_push.forms import decode as decode
    from oci_push.forms import encode as encode
    from oci_push.library.artifacts import artifact_pull as artifact_pull
    from oci_push.library.artifacts import artifact_push as artifact_push
    from oci_push.library.artifacts import attach as attach
    from oci_push.library.copies import copy as copy
    from oci_push.library.copies import plan_copy as plan_copy
    from oci_push.library.copies import pull as pull
    from oci_push.library.edits import annotate as annotate
    from oci_push.library.edits import delete as delete
    from oci_push.library.edits import mutate as mutate
    from oci_push.library.edits import tag as tag
    from oci_push.library.images import plan as plan
    from oci_push.library.images import push as push
    from oci_push.library.images import replicate as replicate
    from oci_push.library.indexes import index_add as index_add
    from oci_push.library.indexes import index_annotate as index_annotate
    from oci_push.library.indexes import index_create as index_create
    from oci_push.library.indexes import index_remove as index_remove
    from oci_push.library.looks import check as check
    from oci_push.library.looks import diff as diff
    from oci_push.library.looks import digest as digest
    from oci_push.library.looks import exists as exists
    from oci_push.library.looks import inspect as inspect
    from oci_push.library.looks import referrers as referrers
    from oci_push.library.looks import repos as repos
    from oci_push.library.looks import tags as tags
    from oci_push.library.mirrors import mirror as mirror
    from oci_push.library.mirrors import plan_mirror as plan_mirror
    from oci_push.library.pipelines import plan_pipeline as plan_pipeline
    from oci_push.library.pipelines import run_pipeline as run_pipeline
    from oci_push.library.signing import attest as attest
    from oci_push.library.signing import sign as sign
    from oci_push.library.signing import verify as verify
    from oci_push.library.single import blob_delete as blob_delete
    from oci_push.library.single import blob_get as blob_get
    from oci_push.library.single import blob_head as blob_head
    from oci_push.library.single import blob_put as blob_put
    from oci_push.library.single import manifest_get as manifest_get
    from oci_push.library.single import manifest_head as manifest_head
    from oci_push.library.single import manifest_put as manifest_put
    from oci_push.model.changes import AnnotationChange as AnnotationChange
    from oci_push.model.changes import Changed as Changed
    from oci_push.model.changes import Changes as Changes
    from oci_push.model.changes import ConfigChanges as ConfigChanges
    from oci_push.model.digest import Digest as Digest
    from oci_push.model.endpoint import Credential as Credential
    from oci_push.model.endpoint import RegistryEndpoint as RegistryEndpoint
    from oci_push.model.endpoint import TlsConfig as TlsConfig
    from oci_push.model.identity import JobToken as JobToken
    from oci_push.model.outcomes import BlobOutcome as BlobOutcome
    from oci_push.model.outcomes import ManifestOutcome as ManifestOutcome
    from oci_push.model.outcomes import ReplicaOutcome as ReplicaOutcome
    from oci_push.model.outcomes import Status as Status
    from oci_push.model.outcomes import TagOutcome as TagOutcome
    from oci_push.model.platform import Platform as Platform
    from oci_push.model.reference import Reference as Reference
    from oci_push.model.reference import Repository as Repository
    from oci_push.model.traffic import MountRule as MountRule
    from oci_push.model.traffic import Traffic as Traffic
    from oci_push.model.trust import Keyless as Keyless
    from oci_push.model.trust import Requirement as Requirement
    from oci_push.model.trust import SignRule as SignRule
    from oci_push.model.trust import TrustedIdentity as TrustedIdentity
    from oci_push.model.trust import TrustedKey as TrustedKey
    from oci_push.protocol.manifests import RawManifest as RawManifest
    from oci_push.providers.ecr.identity import AwsIdentity as AwsIdentity
    from oci_push.providers.ecr.identity import EcrCreation as EcrCreation
    from oci_push.runner.copy_plan import CopyPlan as CopyPlan
    from oci_push.runner.copy_plan import MirrorPlan as MirrorPlan
    from oci_push.runner.image_plan import ImagePlan as ImagePlan
    from oci_push.runner.image_plan import PlannedAmount as PlannedAmount
    from oci_push.runner.image_plan import PlannedAmounts as PlannedAmounts
    from oci_push.runner.image_plan import PlannedAttachment as PlannedAttachment
    from oci_push.runner.image_plan import PlannedBlob as PlannedBlob
    from oci_push.runner.image_plan import PlannedSignature as PlannedSignature
    from oci_push.runner.image_plan import PlannedTag as PlannedTag
    from oci_push.runner.image_plan import PlannedTarget as PlannedTarget
    from oci_push.runner.image_plan import PlannedWay as PlannedWay
    from oci_push.runner.report import BlobForm as BlobForm
    from oci_push.runner.report import PipelinePlan as PipelinePlan
    from oci_push.runner.report import PipelineReport as PipelineReport
    from oci_push.runner.report import PlannedStepForm as PlannedStepForm
    from oci_push.runner.report import PushReport as PushReport
    from oci_push.runner.report import ReplicaForm as ReplicaForm
    from oci_push.runner.report import ReplicationReport as ReplicationReport
    from oci_push.runner.report import StepForm as StepForm
    from oci_push.runner.report import TagForm as TagForm
    from oci_push.runner.report import TargetForm as TargetForm
    from oci_push.runner.report import TotalsForm as TotalsForm
    from oci_push.runtime.retry import RetryPolicy as RetryPolicy
    from oci_push.secret import Secret as Secret
    from oci_push.sources.settings import SourceSettings as SourceSettings
    from oci_push.transport.settings import TransportSettings as TransportSettings

__version__ = "0.2.0"

_MODULES = ("aio", "events")
_HOMES = {
    "oci_push.engine.artifacts.attachment": "AttachedForm Attachment",
    "oci_push.engine.artifacts.fetch": "Fetching",
    "oci_push.engine.artifacts.push": "ArtifactPush Attaching",
    "oci_push.engine.copying.mirror_report": "MirrorReport",
    "oci_push.engine.copying.report": "CopyReport",
    "oci_push.engine.editing.change": "Deletion Tagging",
    "oci_push.engine.editing.image": "ImageEdit",
    "oci_push.engine.editing.index_store": "IndexChange",
    "oci_push.engine.looking.check": "Checkup",
    "oci_push.engine.looking.compare": "Diff",
    "oci_push.engine.looking.existence": "Existence NamedDigest",
    "oci_push.engine.looking.inspect": "Inspection",
    "oci_push.engine.looking.listing": "RepositoryList TagList",
    "oci_push.engine.looking.referrers": "ReferrersTree",
    "oci_push.engine.push": "PushOptions",
    "oci_push.engine.pusher": "Options",
    "oci_push.engine.raw": "BlobSaved BlobStored BlobsDeleted BlobsFound ManifestStored ManifestsFound",
    "oci_push.engine.saving.pull": "Pull",
    "oci_push.engine.signing.there": "Signing",
    "oci_push.engine.signing.trust": "Verification",
    "oci_push.errors": (
        "Cancelled ConfigError ContentMismatchError CredentialsError DeadlineError DeniedError Diagnostic"
        " ImmutableTagError IncompleteError NetworkError NotFoundError OciPushError ProtocolViolationError"
        " RateLimitedError RegistryError SourceError UnavailableError UntrustedError UploadRejectedError"
    ),
    "oci_push.events": "Event",
    "oci_push.forms": "ErrorForm decode encode",
    "oci_push.library.artifacts": "artifact_pull artifact_push attach",
    "oci_push.library.copies": "copy plan_copy pull",
    "oci_push.library.edits": "annotate delete mutate tag",
    "oci_push.library.images": "plan push replicate",
    "oci_push.library.indexes": "index_add index_annotate index_create index_remove",
    "oci_push.library.looks": "check diff digest exists inspect referrers repos tags",
    "oci_push.library.mirrors": "mirror plan_mirror",
    "oci_push.library.pipelines": "plan_pipeline run_pipeline",
    "oci_push.library.signing": "attest sign verify",
    "oci_push.library.single": "blob_delete blob_get blob_head blob_put manifest_get manifest_head manifest_put",
    "oci_push.model.changes": "AnnotationChange Changed Changes ConfigChanges",
    "oci_push.model.digest": "Digest",
    "oci_push.model.endpoint": "Credential RegistryEndpoint TlsConfig",
    "oci_push.model.identity": "JobToken",
    "oci_push.model.outcomes": "BlobOutcome ManifestOutcome ReplicaOutcome Status TagOutcome",
    "oci_push.model.platform": "Platform",
    "oci_push.model.reference": "Reference Repository",
    "oci_push.model.traffic": "MountRule Traffic",
    "oci_push.model.trust": "Keyless Requirement SignRule TrustedIdentity TrustedKey",
    "oci_push.protocol.manifests": "RawManifest",
    "oci_push.providers.ecr.identity": "AwsIdentity EcrCreation",
    "oci_push.runner.copy_plan": "CopyPlan MirrorPlan",
    "oci_push.runner.image_plan": (
        "ImagePlan PlannedAmount PlannedAmounts PlannedAttachment PlannedBlob PlannedSignature PlannedTag"
        " PlannedTarget PlannedWay"
    ),
    "oci_push.runner.report": (
        "BlobForm PipelinePlan PipelineReport PlannedStepForm PushReport ReplicaForm ReplicationReport"
        " StepForm TagForm TargetForm TotalsForm"
    ),
    "oci_push.runtime.retry": "RetryPolicy",
    "oci_push.secret": "Secret",
    "oci_push.sources.settings": "SourceSettings",
    "oci_push.transport.settings": "TransportSettings",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives (PEP 562)."""
    if name not in _HOME_OF and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    found: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return what is public; packages of ours that have been loaded are not."""
    return sorted({*_HOME_OF, *_MODULES, *(name for name in globals() if name.startswith("__"))})
