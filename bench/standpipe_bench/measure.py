"""One measurement: a source, a schedule, and what comes of them, as a point of a result.

Not aware of why it is made, nor of how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

from standpipe_bench.load.driver import Driver, Timing
from standpipe_bench.load.drivers import Driven, Drivers, Tick
from standpipe_bench.load.schedules import Closed, Schedule, described
from standpipe_bench.results import Label, Point
from standpipe_bench.slo import Slo
from standpipe_bench.statistics import Figures, summarize
from standpipe_bench.targets import Source
from standpipe_bench.usage import Usage


class Display(Protocol):
    """Shows a measurement while it runs."""

    def begin(self, title: str, seconds: float) -> None:
        """A run starts that takes so long."""
        ...

    def tick(self, tick: Tick) -> None:
        """A driver saw something."""
        ...


@dataclass(slots=True)
class Bench:
    """What measurements share.

    Attributes:
        drivers: Make the calls.
        display: Shows how it goes.
        pid: Of the server's process, whose use of the machine counts; None where it isn't known.
        raw: Where raw records go, as JSON lines; nowhere unless given.
        slo: What answers must keep to count as good.
        model: What the server says of the model.
        partial: The last measurement was broken off.
    """

    drivers: Drivers
    display: Display
    pid: int | None = None
    raw: IO[str] | None = None
    slo: Slo | None = None
    model: Mapping[str, Any] | None = None
    partial: bool = False

    def point(self, labels: Mapping[str, Label], source: Source, schedule: Schedule, timing: Timing) -> Point:
        """Measure.

        Args:
            labels: What tells the point from others.
            source: What to call.
            schedule: When.
            timing: How long.

        Raises:
            RuntimeError: The target can't be called.
        """
        self.display.begin(_title(source, labels), timing.seconds)
        with Usage(self.pid) as usage:
            driven = self.drivers.run(source, schedule, timing, self.display.tick)
        if driven.partial and driven.seconds <= timing.warm_up:
            # Nothing that counts: the points before it do.
            raise KeyboardInterrupt
        end = driven.begin + driven.seconds
        used = usage.used(min(driven.begin + timing.warm_up, end), end)
        self.partial = driven.partial
        figures = figures_of(driven, source, schedule, timing, self.slo, len(self.drivers.pids))
        if self.raw is not None:
            driven.records.write(self.raw, {"target": source.name} | dict(labels))
        return Point(
            labels=labels,
            target=source.name,
            sent=source.sent,
            schedule=described(schedule),
            figures=figures,
            usage=used,
            model=self.model or {},
        )


def figures_of(
    driven: Driven, source: Source, schedule: Schedule, timing: Timing, slo: Slo | None, processes: int
) -> Figures:
    """Figures of what drivers did."""
    return summarize(
        driven.records,
        min(timing.warm_up, driven.seconds),
        driven.seconds,
        closed=isinstance(schedule, Closed),
        good_ms=slo.latency_ms if slo else None,
        # Where the driver's process does the work it may well be busy.
        busy=driven.busy if source.remote else 0.0,
        processes=processes,
    )


async def figures_here(source: Source, schedule: Schedule, timing: Timing) -> Figures:
    """Measure on this event loop, where a process of its own would be one too many.

    Raises:
        RuntimeError: The target can't be called.
    """
    async with source.open() as target:
        records = await Driver(target, schedule, timing).run()
    return summarize(records, timing.warm_up, timing.seconds, closed=isinstance(schedule, Closed))


def _title(source: Source, labels: Mapping[str, Label]) -> str:
    name = source.name.rpartition(".")[2]
    return " ".join([name, *(f"{key} {value}" for key, value in labels.items())])
