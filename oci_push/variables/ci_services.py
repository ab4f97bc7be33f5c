"""Continuous integration services: which of their variables hold what the ``CF_*`` variables mean.

A service is told by a variable of its own. Each has a table, the first variable set being taken, and a function for
what has to be put together, which wins over the table. Codefresh itself needs neither: its variables are in the
environment. Where a service builds the merge of a pull request, branch and revision are those of the pull request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from oci_push.variables.derived import escape_quotes
from oci_push.variables.github_event import event_values
from oci_push.variables.repository_url import parse_repository_url

Environment = Mapping[str, str]

_REFERENCES = ("refs/heads/", "refs/tags/", "refs/remotes/origin/", "refs/pull/", "remotes/origin/", "origin/")


class CiValue(Struct, frozen=True):
    """A system variable, and which of the service's variables it is from."""

    name: str
    text: str
    origin: str


class CiService(Struct, frozen=True):
    """Describe a service: it is there when `marker` is set; `table` and `rest` tell its variables.

    `rest` is also given the text of the file that GitHub writes about the event.
    """

    name: str
    marker: str
    table: Mapping[str, tuple[str, ...]]
    rest: Callable[[Environment, str], Iterator[CiValue]]

    def values(self, env: Environment, event: str = "") -> tuple[CiValue, ...]:
        """Return what the service tells; what it leaves empty is not told."""
        found: dict[str, CiValue] = {}
        for value in self.rest(env, event):
            if value.text:
                found.setdefault(value.name, value)
        for name, candidates in self.table.items():
            value = _first(env, name, *candidates)
            if value.text:
                found.setdefault(name, value)
        return tuple(found.values())


def find_service(env: Environment) -> CiService | None:
    """Find the service that set `env`."""
    return next((service for service in SERVICES if env.get(service.marker, "").lower() not in ("", "false")), None)


def _first(env: Environment, name: str, *candidates: str) -> CiValue:
    """Return a variable the value of the first candidate that is set, or none."""
    origin = next((candidate for candidate in candidates if env.get(candidate)), "")
    return CiValue(name, env.get(origin, ""), origin)


def _branch(env: Environment, *candidates: str) -> CiValue:
    """Return the branch or tag, without the reference's folder."""
    found = _first(env, "CF_BRANCH", *candidates)
    folder = next((folder for folder in _REFERENCES if found.text.startswith(folder)), "")
    return CiValue("CF_BRANCH", found.text.removeprefix(folder), found.origin)


def _message(env: Environment, candidate: str) -> CiValue:
    return CiValue("CF_COMMIT_MESSAGE", escape_quotes(env.get(candidate, "")), candidate)


def _trigger(env: Environment, candidate: str, *git_events: str) -> CiValue:
    text = env.get(candidate, "")
    return CiValue("CF_BUILD_TRIGGER", ("webhook" if text in git_events else "build") if text else "", candidate)


def _repository(env: Environment, candidates: tuple[str, ...], revision: str) -> Iterator[CiValue]:
    """Read owner, name and the commit's page off the repository's address."""
    found = _first(env, "", *candidates)
    repository = parse_repository_url(found.text)
    yield CiValue("CF_REPO_OWNER", repository.owner, found.origin)
    yield CiValue("CF_REPO_NAME", repository.name, found.origin)
    yield CiValue("CF_COMMIT_URL", repository.commit_url(revision), found.origin)


# https://docs.github.com/en/actions/reference/workflows-and-actions/variables (Gitea and Forgejo set the same)
_GITHUB = {
    "CF_REVISION": ("GITHUB_SHA",),
    "CF_BUILD_ID": ("GITHUB_RUN_ID",),
    "CF_BUILD_INITIATOR": ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
    "CF_PIPELINE_NAME": ("GITHUB_WORKFLOW",),
    "CF_PULL_REQUEST_TARGET": ("GITHUB_BASE_REF",),
    "CF_PULL_REQUEST_HEAD_BRANCH": ("GITHUB_HEAD_REF",),
}
_GITHUB_BY_HAND = ("workflow_dispatch", "repository_dispatch", "workflow_call", "workflow_run", "schedule")


def _github(env: Environment, event: str) -> Iterator[CiValue]:
    told = event_values(event)
    for name, text in told.items():
        yield CiValue(name, text, "event")
    # In the run of a pull request GITHUB_REF_NAME is 7/merge.
    yield _branch(env, "GITHUB_HEAD_REF", "GITHUB_REF_NAME", "GITHUB_REF")
    owner, _, name = env.get("GITHUB_REPOSITORY", "").rpartition("/")
    yield CiValue("CF_REPO_OWNER", owner, "GITHUB_REPOSITORY")
    yield CiValue("CF_REPO_NAME", name, "GITHUB_REPOSITORY")
    happened = env.get("GITHUB_EVENT_NAME", "")
    trigger = "build" if happened in _GITHUB_BY_HAND else "webhook"
    yield CiValue("CF_BUILD_TRIGGER", trigger if happened else "", "GITHUB_EVENT_NAME")
    folder, _, number = env.get("GITHUB_REF", "").removesuffix("/merge").removesuffix("/head").rpartition("/")
    yield CiValue("CF_PULL_REQUEST_NUMBER", number if folder == "refs/pull" else "", "GITHUB_REF")
    page = f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}"
    if page.startswith("http"):
        run, revision = env.get("GITHUB_RUN_ID", ""), told.get("CF_REVISION") or env.get("GITHUB_SHA", "")
        yield CiValue("CF_BUILD_URL", f"{page}/actions/runs/{run}" if run else "", "GITHUB_RUN_ID")
        yield CiValue("CF_COMMIT_URL", f"{page}/commit/{revision}" if revision else "", "GITHUB_SHA")


# https://docs.gitlab.com/ci/variables/predefined_variables/
_GITLAB = {
    # The first is only there when the pipeline runs on the merge's result.
    "CF_REVISION": (
        "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA",
        "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA",
        "CI_COMMIT_SHA",
    ),
    "CF_REPO_OWNER": ("CI_PROJECT_NAMESPACE",),
    "CF_REPO_NAME": ("CI_PROJECT_NAME",),
    "CF_BUILD_ID": ("CI_PIPELINE_ID",),
    "CF_BUILD_URL": ("CI_PIPELINE_URL",),
    "CF_BUILD_INITIATOR": ("GITLAB_USER_LOGIN",),
    "CF_PIPELINE_NAME": ("CI_PROJECT_PATH",),
    "CF_PULL_REQUEST_ID": ("CI_MERGE_REQUEST_ID",),
    "CF_PULL_REQUEST_NUMBER": ("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"),
    "CF_PULL_REQUEST_TARGET": (
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
        "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME",
    ),
    "CF_PULL_REQUEST_HEAD_BRANCH": (
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME",
    ),
    "CF_PULL_REQUEST_TITLE": ("CI_MERGE_REQUEST_TITLE",),
    "CF_PULL_REQUEST_LABELS": ("CI_MERGE_REQUEST_LABELS",),
}


def _gitlab(env: Environment, event: str) -> Iterator[CiValue]:
    yield _branch(
        env, *_GITLAB["CF_PULL_REQUEST_HEAD_BRANCH"], "CI_COMMIT_TAG", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"
    )
    revision = _first(env, "CF_REVISION", *_GITLAB["CF_REVISION"])
    if revision.origin == "CI_COMMIT_SHA":  # of another commit than the one named, author and message say nothing
        yield CiValue("CF_COMMIT_AUTHOR", env.get("CI_COMMIT_AUTHOR", "").partition(" <")[0], "CI_COMMIT_AUTHOR")
        yield _message(env, "CI_COMMIT_MESSAGE")
    if env.get("CI_PROJECT_URL") and revision.text:
        yield CiValue("CF_COMMIT_URL", f"{env['CI_PROJECT_URL']}/-/commit/{revision.text}", "CI_PROJECT_URL")
    yield _trigger(env, "CI_PIPELINE_SOURCE", "push", "merge_request_event", "external_pull_request_event")
    yield CiValue("CF_BUILD_TIMESTAMP", _milliseconds(env.get("CI_PIPELINE_CREATED_AT", "")), "CI_PIPELINE_CREATED_AT")


def _milliseconds(text: str) -> str:
    try:
        return str(int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError):
        return ""


# https://buildkite.com/docs/pipelines/configure/environment-variables
_BUILDKITE = {
    "CF_COMMIT_AUTHOR": ("BUILDKITE_BUILD_AUTHOR",),
    "CF_BUILD_ID": ("BUILDKITE_BUILD_ID",),
    "CF_BUILD_URL": ("BUILDKITE_BUILD_URL",),
    "CF_BUILD_INITIATOR": ("BUILDKITE_BUILD_CREATOR",),
    "CF_PULL_REQUEST_TARGET": ("BUILDKITE_PULL_REQUEST_BASE_BRANCH",),
    "CF_PULL_REQUEST_LABELS": ("BUILDKITE_PULL_REQUEST_LABELS",),
}


def _buildkite(env: Environment, event: str) -> Iterator[CiValue]:
    branch = _branch(env, "BUILDKITE_TAG", "BUILDKITE_BRANCH")
    # USER:BRANCH for a fork's; git allows no colon in names.
    yield CiValue("CF_BRANCH", branch.text.rpartition(":")[2], branch.origin)
    revision = env.get("BUILDKITE_COMMIT", "")
    revision = "" if revision == "HEAD" else revision  # a build begun by hand, before its checkout
    yield CiValue("CF_REVISION", revision, "BUILDKITE_COMMIT")
    yield _message(env, "BUILDKITE_MESSAGE")
    yield from _repository(env, ("BUILDKITE_REPO",), revision)
    yield _trigger(env, "BUILDKITE_SOURCE", "webhook")
    names = (env.get("BUILDKITE_ORGANIZATION_SLUG"), env.get("BUILDKITE_PIPELINE_SLUG"))
    yield CiValue("CF_PIPELINE_NAME", "/".join(name for name in names if name), "BUILDKITE_PIPELINE_SLUG")
    number = env.get("BUILDKITE_PULL_REQUEST", "")
    if number not in ("", "false"):
        yield CiValue("CF_PULL_REQUEST_NUMBER", number, "BUILDKITE_PULL_REQUEST")
        yield CiValue("CF_PULL_REQUEST_HEAD_BRANCH", branch.text.rpartition(":")[2], branch.origin)


# https://circleci.com/docs/reference/variables/
_CIRCLECI = {
    "CF_BRANCH": ("CIRCLE_TAG", "CIRCLE_BRANCH"),
    "CF_REVISION": ("CIRCLE_SHA1",),
    "CF_REPO_OWNER": ("CIRCLE_PROJECT_USERNAME",),
    "CF_REPO_NAME": ("CIRCLE_PROJECT_REPONAME",),
    "CF_BUILD_ID": ("CIRCLE_BUILD_NUM",),
    "CF_BUILD_URL": ("CIRCLE_BUILD_URL",),
    "CF_BUILD_INITIATOR": ("CIRCLE_USERNAME",),
    "CF_PULL_REQUEST_NUMBER": ("CIRCLE_PR_NUMBER",),
}


def _circleci(env: Environment, event: str) -> Iterator[CiValue]:
    for value in _repository(env, ("CIRCLE_REPOSITORY_URL",), env.get("CIRCLE_SHA1", "")):
        if value.name not in _CIRCLECI or not _first(env, "", *_CIRCLECI[value.name]).text:
            yield value
    if not env.get("CIRCLE_PR_NUMBER"):  # that one is for forks only
        number = env.get("CIRCLE_PULL_REQUEST", "").rpartition("/")[2]
        yield CiValue("CF_PULL_REQUEST_NUMBER", number if number.isdecimal() else "", "CIRCLE_PULL_REQUEST")


# https://learn.microsoft.com/azure/devops/pipelines/build/variables
_AZURE = {
    # Named by the agent, though not in the documentation.
    "CF_REVISION": ("SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"),
    "CF_BUILD_ID": ("BUILD_BUILDID",),
    "CF_BUILD_INITIATOR": ("BUILD_REQUESTEDFOR",),
    "CF_PULL_REQUEST_ID": ("SYSTEM_PULLREQUEST_PULLREQUESTID",),
    "CF_PULL_REQUEST_NUMBER": ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
}


def _azure(env: Environment, event: str) -> Iterator[CiValue]:
    yield _branch(env, "SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH")
    for name, variable in (
        ("CF_PULL_REQUEST_HEAD_BRANCH", "SYSTEM_PULLREQUEST_SOURCEBRANCH"),
        ("CF_PULL_REQUEST_TARGET", "SYSTEM_PULLREQUEST_TARGETBRANCH"),
    ):
        yield CiValue(name, _branch(env, variable).text, variable)
    revision = _first(env, "CF_REVISION", *_AZURE["CF_REVISION"])
    if revision.origin == "BUILD_SOURCEVERSION":
        yield _message(env, "BUILD_SOURCEVERSIONMESSAGE")
    yield from _repository(env, ("BUILD_REPOSITORY_URI",), revision.text)
    yield _trigger(env, "BUILD_REASON", "IndividualCI", "BatchedCI", "PullRequest")
    project = env.get("SYSTEM_TEAMPROJECT", "")
    names = (project, env.get("BUILD_DEFINITIONNAME"))
    yield CiValue("CF_PIPELINE_NAME", "/".join(name for name in names if name), "BUILD_DEFINITIONNAME")
    collection = env.get("SYSTEM_COLLECTIONURI") or env.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "")
    if collection and project and env.get("BUILD_BUILDID"):
        page = f"{collection.rstrip('/')}/{project.replace(' ', '%20')}/_build/results?buildId={env['BUILD_BUILDID']}"
        yield CiValue("CF_BUILD_URL", page, "BUILD_BUILDID")


# The page /pipeline-syntax/globals of every Jenkins, and https://plugins.jenkins.io/git/
_JENKINS = {
    "CF_REVISION": ("GIT_COMMIT",),
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


def _jenkins(env: Environment, event: str) -> Iterator[CiValue]:
    # BRANCH_NAME is PR-7 for a pull request, GIT_BRANCH is origin/main, or "detached".
    found = _branch(env, "CHANGE_BRANCH", "TAG_NAME", "BRANCH_NAME", "GIT_LOCAL_BRANCH", "GIT_BRANCH")
    yield CiValue("CF_BRANCH", "" if found.text == "detached" else found.text, found.origin)
    yield from _repository(env, ("GIT_URL", "GIT_URL_1"), env.get("GIT_COMMIT", ""))


SERVICES = (
    CiService("GitHub Actions", "GITHUB_ACTIONS", _GITHUB, _github),
    CiService("GitLab CI", "GITLAB_CI", _GITLAB, _gitlab),
    CiService("Buildkite", "BUILDKITE", _BUILDKITE, _buildkite),
    CiService("CircleCI", "CIRCLECI", _CIRCLECI, _circleci),
    CiService("Azure Pipelines", "TF_BUILD", _AZURE, _azure),
    CiService("Jenkins", "JENKINS_URL", _JENKINS, _jenkins),
)
"""Every service, in the order in which they are looked for: Jenkins may start the agents of others."""
