"""`oci-push schema`: the files that people write, and the JSON that comes out, each as a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated

from msgspec import Struct

from oci_push.cli.command import run_command
from oci_push.cli.output import say_json
from oci_push.cli.units import UnitsWritten
from oci_push.cli.words import Argument
from oci_push.cli.work_check import WorkCheck
from oci_push.engine import raw
from oci_push.engine.artifacts.fetch import Fetching
from oci_push.engine.artifacts.push import ArtifactPush, Attaching
from oci_push.engine.copying.mirror_report import MirrorReport
from oci_push.engine.copying.report import CopyReport
from oci_push.engine.editing.change import Deletion, Tagging
from oci_push.engine.editing.image import ImageEdit
from oci_push.engine.editing.index_store import IndexChange
from oci_push.engine.looking.check import Checkup
from oci_push.engine.looking.compare import Diff
from oci_push.engine.looking.existence import Existence, NamedDigest
from oci_push.engine.looking.inspect import Inspection
from oci_push.engine.looking.listing import RepositoryList, TagList
from oci_push.engine.looking.referrers import ReferrersTree
from oci_push.engine.saving.pull import Pull
from oci_push.engine.signing.there import Signing
from oci_push.engine.signing.trust import Verification
from oci_push.forms import schema as schema_of
from oci_push.language.config_schema import config_schema
from oci_push.language.language_schema import language_schema
from oci_push.language.mirror import mirror_schema
from oci_push.language.replication import replication_schema
from oci_push.language.trust_rules import policy_schema
from oci_push.runner.copy_plan import CopyPlan, MirrorPlan
from oci_push.runner.report import events_schema, plan_schema, report_schema
from oci_push.runtime.context import Context
from oci_push.work.export import Exported
from oci_push.work.results import WorkReport

LOOKS: Mapping[str, type[Struct]] = {
    "inspect": Inspection,
    "digest": NamedDigest,
    "exists": Existence,
    "diff": Diff,
    "check": Checkup,
    "attach": Attaching,
    "sign": Signing,
    "attest": Signing,
    "verify": Verification,
    "referrers": ReferrersTree,
    "artifact-push": ArtifactPush,
    "artifact-pull": Fetching,
    "tags": TagList,
    "repos": RepositoryList,
    "copy": CopyReport,
    "copy-plan": CopyPlan,
    "tag": Tagging,
    "delete": Deletion,
    "index": IndexChange,
    "annotate": ImageEdit,
    "mutate": ImageEdit,
    "blob-get": raw.BlobSaved,
    "blob-put": raw.BlobStored,
    "blob-head": raw.BlobsFound,
    "blob-delete": raw.BlobsDeleted,
    "manifest-get": raw.ManifestSaved,
    "manifest-put": raw.ManifestStored,
    "manifest-head": raw.ManifestsFound,
    "mirror-report": MirrorReport,
    "mirror-plan": MirrorPlan,
    "pull": Pull,
    "export": Exported,
    "units-written": UnitsWritten,
    "work": WorkReport,
    "work-check": WorkCheck,
}
"""What commands print that look and change, by the command; the words of one in a group with a hyphen."""

FORMS: Mapping[str, Callable[[], dict[str, object]]] = MappingProxyType(
    {
        "pipeline": language_schema,
        "config": config_schema,
        "replication": replication_schema,
        "mirror": mirror_schema,
        "policy": policy_schema,
        "report": report_schema,
        "plan": plan_schema,
        "events": events_schema,
        **{name: partial(schema_of, f"oci-push {name.replace('-', ' ')} --json", kind) for name, kind in LOOKS.items()},
    }
)
"""The schema of each form, by the name that it is asked for with."""


def schema(
    form: Annotated[
        str, Argument(metavar="FORM", help=f"What is described: {', '.join(FORMS)}.", choices=tuple(FORMS))
    ] = "pipeline",
) -> None:
    """Print the JSON Schema of a form, for editors that complete and explain keys.

    Write it to a file and name that in the first line of yours: # yaml-language-server: $schema=FILE
    """

    def work(context: Context) -> int:
        say_json(FORMS[form]())
        return 0

    run_command(work, what="schema")
