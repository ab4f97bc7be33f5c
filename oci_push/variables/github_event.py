"""GitHub's event file: what a run's ``GITHUB_EVENT_PATH`` tells of commit, pull request and release.

See https://docs.github.com/en/webhooks/webhook-events-and-payloads. A file that is no event tells nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from oci_push.variables.derived import escape_quotes


def event_values(text: str) -> Mapping[str, str]:
    """Return the system variables that an event makes; none are empty."""
    try:
        event: object = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    found = {**_push(event), **_pull_request(event), **_release(event)}
    return {name: value for name, value in found.items() if value}


def _push(event: object) -> dict[str, str]:
    base = _text(event, "base_ref").removeprefix("refs/heads/")
    return {
        "CF_COMMIT_AUTHOR": _text(event, "head_commit", "author", "name"),
        "CF_COMMIT_MESSAGE": escape_quotes(_text(event, "head_commit", "message")),
        "CF_BASE_BRANCH": base if _text(event, "ref").startswith("refs/tags/") else "",
    }


def _pull_request(event: object) -> dict[str, str]:
    # A comment on a pull request comes as an issue that has a pull request.
    source = "pull_request" if _get(event, "pull_request") is not None else "issue"
    if _get(event, source, *(() if source == "pull_request" else ("pull_request",))) is None:
        return {}
    labels = _get(event, source, "labels")
    return {
        "CF_REVISION": _text(event, source, "head", "sha"),
        "CF_PULL_REQUEST_ACTION": _text(event, "action"),
        "CF_PULL_REQUEST_ID": _text(event, source, "id"),
        "CF_PULL_REQUEST_NUMBER": _text(event, source, "number"),
        "CF_PULL_REQUEST_TARGET": _text(event, source, "base", "ref"),
        "CF_PULL_REQUEST_TITLE": _text(event, source, "title"),
        "CF_PULL_REQUEST_LABELS": ",".join(_text(label, "name") for label in labels)
        if isinstance(labels, list)
        else "",
        "CF_PULL_REQUEST_COMMENT": _text(event, "comment", "body"),
        "CF_PULL_REQUEST_COMMENT_AUTHOR": _text(event, "comment", "user", "login"),
        "CF_PULL_REQUEST_MERGED": _text(event, source, "merged"),
        "CF_PULL_REQUEST_HEAD_BRANCH": _text(event, source, "head", "ref"),
        "CF_PULL_REQUEST_HEAD_COMMIT_SHA": _text(event, source, "head", "sha"),
        "CF_PULL_REQUEST_MERGED_COMMIT_SHA": _text(event, source, "merge_commit_sha")
        if _get(event, source, "merged") is True
        else "",
    }


def _release(event: object) -> dict[str, str]:
    if _get(event, "release") is None:
        return {}
    return {
        "CF_RELEASE_NAME": _text(event, "release", "name"),
        "CF_RELEASE_TAG": _text(event, "release", "tag_name"),
        "CF_RELEASE_ID": _text(event, "release", "id"),
        "CF_PRERELEASE_FLAG": _text(event, "release", "prerelease"),
        "CF_BASE_BRANCH": _text(event, "release", "target_commitish"),
    }


def _get(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object, *path: str) -> str:
    found = _get(value, *path)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int) else ""
