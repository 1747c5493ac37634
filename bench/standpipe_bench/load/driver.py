"""Carries a schedule out: calls a target when calls are due, and notes what was seen.

Latency counts from the scheduled moment; that a call was sent later is noted beside it, so that nobody takes
the tool's own slowness for the server's. Not aware of other processes, nor of figures.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from standpipe_bench.load.pacer import pacer
from standpipe_bench.load.records import UNFINISHED, Records
from standpipe_bench.load.schedules import Closed, OpenSchedule, Schedule
from standpipe_bench.targets import Answer, Target

T = TypeVar("T")

MOST_OUTSTANDING = 20_000
"""Calls that one driver has under way at most: past them arrivals wait, and show as late."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a run takes.

    Attributes:
        duration: Seconds that count.
        warm_up: Seconds before those.
    """

    duration: float
    warm_up: float = 0.0

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.warm_up + self.duration

    def within(self, seconds: float) -> Timing:
        """No longer than there are calls to make.

        Raises:
            ValueError: They end before the warm-up does.
        """
        if seconds < self.warm_up:
            raise ValueError(
                f"the calls end after {seconds:.3g} s, within the {self.warm_up:g} s of --warm-up"
            )
        # The last call is due then.
        return Timing(min(self.duration, math.nextafter(seconds - self.warm_up, math.inf)), self.warm_up)


class Driver:
    """One run of a schedule by one event loop.

    Args:
        target: What to call.
        schedule: When.
        timing: How long; calls that are due by then are waited for afterwards.
        part: Which driver process this is; of the calls, which are numbered alike in all, it makes its own.
        parts: How many there are.
    """

    def __init__(
        self, target: Target, schedule: Schedule, timing: Timing, part: int = 0, parts: int = 1
    ) -> None:
        self._target = target
        self._schedule = schedule.share(part, parts)
        self._timing = timing
        self._part, self._parts = part, parts
        self._begin = 0.0
        self._rows: list[tuple[Any, ...]] = []
        self._times: list[float] = []
        self._details: dict[int, str] = {}
        self._due: list[float] = []
        self._sent = 0
        self._room = asyncio.Semaphore(MOST_OUTSTANDING)

    async def run(self, begin: float | None = None, stop: asyncio.Event | None = None) -> Records:
        """Make the calls.

        Args:
            begin: When the schedule starts, on ``time.perf_counter``; now, unless given.
            stop: Once set nothing more is sent, and what isn't answered yet is given up.
        """
        self._begin = time.perf_counter() if begin is None else begin
        calls = self._closed() if isinstance(self._schedule, Closed) else self._open()
        work = asyncio.create_task(calls)
        stopping = asyncio.create_task((stop or asyncio.Event()).wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work, stopping})
        if not work.cancelled():
            # What is wrong with a target isn't a figure.
            work.result()
        self._give_up()
        return Records.of(self._rows, self._times, self._details)

    def seen(self, since: int = 0) -> list[tuple[Any, ...]]:
        """The calls that have ended so far, from a number on, as ``CALL`` has them."""
        return self._rows[since:]

    async def _open(self) -> None:
        self._due = cast("OpenSchedule", self._schedule).arrivals(self._timing.seconds).tolist()
        with pacer() as pace:
            async with asyncio.TaskGroup() as calls:
                for number, due in enumerate(self._due):
                    await self._room.acquire()
                    if time.perf_counter() < self._begin + due:
                        await pace.until(self._begin + due)
                    else:
                        # Behind: what is under way must go on, or it would be late as well.
                        await asyncio.sleep(0)
                    calls.create_task(self._call_and_leave(self._number(number), due))

    async def _closed(self) -> None:
        schedule = cast("Closed", self._schedule)
        end = self._begin + self._timing.seconds
        sent = 0

        async def caller() -> None:
            nonlocal sent
            while (now := time.perf_counter()) < end:
                sent += 1
                await self._call(self._number(sent - 1), now - self._begin)
                # A target that never waits would keep the other callers out.
                # Nor is there anything to rest for after the end.
                await asyncio.sleep(max(0.0, min(schedule.pause, end - time.perf_counter())))

        with pacer() as pace:
            await pace.until(self._begin)
        async with asyncio.TaskGroup() as callers:
            for _ in range(schedule.concurrency):
                callers.create_task(caller())

    def _number(self, mine: int) -> int:
        return mine * self._parts + self._part

    async def _call_and_leave(self, index: int, due: float) -> None:
        try:
            await self._call(index, due)
        finally:
            self._room.release()

    def _give_up(self) -> None:
        """Note what was due and never sent: calls begin in their order."""
        now = time.perf_counter()
        for due in self._due[self._sent :]:
            if due < now - self._begin:
                self._note(due, now, Answer(status=UNFINISHED))

    async def _call(self, index: int, due: float) -> None:
        sent = time.perf_counter()
        self._sent += 1
        try:
            answer = await self._target.call(index)
        except asyncio.CancelledError:
            # What is known of it: that it took at least so long.
            self._note(due, sent, Answer(status=UNFINISHED))
            raise
        self._note(due, sent, answer)

    def _note(self, due: float, sent: float, answer: Answer) -> None:
        begin, moment = self._begin, time.perf_counter()
        self._rows.append(
            (
                due,
                sent - begin,
                (moment if answer.first is None else answer.first) - begin,
                moment - begin,
                answer.status,
                answer.items,
                answer.size,
                len(answer.times),
                answer.batch,
                answer.read,
                answer.written,
            )
        )
        self._times += [time - begin for time in answer.times]
        if answer.detail:
            self._details.setdefault(answer.status, answer.detail)


def on_fast_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on the faster event loop, where it exists: the tool's own cost is part of what it measures."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(work)
    result: T = uvloop.run(work)
    return result
