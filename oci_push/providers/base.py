"""Providers: what is particular about one family of registries, as facts. The protocol knows none of their names.

Where the registry belongs to a cloud, its family also knows who hands out logins (`CloudServices.credentials`) and the
cloud's management API (`CloudServices.management`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import OciPushError
from oci_push.events import Emit, ignore
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity, RegionalIdentity, RepositoryCreation
from oci_push.model.reference import Repository
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.uploads import UploadMethod
from oci_push.runtime.clock import Clock
from oci_push.runtime.commands import RunCommand, no_command
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.credentials import CredentialProvider

if TYPE_CHECKING:
    from oci_push.protocol.claims import Claims
    from oci_push.providers.replication import Replication

MIB = 1024 * 1024
_MOST_BYTES = MIB
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


def read_text(path: Path) -> str:
    """Read a file with a token or a key; raises ``OSError``, for one that is far too large with `EFBIG`."""
    with path.open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return raw.decode()


class Cloud(Struct, frozen=True):
    """What a run gives its providers for getting logins.

    `fetch` sends one call to an absolute URL (a token endpoint, an instance's metadata), without credentials of its
    own and with the run's proxies and limits; an unexpected status is a `RegistryError`. Bound it by a child context.
    `retry`, `random` and `emit` are for a provider that sends its requests through its vendor's library, `run_command`
    for the programs that tell a job its identity.
    """

    env: Mapping[str, str]
    home: Path | None
    clock: Clock
    fetch: Callable[[Context, Call], Reply]
    read_file: Callable[[Path], str] = read_text
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    random: Callable[[], float] = float
    emit: Emit = ignore
    run_command: RunCommand = no_command


class IdToken(Struct, frozen=True):
    """The job's own identity, as its CI has signed it for one audience; `source` is who gave it.

    It lives for minutes. It is sent once, to the exchange that it was asked for, and not kept.
    """

    token: Secret
    source: str
    claims: Claims


class ManagementApi(Protocol):
    """Do what a vendor's own interface offers beside the distribution API; used by many threads at once.

    Only `prepare` and `real_host` are needed for a push: where the others may not be called, the push does without.
    """

    def real_host(self, context: Context) -> str:
        """Return the registry's host, asking for what its name in a reference leaves open."""
        ...

    def prepare(self, context: Context, repository: Repository) -> None:
        """Create a repository that is missing, where the access says so."""
        ...

    def present(self, context: Context, repository: Repository, digests: Iterable[Digest]) -> frozenset[Digest] | None:
        """Return which blobs are there, asked in one request; ``None`` when that is not to be learnt this way."""
        ...

    def can_mount(self, context: Context) -> bool:
        """Return whether this registry links blobs across its repositories."""
        ...

    def keeps_tag(self, context: Context, repository: Repository, tag: str) -> bool | None:
        """Return whether a tag that is there may not be moved; ``None`` when that is not to be learnt."""
        ...

    def explain(self, context: Context, repository: Repository, error: OciPushError) -> OciPushError:
        """Return a better error for one that the distribution API left vague, or the same."""
        ...


class CloudServices(Struct, frozen=True):
    """What stands behind one `RegistryEndpoint`; made once for it and shared by all threads of a run."""

    credentials: CredentialProvider
    management: ManagementApi | None = None
    replication: Replication | None = None
    id_token: Callable[[Context], IdToken] | None = None
    """Asks for the token that logins are got for, where they are got for the job's own identity."""


class CloudProvider(Protocol):
    """A cloud that hands out logins for its registries; a module of its own is one."""

    @property
    def IDENTITY(self) -> type[CloudIdentity]:
        """The class of those who ask it."""
        ...

    def cloud_services(self, endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
        """Return what stands behind a registry, or ``None`` where `endpoint.credential` counts alone."""
        ...


class RegionalProvider(CloudProvider, Protocol):
    """A cloud with a registry in each region; hosts, regions and roles are judged without asking it."""

    DOMAIN: str
    """The domain that logins go to where no host is known."""
    SESSION_S: tuple[int, int]
    """The least and the greatest length of a role's session in seconds."""
    CREATION: Callable[..., RepositoryCreation]
    """The class of what is said of new repositories; its fields are keys of ``oci-push.yaml``."""

    @property
    def IDENTITY(self) -> type[RegionalIdentity]:
        """The class of those who ask it."""
        ...

    def is_region(self, text: str) -> bool:
        """Return whether a text has the shape of a region's name."""
        ...

    def is_role(self, text: str) -> bool:
        """Return whether a text names a role."""
        ...

    def default_region(self, profile: str) -> str:
        """Return the region that environment or profile name, or nothing."""
        ...

    def identity_at(self, host: str) -> RegionalIdentity:
        """Return who asks at a host where nobody says more: its region and account, empty for other registries'."""
        ...

    def account_of(self, host: str) -> str:
        """Return the account of a host; empty where only the cloud can tell it."""
        ...

    def host_in(self, host: str, region: str, account: str = "") -> str:
        """Return the host of the same registry elsewhere; other registries' hosts stay as they are."""
        ...

    def in_region(self, endpoint: RegistryEndpoint, region: str, account: str = "") -> RegistryEndpoint:
        """Return how the same registry is reached elsewhere; raises ``ValueError`` where it cannot be."""
        ...


class Family(Struct, frozen=True):
    """One family of registries: how its hosts are told, what they can do, and what stands behind a registry of it.

    `suffixes` are whole hosts, or with a leading dot their ends; `is_host` decides where those cannot. `labels` are for
    products that people run themselves, under names like ``harbor.example.com``: a guess, so such a family states
    nothing that would do harm to another registry of that name. `api` is the host that requests go to, where that is
    not the one in references. `cloud` loads the cloud that logins may come from, `regions` the same where its
    registries lie in regions, `exchange` what does no more than give logins for a job's own identity; with
    `is_own_exchange` the registry does that itself, under whatever name it has. `filler_user` is the user name that
    goes with a token given alone; `SELF` stands for the token itself. `hints` say, by status, what to do about an
    answer that means something particular there. `pod_labels` are what pods of Kubernetes need to be given an identity.
    """

    name: str
    capabilities: Capabilities
    suffixes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    is_host: Callable[[str], bool] | None = None
    api: str = ""
    cloud: Callable[[], CloudProvider] | None = None
    regions: Callable[[], RegionalProvider] | None = None
    exchange: Callable[[], CloudProvider] | None = None
    is_own_exchange: bool = False
    filler_user: str = ""
    hints: Mapping[int, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)

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
        return self.api if self.api and self.matches(host) else host

    def cloud_services(self, endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
        """Return what stands behind the registry, or ``None`` where `endpoint.credential` counts alone."""
        # Not behind a host of another name that was only said to be one: logins are for the cloud's own.
        load = self.regions or self.cloud
        if endpoint.identity is not None:
            load = load or self.exchange
        is_there = self.is_own_exchange or self.matches(endpoint.host)
        return load().cloud_services(endpoint, cloud) if load and is_there else None

    @property
    def identity(self) -> type[CloudIdentity] | None:
        """Return the class of those who ask its cloud for a login."""
        load = self.regions or self.cloud
        return load().IDENTITY if load else None

    @property
    def job_identity(self) -> type[CloudIdentity] | None:
        """Return the class of jobs that get a login for their own identity."""
        load = self.regions or self.cloud or self.exchange
        return load().IDENTITY if load else None

    @property
    def regional(self) -> RegionalProvider | None:
        """Return its cloud, where that has regions."""
        return self.regions() if self.regions else None


def complete(credential: Credential, family: Family) -> Credential:
    """Return a login that is only a token the user name that the family takes with it."""
    user = family.filler_user
    if credential.username or not credential.password or not user:
        return credential
    return replace(credential, username=credential.password.reveal() if user == SELF else user)
