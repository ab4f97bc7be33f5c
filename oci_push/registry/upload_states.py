"""The states of an upload, as values; what moves it from one to the next is `upload`'s."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from oci_push.protocol.uploads import Upload


class Opening(Struct, frozen=True):
    """There is no session."""


class Sending(Struct, frozen=True):
    """A session is open and holds `confirmed` bytes; `is_continued` says that some came before a break."""

    upload: Upload
    confirmed: int = 0
    is_continued: bool = False


class InDoubt(Struct, frozen=True):
    """A session was open and held `confirmed` bytes; a request broke, after which it may hold up to `reached`.

    `is_closing` says that this request was the one to close it, `is_left` that an earlier run left the session.
    """

    upload: Upload
    confirmed: int
    reached: int
    is_closing: bool = False
    is_left: bool = False


class Done(Struct, frozen=True):
    """The blob is there."""


State: TypeAlias = Opening | Sending | InDoubt | Done
