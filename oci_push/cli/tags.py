"""`oci-push tags` and `repos`: what a repository's tags and a registry's repositories are called."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking, targets
from oci_push.cli.command import run_command, takes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form, table
from oci_push.cli.progress import LineRenderer
from oci_push.cli.words import OUTPUT, SOURCE, Argument, Option
from oci_push.engine.looking import listing
from oci_push.engine.looking.listing import Sort, Wanted
from oci_push.errors import ConfigError
from oci_push.library import naming
from oci_push.runtime.context import Context

Filter = Annotated[
    list[str] | None,
    Option("Only names that match one of these globs.", name="--filter", metavar="GLOB", under=SOURCE),
]
Limit = Annotated[int, Option("At most so many; 0: all.", min=0, under=OUTPUT)]
Reverse = Annotated[bool, Option("The other way round.", under=OUTPUT)]


@takes(Access)
def tags(
    repository: Annotated[str, Argument(metavar="REPO", help="HOST[:PORT]/REPO")],
    globs: Filter = None,
    sort: Annotated[
        str,
        Option(
            "By name; by version, the newest first; or by the date in each image's config, the newest first,"
            " which reads them.",
            choices=("name", "semver", "date"),
            under=OUTPUT,
        ),
    ] = "name",
    reverse: Reverse = False,
    limit: Limit = 0,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """List a repository's tags, one a line.

    With --limit alone no more pages are read than it takes, where the registry gives them in order.
    """

    def work(context: Context) -> int:
        wanted = Wanted(tuple(globs or ()), limit, Sort(sort), reverse)
        named = naming.repository(repository)
        with looking.looking(context, access, repositories=[named]) as look:
            found = listing.list_tags(context, look.client(named), wanted)
        if as_json:
            say_form(found)
        elif wanted.sort is Sort.DATE and found.tags:
            for line in table(
                ("tag", "created", "digest"), [(t.tag, t.created or "-", str(t.digest)) for t in found.tags]
            ):
                say(line)
        else:
            for one in found.tags:
                say(one.tag)
        return 0

    run_command(work, what="tags", timeout_s=access.timeout_s)


@takes(Access)
def repos(
    registry: Annotated[str, Argument(metavar="HOST|INTEGRATION", help="HOST[:PORT], or a registry of oci-push.yaml.")],
    globs: Filter = None,
    reverse: Reverse = False,
    limit: Limit = 0,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """List a registry's repositories, one a line, where it offers that: many do not.

    It is asked for the list that distribution, Harbor, Nexus, GitLab and others serve (_catalog). Of a registry of
    oci-push.yaml with a prefix, those below it are listed.
    """

    def work(context: Context) -> int:
        target = targets.registry_target(registry, targets.read_config(access))
        if target.path:
            raise ConfigError(
                f"{registry!r} names more than a registry", hint=f"--filter '{target.path}/*' chooses repositories"
            )
        prefix = target.integration.prefix if target.integration else ""
        given = tuple(globs or ())
        if prefix:
            given = tuple(f"{prefix}/{glob}" for glob in given or ("*",))
        some = target.repository("oci-push-repos")
        described = {} if target.integration else looking.endpoints(access, [some])
        common = access.common(retries=2)
        renderer = LineRenderer(quiet=True)
        with common.pusher(context, renderer, endpoints=described, login_host=some.host, hosts=(some.host,)) as pusher:
            endpoint = pusher.target(some, (), target.endpoint if target.integration else None).endpoint
            wanted = Wanted(given, limit, is_reversed=reverse)
            found = listing.list_repositories(context, pusher.clients.session(endpoint), endpoint.host, wanted)
        if as_json:
            say_form(found)
        else:
            for one in found.repositories:
                say(one)
        return 0

    run_command(work, what="repos", timeout_s=access.timeout_s)
