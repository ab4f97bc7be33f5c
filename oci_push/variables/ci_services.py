"""Continuous integration services: which of their variables hold what the ``CF_*`` variables mean.

A service is told by a variable of its own, and is a table: for each ``CF_*`` variable the places that it may be from.
The first that gives a text wins. Codefresh itself needs none: its variables are in the environment. Where a
service builds the merge of a pull request, branch and revision are those of the pull request.

Names that begin with ``event.`` are of the file that GitHub writes about the event, ``CF_REVISION`` is what the table
has found for it, and all others are of the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from oci_push.variables.derived import escape_quotes
from oci_push.variables.github_event import GithubEvent
from oci_push.variables.repository_url import parse_repository_url

Environment = Mapping[str, str]
Look: TypeAlias = Callable[[str], str]
"""Return a value by its name, or nothing."""
_REVISION = "CF_REVISION"
_FOLDER = "(?:refs/heads/|refs/tags/|refs/remotes/origin/|refs/pull/|remotes/origin/|origin/)?+"


class CiValue(Struct, frozen=True):
    """A system variable, and which of the service's variables it is from."""

    name: str
    text: str
    origin: str


class Place(Struct, frozen=True):
    """A place that a variable may be from: the first of `names` that is set, and what `read` makes of it.

    `of` names what the revision must be from: of another commit than the one named, author and message say nothing.
    """

    names: tuple[str, ...]
    read: Callable[[str, Look], str] = lambda text, look: text
    of: str = ""


class CiService(Struct, frozen=True):
    """A service: it is there when `marker` is set; a name alone in `table` is a variable that is taken as it is."""

    name: str
    marker: str
    table: Mapping[str, tuple[str | Place, ...]]

    def values(self, env: Environment, event: str = "") -> tuple[CiValue, ...]:
        """Return what the service tells; `event` is the text of GitHub's file. What it leaves empty is not told."""
        told = GithubEvent.parse(event)
        found: dict[str, CiValue] = {}

        def look(name: str) -> str:
            if name == _REVISION:
                return found[name].text if name in found else ""
            return told.text(*name.split(".")[1:]) if name.startswith("event.") else env.get(name, "")

        for name, places in self.table.items():
            revision = found.get(_REVISION)
            for place in (Place((one,)) if isinstance(one, str) else one for one in places):
                is_meant = not place.of or (revision is not None and revision.origin == place.of)
                if is_meant and (value := _value(name, place, look)).text:
                    found[name] = value
                    break
        return tuple(found.values())


def find_service(env: Environment) -> CiService | None:
    """Find the service that set `env`."""
    return next((service for service in SERVICES if env.get(service.marker, "").lower() not in ("", "false")), None)


def _value(name: str, place: Place, look: Look) -> CiValue:
    origin = next((one for one in place.names if look(one)), "")
    text = place.read(look(origin), look) if origin else ""
    return CiValue(name, text, "event" if origin.startswith("event.") else origin)


def _part(pattern: str, *names: str, of: str = "") -> Place:
    """Return the place whose text is the group of a pattern that fits the whole value."""

    def read(text: str, look: Look) -> str:
        match = re.fullmatch(pattern, text, re.DOTALL)
        return match[1] if match else ""

    return Place(names, read, of)


def _branch(*names: str) -> Place:
    """Return the place of a branch or tag, whose text is without the reference's folder."""
    return _part(f"{_FOLDER}(.*)", *names)


def _message(name: str, *, of: str = "") -> Place:
    return Place((name,), lambda text, look: escape_quotes(text), of)


def _trigger(name: str, *git_events: str) -> Place:
    return Place((name,), lambda text, look: "webhook" if text in git_events else "build")


def _filled(template: str) -> Place:
    """Return the place of a URL made of variables, all of which must be set; the last one counts as its origin."""
    names = re.findall(r"{(\w+)}", template)

    def read(text: str, look: Look) -> str:
        values = {name: look(name).strip("/").replace(" ", "%20") for name in names}
        return template.format_map(values) if all(values.values()) else ""

    return Place((next(name for name in reversed(names) if name != _REVISION),), read)


def _joined(folder: str, name: str) -> Place:
    return Place((name,), lambda text, look: f"{look(folder)}/{text}" if look(folder) else text)


def _from_repository(*names: str) -> dict[str, tuple[Place]]:
    """Return the rows of owner, name and the commit's page, which the repository's address tells."""
    return {
        "CF_REPO_OWNER": (Place(names, lambda text, look: parse_repository_url(text).owner),),
        "CF_REPO_NAME": (Place(names, lambda text, look: parse_repository_url(text).name),),
        "CF_COMMIT_URL": (Place(names, lambda text, look: parse_repository_url(text).commit_url(look(_REVISION))),),
    }


def _milliseconds(text: str, look: Look) -> str:
    try:
        return str(int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError):
        return ""


_GITHUB_BY_HAND = ("workflow_dispatch", "repository_dispatch", "workflow_call", "workflow_run", "schedule")
_GITLAB_HEAD = ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME")
# USER:BRANCH for a fork's; git allows no colon in names.
_BUILDKITE_BRANCH = _part(f"{_FOLDER}(?:.*:)?(.*)", "BUILDKITE_TAG", "BUILDKITE_BRANCH")
_BUILDKITE_REQUEST = "BUILDKITE_PULL_REQUEST"
_AZURE_HEAD = "SYSTEM_PULLREQUEST_SOURCEBRANCH"

# https://docs.github.com/en/actions/reference/workflows-and-actions/variables (Gitea and Forgejo set the same) and
# https://docs.github.com/en/webhooks/webhook-events-and-payloads
_GITHUB: dict[str, tuple[str | Place, ...]] = {
    _REVISION: ("event.pull_request.head.sha", "GITHUB_SHA"),
    # In the run of a pull request GITHUB_REF_NAME is 7/merge.
    "CF_BRANCH": (_branch("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "GITHUB_REF"),),
    "CF_BASE_BRANCH": (
        "event.release.target_commitish",
        Place(
            ("event.base_ref",),
            lambda text, look: text.removeprefix("refs/heads/") if look("event.ref").startswith("refs/tags/") else "",
        ),
    ),
    "CF_COMMIT_AUTHOR": ("event.head_commit.author.name",),
    "CF_COMMIT_MESSAGE": (_message("event.head_commit.message"),),
    "CF_COMMIT_URL": (_filled("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/commit/{CF_REVISION}"),),
    "CF_REPO_OWNER": (_part("(.*)/[^/]*", "GITHUB_REPOSITORY"),),
    "CF_REPO_NAME": (_part("(?:.*/)?([^/]*)", "GITHUB_REPOSITORY"),),
    "CF_BUILD_ID": ("GITHUB_RUN_ID",),
    "CF_BUILD_INITIATOR": ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
    "CF_BUILD_TRIGGER": (
        Place(("GITHUB_EVENT_NAME",), lambda text, look: "build" if text in _GITHUB_BY_HAND else "webhook"),
    ),
    "CF_BUILD_URL": (_filled("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),),
    "CF_PIPELINE_NAME": ("GITHUB_WORKFLOW",),
    "CF_PULL_REQUEST_ACTION": ("event.pull_request.action",),
    "CF_PULL_REQUEST_ID": ("event.pull_request.id",),
    "CF_PULL_REQUEST_NUMBER": (
        "event.pull_request.number",
        _part("refs/pull/([^/]*)(?:/head)?(?:/merge)?", "GITHUB_REF"),
    ),
    "CF_PULL_REQUEST_TARGET": ("event.pull_request.base.ref", "GITHUB_BASE_REF"),
    "CF_PULL_REQUEST_LABELS": ("event.pull_request.labels",),
    "CF_PULL_REQUEST_TITLE": ("event.pull_request.title",),
    "CF_PULL_REQUEST_COMMENT": ("event.pull_request.comment.body",),
    "CF_PULL_REQUEST_COMMENT_AUTHOR": ("event.pull_request.comment.user.login",),
    "CF_PULL_REQUEST_MERGED": ("event.pull_request.merged",),
    "CF_PULL_REQUEST_HEAD_BRANCH": ("event.pull_request.head.ref", "GITHUB_HEAD_REF"),
    "CF_PULL_REQUEST_HEAD_COMMIT_SHA": ("event.pull_request.head.sha",),
    "CF_PULL_REQUEST_MERGED_COMMIT_SHA": (
        Place(
            ("event.pull_request.merge_commit_sha",),
            lambda text, look: text if look("event.pull_request.merged") == "true" else "",
        ),
    ),
    "CF_RELEASE_NAME": ("event.release.name",),
    "CF_RELEASE_TAG": ("event.release.tag_name",),
    "CF_RELEASE_ID": ("event.release.id",),
    "CF_PRERELEASE_FLAG": ("event.release.prerelease",),
}

# https://docs.gitlab.com/ci/variables/predefined_variables/
_GITLAB: dict[str, tuple[str | Place, ...]] = {
    # The first is only there when the pipeline runs on the merge's result.
    _REVISION: ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
    "CF_BRANCH": (_branch(*_GITLAB_HEAD, "CI_COMMIT_TAG", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),),
    "CF_COMMIT_AUTHOR": (_part("(.*?)(?: <.*)?", "CI_COMMIT_AUTHOR", of="CI_COMMIT_SHA"),),
    "CF_COMMIT_MESSAGE": (_message("CI_COMMIT_MESSAGE", of="CI_COMMIT_SHA"),),
    "CF_COMMIT_URL": (_filled("{CI_PROJECT_URL}/-/commit/{CF_REVISION}"),),
    "CF_REPO_OWNER": ("CI_PROJECT_NAMESPACE",),
    "CF_REPO_NAME": ("CI_PROJECT_NAME",),
    "CF_BUILD_ID": ("CI_PIPELINE_ID",),
    "CF_BUILD_URL": ("CI_PIPELINE_URL",),
    "CF_BUILD_INITIATOR": ("GITLAB_USER_LOGIN",),
    "CF_BUILD_TRIGGER": (_trigger("CI_PIPELINE_SOURCE", "push", "merge_request_event", "external_pull_request_event"),),
    "CF_BUILD_TIMESTAMP": (Place(("CI_PIPELINE_CREATED_AT",), _milliseconds),),
    "CF_PIPELINE_NAME": ("CI_PROJECT_PATH",),
    "CF_PULL_REQUEST_ID": ("CI_MERGE_REQUEST_ID",),
    "CF_PULL_REQUEST_NUMBER": ("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"),
    "CF_PULL_REQUEST_TARGET": (
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
        "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME",
    ),
    "CF_PULL_REQUEST_HEAD_BRANCH": _GITLAB_HEAD,
    "CF_PULL_REQUEST_TITLE": ("CI_MERGE_REQUEST_TITLE",),
    "CF_PULL_REQUEST_LABELS": ("CI_MERGE_REQUEST_LABELS",),
}

# https://buildkite.com/docs/pipelines/configure/environment-variables
_BUILDKITE: dict[str, tuple[str | Place, ...]] = {
    # HEAD is that of a build begun by hand, before its checkout.
    _REVISION: (_part("(?!HEAD$)(.*)", "BUILDKITE_COMMIT"),),
    "CF_BRANCH": (_BUILDKITE_BRANCH,),
    "CF_COMMIT_AUTHOR": ("BUILDKITE_BUILD_AUTHOR",),
    "CF_COMMIT_MESSAGE": (_message("BUILDKITE_MESSAGE"),),
    **_from_repository("BUILDKITE_REPO"),
    "CF_BUILD_ID": ("BUILDKITE_BUILD_ID",),
    "CF_BUILD_URL": ("BUILDKITE_BUILD_URL",),
    "CF_BUILD_INITIATOR": ("BUILDKITE_BUILD_CREATOR",),
    "CF_BUILD_TRIGGER": (_trigger("BUILDKITE_SOURCE", "webhook"),),
    "CF_PIPELINE_NAME": (
        _joined("BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG"),
        "BUILDKITE_ORGANIZATION_SLUG",
    ),
    "CF_PULL_REQUEST_NUMBER": (_part("(?!false$)(.*)", _BUILDKITE_REQUEST),),
    "CF_PULL_REQUEST_HEAD_BRANCH": (
        Place(
            _BUILDKITE_BRANCH.names,
            lambda text, look: (
                _BUILDKITE_BRANCH.read(text, look) if look(_BUILDKITE_REQUEST) not in ("", "false") else ""
            ),
        ),
    ),
    "CF_PULL_REQUEST_TARGET": ("BUILDKITE_PULL_REQUEST_BASE_BRANCH",),
    "CF_PULL_REQUEST_LABELS": ("BUILDKITE_PULL_REQUEST_LABELS",),
}

# https://circleci.com/docs/reference/variables/
_CIRCLECI_URL = _from_repository("CIRCLE_REPOSITORY_URL")
_CIRCLECI: dict[str, tuple[str | Place, ...]] = {
    _REVISION: ("CIRCLE_SHA1",),
    "CF_BRANCH": ("CIRCLE_TAG", "CIRCLE_BRANCH"),
    "CF_COMMIT_URL": _CIRCLECI_URL["CF_COMMIT_URL"],
    "CF_REPO_OWNER": ("CIRCLE_PROJECT_USERNAME", *_CIRCLECI_URL["CF_REPO_OWNER"]),
    "CF_REPO_NAME": ("CIRCLE_PROJECT_REPONAME", *_CIRCLECI_URL["CF_REPO_NAME"]),
    "CF_BUILD_ID": ("CIRCLE_BUILD_NUM",),
    "CF_BUILD_URL": ("CIRCLE_BUILD_URL",),
    "CF_BUILD_INITIATOR": ("CIRCLE_USERNAME",),
    # The first is for forks only.
    "CF_PULL_REQUEST_NUMBER": ("CIRCLE_PR_NUMBER", _part(r"(?:.*/)?(\d+)", "CIRCLE_PULL_REQUEST")),
}

# https://learn.microsoft.com/azure/devops/pipelines/build/variables
_AZURE: dict[str, tuple[str | Place, ...]] = {
    # The first is named by the agent, though not in the documentation.
    _REVISION: ("SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"),
    "CF_BRANCH": (_branch(_AZURE_HEAD, "BUILD_SOURCEBRANCH"),),
    "CF_COMMIT_MESSAGE": (_message("BUILD_SOURCEVERSIONMESSAGE", of="BUILD_SOURCEVERSION"),),
    **_from_repository("BUILD_REPOSITORY_URI"),
    "CF_BUILD_ID": ("BUILD_BUILDID",),
    "CF_BUILD_URL": tuple(
        _filled(f"{{{collection}}}/{{SYSTEM_TEAMPROJECT}}/_build/results?buildId={{BUILD_BUILDID}}")
        for collection in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI")
    ),
    "CF_BUILD_INITIATOR": ("BUILD_REQUESTEDFOR",),
    "CF_BUILD_TRIGGER": (_trigger("BUILD_REASON", "IndividualCI", "BatchedCI", "PullRequest"),),
    "CF_PIPELINE_NAME": (_joined("SYSTEM_TEAMPROJECT", "BUILD_DEFINITIONNAME"), "SYSTEM_TEAMPROJECT"),
    "CF_PULL_REQUEST_ID": ("SYSTEM_PULLREQUEST_PULLREQUESTID",),
    "CF_PULL_REQUEST_NUMBER": ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
    "CF_PULL_REQUEST_HEAD_BRANCH": (_branch(_AZURE_HEAD),),
    "CF_PULL_REQUEST_TARGET": (_branch("SYSTEM_PULLREQUEST_TARGETBRANCH"),),
}

# The page /pipeline-syntax/globals of every Jenkins, and https://plugins.jenkins.io/git/
_JENKINS: dict[str, tuple[str | Place, ...]] = {
    _REVISION: ("GIT_COMMIT",),
    # BRANCH_NAME is PR-7 for a pull request, GIT_BRANCH is origin/main, or "detached".
    "CF_BRANCH": (
        _part(
            f"{_FOLDER}(?!detached$)(.*)",
            *("CHANGE_BRANCH", "TAG_NAME", "BRANCH_NAME", "GIT_LOCAL_BRANCH", "GIT_BRANCH"),
        ),
    ),
    **_from_repository("GIT_URL", "GIT_URL_1"),
    "CF_BUILD_ID": ("BUILD_ID", "BUILD_NUMBER"),
    "CF_BUILD_URL": ("BUILD_URL",),
    "CF_BUILD_INITIATOR": ("BUILD_USER_ID", "BUILD_USER"),
    "CF_PIPELINE_NAME": ("JOB_NAME",),
    "CF_PULL_REQUEST_ID": ("CHANGE_ID",),
    "CF_PULL_REQUEST_NUMBER": ("CHANGE_ID",),
    "CF_PULL_REQUEST_TARGET": ("CHANGE_TARGET",),
    "CF_PULL_REQUEST_HEAD_BRANCH": ("CHANGE_BRANCH",),
    "CF_PULL_REQUEST_TITLE": ("CHANGE_TITLE",),
}

SERVICES = (
    CiService("GitHub Actions", "GITHUB_ACTIONS", _GITHUB),
    CiService("GitLab CI", "GITLAB_CI", _GITLAB),
    CiService("Buildkite", "BUILDKITE", _BUILDKITE),
    CiService("CircleCI", "CIRCLECI", _CIRCLECI),
    CiService("Azure Pipelines", "TF_BUILD", _AZURE),
    CiService("Jenkins", "JENKINS_URL", _JENKINS),
)
"""Every service, in the order in which they are looked for: Jenkins may start the agents of others."""
