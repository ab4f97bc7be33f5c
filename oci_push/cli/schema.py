"""`oci-push schema`: the files that people write, and the JSON that comes out, each as a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

from oci_push.cli.command import run_command
from oci_push.cli.output import say_json
from oci_push.cli.words import Argument
from oci_push.language.config_schema import config_schema
from oci_push.language.language_schema import language_schema
from oci_push.language.replication import replication_schema
from oci_push.runner.report import events_schema, plan_schema, report_schema
from oci_push.runtime.context import Context

FORMS: Mapping[str, Callable[[], Mapping[str, object]]] = MappingProxyType(
    {
        "pipeline": language_schema,
        "config": config_schema,
        "replication": replication_schema,
        "report": report_schema,
        "plan": plan_schema,
        "events": events_schema,
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
