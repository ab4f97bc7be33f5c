"""References and destinations: what is read is what is written, and nothing but ``ValueError`` comes out."""

from __future__ import annotations

from fuzzing import run

from oci_push.model.reference import Destination, Reference


def target(data: bytes) -> None:
    """Read text as both."""
    text = data.decode("utf-8", "surrogateescape")
    for kind in (Reference, Destination):
        try:
            parsed = kind.parse(text)
        except ValueError:
            continue
        assert kind.parse(str(parsed)) == parsed
        assert str(parsed).isascii()


if __name__ == "__main__":
    run(target, "reference")
