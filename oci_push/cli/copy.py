"""`oci-push copy`: images from registries, layouts and archives to a registry, with what refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli.choosing import Choice, endpoints_of, moment, read_words
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import Conversion
from oci_push.cli.copy_results import show, show_errors, summary_of, write
from oci_push.cli.on import OnOptions, Units, check_units
from oci_push.cli.options import Common, Delivery, split_regions
from oci_push.cli.output import say_form
from oci_push.cli.reporting import Reporting
from oci_push.cli.words import SAFETY, Argument, Option
from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import AT_ONCE, CopyOptions
from oci_push.engine.copying.report import CopyReport
from oci_push.engine.copying.selection import select
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.saving.place import FORMS, Place
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError, exit_code
from oci_push.library.selecting import Source, items_of, read_source
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Destination
from oci_push.runtime.context import Context

_KEPT_IN = "--json and --report FILE have"


@takes(Choice, Conversion, Common, Delivery, Reporting, OnOptions)
def copy_command(
    words: Annotated[
        list[str],
        Argument(
            metavar="SOURCE... DESTINATION",
            help="HOST/REPO:GLOB, or any SOURCE of push. DESTINATION: HOST[:PORT]/REPO[:TAG[,TAG…]], without TAG"
            f" each image keeps its own; or {FORMS}.",
        ),
    ],
    plan: Annotated[
        bool, Option("Ask what is there, show what would be done, and write nothing.", under=SAFETY)
    ] = False,
    units: Units = None,
    *,
    choice: Choice,
    conversion: Conversion,
    common: Common,
    delivery: Delivery,
    reporting: Reporting,
    where: OnOptions,
) -> None:
    """Copy images, one or all of a repository, with what refers to them: signatures, attestations, SBOMs.

    What is there already is not sent again, so the same command goes on where one was stopped. --jobs is also how many
    images go at once.
    """

    def work(context: Context) -> int:
        env = this_environment().env
        reporting.check_with(common, env, is_plan=plan)
        common.export_form(env)
        check_units(units, plan=plan, where=where)
        place = Place.find(words[-1])
        if place is not None:
            if plan:
                raise ConfigError(
                    f"--plan asks registries, and {words[-1]} lies here", hint="leave it out, or name a repository"
                )
            if units or where.on:
                raise ConfigError(
                    f"{words[-1]} lies here, and other machines cannot save to it", hint="name a repository"
                )
            return _save(context, words[:-1], place, choice, conversion, common, delivery, reporting)
        sources, destinations = read_words(words, choice, delivery, common)
        _check(sources, destinations, choice, common, reporting)
        targets = tuple(UnitTarget(one.repository, one.tags) for one in destinations)
        options = CopyOptions(
            where.at_once(common.jobs or AT_ONCE),
            referrers=not choice.no_referrers,
            only_missing=choice.only_missing,
            newer_than=moment(choice.newer_than, context.clock.now()),
            push=replace(CopyOptions().push, verify=common.verify, all_or_nothing=common.all_or_nothing),
            served_in=split_regions(delivery.regions) if common.wait_replication else None,
        )
        is_quiet = common.quiet or delivery.as_json
        hosts = tuple(dict.fromkeys(one.repository.host for one in destinations))
        endpoints = endpoints_of(sources, destinations, common, env)
        title = f"Copy {sources[0].text}"
        began = context.clock.monotonic()
        with (
            reporting.following(context.clock, env, is_quiet=is_quiet, title=title) as follower,
            common.pusher(
                context, follower.emit, endpoints=endpoints, login_host=common.login_host(hosts), hosts=hosts
            ) as pusher,
            where.act(context, common, hosts=tuple(endpoints)) as act,
        ):
            lists = TagLists(pusher)
            items = items_of(
                context,
                pusher,
                lists,
                sources,
                targets,
                choice.choosing,
                platform=conversion.only(),
                changes=conversion.changes(common),
            )
            if plan:
                from oci_push.cli.copy_planned import show_copy_plan
                from oci_push.engine.copying.forecast import forecast
                from oci_push.runner.copy_plan import CopyPlan
                from oci_push.runner.report import write_report

                found = forecast(context, pusher, items, follower.emit, options, lists=lists)
                planned = CopyPlan.of(found)
                show_copy_plan(found, planned, env, as_json=delivery.as_json)
                show_errors(found.copied, kept_in=_KEPT_IN)
                if common.report:
                    write_report(common.report, planned)
                return planned.exit_code
            if units:
                from oci_push.cli.units import lay_out_copies

                return lay_out_copies(
                    context, pusher, items, follower.emit, options, lists, units, as_json=delivery.as_json
                )
            copied = copy(context, pusher, items, follower.emit, options, lists=lists, act=act)
        seconds = context.clock.monotonic() - began
        form = CopyReport.of(copied, seconds, with_referrers=options.referrers, cost=context.costs.total())
        if delivery.as_json:
            say_form(form)
        else:
            there = (CopyOutcome.COPIED, CopyOutcome.UNCHANGED)
            show(copied, summary_of(copied, seconds), outcomes=there, is_quiet=common.quiet)
        show_errors(copied, kept_in=_KEPT_IN)
        write(copied, form, common, reporting)
        return exit_code(copied.errors)

    run_command(work, what="copy", timeout_s=common.timeout or None)


def _save(
    context: Context,
    texts: Sequence[str],
    place: Place,
    choice: Choice,
    conversion: Conversion,
    common: Common,
    delivery: Delivery,
    reporting: Reporting,
) -> int:
    """Copy images to a layout or an archive; return the exit code."""
    from oci_push.cli.saved_copies import Wanted, check_copy, save_copies, show_saved

    if not texts:
        raise ConfigError(f"nothing is named that would be copied to {place.text}", hint="write SOURCE... before it")
    sources = [read_source(text, choice.choosing) for text in texts]
    changes, referrers = conversion.changes(common), choice.referrers
    wanted = Wanted(place, conversion.only(), changes, referrers, common.verify)
    options = (
        ("--only-missing", choice.only_missing),
        ("--newer-than", choice.newer_than),
        ("--regions", delivery.regions),
        ("--create-repository", common.create_repository),
        ("--wait-replication", common.wait_replication),
        ("--all-or-nothing", common.all_or_nothing),
        ("--no-mount", common.no_mount),
        ("--export", common.export),
        ("--report", common.report),
        ("--digest-file", reporting.digest_file),
    )
    check_copy(place, options, wanted)
    if choice.is_many and not all(one.selection for one in sources):
        raise ConfigError(
            f"{choice.choosing.said_by} has no effect on what is in no registry", hint="name each image of it: PATH:REF"
        )
    env = this_environment().env
    hosts = tuple(dict.fromkeys(one.repository.host for one in sources if one.repository is not None))
    title, is_quiet = f"Copy {texts[0]}", common.quiet or delivery.as_json
    with (
        reporting.following(context.clock, env, is_quiet=is_quiet, title=title) as follower,
        common.pusher(
            context,
            follower.emit,
            endpoints=endpoints_of(sources, (), common, env),
            login_host=common.login_host(hosts),
        ) as pusher,
    ):
        lists = TagLists(pusher)
        found: list[str] = []
        for one in sources:
            several = select(context, lists, one.selection, ()) if one.selection is not None else ()
            found += [item.source for item in several] or [one.text]
        saved = save_copies(context, pusher, lists, found, wanted, follower.emit)
    return show_saved(place, saved, as_json=delivery.as_json, is_quiet=common.quiet)


def _check(
    sources: Sequence[Source],
    destinations: Sequence[Destination],
    choice: Choice,
    common: Common,
    reporting: Reporting,
) -> None:
    """Refuse what has no effect on these sources; raises `ConfigError`."""
    is_many = choice.is_many or any(one.selection for one in sources)
    if common.password_stdin and any(one.text == "-" for one in sources):
        raise ConfigError("--password-stdin and the source - cannot both read stdin")
    if choice.exclude and not is_many:
        raise ConfigError("--exclude has no effect: each SOURCE names one image", hint="give --all-tags, or a glob")
    if is_many and destinations[0].tags:
        raise ConfigError(
            f"destination {destinations[0]} names a tag, and there may be many images",
            hint=f"write {destinations[0].repository}: each image keeps its own tag",
        )
    if common.all_or_nothing and (is_many or len(sources) > 1):
        raise ConfigError(
            "--all-or-nothing is about the tags of one image, and here are several", hint="copy each by itself"
        )
    if common.export:
        raise ConfigError("--export has no effect with copy", hint="--report FILE has every digest")
    if reporting.report_format == "junit":
        raise ConfigError("--report-format junit has no effect with copy", hint="json or markdown")
    if not all(one.repository for one in sources):
        return
    options = {"--compression": common.compression, "--compression-level": common.compression_level}
    for option in (name for name, value in options.items() if value):
        raise ConfigError(
            f"{option} has no effect: layers of a registry are as they are", hint="--recompress compresses them anew"
        )
