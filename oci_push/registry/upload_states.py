"""The states of a blob on its way into one repository, and the one table of what moves it from one to the next.

::

    event →   Opened     Taken      Stored   Broke      Stands     Left       Resumed
    Opening   Sending    ·          Done     Opening    ·          ·          InDoubt
    Sending   ·          Sending    Done     InDoubt    ·          Opening    ·
    InDoubt   ·          ·          Done     InDoubt    Sending    Opening    ·
    Done      ·          ·          ·        ·          ·          ·          ·

A dot is what cannot happen. `Left` stands for a session that is gone, or that whoever says so sees to the closing of.
What brings events about, and when to give up, is the business of `upload`.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from oci_push.protocol.uploads import UploadSession


class Opening(Struct, frozen=True):
    """There is no session."""


class Sending(Struct, frozen=True):
    """A session is open and holds `confirmed` bytes; `is_continued` says that some came before a break."""

    upload: UploadSession
    confirmed: int = 0
    is_continued: bool = False


class InDoubt(Struct, frozen=True):
    """A session was open and held `confirmed` bytes; a request broke, after which it may hold up to `reached`.

    `is_closing` says that this request was the one to close it, `is_found` that an earlier run left the session.
    """

    upload: UploadSession
    confirmed: int
    reached: int
    is_closing: bool = False
    is_found: bool = False


class Done(Struct, frozen=True):
    """The blob is there."""


State: TypeAlias = Opening | Sending | InDoubt | Done


class Opened(Struct, frozen=True):
    """The registry has opened a session."""

    upload: UploadSession


class Taken(Struct, frozen=True):
    """The registry has taken a chunk and holds `confirmed` bytes now."""

    upload: UploadSession
    confirmed: int


class Stored(Struct, frozen=True):
    """The registry has stored the blob."""


class Broke(Struct, frozen=True):
    """A request failed that carried up to `size` bytes; `is_closing` says that it was to close the session."""

    size: int = 0
    is_closing: bool = False


class Stands(Struct, frozen=True):
    """The session says for sure that it holds `stored` bytes."""

    upload: UploadSession
    stored: int


class Left(Struct, frozen=True):
    """The session is gone, or was closed because it is not gone on with."""


class Resumed(Struct, frozen=True):
    """An earlier run left a session with `confirmed` bytes, and may have sent up to `reached`."""

    upload: UploadSession
    confirmed: int
    reached: int


Event: TypeAlias = Opened | Taken | Stored | Broke | Stands | Left | Resumed


def after(state: State, event: Event) -> State:
    """Return the state after an event; raises ``RuntimeError`` for one that cannot happen in this state."""
    match state, event:
        case Opening(), Opened(upload):
            return Sending(upload)
        case Opening(), Resumed(upload, confirmed, reached):
            return InDoubt(upload, confirmed, reached, is_found=True)
        case Opening(), Broke():
            return state
        case Sending(_, _, is_continued), Taken(upload, confirmed):
            return Sending(upload, confirmed, is_continued)
        case Sending(upload, confirmed), Broke(size, is_closing):
            return InDoubt(upload, confirmed, confirmed + size, is_closing)
        case InDoubt(), Broke():
            return state
        case InDoubt(), Stands(upload, stored):
            return Sending(upload, stored, is_continued=True)
        case Sending() | InDoubt(), Left():
            return Opening()
        case Opening() | Sending() | InDoubt(), Stored():
            return Done()
        case _:
            raise RuntimeError(f"an upload that is {type(state).__name__} cannot meet {type(event).__name__}")
