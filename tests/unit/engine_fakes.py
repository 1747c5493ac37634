"""A clock and workers that do only what a test tells them, and a batcher between the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from standpipe_server.engine.batcher import Answer, Batcher
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.engine.worker import Done

Runs = Callable[[str], str | Exception]
"""What a call comes to."""


def reply(call: str) -> str:
    """What every call is answered with unless a test says otherwise."""
    return f"reply to {call}"


def replies(*calls: str) -> list[str]:
    return [reply(call) for call in calls]


async def let_tasks_run() -> None:
    """Give every task the turns it needs to come to its next wait."""
    for _ in range(8):
        await asyncio.sleep(0)


class FakeTimer:
    """A call at a time, unless it is called off."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Time that stands still until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._timers: list[FakeTimer] = []

    @property
    def pending(self) -> int:
        """Timers that neither fired nor were called off."""
        return sum(not timer.cancelled for timer in self._timers)

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(when, callback)
        self._timers.append(timer)
        return timer

    def jump(self, seconds: float) -> None:
        """Move time on; timers are late, as on a busy event loop."""
        self._now += seconds

    def advance(self, seconds: float) -> None:
        """Move time on; each due timer fires at its own time, and of two of one time the elder first."""
        end = self._now + seconds
        while due := [timer for timer in self._timers if not timer.cancelled and timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self._timers.remove(first)
            self._now = max(self._now, first.when)
            first.callback()
        self._now = end


@dataclass(frozen=True)
class StartedBatch:
    """What a worker was given.

    Attributes:
        at: When.
    """

    calls: tuple[str, ...]
    alone: bool
    at: float


class ManualWorker:
    """Notes the batches it is given; the test answers them.

    Attributes:
        started: Every batch, in order.
        closed: Whether it was closed.

    Args:
        clock: What time it is.
        log: Gets every batch too, whichever worker was given it.
    """

    def __init__(self, clock: FakeClock, log: list[StartedBatch]) -> None:
        self.started: list[StartedBatch] = []
        self.closed = False
        self._clock = clock
        self._log = log
        self._done: Done[str] | None = None

    @property
    def busy(self) -> bool:
        return self._done is not None

    def start(self, calls: Sequence[str], alone: bool, done: Done[str]) -> None:
        assert not self.busy, "a worker was given a batch before it had answered the last one"
        self.started.append(StartedBatch(tuple(calls), alone, self._clock.time()))
        self._log.append(self.started[-1])
        self._done = done

    def finish(self, outcomes: Runs | None = None, seconds: float = 1.0) -> None:
        """Answer the batch that runs."""
        done, self._done = self._done, None
        assert done is not None, "no batch runs"
        done([(outcomes or reply)(call) for call in self.started[-1].calls], seconds)

    def close(self) -> None:
        self.closed = True


class Rig:
    """A batcher on a fake clock, before workers that the test answers for.

    Attributes:
        batches: Every batch that a worker was given, in order.
    """

    def __init__(self, limits: BatchLimits | None = None, workers: int = 1) -> None:
        self.clock = FakeClock()
        self.batches: list[StartedBatch] = []
        self.workers = [ManualWorker(self.clock, self.batches) for _ in range(workers)]
        self.batcher: Batcher[str, str] = Batcher(self.workers, limits or BatchLimits(), self.clock)

    @property
    def worker(self) -> ManualWorker:
        """The only worker."""
        (worker,) = self.workers
        return worker

    @property
    def started(self) -> list[tuple[str, ...]]:
        """The calls of every batch that a worker was given."""
        return [batch.calls for batch in self.batches]

    def submit(
        self,
        *calls: str,
        key: Hashable = "key",
        costs: Sequence[int] | None = None,
        timeout: float | None = None,
    ) -> asyncio.Task[Answer[str]]:
        """A caller who waits for these calls; it begins when tasks run."""
        costs = costs or [1] * len(calls)
        return asyncio.create_task(self.batcher.submit(calls, key=key, costs=costs, timeout=timeout))

    async def call(
        self,
        *calls: str,
        key: Hashable = "key",
        costs: Sequence[int] | None = None,
        timeout: float | None = None,
    ) -> asyncio.Task[Answer[str]]:
        """The same, once it has begun."""
        task = self.submit(*calls, key=key, costs=costs, timeout=timeout)
        await let_tasks_run()
        return task

    async def finish_everything(self) -> None:
        """Answer batches until no worker has one."""
        await let_tasks_run()
        while busy := [worker for worker in self.workers if worker.busy]:
            busy[0].finish()
            await let_tasks_run()
