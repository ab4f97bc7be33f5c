"""Addresses of git repositories: whose they are, and where a commit is shown.

Logins in an address are left out of everything that is made from it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from msgspec import Struct

_COMMIT_PAGES = {"github": "commit", "gitlab": "-/commit", "bitbucket": "commits", "azure": "commit"}
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "ssh+git")
_WITH_SCHEME = re.compile(r"([a-z+]+)://(?:[^/@]*@)?([^/]+)/(.+)")
# git@host:path; with a slash before the colon it is a folder, with a second colon a helper's address
_LIKE_SCP = re.compile(r"(?:[^/@:]*@)?([^/@:]+):(?!//)([^:].*)")


class RepositoryUrl(Struct, frozen=True):
    """The parts of an address; all empty when it is a folder or nothing known."""

    host: str = ""
    owner: str = ""
    name: str = ""
    page: str = ""

    def commit_url(self, revision: str) -> str:
        """Return the web page of a commit, where the host is one whose pages are known."""
        kind = next((kind for kind in _COMMIT_PAGES if kind in self.host), "")
        if not (kind and self.page and revision):
            return ""
        return f"{self.page}/{_COMMIT_PAGES[kind]}/{revision}"


def parse_repository_url(text: str) -> RepositoryUrl:
    """Take an address of git's apart: ``https://…``, ``ssh://…``, ``git@host:owner/name``."""
    scheme, host, path = _parts(text.strip())
    path = path.partition("?")[0].strip("/").removesuffix(".git").rstrip("/")
    # Azure writes ORG/PROJECT/_git/NAME, and v3/ORG/PROJECT/NAME for ssh.
    components = [unquote(part) for part in path.split("/") if part and part != "_git"]
    if not host or not components:
        return RepositoryUrl()
    if host == "ssh.dev.azure.com":
        return RepositoryUrl(host, "/".join(components[1:-1]), components[-1])
    web = host if scheme in ("https", "http") else host.partition(":")[0]
    page = f"{'http' if scheme == 'http' else 'https'}://{web}/{path}"
    return RepositoryUrl(host, "/".join(components[:-1]), components[-1], page)


def _parts(text: str) -> tuple[str, str, str]:
    found = _WITH_SCHEME.fullmatch(text)
    if found:
        return (found[1], found[2].rpartition("@")[2], found[3]) if found[1] in _SCHEMES else ("", "", "")
    found = _LIKE_SCP.fullmatch(text)
    return ("ssh", found[1], found[2]) if found else ("", "", "")
