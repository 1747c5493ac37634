"""How a measurement goes while it runs: throughput and p99 of the last seconds, in one line of a terminal.

Where the output isn't a terminal nothing is shown: what is measured there is read afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from standpipe_bench.load.drivers import Tick

_SPAN = 3.0
"""Seconds that the shown figures look back."""


class Live:
    """A line that is written over and over; see ``live``.

    Args:
        progress: Shows it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._began = 0.0
        self._recent: deque[tuple[float, npt.NDArray[np.float32]]] = deque()
        self._failed = 0

    def begin(self, title: str, seconds: float) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._recent.clear()
        self._failed = 0
        self._began = time.monotonic()
        self._task = self._progress.add_task(title, total=seconds, figures="")

    def tick(self, tick: Tick) -> None:
        now = time.monotonic()
        self._recent.append((now, tick.latencies))
        while now - self._recent[0][0] > _SPAN:
            self._recent.popleft()
        self._failed += tick.failed
        assert self._task is not None  # noqa: S101 - a run begins before it ticks
        self._progress.update(self._task, completed=now - self._began, figures=self._figures(now))

    def _figures(self, now: float) -> str:
        latencies = np.concatenate([latencies for _, latencies in self._recent])
        rate = len(latencies) / min(_SPAN, max(now - self._began, 0.1))
        p99 = f"p99 {np.percentile(latencies, 99) * 1e3:,.3g} ms" if len(latencies) else "no answers"
        failed = f"  [red]{self._failed:,} failed[/]" if self._failed else ""
        return f"{rate:,.0f} calls/s  {p99}{failed}"


@contextmanager
def live(console: Console) -> Iterator[Live]:
    """Show measurements for as long as the context lasts, and leave no line behind."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, refresh_per_second=4
    ) as progress:
        yield Live(progress)
