"""GitHub's event file, which ``GITHUB_EVENT_PATH`` names: values by their path; their meaning is in `ci_services`."""

from __future__ import annotations

import json

from msgspec import Struct


class GithubEvent(Struct, frozen=True):
    """An event; a text that is none, or none of JSON, holds nothing.

    What happened to a pull request, and the comment on it, stand with the pull request, as they do not in the file; a
    comment there comes with an issue that has a pull request.
    """

    content: object

    @classmethod
    def parse(cls, text: str) -> GithubEvent:
        """Read the file's text."""
        try:
            event: object = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            return cls({})
        if not isinstance(event, dict):
            return cls({})
        request, issue = event.get("pull_request"), event.get("issue")
        if request is None and isinstance(issue, dict) and issue.get("pull_request") is not None:
            request = issue
        if isinstance(request, dict):
            request = {**request, "action": event.get("action"), "comment": event.get("comment")}
        return cls({**event, "pull_request": request})

    def text(self, *path: str) -> str:
        """Return the text of a value, or the names of its members, by commas; nothing where there is none."""
        value = self.content
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, list):
            return ",".join(GithubEvent(member).text("name") for member in value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int) else ""
