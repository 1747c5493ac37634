"""Drivers in processes of their own, all by one clock: neither a display nor another driver holds one up.

They ignore Ctrl-C, which the asking process turns into a stop: what was measured by then is kept.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

from standpipe_bench.load.driver import Driver, Timing, on_fast_loop
from standpipe_bench.load.records import OK, Records
from standpipe_bench.load.schedules import Schedule
from standpipe_bench.targets import Source

_TICK = 0.5
"""Seconds between two reports of a driver."""

_HEAD_START = 0.1
"""Seconds in which all drivers learn when to begin."""

_OPENING = 600.0
"""Seconds that a target may take to open: a model may have to be exported first."""

_LAST_ANSWERS = 30.0
"""Seconds beyond a run and its last calls' time limit, after which a driver is given up."""

_NICE = -10
"""How soon a driver comes on a busy machine: less is sooner, 0 is usual."""

_STOP = "stop"


@dataclass(frozen=True, slots=True)
class Tick:
    """What one driver has seen since its last tick.

    Attributes:
        latencies: Seconds from schedule to answer, of the answered calls.
        failed: Calls that ended with an error.
    """

    latencies: npt.NDArray[np.float32]
    failed: int


@dataclass(frozen=True, slots=True)
class Driven:
    """What a run gave.

    Attributes:
        records: Of all drivers; seconds since the run began.
        begin: When that was, on ``time.perf_counter``.
        seconds: That it lasted: less than was asked for where it was broken off.
        partial: Whether it was.
        busy: Processor cores that the busiest driver kept busy.
    """

    records: Records
    begin: float
    seconds: float
    partial: bool
    busy: float


@dataclass(frozen=True, slots=True)
class _Job:
    """What a driver is asked to do."""

    source: Source
    schedule: Schedule
    timing: Timing


class _TimeoutError(RuntimeError):
    """A driver hasn't answered yet."""


class Drivers:
    """Driver processes that wait for work; see ``drivers``."""

    def __init__(self, pairs: Sequence[tuple[BaseProcess, Connection]]) -> None:
        self._pairs = pairs

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [process.pid or 0 for process, _ in self._pairs]

    def run(
        self,
        source: Source,
        schedule: Schedule,
        timing: Timing,
        tick: Callable[[Tick], None] = lambda _: None,
    ) -> Driven:
        """Carry a schedule out.

        Ctrl-C ends it early, with what there is; a second one at once.

        Args:
            source: What to call.
            schedule: When.
            timing: How long.
            tick: Told twice a second what each driver saw.

        Raises:
            RuntimeError: The target can't be opened, or a driver failed.
            KeyboardInterrupt: It came before anything was measured, or twice.
        """
        self._send(_Job(source, schedule, timing))
        self._gather(_OPENING)
        begin = time.perf_counter() + _HEAD_START
        self._send(begin)
        broken_off: list[float] = []

        def stop() -> None:
            broken_off.append(time.perf_counter())
            self._send(_STOP)

        with _on_interrupt(stop):
            try:
                ends = self._gather(timing.seconds + source.timeout + _LAST_ANSWERS, tick)
            except _TimeoutError:
                # Calls still wait to be sent: that they do is a figure too.
                self._send(_STOP)
                ends = self._gather(_LAST_ANSWERS, tick)
        records, busy = zip(*ends, strict=True)
        ended = min([begin + timing.seconds, *broken_off])
        return Driven(Records.merged(records), begin, max(0.0, ended - begin), bool(broken_off), max(busy))

    def _send(self, message: Any) -> None:
        for process, connection in self._pairs:
            try:
                connection.send(message)
            except OSError:
                raise RuntimeError(f"driver process {process.pid} has ended") from None

    def _gather(self, seconds: float, tick: Callable[[Tick], None] = lambda _: None) -> list[Any]:
        """What each driver answers, in their order; ticks are passed on."""
        deadline = time.monotonic() + seconds
        answers: dict[Connection, Any] = {}
        connections = [connection for _, connection in self._pairs]
        while waiting := [one for one in connections if one not in answers]:
            ready = wait(waiting, deadline - time.monotonic())
            if not ready:
                raise _TimeoutError(f"a driver process didn't answer within {seconds:.0f} s")
            for connection in ready:
                assert isinstance(connection, Connection)  # noqa: S101 - nothing else is waited for
                message = _received(connection)
                if isinstance(message, Tick):
                    tick(message)
                else:
                    answers[connection] = message
        return [answers[connection] for connection in connections]


@contextmanager
def _on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Act on the first Ctrl-C, or SIGTERM; a second one interrupts as usual.

    Not by an exception: it could come amid a message.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        act()

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def drivers(processes: int = 1) -> Iterator[Drivers]:
    """Driver processes for as long as the context lasts."""
    context = get_context("spawn")
    pairs: list[tuple[BaseProcess, Connection]] = []
    try:
        for part in range(processes):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(theirs, part, processes))
            process.start()
            # Only the process holds its end: where it dies, receiving ends too.
            theirs.close()
            pairs.append((process, ours))
        yield Drivers(pairs)
    finally:
        for _, connection in pairs:
            connection.close()
        for process, _ in pairs:
            process.join(timeout=5)
            process.kill()
            process.join()


def _received(connection: Connection) -> Any:
    try:
        message = connection.recv()
    except (EOFError, OSError):
        raise RuntimeError("a driver process has ended; what it said is above") from None
    if isinstance(message, str):
        raise RuntimeError(message)
    return message


def _serve(connection: Connection, part: int, parts: int) -> None:
    """Do the jobs that come, until nobody asks any more; what goes wrong is told to the asker, as text."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What was imported stays: looking through it again and again would stall calls.
    gc.freeze()
    # The asker has gone.
    with suppress(BrokenPipeError, ConnectionResetError):
        on_fast_loop(_jobs(connection, part, parts))


def _prioritize(source: Source) -> None:
    """Come first where another process does the work, so that calls are sent in time; else as everybody.

    Where that isn't allowed, or unknown, everything stays as it is.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE if source.remote else 0)


async def _jobs(connection: Connection, part: int, parts: int) -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    threading.Thread(target=_take, args=(connection, inbox, asyncio.get_running_loop()), daemon=True).start()
    while (job := await inbox.get()) is not None:
        # A stop that came after the end of its job is none.
        if isinstance(job, _Job):
            try:
                answer: Any = await _do(job, connection, inbox, part, parts)
            except Exception as raised:  # every reason is told to the asker
                error: BaseException = raised
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                answer = str(error) or type(error).__name__
            connection.send(answer)


def _take(connection: Connection, inbox: asyncio.Queue[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Hand on what comes; None once nobody asks any more."""
    message: Any = ...
    while message is not None:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            message = None
        # The loop may have ended by itself.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(inbox.put_nowait, message)


async def _do(
    job: _Job, connection: Connection, inbox: asyncio.Queue[Any], part: int, parts: int
) -> tuple[Records, float]:
    # Before it is opened: the threads that are started then are as this one.
    _prioritize(job.source)
    async with job.source.open() as target:
        driver = Driver(target, job.schedule, job.timing, part, parts)
        connection.send(None)
        begin = await inbox.get()
        if begin is None:
            # Nobody asks any more.
            inbox.put_nowait(None)
            return Records.of([]), 0.0
        stop = asyncio.Event()
        beside = [asyncio.create_task(_listen(inbox, stop)), asyncio.create_task(_report(connection, driver))]
        used = time.process_time()
        try:
            records = await driver.run(begin, stop)
        finally:
            elapsed = time.perf_counter() - begin
            # One without callers, of more processes than there are callers, has nothing to tell.
            busy = (time.process_time() - used) / elapsed if elapsed > _TICK else 0.0
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
        return records, busy


async def _listen(inbox: asyncio.Queue[Any], stop: asyncio.Event) -> None:
    """Set ``stop`` when the asker says so, or is gone."""
    message = await inbox.get()
    stop.set()
    if message is None:
        inbox.put_nowait(None)


async def _report(connection: Connection, driver: Driver) -> None:
    told = 0
    while True:
        await asyncio.sleep(_TICK)
        rows = driver.seen(told)
        told += len(rows)
        answered = [row for row in rows if row[4] == OK]
        latencies = np.array([row[3] - row[0] for row in answered], np.float32)
        connection.send(Tick(latencies, len(rows) - len(answered)))
