"""What a library user calls for one image: `push`, `plan` and `replicate`.

`push` is the walk of one image from file to tags: open the source, plan, execute, report. The command line has
the same `PushUnit` performed, and prints.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from oci_push.api import parse_destinations
from oci_push.engine.artifacts.attachment import Attachment
from oci_push.engine.forecast import Forecaster
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import REPLICATION_S, Options
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform, plan_unit
from oci_push.events import Emit
from oci_push.forms import VERSION
from oci_push.library.calls import (
    OnEvent,
    call,
    check_timeout,
    check_type,
    discreet_form,
    of_all,
    platform_of,
    pusher_for,
    refuse_text,
    source_of,
)
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import CloudIdentity, RepositoryCreation
from oci_push.model.trust import SignRule
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import PushReport, ReplicaForm, ReplicationReport
from oci_push.runtime.context import Context


def push(
    source: str | os.PathLike[str],
    *destinations: str,
    tags: Sequence[str] = (),
    platform: str = "",
    changes: Changes = NOTHING,
    attach: Sequence[Attachment] = (),
    sign: Sequence[SignRule] = (),
    regions: Sequence[str] = (),
    create_repositories: RepositoryCreation | None = None,
    verify: bool = False,
    all_or_nothing: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> PushReport:
    """Push one image to one or several repositories, and return what was done once all of it is.

    `source` is a path, or what the command line takes: ``oci:DIR``, ``docker-archive:FILE``, ``docker://HOST/REPO:TAG``
    and so on. Each destination is ``HOST[:PORT]/REPO[:TAG[,TAG…]]``; `tags` are added to each, and one without any gets
    ``latest``. `platform` (``linux/arm64``) takes one image out of an index; `changes` are made on the way, and the
    report's `changed` says what came of them. Each of `attach` becomes an artifact about the image, and each
    of `sign` a signature, before any tag names that. `regions` and `create_repositories` (an `EcrCreation`) are for
    Amazon ECR's private registries. `verify` reads back what was pushed; `all_or_nothing` moves all tags or none.
    Logins are found where docker and podman keep theirs, or given in `options`.

    `on_event` is called with each event (see `oci_push.events`) on the thread that called `push`, one after the other
    and in order. What it raises stops the push, and is raised here.

    `cancel` is an event that another thread may set, `timeout_s` the most seconds that all may take. Either stops the
    push at once; it comes back when its uploads are closed at the registry, a few seconds later at most.

    Raises `OciPushError` if anything that was asked for was not done; its `report` is then what was. With one
    destination it is that one's error; `IncompleteError` if some of several failed; `Cancelled` and `DeadlineError` for
    a stop. Raises ``ValueError`` and ``TypeError`` for arguments that make no sense.

    It may be called from many threads at once, prints nothing, and changes nothing of the process.
    """
    unit, endpoints = _unit(source, destinations, tags, platform, changes, attach, regions, create_repositories)
    check_type("options", options, Options)
    options = options or Options()
    careful = PushOptions(verify or options.push_options.verify, all_or_nothing or options.push_options.all_or_nothing)
    if isinstance(sign, str | SignRule) or not all(isinstance(one, SignRule) for one in sign):
        raise TypeError("sign is no sequence of SignRule: give sign=[SignRule(…)]")
    unit = replace(unit, options=careful, sign=tuple(sign))
    options = replace(options, endpoints={**endpoints, **options.endpoints})

    def work(context: Context, emit: Emit) -> PushReport:
        with pusher_for(context, options, emit) as pusher:
            return _finished(unit.source, perform(unit, pusher, context, emit), context)

    return call(work, what="push", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def plan(
    source: str | os.PathLike[str],
    *destinations: str,
    tags: Sequence[str] = (),
    platform: str = "",
    changes: Changes = NOTHING,
    attach: Sequence[Attachment] = (),
    regions: Sequence[str] = (),
    ask: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ImagePlan:
    """Return what `push` would do with these arguments; nothing is written, and no target is contacted.

    With `ask` the targets are asked what they have, as ``push --plan`` does: each then has `moves`, `ways`, `amounts`.

    Layers that would be compressed are, as digests depend on it. Raises `OciPushError`, as `push` does; where a target
    could not be asked, its `report` is the plan.
    """
    unit, endpoints = _unit(source, destinations, tags, platform, changes, attach, regions, None)
    check_type("options", options, Options)
    options = options or Options()
    options = replace(options, endpoints={**endpoints, **options.endpoints})

    def work(context: Context, emit: Emit) -> ImagePlan:
        with pusher_for(context, options, emit) as pusher:
            laid_out = plan_unit(unit, pusher.speaking(emit), context)
            if not ask:
                return ImagePlan.of(laid_out)
            found = Forecaster(pusher.clients).forecast(context, laid_out)
        form = discreet_form(ImagePlan.of(laid_out, found))
        errors = [one.error for one in found if one.error is not None]
        if errors:
            raise of_all(errors, len(found), "repositories", context).with_report(form)
        return form

    return call(work, what="plan", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def replicate(
    reference: str,
    *,
    regions: Sequence[str] = (),
    identity: CloudIdentity | None = None,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float = REPLICATION_S,
) -> ReplicationReport:
    """Wait until every region serves an image of an Amazon ECR registry, and return how each came to.

    Without `regions` those count that the registry's replication rules name; where no rule covers one of `regions`,
    the image is copied there. `identity` (an `AwsIdentity`) is who asks; else AWS's default chain decides.

    Raises `OciPushError` as `push` does: with `report` if some regions serve it and others do not, or not in time.
    """
    from oci_push.engine.regions import follow

    refuse_text("regions", regions)
    check_timeout(timeout_s)

    def work(context: Context, emit: Emit) -> ReplicationReport:
        with pusher_for(context, options, emit) as pusher:
            inner = context.child(seconds=timeout_s, what="waiting for replication")
            results = follow(inner, pusher, reference, identity, regions, emit)
        report = ReplicationReport(VERSION, tuple(ReplicaForm.of(one) for one in results))
        errors = [one.error for one in results if one.error is not None]
        if errors:
            raise of_all(errors, len(results), "regions", context).with_report(report)
        return report

    return call(work, what="replicate", on_event=on_event, cancel=cancel)


def _unit(
    source: str | os.PathLike[str],
    destinations: Sequence[str],
    tags: Sequence[str],
    platform: str,
    changes: Changes,
    attach: Sequence[Attachment],
    regions: Sequence[str],
    creation: RepositoryCreation | None,
) -> tuple[PushUnit, dict[str, RegistryEndpoint]]:
    """Return the push as plain data, and how registries are reached that a cloud manages."""
    text = source_of(source)
    wanted = platform_of(platform)
    check_type("changes", changes, Changes)
    _check_attachments(attach)
    refuse_text("tags", tags)
    refuse_text("regions", regions)
    if not destinations:
        raise ValueError("no destination: give one or several, each HOST[:PORT]/REPO[:TAG[,TAG…]]")
    for one in destinations:
        if not isinstance(one, str):
            raise TypeError(f"a destination is a str, not {type(one).__name__}; give several as arguments of their own")
    parsed = parse_destinations(destinations, tags)
    endpoints: dict[str, RegistryEndpoint] = {}
    if regions or creation is not None:
        from oci_push.engine.regions import fan_out, managed_endpoints

        parsed = fan_out(parsed, regions) if regions else parsed
        endpoints = managed_endpoints(parsed, creation) if creation is not None else {}
    if wanted is not None and changes.platforms:
        raise ValueError("platform is one image alone, changes.platforms make an index; give one of them")
    targets = tuple(UnitTarget(one.repository, one.tags) for one in parsed)
    return PushUnit(text, targets, platform=wanted, changes=changes, attach=tuple(attach)), endpoints


def _finished(source: str, done: UnitResult, context: Context) -> PushReport:
    """Return the report of a push that went well; raise what went wrong, with the report of the rest."""
    report = discreet_form(PushReport.of(source, done))
    if done.error is None:
        return report
    if not done.results:
        raise context.reason or done.error
    errors = [one.error for one in done.results if one.error is not None]
    raise of_all(errors or [done.error], len(done.results), "repositories", context).with_report(report)


def _check_attachments(attach: Sequence[Attachment]) -> None:
    if not isinstance(attach, Collection) or not all(isinstance(one, Attachment) for one in attach):
        raise TypeError("attach is no sequence of Attachment")
    if attach:
        from oci_push.model.artifact import is_media_type  # few pushes attach

        for text in (text for one in attach for text in (one.media_type, one.artifact_type)):
            if text and not is_media_type(text):
                raise ValueError(f"{text!r} is no media type, such as application/spdx+json")
