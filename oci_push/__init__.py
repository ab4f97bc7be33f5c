"""Push container images to registries over HTTP, without a daemon and without root.

What a library user needs is here, and imported when it is first used::

    import oci_push

    results = oci_push.push("oci:build/image", "registry.example.com/team/app:1.4.2")
"""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; `typing` costs time, and --version needs nothing
if TYPE_CHECKING:
    from oci_push.api import push as push
    from oci_push.api import replicate as replicate
    from oci_push.engine.push import PushOptions as PushOptions
    from oci_push.engine.push import PushResult as PushResult
    from oci_push.engine.push import ReplicaResult as ReplicaResult
    from oci_push.engine.pusher import Options as Options
    from oci_push.engine.tags import TagResult as TagResult
    from oci_push.engine.transfer import BlobResult as BlobResult
    from oci_push.errors import Cancelled as Cancelled
    from oci_push.errors import ConfigError as ConfigError
    from oci_push.errors import ContentMismatchError as ContentMismatchError
    from oci_push.errors import CredentialsError as CredentialsError
    from oci_push.errors import DeadlineError as DeadlineError
    from oci_push.errors import DeniedError as DeniedError
    from oci_push.errors import Diagnostic as Diagnostic
    from oci_push.errors import ImmutableTagError as ImmutableTagError
    from oci_push.errors import NetworkError as NetworkError
    from oci_push.errors import NotFoundError as NotFoundError
    from oci_push.errors import OciPushError as OciPushError
    from oci_push.errors import ProtocolViolationError as ProtocolViolationError
    from oci_push.errors import RateLimitedError as RateLimitedError
    from oci_push.errors import RegistryError as RegistryError
    from oci_push.errors import SourceError as SourceError
    from oci_push.errors import UnavailableError as UnavailableError
    from oci_push.errors import UploadRejectedError as UploadRejectedError
    from oci_push.events import Emit as Emit
    from oci_push.events import Event as Event
    from oci_push.model.digest import Digest as Digest
    from oci_push.model.endpoint import Credential as Credential
    from oci_push.model.endpoint import RegistryEndpoint as RegistryEndpoint
    from oci_push.model.endpoint import TlsConfig as TlsConfig
    from oci_push.model.outcomes import BlobOutcome as BlobOutcome
    from oci_push.model.outcomes import ReplicaOutcome as ReplicaOutcome
    from oci_push.model.outcomes import TagOutcome as TagOutcome
    from oci_push.model.reference import Reference as Reference
    from oci_push.model.reference import Repository as Repository
    from oci_push.providers.ecr.identity import AwsIdentity as AwsIdentity
    from oci_push.providers.ecr.identity import EcrCreation as EcrCreation
    from oci_push.runtime.retry import RetryPolicy as RetryPolicy
    from oci_push.secret import Secret as Secret
    from oci_push.sources.settings import SourceSettings as SourceSettings
    from oci_push.transport.settings import TransportSettings as TransportSettings

__version__ = "0.2.0"

_HOMES = {
    "oci_push.api": "push replicate",
    "oci_push.engine.push": "PushOptions PushResult ReplicaResult",
    "oci_push.engine.tags": "TagResult",
    "oci_push.engine.transfer": "BlobResult",
    "oci_push.errors": (
        "Cancelled ConfigError ContentMismatchError CredentialsError DeadlineError DeniedError Diagnostic"
        " ImmutableTagError NetworkError NotFoundError OciPushError ProtocolViolationError RateLimitedError"
        " RegistryError SourceError UnavailableError UploadRejectedError"
    ),
    "oci_push.events": "Emit Event",
    "oci_push.model.digest": "Digest",
    "oci_push.model.endpoint": "Credential RegistryEndpoint TlsConfig",
    "oci_push.model.outcomes": "BlobOutcome ReplicaOutcome TagOutcome",
    "oci_push.model.reference": "Reference Repository",
    "oci_push.engine.pusher": "Options",
    "oci_push.providers.ecr.identity": "AwsIdentity EcrCreation",
    "oci_push.runtime.retry": "RetryPolicy",
    "oci_push.secret": "Secret",
    "oci_push.sources.settings": "SourceSettings",
    "oci_push.transport.settings": "TransportSettings",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
