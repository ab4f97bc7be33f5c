"""Headers of uploads: ranges and locations. An offset is never made up, and what is sent is a request."""

from __future__ import annotations

from fuzzing import run

from oci_push.errors import ProtocolViolationError
from oci_push.protocol import endpoints, uploads
from oci_push.protocol.call import Reply
from oci_push.transport.redirects import check_hop, join, target_of

START = ("https", "registry.test", 443)
URL = "https://registry.test/v2/app/blobs/uploads/"


def target(data: bytes) -> None:
    """Read the text as a Range and as a Location."""
    text = data.decode("latin-1")
    stored = uploads.stored_bytes(text)
    assert stored is None or stored > 1
    for resolve in (lambda: endpoints.location(Reply(202, {"location": text}, URL), "x"), lambda: join(URL, text)):
        try:
            url = resolve()
            where = check_hop(START, url, "it")
        except ProtocolViolationError:
            continue
        assert where[0] == "https"
        assert where[1].isascii()
        assert "@" not in where[1]
        sent = target_of(url)
        assert sent.isascii()
        assert sent.isprintable()
        assert " " not in sent


if __name__ == "__main__":
    run(target, "range")
