"""Pages of a tag list: the next one is on the same registry, and a list that does not end is ended."""

from __future__ import annotations

from urllib.parse import urlsplit

from fuzzing import run

from oci_push.errors import ProtocolViolationError
from oci_push.model.reference import Repository
from oci_push.protocol.call import Reply
from oci_push.protocol.listings import list_tags

URL = "https://registry.test/v2/app/tags/list"


def target(data: bytes) -> None:
    """Answer every page with a body and a Link."""
    link, _, body = data.partition(b"\0")
    flow = list_tags(Repository("registry.test", "app"))
    reply = Reply(200, {"link": link.decode("latin-1")}, URL, body)
    try:
        next(flow)
        for _ in range(5):
            call = flow.send(reply)
            assert urlsplit(call.url)[:2] == ("https", "registry.test")
    except StopIteration as end:
        assert list(end.value) == sorted(end.value)
    except ProtocolViolationError as refused:
        assert str(refused).startswith("registry.test/app: tag")


if __name__ == "__main__":
    run(target, "link")
