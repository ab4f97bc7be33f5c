"""The families of registries, as one table in the order in which they are asked. A new one is an entry here.

A family is told by its hosts. What is said of it comes from its vendor's documentation or code, which each entry names.
What stands behind a cloud's registry is a module of its own, imported when a registry of that family is met.
"""

from __future__ import annotations

from functools import lru_cache

from oci_push.errors import ConfigError
from oci_push.model.reference import DOCKER_HUB, canonical_host
from oci_push.providers.base import MIB, SELF, Capabilities, CloudProvider, Family, RegionalProvider
from oci_push.providers.ecr import host as ecr_host


def _ecr() -> RegionalProvider:
    from oci_push.providers.ecr import provider

    return provider


def _ecr_public() -> CloudProvider:
    from oci_push.providers.ecr import public

    return public


def _google() -> CloudProvider:
    from oci_push.providers import google

    return google


def _azure() -> CloudProvider:
    from oci_push.providers import azure

    return azure


def _dockerhub() -> CloudProvider:
    from oci_push.providers import dockerhub

    return dockerhub


def _quay() -> CloudProvider:
    from oci_push.providers import quay

    return quay


def _artifactory() -> CloudProvider:
    from oci_push.providers import artifactory

    return artifactory


FAMILIES: tuple[Family, ...] = (
    # Docker Hub: references say ``docker.io``, requests go to ``registry-1.docker.io``.
    # Names of one part lie under ``library/``, login files call it ``https://index.docker.io/v1/``. Accounts push
    # under their own name and their organisations'. Pulls are limited by account or address, which every answer to a
    # manifest tells in ``RateLimit-Limit`` and ``RateLimit-Remaining`` (Docker documentation, "Usage and limits"). A
    # tag that may not move is 403 (docker/hub-feedback issue 2466); ``origin`` beside a mount breaks pushes
    # (google/go-containerregistry issue 1741). Whether it reads ``?tag=`` is documented nowhere, so it is not tried
    # there.
    Family(
        "dockerhub",
        Capabilities(multi_tag=False),
        is_host=lambda host: canonical_host(host) == DOCKER_HUB,
        api="registry-1.docker.io",
        exchange=_dockerhub,
        hints={
            401: "the Hub lets an account push under its own name and its organisations' only: docker.io/NAME/…",
            403: "the token needs Read & Write, and the repository must let the account push;"
            " the tag may also be immutable",
            429: "log in, so that the account's limit counts and not the address's; oci-push doctor shows what is left",
        },
    ),
    # Amazon ECR's private registries: hosts, how the data plane differs, and AWS behind them.
    # Pieces are at least 5 MiB except the last (ECR API, UploadLayerPart). Ten manifests a second is what an account
    # may put in a region (ECR service quotas, PutImage), whichever way. An upload cannot be gone on with: its session
    # says wrongly how far it got (aws/containers-roadmap, issue 2831).
    Family(
        "ecr",
        Capabilities(multi_tag=False, chunks=False, chunk_bytes=10 * MIB, chunk_min_bytes=5 * MIB, manifests_per_s=10),
        is_host=lambda host: ecr_host.parse(host) is not None,
        regions=_ecr,
    ),
    # Amazon ECR Public, ``public.ecr.aws``: pieces as in private ECR; mounts are reported to fail.
    # Source of the latter: aws/containers-roadmap issue 1459. Its logins come from us-east-1, whatever else the
    # account uses (ECR Public API reference), and reading needs none.
    Family(
        "ecr-public",
        Capabilities(multi_tag=False, mounts=False, chunks=False, chunk_bytes=10 * MIB, chunk_min_bytes=5 * MIB),
        ("public.ecr.aws",),
        cloud=_ecr_public,
    ),
    # Google Artifact Registry and Container Registry. Uploads are monolithic only: PATCH with Content-Range is
    # refused (Artifact Registry documentation, "Docker").
    Family(
        "google",
        Capabilities(multi_tag=False, chunks=False),
        (".pkg.dev", ".gcr.io", "gcr.io"),
        cloud=_google,
        filler_user="oauth2accesstoken",
        hints={
            403: "the account needs the role Artifact Registry Writer (roles/artifactregistry.writer) on the"
            " repository; images lie below LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/",
            404: "an Artifact Registry repository must exist before the push:"
            " gcloud artifacts repositories create NAME --repository-format=docker --location=LOCATION",
        },
    ),
    # Azure Container Registry. Its front end takes pieces of 4 MiB at least (the Azure SDK's size); larger is fine,
    # and on the Basic tier a body of some 20 MB is answered 413 (goharbor/harbor issue 23015). Locked images answer
    # 405 or 409.
    Family(
        "azure",
        Capabilities(multi_tag=False, chunk_bytes=16 * MIB, chunk_min_bytes=4 * MIB),
        (".azurecr.io", ".azurecr.cn", ".azurecr.us"),
        cloud=_azure,
        filler_user="00000000-0000-0000-0000-000000000000",
        hints={
            403: "the identity needs the role AcrPush on the registry, and the registry's firewall must let it in",
            405: "the image or repository is locked: az acr repository update --write-enabled true",
        },
        # https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
        pod_labels={"azure.workload.identity/use": "true"},
    ),
    # GitHub's ghcr.io: a ranged PATCH over 4 MiB is answered 416, so pieces, where needed, stay below.
    # Several ranged pieces are reported to lose data there, so they are the last way, after one PUT and one stream
    # (notes of bazel-contrib/rules_img). A layer may have 10 GB and take 10 minutes (GitHub documentation, "Working
    # with the Container registry"); the user name beside a token is not looked at.
    Family(
        "github",
        Capabilities(multi_tag=False, chunks=False, chunk_bytes=4 * MIB - 4096, chunk_max_bytes=4 * MIB - 4096),
        ("ghcr.io",),
        filler_user="token",
        hints={
            403: "a classic token needs write:packages, a workflow's GITHUB_TOKEN permissions: {packages: write}, and"
            " the package must allow the repository that it comes from",
            413: "ghcr.io takes layers of 10 GB at most, each within 10 minutes",
        },
    ),
    # GitLab's registries: gitlab.com's, and others that carry ``gitlab`` in their name. They behave as distribution
    # does.
    # Tokens live 5 to 15 minutes. Logins: ``CI_REGISTRY_USER`` and ``CI_REGISTRY_PASSWORD``, ``gitlab-ci-token`` and
    # a job's token, or a deploy, project, group or personal token with ``read_registry`` and ``write_registry``
    # (GitLab documentation, "Authenticate with the container registry"; beside a personal token the user name is not
    # looked at).
    Family(
        "gitlab",
        Capabilities(multi_tag=False),
        ("registry.gitlab.com",),
        labels=("gitlab",),
        filler_user="gitlab-ci-token",
        hints={
            403: "the token needs read_registry and write_registry, its owner the Developer role, and the tag must"
            " not be protected; images lie below the path of an existing project",
        },
    ),
    # Quay: quay.io, and others that carry ``quay`` in their name.
    # A mount without ``from`` gains nothing there (it answers 202 like a plain POST), and a token request whose scope
    # has ``delete`` fails as a whole (quay ``endpoints/v2/v2auth.py``). Ranges begin with ``bytes=0--1``. A robot's
    # name is ``organisation+name``; an OAuth token goes with user ``$oauthtoken`` (Quay documentation, "Robot
    # accounts", "OAuth"). An organisation over its quota is 403, a registry in read-only mode 405.
    Family(
        "quay",
        Capabilities(multi_tag=False, delete_scope=False),
        ("quay.io",),
        labels=("quay",),
        exchange=_quay,
        is_own_exchange=True,
        filler_user="$oauthtoken",
        hints={
            401: "does the repository exist, or may this robot create it? its name is organisation+robot",
            403: "the organisation's quota may be used up, or the robot needs Write on the repository",
            405: "this Quay is in read-only mode",
        },
    ),
    # DigitalOcean: ``registry.digitalocean.com/REGISTRY/…``, distribution with one registry for each account or plan.
    # An API token is both user name and password (DigitalOcean documentation, "Use Docker to manage images"), and so
    # is what ``doctl registry docker-config`` writes.
    Family(
        "digitalocean",
        Capabilities(multi_tag=False),
        ("registry.digitalocean.com",),
        filler_user=SELF,
        hints={
            401: "the API token needs write access to registries; it is both the user name and the password",
            403: "the first part of the image's name is the registry's own name, and its plan may be full",
        },
    ),
    # Cloudflare's registry in a Worker (``serverless-registry``): pieces of 5 MiB at least and 100 MB a request at
    # most.
    # Source: cloudflare/serverless-registry, ``src/registry/r2.ts`` and its README; it announces the largest piece in
    # ``OCI-Chunk-Max-Length``, which is not in the specification. Hosts are people's own; those below ``workers.dev``
    # can be told.
    Family(
        "cloudflare",
        Capabilities(multi_tag=False, chunk_bytes=50 * MIB, chunk_min_bytes=5 * MIB, chunk_max_bytes=100_000_000),
        (".workers.dev",),
    ),
    # JFrog Artifactory (``jfrog.io``, or ``artifactory`` in the name), and Bintray, whose hosts it followed.
    # A repository is a sub-domain, a port, or the first part of the image's name. Mounts answer 202: blobs are shared
    # by checksum once a manifest refers to them, so a mount only costs a question. Old versions want a body by PATCH
    # (issue RTFACT-19344), which the fall-back from PUT finds out. Logins: a user with an access or identity token
    # (JFrog documentation, "Docker Registry"). Writing over a tag needs the permission to delete.
    Family(
        "artifactory",
        Capabilities(multi_tag=False, mounts=False),
        (".jfrog.io", ".bintray.io"),
        labels=("artifactory",),
        exchange=_artifactory,
        is_own_exchange=True,
        hints={
            403: "the user needs Deploy on the repository, and Delete to write over a tag",
            404: "the repository's key is a sub-domain, a port or the first part of the image's name, by its settings",
        },
    ),
    # Harbor: hosts that carry ``harbor`` in their name, and its demonstration site.
    # It is distribution behind a proxy of its own: a mount without ``from`` is an ordinary upload, ``from`` without
    # ``mount`` 400 (goharbor/harbor issue 22078). A tag that may not move is 412 ``PRECONDITION``, a project's policy
    # 412 ``PROJECTPOLICYVIOLATION``, a full quota 403 (Harbor ``src/server/middleware``). A robot is
    # ``robot$project+name``; where people log in by OIDC, the password is their CLI secret (Harbor documentation,
    # "Robot accounts", "OIDC").
    Family(
        "harbor",
        Capabilities(multi_tag=False),
        (".goharbor.io",),
        labels=("harbor",),
        hints={
            401: "is the project there, and a member's or robot's role Developer at least? a robot's name is"
            " robot$project+name, with a dollar sign that a shell takes for a variable",
            403: "the project's storage quota may be used up, or the robot has no push permission",
            404: "the project, the first part of the image's name, must exist before the push",
            412: "an immutability rule or a policy of the project refuses this",
        },
    ),
    # Sonatype Nexus: hosts that carry ``nexus`` in their name.
    # A repository has a port or sub-domain of its own, or since 3.83 stands first in the image's name. Bearer tokens
    # are offered only with the "Docker Bearer Token Realm" switched on, else Basic (Nexus documentation, "Docker
    # Registry"). A repository that does not allow redeploying answers 400, one that is read-only ``UNSUPPORTED``.
    Family(
        "nexus",
        Capabilities(multi_tag=False),
        (),
        labels=("nexus",),
        hints={
            400: "a repository whose deployment policy is read-only or without redeploy takes no tag twice",
            401: "is the Docker Bearer Token Realm active (Security, Realms), and is this a hosted repository's port?",
            403: "the user needs nx-repository-view-docker-NAME-edit; push to a hosted repository, not to a group",
        },
    ),
    # Mirantis Secure Registry, once Docker Trusted Registry: hosts that carry ``dtr`` or ``msr`` in their name.
    # Distribution behind Mirantis' own login: a user name with a password or an access token (Mirantis documentation,
    # "Access tokens"). A repository must exist, unless the registry is set to create one on push.
    Family(
        "dtr",
        Capabilities(multi_tag=False),
        (),
        labels=("dtr", "msr"),
        hints={
            401: "does the repository exist? it is not created by a push unless the registry is set so",
            403: "the user needs read-write access to the repository; a tag may also be immutable",
        },
    ),
    # zot: hosts that carry ``zot`` in their name. It follows the newest specification.
    # Since 2.1.16 it takes many tags in one PUT, and it finds a blob in any repository that the user may read,
    # ``from`` or not (project-zot/zot ``pkg/api/routes.go``).
    Family("zot", Capabilities(anonymous_mount=True), (), labels=("zot",)),
    # Any registry that speaks the distribution API and is nobody's family; always the last entry. What nobody has
    # described is asked: both tries cost little.
    Family("other", Capabilities(anonymous_mount=True, single_post=True), is_host=bool),
)


FAMILY_NAMES = tuple(family.name for family in FAMILIES)


@lru_cache(maxsize=256)
def find_family(host: str, name: str = "") -> Family:
    """Return the family of that name, or where none is named the one that a registry's ``name[:port]`` belongs to.

    The last one takes what nobody else does. Raises `ConfigError` for a name that no family has.
    """
    for family in FAMILIES:
        if family.name == name if name else family.matches(host):
            return family
    raise ConfigError(f"{host}: no family of registries is called {name!r}", hint=f"known: {', '.join(FAMILY_NAMES)}")


def regional(host: str, name: str = "") -> RegionalProvider | None:
    """Return the cloud with regions that a host or a family's name belongs to."""
    return find_family(host, name).regional


def known_regional(name: str) -> RegionalProvider:
    """Return the cloud with regions of a family; raises `ConfigError` where it has none."""
    found = regional("", name)
    if found is None:
        raise ConfigError(f"registries of family {name!r} have no regions")
    return found


def is_region(text: str) -> bool:
    """Return whether any cloud has a region of such a name."""
    return any(family.regional.is_region(text) for family in FAMILIES if family.regional)
