"""Who runs batches: one worker for each runner, and the seam behind which it may be a thread or a process.

Not aware of queues or deadlines: a worker is given one batch at a time and answers each call of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

C_contra = TypeVar("C_contra", contravariant=True)
O_co = TypeVar("O_co", covariant=True)
C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - calls and outputs, as everywhere in the engine


class BatchRunner(Protocol[C_contra, O_co]):
    """What a worker owns; see ``interfaces.Runner``."""

    def run(self, calls: Sequence[C_contra], *, alone: bool) -> Sequence[O_co | Exception]:
        """Answer each call, in order."""
        ...


Done = Callable[[Sequence[O | Exception], float], None]
"""Told one outcome per call, and the seconds that the batch took."""


class Worker(Protocol[C_contra, O_co]):
    """Runs one batch at a time."""

    def start(self, calls: Sequence[C_contra], alone: bool, done: Done[O_co]) -> None:
        """Begin a batch; ``done`` is called on the event loop when it is answered."""
        ...

    def close(self) -> None:
        """Take no more batches, and give back what the worker holds."""
        ...


class ThreadWorker(Generic[C, O]):
    """A runner on a thread of its own, the only one that ever touches it.

    One thread per runner, because models keep state by thread (CUDA graphs, inference requests), and an
    owner needs no locks.
    """

    def __init__(self, runner: BatchRunner[C, O], name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._runner = runner
        self._loop = loop
        self._jobs: queue.SimpleQueue[tuple[Sequence[C], bool, Done[O]] | None] = queue.SimpleQueue()
        # A daemon: a model that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, calls: Sequence[C], alone: bool, done: Done[O]) -> None:
        self._jobs.put((calls, alone, done))

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            calls, alone, done = job
            started = time.perf_counter()
            outcomes = self._outcomes(calls, alone)
            elapsed = time.perf_counter() - started
            # The loop may be gone while the last batch still ran: then nobody waits for it either.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(done, outcomes, elapsed)

    def _outcomes(self, calls: Sequence[C], alone: bool) -> Sequence[O | Exception]:
        try:
            return run_apart(self._runner, calls, alone=alone)
        except BaseException as error:
            # A library that asks to exit must not take the thread with it: its callers would wait.
            return [RuntimeError(f"the runner raised {error!r}")] * len(calls)


def run_apart(runner: BatchRunner[C, O], calls: Sequence[C], *, alone: bool) -> Sequence[O | Exception]:
    """Run a batch; where it raises, run its halves, so that a poisoned call fails alone.

    A batch too large for the device's memory gets through by the same way.
    """
    try:
        outcomes = runner.run(calls, alone=alone)
        if len(outcomes) != len(calls):
            raise RuntimeError(f"the runner answered {len(outcomes)} of {len(calls)} calls")
    except Exception as error:
        if len(calls) == 1:
            return [error]
        middle = len(calls) // 2
        return [
            *run_apart(runner, calls[:middle], alone=alone),
            *run_apart(runner, calls[middle:], alone=alone),
        ]
    return outcomes
