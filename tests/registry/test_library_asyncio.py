"""The library for asyncio: where events arrive, what cancelling a task does, and many pushes at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from pathlib import Path

import pytest
from calling import FORGETFUL, crawl, is_closed, when_under_way
from equipment.faults import Answer, Fault, Stall
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import until
from pushing import is_whole

import oci_push
from oci_push import Cancelled, DeniedError, events
from oci_push.events import Event

pytestmark = pytest.mark.usefixtures("own_home")
_NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name")


def test_events_come_in_order_on_the_loops_thread_and_before_the_result(image: Layout, sandbox: Sandbox) -> None:
    told: list[tuple[Event, int, str]] = []

    async def main() -> int:
        _NAME.set("of the task")
        report = await oci_push.aio.push(
            image.path,
            f"{sandbox.address}/app:1",
            on_event=lambda event: told.append((event, threading.get_ident(), _NAME.get())),
        )
        assert report.status == "success"
        return len(told)

    assert asyncio.run(main()) == len(told)
    assert {(thread, name) for _, thread, name in told} == {(threading.get_ident(), "of the task")}
    kinds = [type(event).__name__ for event, _, _ in told]
    assert (kinds[0], kinds[-1]) == ("SourceOpened", "TargetFinished")
    assert is_whole(sandbox, "app", "1", image)


def cancelled(large: Layout, sandbox: Sandbox, *, again: bool = False) -> BaseException:
    """Cancel the task of a push that is under way, and once more while it closes; gives what was raised."""

    async def main() -> BaseException:
        under_way = asyncio.Event()
        task = asyncio.create_task(
            oci_push.aio.push(
                large.path,
                f"{sandbox.address}/app:1",
                options=FORGETFUL,
                on_event=when_under_way(under_way.set),
            )
        )
        await under_way.wait()
        task.cancel()
        if again:
            await asyncio.wait([task], timeout=0)
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert is_closed(sandbox)  # by the time that the task has ended, not some time later
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        raise AssertionError("a task that was cancelled has a result")

    return asyncio.run(main())


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_a_task_that_is_cancelled_ends_when_its_upload_is_closed(again: bool, large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    cancelled(large, sandbox, again=again)


def test_a_time_limit_of_asyncios_closes_the_upload(image: Layout, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("PUT", "/manifests/", action=Stall(600)))

    async def main() -> None:
        async with asyncio.timeout(0.5):
            await oci_push.aio.push(image.path, f"{sandbox.address}/app:1", options=FORGETFUL)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert sandbox.store.uploads() == ()
    until(lambda: not any(thread.name.startswith("oci-push") for thread in threading.enumerate()))


def test_an_event_of_the_callers_own_cancels_too(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    stop = threading.Event()
    with pytest.raises(Cancelled) as caught:
        asyncio.run(
            oci_push.aio.push(
                large.path,
                f"{sandbox.address}/app:1",
                options=FORGETFUL,
                cancel=stop,
                on_event=when_under_way(stop.set),
            )
        )
    assert is_closed(sandbox)
    assert caught.value.report.exit_code == 130


def test_what_a_listener_raises_stops_the_push_and_is_raised(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)

    def fail() -> None:
        raise LookupError("a mistake of the listener's")

    with pytest.raises(LookupError, match="a mistake of the listener's"):
        asyncio.run(
            oci_push.aio.push(large.path, f"{sandbox.address}/app:1", options=FORGETFUL, on_event=when_under_way(fail))
        )
    assert is_closed(sandbox)


def test_a_listener_that_would_have_to_be_awaited_is_refused(sandbox: Sandbox) -> None:
    async def on_event(event: Event) -> None: ...

    with pytest.raises(TypeError, match="on_event is called and not awaited"):
        asyncio.run(oci_push.aio.push("oci:image", f"{sandbox.address}/app:1", on_event=on_event))
    with pytest.raises(TypeError, match="cancel is a int"):
        asyncio.run(oci_push.aio.push("oci:image", f"{sandbox.address}/app:1", cancel=3))  # type: ignore[arg-type]
    assert sandbox.traffic.requests == ()


def test_many_pushes_at_once_leave_the_loop_free_and_all_arrive(tmp_path: Path, sandbox: Sandbox) -> None:
    base = layer(1, 400_000)
    images = [make_layout(tmp_path / f"image-{n}", base, layer(10 + n)) for n in range(24)]

    async def main() -> list[int]:
        reports = await asyncio.gather(
            *(oci_push.aio.push(one.path, f"{sandbox.address}/app:{n}") for n, one in enumerate(images))
        )
        return [report.exit_code for report in reports]

    assert asyncio.run(main()) == [0] * 24
    assert all(is_whole(sandbox, "app", str(n), image) for n, image in enumerate(images))


def test_one_that_fails_in_a_group_stops_the_others(large: Layout, image: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    sandbox.faults.add(Fault("PUT", "/v2/no/manifests/", action=Answer(403, code="DENIED"), times=0))

    async def main() -> None:
        under_way = asyncio.Event()

        async def fail() -> None:
            await under_way.wait()
            await oci_push.aio.push(image.path, f"{sandbox.address}/no:1", options=FORGETFUL)

        async with asyncio.TaskGroup() as group:
            group.create_task(
                oci_push.aio.push(
                    large.path,
                    f"{sandbox.address}/app:1",
                    options=FORGETFUL,
                    on_event=when_under_way(under_way.set),
                )
            )
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [type(error) for error in caught.value.exceptions] == [DeniedError]
    assert is_closed(sandbox)


def test_a_plan_and_errors_come_as_from_the_plain_functions(image: Layout, sandbox: Sandbox) -> None:
    async def main() -> None:
        planned = await oci_push.aio.plan(image.path, f"{sandbox.address}/app:1")
        assert planned == oci_push.plan(image.path, f"{sandbox.address}/app:1")
        with pytest.raises(ValueError, match="no destination"):
            await oci_push.aio.push(image.path)
        with pytest.raises(oci_push.ConfigError, match=r"nothing\.yml: cannot be read"):
            await oci_push.aio.run_pipeline("nothing.yml")

    asyncio.run(main())


def test_the_plain_function_works_inside_a_loop_that_runs_as_in_a_cell_of_a_notebook(
    image: Layout, sandbox: Sandbox
) -> None:
    heard: list[Event] = []

    async def cell() -> str:
        return oci_push.push(image.path, f"{sandbox.address}/app:1", on_event=heard.append).status

    assert asyncio.run(cell()) == "success"
    assert isinstance(heard[-1], events.TargetFinished)


def test_a_coroutine_that_is_thrown_away_stops_its_push(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)

    async def main() -> None:
        under_way = asyncio.Event()
        coroutine = oci_push.aio.push(
            large.path, f"{sandbox.address}/app:1", options=FORGETFUL, on_event=when_under_way(under_way.set)
        )
        coroutine.send(None)
        await under_way.wait()
        coroutine.close()
        await asyncio.to_thread(until, lambda: is_closed(sandbox))  # the loop still hears of the push

    asyncio.run(main())
