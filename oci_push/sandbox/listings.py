"""Endpoints that list: tags of a repository, repositories, referrers of a manifest (end-8, catalog, end-12)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from oci_push.model import media
from oci_push.sandbox.blobs import parse_digest
from oci_push.sandbox.exchange import Exchange, Response, json_response, refuse
from oci_push.sandbox.store import Store


class ListEndpoints:
    """Answer requests for lists, in pages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tags(self, exchange: Exchange, repository: str) -> Response:
        """Answer end-8, sorted by code point."""
        if repository not in self._store.repositories():
            raise refuse(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": repository})
        page, link = self.page(exchange, self._store.tags(repository), f"/v2/{repository}/tags/list")
        return json_response(200, {"name": repository, "tags": page}, *link)

    def catalog(self, exchange: Exchange) -> Response:
        """Answer ``/v2/_catalog``, which is distribution's and not the specification's."""
        page, link = self.page(exchange, self._store.repositories(), "/v2/_catalog")
        return json_response(200, {"repositories": page}, *link)

    def referrers(self, exchange: Exchange, repository: str, reference: str) -> Response:
        """Answer end-12: what was pushed with this digest as its subject; nothing of it need exist."""
        digest = parse_digest(reference)
        found = [m.descriptor for m in self._store.manifests(repository) if m.subject == digest]
        wanted = exchange.first("artifactType")
        if wanted:
            found = [descriptor for descriptor in found if descriptor.artifact_type == wanted]
        index = {
            "schemaVersion": 2,
            "mediaType": media.OCI_INDEX,
            "manifests": [descriptor.to_json() for descriptor in found],
        }
        applied = (("OCI-Filters-Applied", "artifactType"),) if wanted else ()
        return json_response(200, index, *applied, media_type=media.OCI_INDEX)

    def page(
        self, exchange: Exchange, names: Sequence[str], path: str
    ) -> tuple[list[str], tuple[tuple[str, str], ...]]:
        """Return the names that this request asks for, and the Link header where there are more."""
        asked, last = exchange.first("n"), exchange.first("last")
        if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 10):
            raise refuse(400, "PAGINATION_NUMBER_INVALID", "n is not a number", asked)
        after = [name for name in names if name > last]
        page = after[: int(asked)] if asked else after
        if not page or len(page) == len(after):
            return page, ()
        query = urlencode({"n": int(asked), "last": page[-1]})
        return page, (("Link", f'<{path}?{query}>; rel="next"'),)
