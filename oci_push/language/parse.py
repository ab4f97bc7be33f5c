"""From text to the model: load, expand, check, build. A file with mistakes gives all of them at once.

Parts of the language that this program does not run are in the model too; who runs it says so, rather than ignore
them: a pipeline must never mean something else.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import YamlMapping, load
from oci_push.language.expand import expand, unwrap
from oci_push.language.schema_check import check_candidates, check_pipeline
from oci_push.language.schema_registries import Known, check_registries, check_tabs, check_without_registries
from oci_push.language.step_rules import PIPELINE
from oci_push.language.steps import Pipeline
from oci_push.language.when import check_conditions


class Reading(Struct, frozen=True):
    """What a file gave: a pipeline unless there are errors, and what is strange about it.

    `upstream` is what only the vendor's own validator refuses.
    """

    pipeline: Pipeline | None
    errors: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    upstream: tuple[Diagnostic, ...] = ()


def read_pipeline(text: str | bytes, path: str, known: Known | None = None) -> Reading:
    """Read a pipeline and tell errors and warnings apart; raises nothing for what is wrong with it.

    With `known`, it is also checked against the registries and variables that there are.
    """
    diagnostics = Diagnostics()
    try:
        document = load(text, path)
    except ConfigError as problem:
        return Reading(None, problem.problems)
    if known is not None:
        check_tabs(document.text, path, diagnostics)
    root = document.root
    if not isinstance(root, YamlMapping):
        diagnostics.error(root.location, "", "a pipeline is a mapping with version and steps")
        return _refused(diagnostics)
    diagnostics.bare_variables(document.bare)
    exported = unwrap(root, diagnostics)
    if exported is None:
        return _refused(diagnostics)
    if known is not None:
        known = known.beside(exported.variables, exported.lacking)
    root = expand(exported.root, diagnostics)
    check_pipeline(root, diagnostics)
    check_candidates(root, known.lookup if known else None, diagnostics)
    if known is None:
        check_without_registries(root, diagnostics)
    else:
        check_registries(root, known, diagnostics)
    if diagnostics.errors:
        return _refused(diagnostics)
    pipeline = replace(PIPELINE.read(root), path=path, variables=exported.variables, lacking=exported.lacking)
    check_conditions(pipeline, diagnostics)
    diagnostics.once()
    return Reading(pipeline, (), tuple(diagnostics.warnings), tuple(diagnostics.upstream))


def _refused(diagnostics: Diagnostics) -> Reading:
    diagnostics.once()
    return Reading(None, tuple(diagnostics.errors), tuple(diagnostics.warnings), tuple(diagnostics.upstream))
