"""`oci-push delete`: tags and manifests of a registry, after a look at what would go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.asking import check_answerable, is_agreed
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form, tell, warn
from oci_push.cli.words import SAFETY, Argument, Option
from oci_push.engine.editing import change
from oci_push.engine.editing.change import Doomed
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.library.edits import deletion, find_doomed, pattern_of
from oci_push.library.looking import Looker
from oci_push.runtime.context import Context


@takes(Access)
def delete(
    references: Annotated[
        list[str], Argument(metavar="REF...", help="HOST[:PORT]/REPO:TAG, HOST/REPO:GLOB or HOST/REPO@DIGEST")
    ],
    yes: Annotated[bool, Option("Do not ask; needed where there is no terminal.", short="-y", under=SAFETY)] = False,
    dry_run: Annotated[bool, Option("Show what would go, and delete nothing.", under=SAFETY)] = False,
    by_digest: Annotated[
        bool,
        Option(
            "Delete the manifests that the tags name, for registries that cannot delete a tag; refused where one"
            " has a tag that is not named here.",
            under=SAFETY,
        ),
    ] = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Delete tags, or manifests by their digest; a glob stands for every tag that matches it.

    All of it is looked up first and listed, and nothing is deleted where a part of it is not there. A manifest takes
    every tag that names it along; those are listed too. Blobs are freed by the registry's own clearing away.
    """

    def work(context: Context) -> int:
        patterns = [pattern_of(text) for text in references]
        check_answerable("delete", is_needed=not (yes or dry_run))
        repositories = list(dict.fromkeys(one.repository for one in patterns))
        with looking.looking(context, access, repositories=repositories) as look:
            doomed = find_doomed(look, patterns, by_digest=by_digest)
            if not as_json or not (yes or dry_run):
                _list(doomed, is_tried=dry_run)
            if doomed and not (yes or dry_run):
                if not is_agreed(context, len(doomed)):
                    tell("nothing was deleted")
                    return 1
                if find_doomed(look, patterns, by_digest=by_digest) != doomed:
                    raise ConfigError("what was listed has changed meanwhile; nothing was deleted", hint="look again")
            errors: list[OciPushError | None] = []
            try:
                for one in doomed:
                    errors.append(None if dry_run else _delete(look, one, is_told=not as_json))
                    context.check()
            finally:  # what was deleted until a stop is told, too
                if as_json:
                    say_form(deletion(doomed, errors, is_tried=dry_run))
        return exit_code(errors)

    run_command(work, what="delete", timeout_s=access.timeout_s)


def _list(doomed: Sequence[Doomed], *, is_tried: bool) -> None:
    """Say what would go: on stdout where that is all that is wanted, else before it goes."""
    put = say if is_tried else tell
    if not doomed:
        put("no tag matches: there is nothing to delete")
    for one in doomed:
        put(f"{one}  {one.digest}" if one.tag else str(one))
        if one.others:
            put(f"  and with it the tag{'s' * (len(one.others) > 1)} {', '.join(one.others)}")
        if one.indexes:
            warn(f"{one}: is a part of what {', '.join(one.indexes)} names, which will lack it")
        if one.unseen > 0:
            warn(f"{one}: {one.unseen} more tags of the repository were not looked at; any that name it go with it")
        elif one.unseen < 0:
            warn(f"{one}: the registry does not list its tags; any that name it go with it")


def _delete(look: Looker, one: Doomed, *, is_told: bool) -> OciPushError | None:
    try:
        change.delete(look.context, look.client(one.repository), one)
    except OciPushError as error:
        show_error(error, before=f"{one}: ")
        return error
    if is_told:
        say(f"deleted {one}")
    return None
