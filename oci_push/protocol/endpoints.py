"""URLs of the distribution API (distribution-spec, "Endpoints"), relative to the registry's origin; and what messages
call the things that are there.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from oci_push.errors import ProtocolViolationError
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol.call import Reply
from oci_push.secret import Secret, masked

_OUR_QUERY = frozenset(
    {"audience", "account", "digest", "from", "last", "mount", "n", "scope", "service", "tag", "artifactType"}
)
_LEAST_SIGNATURE = 12


def blob(repository: Repository, digest: Digest) -> str:
    """Return end-2 and end-10."""
    return f"/v2/{repository.path}/blobs/{digest}"


def uploads(repository: Repository, query: str = "") -> str:
    """Return end-4 and end-11; the trailing slash matters (301 without, on distribution)."""
    return f"/v2/{repository.path}/blobs/uploads/" + (f"?{query}" if query else "")


def manifest(repository: Repository, target: str, query: str = "") -> str:
    """Return end-3, end-7 and end-9; `target` is a tag or a digest."""
    return f"/v2/{repository.path}/manifests/{target}" + (f"?{query}" if query else "")


def tags(repository: Repository) -> str:
    """Return end-8."""
    return f"/v2/{repository.path}/tags/list"


def blob_name(repository: Repository, digest: Digest) -> str:
    """Return how messages call a blob."""
    return f"{repository}: blob {digest}"


def manifest_name(repository: Repository, target: str) -> str:
    """Return how messages call a manifest, as references write it; `target` is a tag or a digest."""
    return f"{repository}{'@' if ':' in target else ':'}{target}"


def pull_scope(repository: Repository) -> str:
    """Name the token scope for reading."""
    return f"repository:{repository.path}:pull"


def push_scope(repository: Repository) -> str:
    """Name the token scope for writing; distribution wants pull beside push for an upload's POST."""
    return f"repository:{repository.path}:pull,push"


def with_query(url: str, query: str) -> str:
    """Append a parameter by text: the server may have signed what is there, so it is never parsed."""
    return f"{url}{'&' if '?' in url else '?'}{query}"


def location(reply: Reply, what: str) -> str:
    """Resolve the answer's Location against where the answer came from; raise when there is none."""
    text = reply.headers.get("location", "").strip()
    if not text:
        raise ProtocolViolationError(
            f"{what}: the registry opened an upload but sent no Location", url=bare(reply.url), status=reply.status
        )
    if text.startswith(("http://", "https://")):
        return text
    base = urlsplit(reply.url)
    if text.startswith("//"):
        return f"{base.scheme}:{text}"
    if text.startswith("/"):
        return f"{base.scheme}://{base.netloc}{text}"
    if text.startswith("?"):
        return f"{base.scheme}://{base.netloc}{base.path}{text}"
    return f"{base.scheme}://{base.netloc}{base.path.rsplit('/', 1)[0]}/{text}"


def learn_query(url: str) -> None:
    """Make known what signs a URL that a server gave us: whoever has it may write there."""
    for name, value in parse_qsl(urlsplit(url).query) if "?" in url else ():
        is_ours = name in _OUR_QUERY or name.startswith("response-")
        if not is_ours and len(value) >= _LEAST_SIGNATURE and not value.startswith(("sha256:", "sha512:")):
            Secret(value)


def bare(url: str) -> str:
    """Return a URL without its query, user and fragment, without secrets that its path repeats: fit for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    return masked(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)
