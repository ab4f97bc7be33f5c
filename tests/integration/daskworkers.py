"""A process that Dask workers are forked off, with all they need imported, since starting Python takes a second each.

Its argument is the scheduler's address. A line on stdin is a worker's name; the answer is the number of its process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from distributed import Worker

import oci_push.cli.dask_worker


async def _work(address: str, name: str) -> None:
    async with Worker(address, nthreads=1, name=name, dashboard=False, local_directory=os.getcwd()) as worker:
        await worker.finished()


def main() -> None:
    """Fork until stdin ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker's end
    _, address = sys.argv
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(_work(address, line.strip()))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    assert oci_push.cli.dask_worker.CALLS
    main()
