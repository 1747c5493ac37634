"""Who waits for calls that take long, and how far they are: from a worker's thread to an event loop.

Not aware of what is done step by step, nor of who reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from standpipe_server.interfaces import Call, Step


class Watch:
    """One request's; made on the event loop that reads it.

    What isn't read in time is replaced by what is told after it, so that no more is kept for each call than
    its latest step and its latest preview.

    Attributes:
        gone: Nobody waits any longer.
    """

    def __init__(self) -> None:
        self.gone = False
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._lock = threading.Lock()
        self._told: dict[tuple[int, bool], Step] = {}
        self._over = False

    def over(self, calls: Sequence[Call]) -> list[Call]:
        """The calls, with somebody who watches over them."""
        return [replace(call, watcher=_Seat(self, index)) for index, call in enumerate(calls)]

    def tell(self, index: int, step: Step) -> None:
        """Say how far a call is; from any thread."""
        with self._lock:
            self._told[index, bool(step.preview)] = step
        # The loop may be gone while a worker is still at its last step.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    def end(self, _: object = None) -> None:
        """Nothing more is told: what was is read to its end."""
        self._over = True
        self._news.set()

    async def steps(self) -> AsyncIterator[tuple[int, Step]]:
        """Which call, and how far it is, until the end."""
        over = False
        while not over:
            await self._news.wait()
            self._news.clear()
            over = self._over
            with self._lock:
                told, self._told = self._told, {}
            for (index, _), step in told.items():
                yield index, step


@dataclass(frozen=True, slots=True)
class _Seat:
    """One call's watcher."""

    watch: Watch
    index: int

    @property
    def gone(self) -> bool:
        return self.watch.gone

    def tell(self, step: Step) -> None:
        self.watch.tell(self.index, step)
