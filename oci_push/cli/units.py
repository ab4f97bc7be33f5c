"""Writing units: what ``--units FILE`` of `plan`, `copy` and `mirror` does in the place of pushing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict, replace

from oci_push.cli.command import show_error
from oci_push.cli.copy_results import show_errors
from oci_push.cli.options import Common, ConfigOptions
from oci_push.cli.output import say_form, tell
from oci_push.cli.progress import LineRenderer
from oci_push.cli.wording import counted
from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import CopyItem, CopyOptions
from oci_push.engine.copying.mirror import Mirroring
from oci_push.engine.copying.mirror_sources import Found
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.pusher import Pusher
from oci_push.errors import exit_code
from oci_push.events import Emit, quieter
from oci_push.forms import VERSION, Version
from oci_push.language.resolving import ResolveContext
from oci_push.runner.simulate import Simulation
from oci_push.runtime.context import Context
from oci_push.work.planning import Layout
from oci_push.work.units import WorkUnit, hosts_of, write_units
from oci_push.work.worker import described_by


class UnitsWritten(Struct, frozen=True):
    """What ``copy --units FILE --json`` and ``mirror --units FILE --json`` print."""

    version: Version
    exit_code: int
    file: str
    units: int
    first: int
    registries: tuple[str, ...]


def lay_out_copies(
    context: Context,
    pusher: Pusher,
    items: Sequence[CopyItem],
    emit: Emit,
    options: CopyOptions,
    lists: TagLists,
    path: Path,
    *,
    as_json: bool,
) -> int:
    """Write the units of copies that are not there yet; return the exit code."""
    layout = Layout()
    bare = replace(options, referrers=False)
    act = layout.act(referrers=options.referrers)
    copied = copy(context, pusher, items, quieter(emit), bare, lists=lists, act=act)
    code = exit_code(copied.errors)
    _written(path, items[0].source if items else "copy", layout.units(), code, as_json=as_json)
    show_errors(copied, kept_in="--plan --json has")
    return code


def lay_out_mirror(
    context: Context, run: Mirroring, found: Found, emit: Emit, path: Path, file: str, *, as_json: bool
) -> int:
    """Write the units of what a mirror file means and is not there yet; return the exit code."""
    layout = Layout()
    quietly = quieter(emit)
    backups = {(one.repository, one.tag): one.backup for one in found.copies if one.backup and not run.only_missing}
    done = run.lay_out(
        context, found, quietly, lambda options: layout.act(referrers=options.referrers, backups=backups)
    )
    code = exit_code(done.errors)
    _written(path, file, layout.units(), code, as_json=as_json)
    show_errors(done.copied, kept_in="--plan --json has")
    return code


def lay_out_pipeline(
    context: Context, done: Simulation, resolve_context: ResolveContext, config: ConfigOptions, path: Path, file: str
) -> int:
    """Write the units of what the steps of a plan push; return the exit code."""
    from oci_push.work.pipelines import lay_out_steps

    common = Common(**asdict(config))
    describe = described_by(resolve_context.config)
    with common.pusher(context, LineRenderer(quiet=True), is_lenient=True) as pusher:
        layout, errors = lay_out_steps(context, done.steps, pusher, describe)
    for error in errors:
        show_error(error)
    code = exit_code(errors)
    if not errors:
        _written(path, file, layout.units(), code, as_json=False)
        left = [one.step.name for one in done.steps if one.runs and one.step.settings.hooks]
        if left:
            tell(f"hooks are not in units, and are not run by work: those of {', '.join(left)}")
    return code


def _written(path: Path, made_of: str, units: Sequence[WorkUnit], code: int, *, as_json: bool) -> None:
    write_units(path, made_of, units)
    hosts = hosts_of(units)
    first = sum(not unit.after for unit in units)
    if as_json:
        say_form(UnitsWritten(VERSION, code, str(path), len(units), first, hosts))
        return
    what = f"{counted(len(units), 'unit')} for {', '.join(hosts) or 'nobody'}"
    waits = f", of which {len(units) - first} wait for a large layer that another brings" if first < len(units) else ""
    tell(f"{path}: {what}{waits}")
