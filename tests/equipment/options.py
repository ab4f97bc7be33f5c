"""What a sandbox registry supports and insists on: one switch for each way in which real registries differ."""

from __future__ import annotations

import ssl
from typing import Literal

from msgspec import Struct, field

from oci_push.secret import Secret


class SandboxOptions(Struct, frozen=True):
    """How the sandbox of tests behaves; the defaults are an open registry of specification 1.1, `REHEARSAL` one that
    can do all that clients ask for.

    Authentication: with `auth` ``bearer`` the sandbox is its own token server, tokens live `token_life_s` seconds;
    `one_scope` grants the first scope of a request and none of the others, as GitLab does.

    Uploads: `mount` off answers 202 to every mount; `anonymous_mount` finds a blob without ``from``;
    `single_post` takes ``POST ?digest=`` with a body (else the body is thrown away and 202 opens a session, as
    distribution does). `chunk_min` and `chunk_max` are announced in ``OCI-Chunk-…-Length``, `max_body` is a limit
    nobody announces; all three are bytes and 0 means none. `patch` off is Google's registry, `patch_status` 201
    is Amazon's, `resume` off is distribution 2.8.2: a body that breaks off kills its session. `stale_cancel` off is
    distribution 3: a DELETE to a Location from before the last byte is 416, and the session stays.

    Manifests: `multi_tag` is end-7b of the specification after 1.1.1; `tag_digest` takes ``?digest=`` beside a tag for
    the manifest's digest, of whatever algorithm (else tags are known by sha256 alone); `immutable_tags` refuses a tag
    that exists, also for the same digest, as ECR does; `require_manifest_blobs` refuses a manifest that names what is
    missing.

    Answers: `page_size` caps a page of tags; `location_host` (``host:port`` or ``scheme://host:port``) stands in
    every absolute Location in place of the Host header; `warning` is sent as ``Warning: 299 - "…"``.
    """

    auth: Literal["open", "basic", "bearer"] = "open"
    username: str = "sandbox"
    password: Secret = field(default_factory=lambda: Secret("sandbox"))
    token_life_s: int = 300
    one_scope: bool = False
    mount: bool = True
    anonymous_mount: bool = False
    single_post: bool = False
    multi_tag: bool = False
    tag_digest: bool = False
    referrers: bool = True
    chunk_min: int = 0
    chunk_max: int = 0
    max_body: int = 0
    relative_location: bool = False
    page_size: int = 0
    delete: bool = True
    immutable_tags: bool = False
    patch: bool = True
    patch_status: int = 202
    resume: bool = True
    stale_cancel: bool = True
    require_manifest_blobs: bool = True
    location_host: str = ""
    warning: str = ""
    ssl_context: ssl.SSLContext | None = None


REHEARSAL = SandboxOptions(anonymous_mount=True, single_post=True, multi_tag=True, tag_digest=True)
"""What `oci-push sandbox` and rehearsals serve: every way that a push may take is taken there."""
