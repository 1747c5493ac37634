"""Batches form while the workers are busy; every accepted call is answered once.

Pure asyncio on one event loop. Not aware of what calls, keys and outputs are, nor of how a worker runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

from standpipe_server.engine.queue import BatchLimits, BatchQueue, Item, Request
from standpipe_server.engine.worker import Worker
from standpipe_server.errors import DeadlinePassedError, DrainingError, OverloadedError

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - calls and outputs


class Timer(Protocol):
    """A wake-up that can be called off."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Clock(Protocol):
    """Where time comes from."""

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back at a time."""
        ...


class LoopClock:
    """The running loop's timers, on the monotonic clock: a loop's own time may stand still for a while."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self._loop.call_later(max(0.0, when - self.time()), callback)


class CallFailedError(Exception):
    """One call of a request failed, which fails the request; ``__cause__`` is what the runner said.

    Args:
        index: Which call.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"call {index} failed")
        self.index = index


@dataclass(slots=True)
class Answer(Generic[O]):
    """What became of a request's calls.

    Attributes:
        outputs: One per call, in order.
        batch_size: Items in the largest batch that held one of its calls.
        queue_seconds: Longest wait of one of its calls.
        compute_seconds: Sum over the batches that held its calls.
        first_seconds: From when a generator began to its first token; None where none wrote.
        written: Tokens that a generator wrote.
        tokens_per_second: How fast; None where none wrote.
        cached_tokens: Tokens of prompts that it needn't compute; None where it doesn't tell.
    """

    outputs: list[O]
    batch_size: int = 0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    first_seconds: float | None = None
    written: int = 0
    tokens_per_second: float | None = None
    cached_tokens: int | None = None


def merged(answers: Sequence[Answer[O]]) -> Answer[O]:
    """What became of calls that were made one after the other for one caller.

    Args:
        answers: At least one; outputs aren't kept.
    """
    return Answer(
        [],
        batch_size=max(answer.batch_size for answer in answers),
        queue_seconds=max(answer.queue_seconds for answer in answers),
        compute_seconds=sum(answer.compute_seconds for answer in answers),
    )


class _Pending(Request, Generic[O]):
    """A request with somebody waiting for it."""

    __slots__ = ("answer", "future", "open")

    def __init__(
        self,
        calls: Sequence[Any],
        key: Hashable,
        costs: Sequence[int],
        arrived: float,
        deadline: float | None,
    ) -> None:
        super().__init__(calls, key, costs, arrived, deadline)
        self.answer: Answer[O] = Answer(cast("list[O]", [None] * len(calls)))
        self.future: asyncio.Future[Answer[O]] = asyncio.get_running_loop().create_future()
        self.open = len(calls)


class Batcher(Generic[C, O]):
    """One model's queue before its workers.

    A batch is cut whenever a worker is free: at low load a call runs at once and alone, at high load what
    came meanwhile runs together. There is no timer unless ``limits.max_wait`` asks for one.
    """

    def __init__(
        self, workers: Sequence[Worker[C, O]], limits: BatchLimits, clock: Clock | None = None
    ) -> None:
        self._workers = workers
        self._idle = list(reversed(workers))
        self._limits = limits
        self._clock = clock or LoopClock()
        self._queue: BatchQueue[_Pending[O]] = BatchQueue(limits)
        self._wake: Timer | None = None
        self._accepted = 0
        self._draining = False
        self._soon = False
        self._drained = asyncio.Event()
        self._seconds_per_item = 0.0

    async def submit(
        self,
        calls: Sequence[C],
        *,
        key: Hashable,
        costs: Sequence[int],
        timeout: float | None,
        accepted: bool = False,
    ) -> Answer[O]:
        """Run calls, in batches with others of an equal key, and wait for all their outputs.

        Cancelling drops what no worker has started yet.

        Args:
            calls: At least one.
            key: Calls run together only where their keys are equal.
            costs: One per call, such as its tokens.
            timeout: Seconds until the caller waits no longer; None for no end.
            accepted: They are some of a caller's who was accepted before.

        Raises:
            OverloadedError: The queue is full.
            DeadlinePassedError: The timeout ended first.
            DrainingError: Nothing new is taken.
            CallFailedError: A call failed; those of the same request that still wait are dropped.
        """
        if self._draining and not accepted:
            raise DrainingError("the server is shutting down", retry_after=1.0)
        request = self._accept(calls, key, costs, timeout)
        expire = partial(self._expire, request)
        timer = None if request.deadline is None else self._clock.call_at(request.deadline, expire)
        try:
            self._dispatch_soon()
            return await request.future
        finally:
            if timer is not None:
                timer.cancel()
            self._queue.remove(request)
            self._left()

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """Hold the door open for a caller whose answer is made by several calls, one after the other.

        Raises:
            DrainingError: Nothing new is taken.
        """
        if self._draining:
            raise DrainingError("the server is shutting down", retry_after=1.0)
        self._accepted += 1
        try:
            yield
        finally:
            self._left()

    async def drain(self) -> None:
        """Take nothing new, and return when everything accepted is answered."""
        self._draining = True
        if self._accepted:
            await self._drained.wait()

    def _left(self) -> None:
        self._accepted -= 1
        if self._draining and not self._accepted:
            self._drained.set()

    def close(self) -> None:
        """Close the workers."""
        for worker in self._workers:
            worker.close()

    def _accept(
        self, calls: Sequence[C], key: Hashable, costs: Sequence[int], timeout: float | None
    ) -> _Pending[O]:
        if not calls:
            raise ValueError("no calls")
        now = self._clock.time()
        if timeout is not None and timeout <= 0:
            raise DeadlinePassedError("the deadline had passed when the call arrived")
        deadline = None if timeout is None else now + timeout
        request: _Pending[O] = _Pending(calls, key, costs, now, deadline)
        if not self._queue.add(request):
            raise OverloadedError(
                f"{len(self._queue)} items wait and {len(calls)} more don't fit: "
                f"the queue holds {self._limits.max_queue}",
                retry_after=max(0.05, len(self._queue) * self._seconds_per_item),
            )
        self._accepted += 1
        return request

    def _dispatch_soon(self) -> None:
        """Dispatch at the end of the loop's turn: what arrived in the same turn goes into one batch."""
        if self._idle and not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Hand batches to idle workers while there are both."""
        self._soon = False
        while self._idle:
            ready = self._queue.ready_at()
            if ready is None:
                return
            now = self._clock.time()
            if ready > now:
                if self._wake is None:
                    self._wake = self._clock.call_at(ready, self._on_wake)
                return
            cut, expired = self._queue.cut(now, len(self._idle))
            for request in expired:
                self._expire(request)
            # A caller that was cancelled in this very turn hasn't left the queue yet.
            batch = [item for item in cut if not item.request.future.done()]
            if batch:
                self._start(batch, now)

    def _start(self, batch: list[Item[_Pending[O]]], now: float) -> None:
        alone = len(self._idle) == len(self._workers) and not len(self._queue)
        worker = self._idle.pop()
        calls = [item.request.calls[item.index] for item in batch]
        worker.start(calls, alone, partial(self._finish, worker, batch, now))

    def _finish(
        self,
        worker: Worker[C, O],
        batch: list[Item[_Pending[O]]],
        started: float,
        outcomes: Sequence[O | Exception],
        seconds: float,
    ) -> None:
        self._idle.append(worker)
        per_item = seconds / len(batch) / len(self._workers)
        self._seconds_per_item += 0.1 * (per_item - self._seconds_per_item)
        for request in dict.fromkeys(item.request for item in batch):
            answer = request.answer
            answer.batch_size = max(answer.batch_size, len(batch))
            answer.queue_seconds = max(answer.queue_seconds, started - request.arrived)
            answer.compute_seconds += seconds
        for item, outcome in zip(batch, outcomes, strict=True):
            self._settle(item, outcome)
        # Whoever waits for this batch goes on in the loop's next turn: the next batch starts before.
        self._dispatch()

    def _settle(self, item: Item[_Pending[O]], outcome: O | Exception) -> None:
        request = item.request
        if request.future.done():
            return
        if isinstance(outcome, Exception):
            failure = CallFailedError(item.index)
            failure.__cause__ = outcome
            self._queue.remove(request)
            request.future.set_exception(failure)
            return
        request.answer.outputs[item.index] = outcome
        request.open -= 1
        if not request.open:
            request.future.set_result(request.answer)

    def _expire(self, request: _Pending[O]) -> None:
        self._queue.remove(request)
        if not request.future.done():
            request.future.set_exception(
                DeadlinePassedError("the deadline passed before the answer was there")
            )

    def _on_wake(self) -> None:
        self._wake = None
        self._dispatch()
