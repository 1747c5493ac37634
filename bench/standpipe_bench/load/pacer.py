"""Waking an event loop at a moment, to a tenth of a millisecond where the system can.

Event loops count in milliseconds, and rounding alone would make most calls late.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Pacer(Protocol):
    """Waits for moments."""

    async def until(self, moment: float) -> None:
        """Return no earlier than a moment of ``time.perf_counter``."""
        ...


@contextmanager
def pacer() -> Iterator[Pacer]:
    """The finest there is here; to be made and used on the running event loop."""
    if sys.platform != "linux":
        yield _Sleep()
        return
    timer = _Timer()
    try:
        yield timer
    finally:
        timer.close()


class _Sleep:
    """By the event loop's own clock."""

    async def until(self, moment: float) -> None:
        while (left := moment - time.perf_counter()) > 0:  # noqa: ASYNC110 - a clock sets no event
            await asyncio.sleep(left)


class _Timer:
    """By a timer of the kernel, read like a socket. Python itself has it from 3.13 on."""

    _NONBLOCKING, _CLOSED_ON_EXEC, _ABSOLUTE = 0o4000, 0o2000000, 1

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, self._NONBLOCKING | self._CLOSED_ON_EXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._wake)

    async def until(self, moment: float) -> None:
        # perf_counter is CLOCK_MONOTONIC on Linux.
        while time.perf_counter() < moment:
            self._woken = self._loop.create_future()
            seconds, nanoseconds = divmod(int(moment * 1e9), 1_000_000_000)
            setting = struct.pack("4q", 0, 0, seconds, nanoseconds)
            if self._libc.timerfd_settime(self._fd, self._ABSOLUTE, setting, None):
                raise OSError(ctypes.get_errno(), "the timer can't be set")
            await self._woken

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _wake(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            # Set anew since it was reported.
            return
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
