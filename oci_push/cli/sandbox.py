"""`oci-push sandbox`: a registry on loopback, for rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.cli.command import run_command
from oci_push.cli.output import say
from oci_push.cli.words import Option
from oci_push.errors import Cancelled, ConfigError
from oci_push.runtime.context import Context
from oci_push.sandbox.server import RehearsalRegistry


def sandbox(
    port: Annotated[int, Option("0: any free one.", metavar="PORT", min=0, max=65535)] = 0,
    root: Annotated[Path | None, Option("Keep images here, as OCI layouts.", metavar="FOLDER")] = None,
) -> None:
    """Serve a registry on loopback until stopped."""

    def work(context: Context) -> int:
        registry = RehearsalRegistry(root, port=port)
        try:
            registry.start()
        except OSError as problem:
            what, hint = (
                (str(problem.filename), "another --root") if problem.filename else (f"port {port}", "another --port")
            )
            raise ConfigError(f"{what} cannot be used ({problem.strerror})", hint=f"choose {hint}") from problem
        try:
            say(registry.address)
            while True:
                context.sleep(3600)
        except Cancelled:
            return 0
        finally:
            registry.stop()

    run_command(work, what="sandbox")
