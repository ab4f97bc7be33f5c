"""Providers: what is particular about one family of registries, as facts. The protocol knows none of their names.

Where the registry belongs to a cloud, its family also knows who hands out logins (`CloudServices.credentials`) and the
cloud's own interface to the registry (`CloudServices.control`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import OciPushError
from oci_push.events import Emit, ignore
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.uploads import UploadMethod
from oci_push.providers.ecr.replication_rules import Place, Rule
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.credentials import CredentialProvider

MIB = 1024 * 1024
SELF = "<self>"
"""As `filler_user`: the token is sent as the user name as well."""


class Capabilities(Struct, frozen=True):
    """What a registry can do; the defaults are the specification's or the usual ones. Sizes in bytes, 0: no limit."""

    upload: UploadMethod = UploadMethod.MONOLITHIC
    """How a body travels at first; one PUT works everywhere (distribution-spec, "POST then PUT")."""
    chunks: bool = True
    """Whether a blob may be sent in chunks and an upload gone on with after a break."""
    chunk_bytes: int = 16 * MIB
    """The size of the first chunk."""
    chunk_min_bytes: int = 0
    """The least size of all chunks but the last; a registry's own ``OCI-Chunk-Min-Length`` comes on top."""
    chunk_max_bytes: int = 0
    """The largest chunk, and so the largest body."""
    resumes: bool = False
    """Whether it is known to keep what came of a body that broke."""
    single_post: bool = False
    """Whether a blob in the POST itself is worth a try (distribution-spec, "Single POST")."""
    mounts: bool = True
    """Whether blobs can be linked across repositories at all (distribution-spec, "Mounting a blob")."""
    anonymous_mount: bool = False
    """Whether a mount without ``from`` is worth a try (same place, since 1.1)."""
    multi_tag: bool = True
    """Whether one PUT for many tags is worth a try: only registries after distribution-spec 1.1.1 know it, the others
    ignore it, and no vendor of a hosted registry documents it."""
    delete_scope: bool = True
    """Whether a token may be asked for with ``delete`` among the actions."""
    manifests_per_s: float = 0.0
    """How many manifests may be put in a second, all repositories of a host together; 0: any number."""


class Cloud(Struct, frozen=True):
    """What a run gives its providers for getting logins.

    `fetch` sends one call to an absolute URL (a token endpoint, an instance's metadata), without credentials of its
    own and with the run's proxies and limits; an unexpected status is a `RegistryError`. Bound it by a child scope.
    `retry`, `random` and `emit` are for a provider that sends its requests through its vendor's library.
    """

    env: Mapping[str, str]
    home: Path | None
    clock: Clock
    fetch: Callable[[Context, Call], Reply]
    read_file: Callable[[Path], str] = Path.read_text
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    random: Callable[[], float] = float
    emit: Emit = ignore


class ManagementApi(Protocol):
    """Do what a vendor's own interface offers beside the distribution API; used by many threads at once.

    Only `prepare` and `real_host` are needed for a push: where the others may not be called, the push does without.
    """

    def real_host(self, context: Context) -> str:
        """Return the registry's host, asking for what its name in a reference leaves open."""
        ...

    def prepare(self, context: Context, repository: Repository) -> None:
        """Make a repository that is missing, where the access says so."""
        ...

    def present(self, context: Context, repository: Repository, digests: Iterable[Digest]) -> frozenset[Digest] | None:
        """Ask in one request which blobs are there; ``None`` when that is not to be learnt this way."""
        ...

    def can_mount(self, context: Context) -> bool:
        """Return whether this registry links blobs across its repositories."""
        ...

    def explain(self, context: Context, repository: Repository, error: OciPushError) -> OciPushError:
        """Return a better error for one that the distribution API left vague, or the same."""
        ...


class ReplicaState(Struct, frozen=True):
    """How far a copy is that the registry makes itself: ``IN_PROGRESS``, ``COMPLETE`` or ``FAILED``, and why."""

    place: Place
    status: str
    failure: str = ""


class Replication(Protocol):
    """See and set the copies that a registry makes of itself."""

    def home(self, context: Context) -> Place:
        """Return which registry this is."""
        ...

    def rules(self, context: Context) -> tuple[Rule, ...]:
        """Read the rules."""
        ...

    def set_rules(self, context: Context, rules: tuple[Rule, ...]) -> None:
        """Replace all rules."""
        ...

    def states(self, context: Context, repository: Repository, digest: Digest) -> tuple[ReplicaState, ...]:
        """Return how far an image's copies are; nothing is listed before the registry has begun."""
        ...


class CloudServices(Struct, frozen=True):
    """What stands behind one `RegistryEndpoint`; made once for it and shared by all threads of a run."""

    credentials: CredentialProvider
    control: ManagementApi | None = None
    replication: Replication | None = None


MakeCloudServices: TypeAlias = Callable[[RegistryEndpoint, Cloud], CloudServices | None]


class Family(Struct, frozen=True):
    """One family of registries: how its hosts are told, what they can do, and what stands behind a registry of it.

    `suffixes` are whole hosts, or with a leading dot their ends; `is_host` decides where those cannot. `labels` are for
    products that people run themselves, under names like ``harbor.example.com``: a guess, so such a family states
    nothing that would do harm to another registry of that name. `api` is the host that requests go to, where that is
    not the one in references. `make_cloud_side` is asked where logins may come from a cloud. `filler_user` is the user
    name that goes with a token given alone; `SELF` stands for the token itself. `hints` say, by status, what to do
    about an answer that means something particular there.
    """

    name: str
    capabilities: Capabilities
    suffixes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    is_host: Callable[[str], bool] | None = None
    api: str = ""
    make_cloud_side: MakeCloudServices | None = None
    filler_user: str = ""
    hints: Mapping[int, str] = field(default_factory=dict)

    def matches(self, host: str) -> bool:
        """Return whether ``name[:port]`` is one of this family's hosts."""
        if self.is_host is not None:
            return self.is_host(host)
        bare = host.split(":")[0].lower()
        if any(bare == suffix.lstrip(".") or (suffix[0] == "." and bare.endswith(suffix)) for suffix in self.suffixes):
            return True
        return not set(self.labels).isdisjoint(bare.split(".")[:-1])

    def api_host(self, host: str) -> str:
        """Return the host that requests go to, for the host that references name."""
        return self.api or host

    def cloud_services(self, endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
        """Return what stands behind the registry, or ``None`` where `endpoint.credential` counts alone."""
        return self.make_cloud_side(endpoint, cloud) if self.make_cloud_side else None


def complete(credential: Credential, family: Family) -> Credential:
    """Return a login that is only a token the user name that the family takes with it."""
    user = family.filler_user
    if credential.username or not credential.password or not user:
        return credential
    return replace(credential, username=credential.password.reveal() if user == SELF else user)
