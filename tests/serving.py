"""An HTTP server of the standard library on a thread of its own, and its end.

`shutdown` waits for a thread to say that it has stopped serving: one that never began to, or died, never says so.
"""

from __future__ import annotations

import threading
from socketserver import BaseServer


def serving(server: BaseServer, poll_s: float) -> threading.Thread:
    """Return a thread that will serve when it is started, and look for the end every `poll_s` seconds."""
    return threading.Thread(target=server.serve_forever, args=(poll_s,), daemon=True)


def end(server: BaseServer, thread: threading.Thread) -> None:
    """Stop serving and free the port, whatever has become of the thread."""
    while thread.is_alive():
        stop = threading.Thread(target=server.shutdown, daemon=True)
        stop.start()
        thread.join(5.0)
    server.server_close()
