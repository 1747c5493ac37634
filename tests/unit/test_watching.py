"""How far calls are: from a worker's thread to whoever waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from standpipe_server.engine.watching import Watch
from standpipe_server.interfaces import Call, Step, Watcher

PREVIEW = b"a picture"


def watchers(watch: Watch, count: int) -> list[Watcher]:
    calls = watch.over([Call(f"call {index}", None, "prompt") for index in range(count)])
    assert [f"call {index}" for index in range(count)] == [call.input for call in calls]
    return [call.watcher for call in calls if call.watcher]


async def everything(watch: Watch) -> list[tuple[int, Step]]:
    return [told async for told in watch.steps()]


async def test_what_a_thread_tells_is_read_on_the_loop_until_the_end() -> None:
    watch = Watch()
    first, second = watchers(watch, 2)
    read: list[tuple[int, Step]] = []
    turns = asyncio.Queue[None]()

    async def reader() -> None:
        async for told in watch.steps():
            read.append(told)
            turns.put_nowait(None)

    reading = asyncio.create_task(reader())
    for watcher, number in ((first, 1), (second, 1), (first, 2)):
        threading.Thread(target=watcher.tell, args=(Step(number, 2),)).start()
        await asyncio.wait_for(turns.get(), 30)
    watch.end()
    await asyncio.wait_for(reading, 30)
    assert [(0, Step(1, 2)), (1, Step(1, 2)), (0, Step(2, 2))] == read


async def test_who_reads_late_gets_the_latest_step_and_the_latest_preview_of_each_call() -> None:
    watch = Watch()
    slow, other = watchers(watch, 2)
    for number in range(1, 1001):
        slow.tell(Step(number, 1000, PREVIEW if number % 100 == 0 and number < 1000 else b""))
    other.tell(Step(1, 1000))
    watch.end()
    assert [(0, Step(1000, 1000)), (0, Step(900, 1000, PREVIEW)), (1, Step(1, 1000))] == await everything(
        watch
    )


async def test_what_was_told_before_the_end_is_read_after_it() -> None:
    watch = Watch()
    (watcher,) = watchers(watch, 1)
    reading = asyncio.create_task(everything(watch))
    await asyncio.sleep(0)
    watcher.tell(Step(3, 3))
    watch.end()
    assert [(0, Step(3, 3))] == await reading


async def test_nothing_told_is_an_end_too() -> None:
    watch = Watch()
    watch.end()
    assert [] == await everything(watch)


async def test_every_call_knows_when_nobody_waits() -> None:
    watch = Watch()
    seats = watchers(watch, 3)
    assert [False] * 3 == [seat.gone for seat in seats]
    watch.gone = True
    assert [True] * 3 == [seat.gone for seat in seats]


@pytest.mark.parametrize("tell", [lambda watch: watch.tell(0, Step(1, 2))])
def test_a_worker_may_tell_though_the_loop_is_gone(tell: Callable[[Watch], None]) -> None:
    async def made() -> Watch:
        return Watch()

    tell(asyncio.run(made()))
