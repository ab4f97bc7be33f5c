"""Challenges and scopes: anything at all is read, and a canonical form stays as it is."""

from __future__ import annotations

from fuzzing import run

from oci_push.protocol import challenge


def target(data: bytes) -> None:
    """Read a header's value."""
    for found in challenge.parse([data.decode("latin-1")]):
        assert found.scheme == found.scheme.lower()
        once = found.scopes
        assert challenge.canonical(once) == once
        assert challenge.covers(once, once)


if __name__ == "__main__":
    run(target, "challenge")
