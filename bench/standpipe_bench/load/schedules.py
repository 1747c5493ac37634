"""When calls are due: a policy, pure and seeded. Nothing here sleeps, calls or looks at a clock.

An open schedule says when each call is due, whatever the server does: a stall delays no arrival, so it shows
in the latency of all that were due meanwhile. A closed loop has callers that wait for their answers: its own
stalls keep it from asking, so it shows capacity, not latency (this is called coordinated omission).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]


class Schedule(Protocol):
    """What all schedules have."""

    @property
    def kind(self) -> str:
        """The name by which results and people know it: "poisson"."""
        ...

    def share(self, part: int, parts: int) -> Schedule:
        """What the driver process ``part`` of ``parts`` does of it."""
        ...


class OpenSchedule(Schedule, Protocol):
    """Arrivals that don't wait for answers."""

    def arrivals(self, seconds: float) -> Times:
        """Seconds from the start, ascending, of all calls due before ``seconds`` have passed."""
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """Callers each of which calls again as soon as it is answered.

    Attributes:
        concurrency: Callers.
        pause: Seconds that a caller rests between calls.
    """

    concurrency: int
    pause: float = 0.0

    kind = "closed"

    def share(self, part: int, parts: int) -> Closed:
        mine = self.concurrency // parts + (part < self.concurrency % parts)
        return replace(self, concurrency=mine)


@dataclass(frozen=True, slots=True)
class _Dealt(ABC):
    """An open schedule of which every so manieth arrival is taken.

    Dealt out rather than made anew, so that one seed means the same arrivals with any number of processes.
    """

    part: int = 0
    parts: int = 1

    def share(self, part: int, parts: int) -> Self:
        return replace(self, part=part, parts=parts)

    def arrivals(self, seconds: float) -> Times:
        return self._all(seconds)[self.part :: self.parts]

    @abstractmethod
    def _all(self, seconds: float) -> Times:
        """Those of all drivers together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(_Dealt):
    """Calls at equal distances.

    Attributes:
        rate: Calls a second.
    """

    rate: float

    kind = "constant"

    def _all(self, seconds: float) -> Times:
        return np.arange(_count(self.rate, seconds)) / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisson(_Dealt):
    """Calls of many callers who don't know of each other: exponential distances, so bursts and gaps.

    Attributes:
        rate: Calls a second, on average.
        seed: The same seed gives the same arrivals.
    """

    rate: float
    seed: int = 1

    kind = "poisson"

    def _all(self, seconds: float) -> Times:
        return _poisson(np.random.default_rng(self.seed), self.rate, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(_Dealt):
    """Poisson arrivals whose rate changes from step to step, or steadily.

    Attributes:
        rates: Calls a second, of steps of equal length.
        seconds: All steps together; afterwards the last rate goes on.
        ramp: The rate rises, or falls, in a straight line from each figure to the next.
        seed: The same seed gives the same arrivals.
    """

    rates: tuple[float, ...]
    seconds: float
    ramp: bool = False
    seed: int = 1

    kind = "steps"

    def rate_at(self, times: Times) -> Times:
        """Calls a second at moments of the schedule."""
        if self.ramp:
            return np.interp(times, np.linspace(0, self.seconds, len(self.rates)), self.rates)
        step = np.floor(times / self.seconds * len(self.rates)).astype(int)
        rates: Times = np.asarray(self.rates, float)[np.clip(step, 0, len(self.rates) - 1)]
        return rates

    def _all(self, seconds: float) -> Times:
        # Thinning: arrivals at the highest rate, each kept with the chance that its moment has of it.
        generator = np.random.default_rng(self.seed)
        most = max(self.rates)
        times = _poisson(generator, most, seconds)
        kept: Times = times[generator.random(len(times)) * most < self.rate_at(times)]
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Dealt):
    """Arrivals as they were once.

    Attributes:
        times: Seconds from the first one, ascending.
        speed: How many times as fast they are replayed.
    """

    times: tuple[float, ...]
    speed: float = 1.0

    kind = "trace"

    @classmethod
    def read(cls, path: Path, speed: float = 1.0) -> Trace:
        """From a file of arrival times in seconds, one a line; ``#`` begins a comment.

        Times may be of any epoch and in any order: the earliest is taken for the start.

        Raises:
            ValueError: It holds no times, or a line that is none; the message names the line.
        """
        times = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                times.append(float(text))
            except ValueError:
                raise ValueError(f"{path}, line {number}: {text!r} is no time in seconds") from None
        if not times or not np.isfinite(times).all():
            raise ValueError(f"{path} holds no arrival times, or one that isn't finite")
        times.sort()
        return cls(times=tuple(time - times[0] for time in times), speed=speed)

    @property
    def seconds(self) -> float:
        """Until the last arrival."""
        return self.times[-1] / self.speed

    def _all(self, seconds: float) -> Times:
        times = np.asarray(self.times, float) / self.speed
        before: Times = times[times < seconds]
        return before


def described(schedule: Schedule) -> dict[str, Any]:
    """A schedule as results hold it: its kind and what it was made with."""
    hidden = ("part", "parts", "times")
    fields: Sequence[str] = [name for name in _fields(schedule) if name not in hidden]
    return {"kind": schedule.kind} | {name: getattr(schedule, name) for name in fields}


def _fields(schedule: Schedule) -> Sequence[str]:
    return list(getattr(type(schedule), "__dataclass_fields__", ()))


def _count(rate: float, seconds: float) -> int:
    # The last of them lies before the end; a whole product may be a hair too large as floats go.
    return max(0, int(np.ceil(rate * seconds - 1e-9)))


def _poisson(generator: np.random.Generator, rate: float, seconds: float) -> Times:
    # Drawn in blocks of one size, so that a longer run begins like a shorter one.
    times = np.empty(0)
    while not len(times) or times[-1] < seconds:
        last = times[-1] if len(times) else 0.0
        times = np.concatenate([times, last + np.cumsum(generator.exponential(1 / rate, 4096))])
    before: Times = times[times < seconds]
    return before
