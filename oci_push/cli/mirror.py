"""`oci-push mirror`: many images from many places to many others, as a file says, in one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.copy_results import show, show_errors, summary_of
from oci_push.cli.inputs import read_bytes
from oci_push.cli.looking import TransferAccess
from oci_push.cli.on import OnOptions, Units, check_units
from oci_push.cli.options import AsJson, LimitRate, NoMemory, Quiet
from oci_push.cli.output import say_form, tell, warn
from oci_push.cli.reporting import Reporting
from oci_push.cli.words import SAFETY, SOURCE, TARGET, Argument, Option
from oci_push.engine.copying.items import AT_ONCE
from oci_push.engine.copying.mirror import Mirroring
from oci_push.engine.copying.mirror_report import MirrorReport
from oci_push.engine.copying.mirror_sources import MirrorFailure
from oci_push.errors import ConfigError, exit_code
from oci_push.events import Emit
from oci_push.language.mirror import load_mirror
from oci_push.library.mirrors import mirror_endpoints
from oci_push.model.mirroring import MirrorFile
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context

_KEPT_IN = "--json has"


class MirrorAccessOptions(TransferAccess, frozen=True):
    """How registries are reached, and how fast."""

    limit_rate: LimitRate = ""
    no_memory: NoMemory = False


@takes(MirrorAccessOptions, OnOptions)
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
    units: Units = None,
    *,
    access: MirrorAccessOptions,
    where: OnOptions,
) -> None:
    """Copy many images as a file says: repositories, globs and tags, each to one or several places.

    All of it is one run: nothing is asked or sent twice, and a failure stops only what it is about. When to run is left
    to cron. Logins that a file of others holds are used for the registries that they are for. --jobs is also how many
    images go at once.
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
        check_units(units, plan=is_plan, where=where)
        if where.on and read.accesses:
            _check_workers(file, read, where, quiet=quiet)
        quietly = quiet or as_json
        with _mirroring(
            context, file, read, access, where, only_missing=only_missing, referrers=not no_referrers, quiet=quietly
        ) as (run, emit):
            found = run.find(context, read.jobs)
            for note in found.notes:
                warn(note)
            if is_plan:
                from oci_push.cli.copy_planned import show_copy_plan
                from oci_push.runner.copy_plan import MirrorPlan

                forecast = run.forecast(context, found, emit)
                form = MirrorPlan.of(str(file), read, forecast, found.failures)
                show_copy_plan(forecast, form, env, as_json=as_json)
                show_errors(forecast.copied, kept_in=_KEPT_IN)
                _show_failures(found.failures)
                return form.exit_code
            if units:
                from oci_push.cli.units import lay_out_mirror

                code = lay_out_mirror(context, run, found, emit, units, str(file), as_json=as_json)
                if read.accesses and not quietly:
                    hosts = ", ".join(one.host for one in read.accesses)
                    name = "this file" if str(file) == "-" else file
                    tell(f"units hold no login: for {hosts} give workers {name} by --logins, or logins of their own")
                _show_failures(found.failures)
                return code
            done = run.mirror(context, found, emit)
        seconds = context.clock.monotonic() - started
        if as_json:
            say_form(MirrorReport.of(str(file), read, done, seconds, context.costs.total()))
        else:
            summary = summary_of(done.copied, seconds, len(done.failures))
            show(done.copied, summary, outcomes=(CopyOutcome.COPIED,), is_quiet=quiet)
        show_errors(done.copied, kept_in=_KEPT_IN)
        _show_failures(done.failures)
        return exit_code(done.errors)

    run_command(work, what="mirror", timeout_s=access.timeout_s)


@contextmanager
def _mirroring(
    context: Context,
    file: Path,
    read: MirrorFile,
    access: MirrorAccessOptions,
    where: OnOptions,
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
        mirror_endpoints(read.accesses, described, access.tls(), follower.emit) as endpoints,
        common.pusher(context, follower.emit, endpoints=endpoints, login_host=common.login_host(hosts)) as pusher,
        where.act(context, common, hosts=tuple(described), logins=file if read.accesses else None) as act,
    ):
        at_once = where.at_once(access.jobs or AT_ONCE)
        yield Mirroring(pusher, only_missing=only_missing, referrers=referrers, at_once=at_once, act=act), follower.emit


def _check_workers(file: Path, read: MirrorFile, where: OnOptions, *, quiet: bool) -> None:
    """Tell who reads the logins of a mirror file; raises `ConfigError` where those who need them cannot."""
    if where.is_cluster:
        if not quiet:
            warn(
                f"{file}: what it says of {', '.join(one.host for one in read.accesses)} stays here",
                "the workers of a cluster have logins of their own: see work --check",
            )
    elif str(file) == "-":
        raise ConfigError(
            "what stdin says of logins and certificates cannot be read again by other processes",
            hint="name a file, or leave out --on",
        )


def _hosts(read: MirrorFile) -> tuple[str, ...]:
    """Return the registries that a file is about."""
    sources = [source.host for job in read.jobs for source in job.sources]
    backups = [job.backup for job in read.jobs if "/" in job.backup]
    targets = [text.partition("/")[0] for text in (*(one for job in read.jobs for one in job.targets), *backups)]
    return tuple(dict.fromkeys((*sources, *(one for one in targets if "{" not in one))))


def _show_failures(failures: Sequence[MirrorFailure]) -> None:
    """Print why sources or targets failed before their images were known."""
    for one in failures:
        show_error(one.error, before=f"{one.name}: ")
