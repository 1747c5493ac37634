"""The closed loop: a fixed number of callers, each of which calls again as soon as it is answered.

It shows what a server can do for callers that wait for their answers. It can't show how a server fares under
arrivals that don't wait: a stall delays the next call instead of being seen by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from standpipe_bench.targets import Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One call.

    Attributes:
        sent: Seconds on the monotonic clock.
        done: The same.
        status: "OK", or the name of another gRPC status.
    """

    sent: float
    done: float
    status: str


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """The schedule.

    Attributes:
        concurrency: Callers.
        warm_up: Seconds before what is counted.
        duration: Seconds that are counted.
        pause: Seconds that a caller rests between calls.
    """

    concurrency: int
    warm_up: float = 1.0
    duration: float = 10.0
    pause: float = 0.0


async def drive(target: Target, loop: ClosedLoop) -> list[Record]:
    """Call the target as the schedule says; returns the calls that ended in the counted time."""
    begin = time.perf_counter() + loop.warm_up
    end = begin + loop.duration
    records: list[Record] = []

    async def caller() -> None:
        while (sent := time.perf_counter()) < end:
            status = await target.call()
            done = time.perf_counter()
            if begin <= done < end:
                records.append(Record(sent, done, status))
            # A target that never waits would keep the other callers out.
            await asyncio.sleep(loop.pause)

    await asyncio.gather(*(caller() for _ in range(loop.concurrency)))
    return records


def on_fast_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on the faster event loop, where it exists: the tool's own cost is part of what it measures."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(work)
    result: T = uvloop.run(work)
    return result
