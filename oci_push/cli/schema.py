"""`oci-push schema`: the pipeline language as a JSON Schema, for editors."""

from __future__ import annotations

from oci_push.cli.failures import run_command
from oci_push.cli.output import say_json
from oci_push.language.language_schema import language_schema
from oci_push.runtime.context import Context


def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors that complete and explain keys.

    Write it to a file and name that in the first line of a pipeline: # yaml-language-server: $schema=FILE
    """

    def work(context: Context) -> int:
        say_json(language_schema())
        return 0

    run_command(work, what="schema")
