"""Lists that come in pages: the tags of a repository (end-8), the repositories of a registry, referrers (end-12).

A page is followed by the one that its ``Link`` names and by no other: whether there are more is never told from a
page's length. How many are asked for at a time is left out where a registry refuses the number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from msgspec.structs import replace

from oci_push.errors import DeniedError, ProtocolViolationError, RegistryError
from oci_push.model.manifest import load_json
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import Call, Flow, Reply

PAGE = 1000
"""The most that ECR's tags and distribution's catalog take in one page; others give fewer without a word."""
MAX_PAGES = 10_000
MAX_LIST_BYTES = 32 * 1024 * 1024
"""How long all pages of a list may be together: 200,000 of the longest tags are 26 MB."""
_LINK = re.compile(r'(?:<([^<>\s]+)>|(?:^|,)\s*([^<>;,\s]+))\s*(?:;[^<>,;]*)*;\s*rel\s*=\s*"?next\b', re.IGNORECASE)
"""A link with this relation, whatever else it says before (RFC 8288 3); some registries leave the brackets out."""
_MAX_NAMES = 200_000
_REFUSES_NUMBER = frozenset({400, 416, 422})


def _never(names: set[str]) -> bool:
    return False


def list_tags(
    repository: Repository, page: int = 0, *, is_enough: Callable[[set[str]], bool] = _never
) -> Flow[tuple[str, ...]]:
    """List the tags of a repository, sorted, without repeats; `page` is how many are asked for at a time, 0 no number.

    Where the names come in order, no more pages are asked for once `is_enough` says so of what has come.
    """
    scope = endpoints.pull_scope(repository)
    call = Call("GET", endpoints.tags(repository), scopes=(scope,), what=f"{repository}: tags")
    return (yield from _names(call, page, "tags", is_enough))


def list_repositories(
    host: str, page: int = 0, *, is_enough: Callable[[set[str]], bool] = _never
) -> Flow[tuple[str, ...]]:
    """List the repositories of a registry as `list_tags` does tags; distribution's, and not in the specification."""
    call = Call("GET", "/v2/_catalog", scopes=("registry:catalog:*",), what=f"{host}: repositories")
    return (yield from _names(call, page, "repositories", is_enough))


def next_page(call: Call, reply: Reply) -> str:
    """Return where a list goes on, empty where it ends; raises `ProtocolViolationError` for another registry."""
    link = _LINK.search(",".join(reply.values("link")))
    if not link:
        return ""
    try:
        url: str = urljoin(reply.url, link[1] or link[2])
        is_near = urlsplit(url)[:2] == urlsplit(reply.url)[:2]
    except ValueError as problem:
        raise ProtocolViolationError(f"{call.what}: the link to the next page is no URL", method="GET") from problem
    if not is_near:
        raise ProtocolViolationError(
            f"{call.what}: the next page is said to be at {endpoints.bare(url)[:120]}; refused",
            hint="a list goes on where it began; check the registry's external URL setting",
            method="GET",
        )
    return url


def _names(call: Call, page: int, key: str, is_enough: Callable[[set[str]], bool]) -> Flow[tuple[str, ...]]:
    reply = yield from _first(call, page)
    found: set[str] = set()
    seen: set[str] = set()
    in_order, last, size = True, "", 0
    while True:
        names = _read(call, reply, key)
        size += len(reply.body)
        in_order = in_order and names == sorted(names) and (not names or names[0] >= last)
        last = names[-1] if names else last
        found.update(names)
        if len(found) > _MAX_NAMES:
            raise ProtocolViolationError(f"{call.what}: more than {_MAX_NAMES}", method="GET", status=reply.status)
        url = next_page(call, reply)
        if not url or url in seen or (in_order and is_enough(found)):
            return tuple(sorted(found))
        if len(seen) == MAX_PAGES or size > MAX_LIST_BYTES:
            most = f"{MAX_PAGES} pages" if len(seen) == MAX_PAGES else f"{MAX_LIST_BYTES} bytes"
            raise ProtocolViolationError(f"{call.what}: more than {most}", method="GET")
        seen.add(url)
        reply = yield replace(call, url=url)


def _first(call: Call, page: int) -> Flow[Reply]:
    if not page:
        return (yield call)
    try:
        return (yield replace(call, url=f"{call.url}?n={page}"))
    except RegistryError as refused:
        if isinstance(refused, DeniedError) or refused.status not in _REFUSES_NUMBER:
            raise
    return (yield call)


def _read(call: Call, reply: Reply, key: str) -> list[str]:
    try:
        names = load_json(reply.body, f"{call.what}: the list").get(key)
    except ValueError as problem:
        raise ProtocolViolationError(str(problem), method="GET", status=reply.status) from problem
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
