"""System variables: the ``CF_*`` of a pipeline, made from the CI we run in, or else from the git repository.

Pure functions of what the caller has read. The variables of each CI are in `ci_services`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from oci_push.runtime.single_flight import SingleFlight
from oci_push.secret import repr_without
from oci_push.variables.ci_services import find_service
from oci_push.variables.derived import escape_quotes
from oci_push.variables.lookup import VariableSource
from oci_push.variables.repository_url import parse_repository_url

MEANINGS: Mapping[str, str] = {
    "CF_REPO_OWNER": "owner of the repository",
    "CF_REPO_NAME": "name of the repository",
    "CF_BRANCH": "branch, or tag, that is built",
    "CF_BRANCH_TAG_NORMALIZED": "CF_BRANCH made legal as an image tag",
    "CF_BRANCH_TAG_NORMALIZED_LOWER_CASE": "the same in lower case",
    "CF_BASE_BRANCH": "branch from which the tag was made",
    "CF_REVISION": "full hash of the commit",
    "CF_SHORT_REVISION": "its first 7 characters",
    "CF_COMMIT_AUTHOR": "name of the commit's author",
    "CF_COMMIT_URL": "web page of the commit",
    "CF_COMMIT_MESSAGE": "message of the commit, quotes escaped",
    "CF_COMMIT_MESSAGE_ESCAPED": "the same, all special characters escaped",
    "CF_BUILD_ID": "number or name of this build",
    "CF_BUILD_URL": "web page of this build",
    "CF_BUILD_TIMESTAMP": "when this build began, in milliseconds since 1970",
    "CF_BUILD_TRIGGER": "webhook for builds begun by a git event, else build",
    "CF_BUILD_INITIATOR": "who began this build",
    "CF_ACCOUNT": "Codefresh account",
    "CF_URL": "address of the Codefresh platform",
    "CF_PIPELINE_NAME": "name of the pipeline, with its project",
    "CF_STEP_NAME": "name of the step; set for each step",
    "CF_CURRENT_ATTEMPT": "number of the step's attempt; set for each step",
    "CF_MAX_ATTEMPTS": "how many attempts the step has; set for each step",
    "CF_PULL_REQUEST_ACTION": "what happened to the pull request",
    "CF_PULL_REQUEST_ID": "id of the pull request",
    "CF_PULL_REQUEST_NUMBER": "number of the pull request",
    "CF_PULL_REQUEST_TARGET": "branch that the pull request goes into",
    "CF_PULL_REQUEST_LABELS": "labels of the pull request, by commas",
    "CF_PULL_REQUEST_TITLE": "title of the pull request",
    "CF_PULL_REQUEST_TITLE_ESCAPED": "the same, special characters escaped",
    "CF_PULL_REQUEST_COMMENT": "comment on the pull request",
    "CF_PULL_REQUEST_COMMENT_AUTHOR": "who wrote the comment",
    "CF_PULL_REQUEST_MERGED": "whether the pull request was merged",
    "CF_PULL_REQUEST_HEAD_BRANCH": "branch that the pull request comes from",
    "CF_PULL_REQUEST_HEAD_COMMIT_SHA": "last commit of that branch",
    "CF_PULL_REQUEST_MERGED_COMMIT_SHA": "commit of the merge",
    "CF_RELEASE_NAME": "title of the release",
    "CF_RELEASE_TAG": "tag of the release",
    "CF_RELEASE_ID": "id of the release",
    "CF_PRERELEASE_FLAG": "whether it is a pre-release",
    "CF_GERRIT_CHANGE_TOPIC": "topic of the Gerrit change",
    "CF_VOLUME_NAME": "Codefresh's shared volume",
    "CF_VOLUME_PATH": "where it is mounted",
    "CF_KUBECONFIG_PATH": "Codefresh's kubeconfig",
    "CF_OUTPUT_URL": "link that a step exports",
    "CI": "always true",
}
"""Every system variable of the language, in the order of its documentation, and what it is."""

_FROM_GIT = (
    "CF_BRANCH",
    "CF_REVISION",
    "CF_COMMIT_AUTHOR",
    "CF_COMMIT_MESSAGE",
    "CF_COMMIT_URL",
    "CF_REPO_OWNER",
    "CF_REPO_NAME",
)


class GitFacts(Struct, frozen=True):
    """What a git repository says; empty where it says nothing. `problem` tells why git could not be asked.

    `remote_url` may hold a password.
    """

    revision: str = ""
    branch: str = ""
    tag: str = ""
    author: str = ""
    message: str = ""
    remote_url: str = ""
    problem: str = ""

    def __repr__(self) -> str:
        return repr_without(self, "remote_url")


class Build(Struct, frozen=True):
    """What this program knows of the run itself: when it began, in seconds since 1970, and its id, if any."""

    started_s: float
    id: str = ""


ReadGit = Callable[[str], GitFacts]
"""Read the facts of a commit, given by its hash, or of HEAD when that is empty."""


def system_sources(
    env: Mapping[str, str], read_git: ReadGit, build: Build, *, event: str = ""
) -> tuple[VariableSource, ...]:
    """Return the sources of system variables, first wins: the CI that `env` tells of, this run, git.

    `event` is the text of GitHub's event file. `read_git` is called at most once, when a variable is asked for that
    only git can give.
    """
    service = find_service(env)
    found = service.values(env, event) if service is not None else ()
    values = {value.name: value.text for value in found}
    # Author and message are asked for of the commit that the CI names, which need not be the one checked out.
    revision = env.get("CF_REVISION") or values.get("CF_REVISION", "")
    run = {"CF_BUILD_TIMESTAMP": str(int(build.started_s * 1000)), "CI": "true"}
    if build.id:
        run["CF_BUILD_ID"] = build.id
    origins: dict[str, str] = {}
    if service is None:
        run["CF_BUILD_TRIGGER"] = "build"
        for name in ("USER", "LOGNAME"):
            if env.get(name):
                run["CF_BUILD_INITIATOR"], origins["CF_BUILD_INITIATOR"] = env[name], name
                break
    here = VariableSource("this run", run, is_literal=True, origins=origins)
    git = VariableSource("git", _GitVariables(lambda: read_git(revision)), is_literal=True)
    if service is None:
        return here, git
    told = {value.name: value.origin for value in found}
    return VariableSource(service.name, values, is_literal=True, origins=told), here, git


def git_variables(facts: GitFacts) -> Mapping[str, str]:
    """Return the system variables that git's facts make."""
    repository = parse_repository_url(facts.remote_url)
    found = {
        "CF_BRANCH": facts.branch or facts.tag,
        "CF_REVISION": facts.revision,
        "CF_COMMIT_AUTHOR": facts.author,
        "CF_COMMIT_MESSAGE": escape_quotes(facts.message),
        "CF_COMMIT_URL": repository.commit_url(facts.revision),
        "CF_REPO_OWNER": repository.owner,
        "CF_REPO_NAME": repository.name,
    }
    return {name: value for name, value in found.items() if value}


class _GitVariables(Mapping[str, str]):
    """Read git when one of its variables is asked for, once, whoever asks."""

    def __init__(self, read: Callable[[], GitFacts]) -> None:
        self._read = read
        self._once = SingleFlight[str, Mapping[str, str]]()

    def __getitem__(self, name: str) -> str:
        if name not in _FROM_GIT:
            raise KeyError(name)
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def _values(self) -> Mapping[str, str]:
        return self._once.get("git", lambda: git_variables(self._read()))
