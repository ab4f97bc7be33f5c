"""`oci-push sandbox`: a registry on loopback, for rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oci_push.cli.failures import run_command
from oci_push.cli.output import say
from oci_push.errors import Cancelled, ConfigError
from oci_push.runtime.context import Context
from oci_push.sandbox.server import RehearsalRegistry


def sandbox(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 0,
    root: Annotated[Path | None, typer.Option("--root", help="Keep images here, as OCI layouts.")] = None,
) -> None:
    """Serve a registry on loopback until stopped."""

    def work(context: Context) -> int:
        try:
            server = RehearsalRegistry(root, port=port)
        except OSError as problem:
            raise ConfigError(
                f"port {port} cannot be used ({problem.strerror})", hint="choose another --port"
            ) from problem
        with server:
            say(server.address)
            try:
                while True:
                    context.sleep(3600)
            except Cancelled:
                return 0

    run_command(work, what="sandbox")
