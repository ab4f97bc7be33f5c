"""The states of an upload, as values; what moves it from one to the next is `upload`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from oci_push.protocol.uploads import Upload


@dataclass(frozen=True, slots=True)
class Opening:
    """There is no session."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A session is open and holds `confirmed` bytes; `is_continued` says that some came before a break."""

    upload: Upload
    confirmed: int = 0
    is_continued: bool = False


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A session was open and held `confirmed` bytes; a request broke, after which it may hold up to `reached`.

    `is_closing` says that this request was the one to close it, `is_left` that an earlier run left the session.
    """

    upload: Upload
    confirmed: int
    reached: int
    is_closing: bool = False
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The blob is there."""


State: TypeAlias = Opening | Sending | InDoubt | Done
