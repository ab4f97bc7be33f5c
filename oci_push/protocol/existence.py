"""Looks: is a thing there, and does an answer show it. One rule each, for manifests, tags and blobs.

A success is believed where it shows a sign of the thing: its digest, or a Location that names it. An answer to HEAD has
no body, so what it leaves open is asked once more by GET: a refusal for its reason, a success for the thing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from oci_push.errors import NotFoundError, RegistryError
from oci_push.model.digest import Digest
from oci_push.protocol.call import Call, Flow, Reply


def look(
    call: Call,
    is_clear: Callable[[Reply], bool],
    *,
    headers: Mapping[str, str] | None = None,
    ok_statuses: frozenset[int] = frozenset({200}),
    peeks: bool = False,
) -> Flow[Reply]:
    """Send a HEAD, and a GET where its answer is refused without a word, or says 200 and is not clear.

    404 and 401 are clear, and what may pass is repeated by the session alone. `headers`, `ok_statuses` and `peeks` are
    those of the GET.
    """
    try:
        reply = yield call
    except NotFoundError:
        raise
    except RegistryError as refused:
        if refused.transient or refused.status == 401:
            raise  # a 401 says what it wants in its challenge, which a HEAD's answer has, too
    else:
        if is_clear(reply):
            return reply
    again = replace(
        call, method="GET", headers={**call.headers, **(headers or {})}, ok_statuses=ok_statuses, peeks=peeks
    )
    return (yield again)


def shows(reply: Reply, digest: Digest, place: str = "") -> bool:
    """Return whether a success shows a sign of what it is about: `digest`, or a Location with it or ending in `place`.

    A front end that answers for a registry (a proxy, a captive portal) shows none. A digest of another algorithm is
    none either: distribution names what it was sent as sha512 by its sha256.
    """
    given = reply.headers.get("docker-content-digest", "")
    if given.startswith(f"{digest.algorithm}:"):
        return given == str(digest)
    location = unquote(reply.headers.get("location", ""))
    try:
        path = urlsplit(location).path
    except ValueError:
        return False
    return digest.encoded in location or bool(place and path.endswith(f"/{place}"))
