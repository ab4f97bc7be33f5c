"""The library for asyncio: every function of `oci_push`, to be awaited.

Each takes what the function of the same name takes and runs it on a thread of its own, so any number may go on at
once. `on_event` is called on the event loop's thread, in the context of the task that awaits. Cancelling the task stops
the work and waits until its uploads are closed, a few seconds at most; then ``asyncio.CancelledError`` is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from oci_push.events import Event
from oci_push.library.calls import check_flag, check_listener
from oci_push.runtime.tasks import go

P = ParamSpec("P")
T = TypeVar("T")


class _EitherFlag(threading.Event):
    """Set when it is, or when the caller's own is."""

    def __init__(self, other: threading.Event | None) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or (self._other is not None and self._other.is_set())


def _awaited(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a function of the library as a coroutine function with the same parameters."""

    @functools.wraps(function)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        listener: Any = kwargs.pop("on_event", None)
        own: Any = kwargs.pop("cancel", None)
        check_listener(listener)
        check_flag(own)
        flag = _EitherFlag(own)
        ended: asyncio.Future[T] = loop.create_future()
        ended.add_done_callback(lambda done: done.exception())  # where nobody waits any more, nothing is logged
        broken: list[BaseException] = []

        def hear(event: Event) -> None:
            if broken:
                return
            try:
                listener(event)
            except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
                broken.append(error)
                flag.set()

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(hear, event, context=context)

        def work() -> None:
            kwargs.update(cancel=flag, on_event=tell if listener is not None else None)
            end: Callable[[], None]
            try:
                end = functools.partial(ended.set_result, function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # thread boundary: the error travels to the loop
                end = functools.partial(ended.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(end)

        go(work)
        stopped: asyncio.CancelledError | None = None
        try:
            while not ended.done():
                try:
                    await asyncio.wait([ended])
                except asyncio.CancelledError as error:
                    flag.set()
                    stopped = stopped or error
        finally:
            flag.set()  # also where the coroutine is thrown away
        if broken:
            raise broken[0]
        if stopped is not None:
            raise stopped from ended.exception()
        return ended.result()

    return awaited


if TYPE_CHECKING:
    from oci_push.library import artifacts, copies, edits, images, indexes, looks, mirrors, pipelines, signing, single

    push = _awaited(images.push)
    plan = _awaited(images.plan)
    replicate = _awaited(images.replicate)
    run_pipeline = _awaited(pipelines.run_pipeline)
    plan_pipeline = _awaited(pipelines.plan_pipeline)
    artifact_pull = _awaited(artifacts.artifact_pull)
    artifact_push = _awaited(artifacts.artifact_push)
    attach = _awaited(artifacts.attach)
    copy = _awaited(copies.copy)
    plan_copy = _awaited(copies.plan_copy)
    pull = _awaited(copies.pull)
    annotate = _awaited(edits.annotate)
    delete = _awaited(edits.delete)
    mutate = _awaited(edits.mutate)
    tag = _awaited(edits.tag)
    index_add = _awaited(indexes.index_add)
    index_annotate = _awaited(indexes.index_annotate)
    index_create = _awaited(indexes.index_create)
    index_remove = _awaited(indexes.index_remove)
    check = _awaited(looks.check)
    diff = _awaited(looks.diff)
    digest = _awaited(looks.digest)
    exists = _awaited(looks.exists)
    inspect = _awaited(looks.inspect)
    referrers = _awaited(looks.referrers)
    repos = _awaited(looks.repos)
    tags = _awaited(looks.tags)
    mirror = _awaited(mirrors.mirror)
    plan_mirror = _awaited(mirrors.plan_mirror)
    attest = _awaited(signing.attest)
    sign = _awaited(signing.sign)
    verify = _awaited(signing.verify)
    blob_delete = _awaited(single.blob_delete)
    blob_get = _awaited(single.blob_get)
    blob_head = _awaited(single.blob_head)
    blob_put = _awaited(single.blob_put)
    manifest_get = _awaited(single.manifest_get)
    manifest_head = _awaited(single.manifest_head)
    manifest_put = _awaited(single.manifest_put)

_HOMES = {
    "artifacts": "artifact_pull artifact_push attach",
    "copies": "copy plan_copy pull",
    "edits": "annotate delete mutate tag",
    "images": "plan push replicate",
    "indexes": "index_add index_annotate index_create index_remove",
    "looks": "check diff digest exists inspect referrers repos tags",
    "mirrors": "mirror plan_mirror",
    "pipelines": "plan_pipeline run_pipeline",
    "signing": "attest sign verify",
    "single": "blob_delete blob_get blob_head blob_put manifest_get manifest_head manifest_put",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a function from where it lives, when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = _awaited(getattr(import_module(f"oci_push.library.{_HOME_OF[name]}"), name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the functions."""
    return sorted({*_HOME_OF, *(name for name in globals() if name.startswith("__"))})
