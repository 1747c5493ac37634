"""How busy the machine was with something else: what no ratio can correct for.

A library whose threads wait for each other at every step suffers more from neighbours than one whose threads
work apart; on a busy machine such figures say nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil

T = TypeVar("T")

QUIET = 0.1
"""Share of the processor time that others may take."""

_TRIES = 3


class Neighbours:
    """Watches from its making on.

    Args:
        own: Ids of the processes that are measured, with all that they start; this one is among them anyway.
    """

    def __init__(self, own: Sequence[int] = ()) -> None:
        self._own = [psutil.Process(pid) for pid in {os.getpid(), *own}]
        self._begun = self._now()

    def share(self) -> float:
        """Processor time that others took since then, between 0 and 1 of all that there was."""
        wall, idle, own = (now - then for now, then in zip(self._now(), self._begun, strict=True))
        there_was = wall * (psutil.cpu_count() or 1)
        return min(1.0, max(0.0, (there_was - idle - own) / there_was))

    def _now(self) -> tuple[float, float, float]:
        """Seconds of the wall clock, of the idle processors, and of the own processes."""
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return time.perf_counter(), idle, used_seconds(self._own)


def used_seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time that processes used, with all that they have started until now."""
    # One may have been started by another.
    return sum(
        map(_used, {one for process in processes for one in (process, *process.children(recursive=True))})
    )


def _used(process: psutil.Process) -> float:
    """Seconds of one, with those of what it started and saw ending."""
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        # It ends just now: its parent has its seconds.
        return 0.0
    return sum((used.user, used.system, used.children_user, used.children_system))


def quietest(measure: Callable[[], T], watch: Callable[[], Callable[[], float]]) -> tuple[T, float]:
    """Measure, and once or twice again where others kept the machine busy.

    What is kept is chosen by the others' share alone, never by the figure.

    Args:
        measure: Gives a figure, or several.
        watch: Begins to watch the others; what it returns gives their share.

    Returns:
        The figure, and the others' share while it was taken.
    """
    shares: dict[float, T] = {}
    for _ in range(_TRIES):
        share = watch()
        figure = measure()
        shares[share()] = figure
        if min(shares) <= QUIET:
            break
    return shares[min(shares)], min(shares)
