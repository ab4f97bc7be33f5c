"""Units of work for CIs that multiply a job: `parallel` of GitLab, a matrix of GitHub Actions; each does a shard.

Jobs find the file of units in the checkout, or as an artifact of an earlier job.
"""

from __future__ import annotations

import shlex

from oci_push.errors import ConfigError
from oci_push.work.export import PASSING_CODES, Export, Lines, written
from oci_push.work.units import hosts_asked, hosts_of

MOST_ON_GITLAB = 200  # https://docs.gitlab.com/ci/yaml/#parallel
MOST_ON_GITHUB = 256  # https://docs.github.com/actions/reference/limits
_RETRIED = (*PASSING_CODES, 137, 143)
"""The last two: killed, as for want of memory, and stopped, as where a node goes."""
_OF_GITLAB = frozenset(
    [
        "after_script",
        "before_script",
        "cache",
        "default",
        "false",
        "image",
        "include",
        "nil",
        "pages",
        "services",
        "spec",
        "stages",
        "true",
        "types",
        "variables",
        "workflow",
    ]
)
"""Names that mean something else there: https://docs.gitlab.com/ci/jobs/#job-names"""
_GITLAB = """\
# A part of .gitlab-ci.yml, or a file that it includes. $file comes from the project or from an earlier job's artifacts.
$name:
  stage: deploy
  image:
    name: $image
    entrypoint: [""]
  # Each job is a shard: work reads it from CI_NODE_INDEX and CI_NODE_TOTAL.
  parallel: $shards
  variables:
    XDG_CACHE_HOME: $$CI_PROJECT_DIR/.cache
$login  script:
    - $work
  artifacts:
    when: always
    expire_in: 1 week
    paths: ["$results-*.jsonl"]
  retry:
    max: 2
    # Not after wrong use, a source, a login, no signature: another try would end the same way.
    exit_codes: $retried
    when: [runner_system_failure, stuck_or_timeout_failure]

# One result of all: what nobody did is a failure.
$report:
  stage: .post
  image:
    name: $image
    entrypoint: [""]
  when: always
$report_login  script:
    - $merge
"""
_GITLAB_LOGIN = """\
    # A masked variable of the project that holds docker's config.json. The runner pulls the image with it, too.
    DOCKER_AUTH_CONFIG: $value
"""
_GITHUB = """\
# .github/workflows/$plain.yml. $file comes from the repository; from an earlier job: add actions/download-artifact.
name: $name

on:
  workflow_dispatch:
  workflow_call:
$secrets
permissions:
  contents: read
$packages
jobs:
  work:
    runs-on: ubuntu-24.04
    strategy:
      # Shards that fail do not stop the others.
      fail-fast: false
      max-parallel: $at_once
      matrix:
        shard: $numbers
    container:
      image: $image
$pull      # The user of GitHub's runners, who may write to the checkout.
      options: --user 1001 --cap-drop ALL --security-opt no-new-privileges
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - name: Push
        env:
          OCI_PUSH_SHARD: $${{ matrix.shard }}
          OCI_PUSH_SHARDS: "$shards"
$login        run: $work
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: $results-$${{ matrix.shard }}
          path: $results-$${{ matrix.shard }}.jsonl
          # For jobs that are run again.
          overwrite: true

  # One result of all: what nobody did is a failure.
  report:
    needs: work
    if: $${{ !cancelled() }}
    runs-on: ubuntu-24.04
    container:
      image: $image
$pull      options: --user 1001 --cap-drop ALL --security-opt no-new-privileges
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/download-artifact@v4
        with:
          pattern: $results-*
          merge-multiple: true
      - name: Report
        run: $merge
"""
_GITHUB_NEEDS = """\
    secrets:
      $secret:
        required: true
"""
_GITHUB_LOGIN = """\
          # A secret that holds docker's config.json.
          DOCKER_AUTH_CONFIG: $${{ secrets.$secret }}
"""
_GITHUB_OWN = """\
          # What the job may do on ghcr.io itself.
          GITHUB_TOKEN: $${{ github.token }}
"""
_GITHUB_PULL = """\
      credentials:
        username: $${{ github.actor }}
        password: $${{ github.token }}
"""
_GHCR = "ghcr.io"


def check_matrix(engine: str, name: str, shards: int, secret: str) -> None:
    """Refuse what a CI takes for something else, or not at all; raises `ConfigError`."""
    most = MOST_ON_GITLAB if engine == "gitlab-matrix" else MOST_ON_GITHUB
    if shards > most:
        raise ConfigError(f"--shards {shards} is more than --{engine} takes", hint=f"at most {most}")
    if engine == "gitlab-matrix" and name in _OF_GITLAB:
        raise ConfigError(f"--name {name}: no job of GitLab may be called so", hint="such as mirror")
    # https://docs.github.com/actions/reference/security/secrets#naming-your-secrets
    if engine == "github-matrix" and secret.upper().startswith("GITHUB_"):
        raise ConfigError(
            "--secret: names that begin with GITHUB_ are GitHub's own",
            hint=f"without --secret a job that goes to {_GHCR} logs in with its own token",
        )


def gitlab_jobs(export: Export) -> str:
    """Return a job of GitLab CI that is done in parallel, and one that joins the results."""
    login = written(_GITLAB_LOGIN, value=f"${export.secret}") if export.secret not in ("", "DOCKER_AUTH_CONFIG") else ""
    return f"{export.head}\n" + written(
        _GITLAB,
        name=export.name,
        report=f"{export.name}-report",
        results=Lines(_results(export)),
        file=Lines(export.file),
        image=export.image,
        shards=export.shards,
        login=Lines(login),
        report_login=Lines(f"  variables:\n{login}" if login else ""),
        work=_work(export, "$CI_NODE_INDEX"),
        merge=Lines(_merge(export)),
        retried=Lines(list(_RETRIED)),
    )


def github_workflow(export: Export) -> str:
    """Return a workflow of GitHub Actions with a matrix, and a job that joins the results."""
    secret = Lines(export.secret)
    is_own = not secret and _GHCR in hosts_asked(export.units)
    is_pulled = export.image.startswith(f"{_GHCR}/")
    may = "write" if is_own and _GHCR in hosts_of(export.units) else "read" if is_own or is_pulled else ""
    return f"{export.head}\n" + written(
        _GITHUB,
        name=export.name,
        plain=Lines(export.name),
        results=Lines(_results(export)),
        file=Lines(export.file),
        image=export.image,
        pull=Lines(written(_GITHUB_PULL) if is_pulled else ""),
        shards=export.shards,
        at_once=export.at_once,
        numbers=Lines(list(range(1, export.shards + 1))),
        secrets=Lines(written(_GITHUB_NEEDS, secret=secret) if secret else ""),
        packages=Lines(f"  packages: {may}\n" if may else ""),
        login=Lines(written(_GITHUB_LOGIN, secret=secret) if secret else written(_GITHUB_OWN) if is_own else ""),
        work=_work(export, "${{ matrix.shard }}"),
        merge=Lines(_merge(export)),
    )


def _results(export: Export) -> str:
    """Return how the names of results begin, which those of other jobs of a pipeline do not."""
    return f"{export.name}-results"


def _work(export: Export, number: str) -> Lines:
    named = ("--config=oci-push.yaml",) if export.is_signed else ()  # what was only found may not sign
    words = ("oci-push", "work", export.file, "--shard=env", *named, *export.limit_options)
    return Lines(f"{shlex.join(words)} --results={_results(export)}-{number}.jsonl")


def _merge(export: Export) -> str:
    return f"oci-push report merge {_results(export)}-*.jsonl --units {export.file}"
