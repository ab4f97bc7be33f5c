"""System variables: what each CI's variables, GitHub's event and git become."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from oci_push.variables.ci_services import find_service
from oci_push.variables.system import MEANINGS

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "f" * 40

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "github push of a branch": (
        {
            "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/feature/x", "GITHUB_REF_NAME": "feature/x",
            "GITHUB_SHA": SHA, "GITHUB_REPOSITORY": "octo/app", "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "17", "GITHUB_ACTOR": "ann", "GITHUB_EVENT_NAME": "push", "GITHUB_WORKFLOW": "CI",
            "GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": "",
        },
        {
            "CF_BRANCH": "feature/x", "CF_REVISION": SHA, "CF_REPO_OWNER": "octo", "CF_REPO_NAME": "app",
            "CF_BUILD_ID": "17", "CF_BUILD_URL": "https://github.com/octo/app/actions/runs/17",
            "CF_COMMIT_URL": f"https://github.com/octo/app/commit/{SHA}", "CF_BUILD_INITIATOR": "ann",
            "CF_BUILD_TRIGGER": "webhook", "CF_PIPELINE_NAME": "CI",
        },
    ),
    "github tag by hand on an old server": (
        {
            "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/tags/v1.2", "GITHUB_ACTOR": "ann",
            "GITHUB_TRIGGERING_ACTOR": "bob", "GITHUB_EVENT_NAME": "workflow_dispatch",
        },
        {"CF_BRANCH": "v1.2", "CF_BUILD_INITIATOR": "bob", "CF_BUILD_TRIGGER": "build"},
    ),
    "github pull request": (
        {
            "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge",
            "GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main", "GITHUB_EVENT_NAME": "pull_request",
        },
        {
            "CF_BRANCH": "fix", "CF_PULL_REQUEST_NUMBER": "7", "CF_PULL_REQUEST_TARGET": "main",
            "CF_PULL_REQUEST_HEAD_BRANCH": "fix", "CF_BUILD_TRIGGER": "webhook",
        },
    ),
    "gitlab branch": (
        {
            "GITLAB_CI": "true", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_SHA": SHA,
            "CI_COMMIT_AUTHOR": "Ann Lee <ann@x.org>", "CI_COMMIT_MESSAGE": "it's\nfine", "CI_PIPELINE_ID": "5",
            "CI_PROJECT_NAMESPACE": "group/sub", "CI_PROJECT_NAME": "app", "CI_PROJECT_PATH": "group/sub/app",
            "CI_PROJECT_URL": "https://gl.x.org/group/sub/app", "CI_PIPELINE_URL": "https://gl.x.org/p/5",
            "CI_PIPELINE_SOURCE": "web", "GITLAB_USER_LOGIN": "ann",
            "CI_PIPELINE_CREATED_AT": "2022-01-31T16:47:55Z",
        },
        {
            "CF_BRANCH": "main", "CF_REVISION": SHA, "CF_COMMIT_AUTHOR": "Ann Lee", "CF_COMMIT_MESSAGE": "it\\'s\nfine",
            "CF_BUILD_ID": "5", "CF_REPO_OWNER": "group/sub", "CF_REPO_NAME": "app",
            "CF_PIPELINE_NAME": "group/sub/app", "CF_BUILD_URL": "https://gl.x.org/p/5", "CF_BUILD_TRIGGER": "build",
            "CF_COMMIT_URL": f"https://gl.x.org/group/sub/app/-/commit/{SHA}", "CF_BUILD_INITIATOR": "ann",
            "CF_BUILD_TIMESTAMP": "1643647675000",
        },
    ),
    "gitlab tag": ({"GITLAB_CI": "true", "CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"}, {"CF_BRANCH": "v1"}),
    "gitlab result of a merge request": (
        {
            "GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "refs/merge-requests/3/merge", "CI_COMMIT_SHA": SHA,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD,
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_ID": "99",
            "CI_MERGE_REQUEST_TITLE": "Fix", "CI_MERGE_REQUEST_LABELS": "a,b", "CI_COMMIT_AUTHOR": "Merger <m@x>",
            "CI_COMMIT_MESSAGE": "Merge", "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_PIPELINE_CREATED_AT": "yesterday",
        },
        {
            "CF_BRANCH": "fix", "CF_REVISION": HEAD, "CF_PULL_REQUEST_HEAD_BRANCH": "fix", "CF_PULL_REQUEST_ID": "99",
            "CF_PULL_REQUEST_TARGET": "main", "CF_PULL_REQUEST_NUMBER": "3", "CF_PULL_REQUEST_TITLE": "Fix",
            "CF_PULL_REQUEST_LABELS": "a,b", "CF_BUILD_TRIGGER": "webhook",
        },
    ),
    "buildkite pull request of a fork": (
        {
            "BUILDKITE": "true", "BUILDKITE_BRANCH": "ann:fix", "BUILDKITE_COMMIT": SHA, "BUILDKITE_TAG": "",
            "BUILDKITE_MESSAGE": 'say "x"', "BUILDKITE_REPO": "git@github.com:octo/app.git",
            "BUILDKITE_PULL_REQUEST": "7", "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
            "BUILDKITE_BUILD_ID": "b-1", "BUILDKITE_BUILD_URL": "https://bk/1", "BUILDKITE_SOURCE": "webhook",
            "BUILDKITE_ORGANIZATION_SLUG": "acme", "BUILDKITE_PIPELINE_SLUG": "app",
            "BUILDKITE_BUILD_AUTHOR": "Ann", "BUILDKITE_BUILD_CREATOR": "Bob", "BUILDKITE_PULL_REQUEST_LABELS": "a",
        },
        {
            "CF_BRANCH": "fix", "CF_REVISION": SHA, "CF_COMMIT_MESSAGE": 'say \\"x\\"', "CF_REPO_OWNER": "octo",
            "CF_REPO_NAME": "app", "CF_COMMIT_URL": f"https://github.com/octo/app/commit/{SHA}",
            "CF_PULL_REQUEST_NUMBER": "7", "CF_PULL_REQUEST_TARGET": "main", "CF_PULL_REQUEST_HEAD_BRANCH": "fix",
            "CF_BUILD_ID": "b-1", "CF_BUILD_URL": "https://bk/1", "CF_BUILD_TRIGGER": "webhook",
            "CF_PIPELINE_NAME": "acme/app", "CF_COMMIT_AUTHOR": "Ann", "CF_BUILD_INITIATOR": "Bob",
            "CF_PULL_REQUEST_LABELS": "a",
        },
    ),
    "buildkite tag by hand": (
        {
            "BUILDKITE": "true", "BUILDKITE_BRANCH": "main", "BUILDKITE_TAG": "v1", "BUILDKITE_COMMIT": "HEAD",
            "BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_SOURCE": "ui",
        },
        {"CF_BRANCH": "v1", "CF_BUILD_TRIGGER": "build"},
    ),
    "circleci": (
        {
            "CIRCLECI": "true", "CIRCLE_BRANCH": "fix", "CIRCLE_SHA1": SHA, "CIRCLE_PROJECT_USERNAME": "octo",
            "CIRCLE_PROJECT_REPONAME": "app", "CIRCLE_BUILD_NUM": "4", "CIRCLE_BUILD_URL": "https://cc/4",
            "CIRCLE_USERNAME": "ann", "CIRCLE_PULL_REQUEST": "https://github.com/octo/app/pull/7",
            "CIRCLE_REPOSITORY_URL": "git@bitbucket.org:octo/app.git",
        },
        {
            "CF_BRANCH": "fix", "CF_REVISION": SHA, "CF_REPO_OWNER": "octo", "CF_REPO_NAME": "app", "CF_BUILD_ID": "4",
            "CF_BUILD_URL": "https://cc/4", "CF_BUILD_INITIATOR": "ann", "CF_PULL_REQUEST_NUMBER": "7",
            "CF_COMMIT_URL": f"https://bitbucket.org/octo/app/commits/{SHA}",
        },
    ),
    "circleci tag and pull request of a fork": (
        {
            "CIRCLECI": "true", "CIRCLE_TAG": "v1", "CIRCLE_PR_NUMBER": "8",
            "CIRCLE_REPOSITORY_URL": "https://git.x.org/octo/app.git",
        },
        {"CF_BRANCH": "v1", "CF_PULL_REQUEST_NUMBER": "8", "CF_REPO_OWNER": "octo", "CF_REPO_NAME": "app"},
    ),
    "azure branch": (
        {
            "TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/heads/feature/x", "BUILD_SOURCEVERSION": SHA,
            "BUILD_SOURCEVERSIONMESSAGE": "it's", "BUILD_BUILDID": "12", "BUILD_REASON": "IndividualCI",
            "BUILD_REPOSITORY_URI": "https://org@dev.azure.com/org/My%20Project/_git/app",
            "SYSTEM_TEAMPROJECT": "My Project", "BUILD_DEFINITIONNAME": "ci", "BUILD_REQUESTEDFOR": "Ann",
            "SYSTEM_COLLECTIONURI": "https://dev.azure.com/org/",
        },
        {
            "CF_BRANCH": "feature/x", "CF_REVISION": SHA, "CF_COMMIT_MESSAGE": "it\\'s", "CF_BUILD_ID": "12",
            "CF_BUILD_TRIGGER": "webhook", "CF_REPO_OWNER": "org/My Project", "CF_REPO_NAME": "app",
            "CF_PIPELINE_NAME": "My Project/ci", "CF_BUILD_INITIATOR": "Ann",
            "CF_COMMIT_URL": f"https://dev.azure.com/org/My%20Project/_git/app/commit/{SHA}",
            "CF_BUILD_URL": "https://dev.azure.com/org/My%20Project/_build/results?buildId=12",
        },
    ),
    "azure tag": ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/tags/v1"}, {"CF_BRANCH": "v1"}),
    "azure pull request": (
        {
            "TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/pull/7/merge", "BUILD_SOURCEVERSION": SHA,
            "BUILD_SOURCEVERSIONMESSAGE": "Merge", "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/fix",
            "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main", "SYSTEM_PULLREQUEST_SOURCECOMMITID": HEAD,
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "512", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "7",
            "BUILD_REASON": "PullRequest",
        },
        {
            "CF_BRANCH": "fix", "CF_REVISION": HEAD, "CF_PULL_REQUEST_HEAD_BRANCH": "fix",
            "CF_PULL_REQUEST_TARGET": "main", "CF_PULL_REQUEST_ID": "512", "CF_PULL_REQUEST_NUMBER": "7",
            "CF_BUILD_TRIGGER": "webhook",
        },
    ),
    "jenkins job": (
        {
            "JENKINS_URL": "https://j/", "GIT_BRANCH": "origin/feature/x", "GIT_COMMIT": SHA, "BUILD_ID": "9",
            "GIT_URL": "https://user:hunter2@github.com/octo/app.git", "BUILD_URL": "https://j/9/", "JOB_NAME": "f/app",
        },
        {
            "CF_BRANCH": "feature/x", "CF_REVISION": SHA, "CF_BUILD_ID": "9", "CF_BUILD_URL": "https://j/9/",
            "CF_PIPELINE_NAME": "f/app", "CF_REPO_OWNER": "octo", "CF_REPO_NAME": "app",
            "CF_COMMIT_URL": f"https://github.com/octo/app/commit/{SHA}",
        },
    ),
    "jenkins pull request": (
        {
            "JENKINS_URL": "https://j/", "BRANCH_NAME": "PR-7", "CHANGE_BRANCH": "fix", "CHANGE_ID": "7",
            "CHANGE_TARGET": "main", "CHANGE_TITLE": "Fix", "GIT_BRANCH": "PR-7", "BUILD_USER_ID": "ann",
        },
        {
            "CF_BRANCH": "fix", "CF_PULL_REQUEST_ID": "7", "CF_PULL_REQUEST_NUMBER": "7",
            "CF_PULL_REQUEST_TARGET": "main", "CF_PULL_REQUEST_HEAD_BRANCH": "fix", "CF_BUILD_INITIATOR": "ann",
            "CF_PULL_REQUEST_TITLE": "Fix",
        },
    ),
    "jenkins tag": ({"JENKINS_URL": "j", "BRANCH_NAME": "v1", "TAG_NAME": "v1"}, {"CF_BRANCH": "v1"}),
    "jenkins without a branch": ({"JENKINS_URL": "j", "GIT_BRANCH": "detached"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_variables_of_a_ci_become_system_variables(case: str) -> None:
    env, expected = CASES[case]
    service = find_service(env)
    assert service is not None
    assert {value.name: value.text for value in service.values(env)} == expected
    assert all(value.origin in env for value in service.values(env))
    assert expected.keys() <= MEANINGS.keys()


@pytest.mark.parametrize(
    "env", [{}, {"CI": "true"}, {"GITHUB_ACTIONS": "false"}, {"GITLAB_CI": ""}, {"CF_BUILD_ID": "1"}]
)
def test_no_ci_is_seen_where_there_is_none_of_the_table(env: Mapping[str, str]) -> None:
    assert find_service(env) is None


def event_values(text: str) -> Mapping[str, str]:
    service = find_service({"GITHUB_ACTIONS": "true"})
    assert service is not None
    found = service.values({}, text)
    assert {value.origin for value in found} <= {"event"}
    return {value.name: value.text for value in found}


PULL_REQUEST = {
    "action": "closed",
    "pull_request": {
        "id": 12345, "number": 7, "title": "it's", "merged": True, "merge_commit_sha": SHA,
        "head": {"ref": "fix", "sha": HEAD}, "base": {"ref": "main"}, "labels": [{"name": "a"}, {"name": "b"}],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"ref": "refs/heads/x", "head_commit": {"message": 'say "x"', "author": {"name": "Ann"}}, "base_ref": None},
            {"CF_COMMIT_MESSAGE": 'say \\"x\\"', "CF_COMMIT_AUTHOR": "Ann"},
        ),
        ({"ref": "refs/tags/v1", "base_ref": "refs/heads/main"}, {"CF_BASE_BRANCH": "main"}),
        ({"ref": "refs/heads/x", "base_ref": "refs/heads/main"}, {}),
        (
            PULL_REQUEST,
            {
                "CF_REVISION": HEAD, "CF_PULL_REQUEST_ACTION": "closed", "CF_PULL_REQUEST_ID": "12345",
                "CF_PULL_REQUEST_NUMBER": "7", "CF_PULL_REQUEST_TARGET": "main", "CF_PULL_REQUEST_TITLE": "it's",
                "CF_PULL_REQUEST_LABELS": "a,b", "CF_PULL_REQUEST_MERGED": "true", "CF_PULL_REQUEST_HEAD_BRANCH": "fix",
                "CF_PULL_REQUEST_HEAD_COMMIT_SHA": HEAD, "CF_PULL_REQUEST_MERGED_COMMIT_SHA": SHA,
            },
        ),
        (
            {
                "action": "created", "issue": {"number": 7, "pull_request": {}},
                "comment": {"body": "go", "user": {"login": "bob"}},
            },
            {
                "CF_PULL_REQUEST_ACTION": "created", "CF_PULL_REQUEST_NUMBER": "7", "CF_PULL_REQUEST_COMMENT": "go",
                "CF_PULL_REQUEST_COMMENT_AUTHOR": "bob",
            },
        ),
        ({"action": "opened", "issue": {"number": 7}}, {}),
        (
            {"release": {"name": "One", "tag_name": "v1", "id": 3, "prerelease": False, "target_commitish": "main"}},
            {
                "CF_RELEASE_NAME": "One", "CF_RELEASE_TAG": "v1", "CF_RELEASE_ID": "3", "CF_PRERELEASE_FLAG": "false",
                "CF_BASE_BRANCH": "main",
            },
        ),
        ([], {}),
        ({"pull_request": [], "release": 3, "head_commit": "x"}, {}),
    ],
)  # fmt: skip
def test_githubs_event_tells_of_commit_pull_request_and_release(event: object, expected: Mapping[str, str]) -> None:
    assert event_values(json.dumps(event)) == expected


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"release": 1' + "0" * 10_000 + "}"])
def test_an_event_file_that_is_none_tells_nothing(text: str) -> None:
    assert event_values(text) == {}
