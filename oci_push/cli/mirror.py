"""`oci-push mirror`: many images from many places to many others, as a file says, in one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.inputs import read_bytes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, NoMemory, Quiet
from oci_push.cli.output import say, say_form, tell, warn
from oci_push.cli.reporting import Reporting
from oci_push.cli.wording import counted, duration, size
from oci_push.cli.words import SAFETY, SOURCE, SPEED, TARGET, Argument, Option
from oci_push.engine.copying_items import AT_ONCE
from oci_push.engine.copying_referrers import told
from oci_push.engine.mirroring import Found, Mirrored, Mirroring, MirrorReport, PlannedTag
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.events import Emit
from oci_push.language.mirror import load_mirror
from oci_push.library.mirrors import mirror_endpoints, mirror_plan
from oci_push.model.mirroring import MirrorFile
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context

_SAID = {
    CopyOutcome.COPIED: "copied",
    CopyOutcome.UNCHANGED: "unchanged",
    CopyOutcome.THERE: "there and not asked for",
    CopyOutcome.OLDER: "left out as older",
    CopyOutcome.FAILED: "failed",
    CopyOutcome.NOT_REACHED: "not reached",
}


class MirrorAccessOptions(Access, frozen=True):
    """How registries are reached, and how fast."""

    jobs: Annotated[
        int, Option("Images, and requests to one registry, at once; 0: by distance.", short="-j", min=0, under=SPEED)
    ] = 0
    retries: Annotated[int, Option("How often a request or upload is repeated.", min=0, under=SPEED)] = 4
    limit_rate: Annotated[
        str, Option("Bytes a second for the whole run: 500k, 10M, 1G.", metavar="RATE", under=SPEED)
    ] = ""
    no_memory: NoMemory = False


@takes(MirrorAccessOptions)
def mirror(
    file: Annotated[
        Path, Argument(metavar="FILE", help="What is copied; also a file of skopeo sync or of regsync; - is stdin.")
    ],
    destination: Annotated[
        str, Argument(metavar="[DESTINATION]", help="HOST[:PORT][/PREFIX], for a file of skopeo's, which names none.")
    ] = "",
    scoped: Annotated[
        bool, Option("With a file of skopeo's: keep the source's whole name below DESTINATION.", under=TARGET)
    ] = False,
    plan: Annotated[bool, Option("Show what would be copied, and write nothing.", under=SAFETY)] = False,
    dry_run: Annotated[bool, Option("The same as --plan.", under=SAFETY)] = False,
    only_missing: Annotated[
        bool, Option("Leave tags alone that the target has, whatever they name.", under=SAFETY)
    ] = False,
    no_referrers: Annotated[
        bool, Option("Leave signatures, SBOMs and what else refers to images behind.", under=SOURCE)
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: MirrorAccessOptions,
) -> None:
    """Copy many images as a file says: repositories, globs and tags, each to one or several places.

    All of it is one run: nothing is asked or sent twice, and a failure stops only what it is about. When to run is left
    to cron. Logins that a file of others holds are used for the registries that they are for.
    """

    def work(context: Context) -> int:
        started = context.clock.monotonic()
        env = this_environment().env
        if access.password_stdin and str(file) == "-":
            raise ConfigError("--password-stdin and the file - cannot both read stdin")
        read = load_mirror(
            read_bytes(file), str(file), env, lambda path: path.read_text("utf-8"), destination, scoped=scoped
        )
        for problem in () if quiet else read.notes:
            warn(str(problem), problem.hint)
        is_plan = plan or dry_run
        quietly = quiet or as_json
        with _mirroring(
            context, read, access, only_missing=only_missing, referrers=not no_referrers, quiet=quietly
        ) as (run, emit):
            found = run.find(context, read.jobs)
            for note in found.notes:
                warn(note)
            if is_plan:
                return _show_plan(str(file), read, found, run, context, as_json=as_json)
            done = run.mirror(context, found, emit)
        if as_json:
            seconds = context.clock.monotonic() - started
            say_form(MirrorReport.of(str(file), read, done, seconds, context.costs.total()))
        _show(done, context.clock.monotonic() - started, as_json=as_json, quiet=quiet)
        return exit_code(done.errors)

    run_command(work, what="mirror", timeout_s=access.timeout_s)


@contextmanager
def _mirroring(
    context: Context,
    read: MirrorFile,
    access: MirrorAccessOptions,
    *,
    only_missing: bool,
    referrers: bool,
    quiet: bool,
) -> Iterator[tuple[Mirroring, Emit]]:
    """Give a run whose connections know what the file, oci-push.yaml and the options say of registries."""
    env = this_environment().env
    common = access.common()
    hosts = _hosts(read)
    described = looking.endpoints(access, [Repository(host, "x") for host in hosts])
    with (
        Reporting().following(context.clock, env, is_quiet=quiet, title="Mirror") as follower,
        mirror_endpoints(read, described, access.tls(), follower.emit) as endpoints,
        common.pusher(context, follower.emit, endpoints=endpoints, login_host=common.login_host(hosts)) as pusher,
    ):
        at_once = access.jobs or AT_ONCE
        run = Mirroring(pusher, only_missing=only_missing, referrers=referrers, at_once=at_once)
        yield run, follower.emit


def _hosts(read: MirrorFile) -> tuple[str, ...]:
    """Return the registries that a file is about."""
    sources = [source.host for job in read.jobs for source in job.sources]
    targets = [target.partition("/")[0] for job in read.jobs for target in job.targets]
    return tuple(dict.fromkeys((*sources, *(one for one in targets if "{" not in one))))


def _show(done: Mirrored, seconds: float, *, as_json: bool, quiet: bool) -> None:
    """Print what was copied, what failed, and how much it was."""
    copied = done.copied
    for row in copied.rows:
        if row.outcome is CopyOutcome.COPIED and not as_json:
            say(f"{row.name}@{row.digest}" if row.tag else row.name)
    _show_errors([(row.name, row.error) for row in copied.rows if row.error is not None])
    for error in copied.referrers.errors:
        show_error(error)
    for failure in done.failures:
        show_error(failure.error, before=f"{failure.name}: ")
    if quiet or as_json:
        return
    words = [f"{count} {_SAID[one]}" for one in CopyOutcome if (count := copied.count(one))]
    if done.failures:
        words.append(f"{counted(len(done.failures), 'source')} failed")
    sent = sum(row.bytes_sent for row in copied.rows)
    beside = f", with {told(copied.referrers)}" if copied.referrers.count else ""
    said = ", ".join(words) or "nothing to do"
    tell(f"{counted(len(copied.rows), 'tag')}: {said}; {size(sent)} sent in {duration(seconds)}{beside}")


def _show_errors(failed: Sequence[tuple[str, OciPushError]]) -> None:
    """Print errors, and one that many tags have once: a registry that is down is no news after the first."""
    names: dict[str, list[str]] = {}
    for name, error in failed:
        names.setdefault(str(error), []).append(name)
    for error in {str(error): error for _, error in failed}.values():
        first, *others = names[str(error)]
        more = f" and {counted(len(others), 'more tag')}" if others else ""
        show_error(error, before=f"{first}{more}: ")


def _name_of(one: PlannedTag) -> str:
    """Return the name of a target."""
    return f"{one.repository}:{one.tag}" if one.tag else f"{one.repository}@{one.digest}"


def _show_plan(path: str, read: MirrorFile, found: Found, run: Mirroring, context: Context, *, as_json: bool) -> int:
    """Print what would be copied."""
    form, errors = mirror_plan(context, path, read, run, found)
    planned = form.tags
    if as_json:
        say_form(form)
    for one in planned if not as_json else ():
        say(f"{one.outcome:9}  {one.source.removeprefix('docker://')}  {_name_of(one)}")
    _show_errors([(_name_of(one), one.error.error()) for one in planned if one.error is not None])
    for failure in found.failures:
        show_error(failure.error, before=f"{failure.name}: ")
    count = sum(one.outcome in ("copy", "move") for one in planned)
    if not as_json:
        tell(f"{count} of {counted(len(planned), 'tag')} would be copied; nothing was written")
    return exit_code(errors)
