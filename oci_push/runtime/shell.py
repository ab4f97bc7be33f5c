"""Shell commands that the user allowed: run on this machine, their output line by line, stopped with their scope."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from oci_push.runtime.context import Context

_SCRIPT = "OCI_PUSH_COMMANDS"
_MAX_LINE = 64 * 1024


def run_shell(script: str, env: Mapping[str, str], context: Context, on_line: Callable[[str], None]) -> int:
    """Run a script with ``sh -e`` and return its exit code; raises what ended `context`, and ``OSError``.

    The script travels in the environment, since arguments are seen by every user of the machine. The commands have a
    process group of their own, all of which is killed when the scope ends.
    """
    import subprocess  # few runs have hooks

    process = subprocess.Popen(
        ["/bin/sh", "-e", "-c", f'eval "${_SCRIPT}"'],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**env, _SCRIPT: script},
        start_new_session=True,
    )

    def kill() -> None:
        # The group may outlive its leader: something left running in the background holds the pipe open.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()

    with process, context.blocked(kill):
        try:
            while process.stdout is not None and (line := process.stdout.readline(_MAX_LINE)):
                on_line(line.decode(errors="replace").rstrip("\r\n"))
            code = process.wait()
        except BaseException:
            kill()
            raise
    context.check()
    return code
