"""The bench, measured: does it see what is there, what does it cost, does it tell slower from alike?

Every figure is of a synthetic server whose behaviour is known, and of this machine as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from standpipe_bench.comparison import Rules, compare, in_turns
from standpipe_bench.load.driver import Timing
from standpipe_bench.load.drivers import Driven, Drivers, drivers
from standpipe_bench.load.schedules import Closed, Poisson, Schedule
from standpipe_bench.measure import figures_of
from standpipe_bench.statistics import PERCENTILES, Figures
from standpipe_bench.synthetic import Synthetic, synthetic
from standpipe_bench.targets import Null, Source


@dataclass(frozen=True, slots=True)
class Truth:
    """One percentile of a server that stands still now and then.

    Attributes:
        percentile: "p99".
        expected_ms: Computed from the schedule, the server's own times and its stalls.
        open_ms: What an open loop measured.
        closed_ms: What a closed loop measured.
    """

    percentile: str
    expected_ms: float
    open_ms: float
    closed_ms: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the tool does at most.

    Attributes:
        target: "null", or "null server": a gRPC server that answers at once.
        processes: Drivers.
        calls_per_second: Of 64 callers for each driver.
        busy: Cores that the busiest driver kept busy.
        microseconds: Of a driver's processor time, a call.
    """

    target: str
    processes: int
    calls_per_second: float
    busy: float
    microseconds: float


@dataclass(frozen=True, slots=True)
class Trials:
    """How often a comparison said that B is slower.

    Attributes:
        slower: Times as long as A's that B's work takes.
        trials: Comparisons.
        regressions: Of them, that found one.
        ratios: That they measured, of the median latency.
    """

    slower: float
    trials: int
    regressions: int
    ratios: Sequence[float]


def truth(seconds: float = 20.0) -> list[Truth]:
    """Both loops against a server that stands still for 2 s of every 10."""
    service = np.minimum(np.random.default_rng(1).lognormal(np.log(0.005), 0.5, 997), 0.05)
    schedule, timing = Poisson(rate=200), Timing(seconds)
    found: list[Figures] = []
    with synthetic(stall=2.0, period=10.0) as server, drivers() as processes:
        source = server.source(service.tolist())
        runs: list[tuple[Schedule, Driven]] = [
            (plan, _run(processes, source, plan, timing)) for plan in (schedule, Closed(4))
        ]
        found = [figures_of(driven, source, plan, timing, None, 1) for plan, driven in runs]
        due = schedule.arrivals(seconds)
        waits = server.stalls.left(due + runs[0][1].begin) + service[np.arange(len(due)) % len(service)]
    opened, closed = (figures.latency_ms or {} for figures in found)
    return [
        Truth(name, float(np.percentile(waits, percentile)) * 1e3, opened[name], closed[name])
        for name, percentile in PERCENTILES.items()
    ]


def _run(made: Drivers, source: Source, schedule: Schedule, timing: Timing) -> Driven:
    driven = made.run(source, schedule, timing)
    if driven.partial:
        # Half a test says nothing.
        raise KeyboardInterrupt
    return driven


def overhead(seconds: float = 3.0, processes: Sequence[int] = (1, 2)) -> Iterator[Overhead]:
    """The null target, and a gRPC server that answers at once; it is one process, and may be the limit."""
    for count in processes:
        with synthetic() as server, drivers(count) as made:
            yield _overhead("null", made, Null(), seconds)
            yield _overhead("null server", made, server.source(), seconds)


def _overhead(target: str, made: Drivers, source: Source, seconds: float) -> Overhead:
    count = len(made.pids)
    timing, schedule = Timing(seconds, 0.5), Closed(64 * count)
    driven = _run(made, source, schedule, timing)
    figures = figures_of(driven, source, schedule, timing, None, count)
    cost = 1e6 * driven.busy * count / figures.calls_per_second
    return Overhead(target, count, figures.calls_per_second, driven.busy, cost)


def trials(
    slower: float,
    count: int,
    rounds: int,
    seconds: float,
    tick: Callable[[int], None] = lambda number: None,
    rules: Rules | None = None,
) -> Trials:
    """Compare two servers again and again, measured in turns, of which one may have more work.

    Args:
        slower: Times as much work as A that B has.
        count: Comparisons.
        rounds: Of each.
        seconds: Of a round.
        tick: Told how many are done.
        rules: What counts as a change; the usual ones unless given.
    """
    kept = rules or Rules()
    ratios, regressions = [], 0
    with synthetic() as a, synthetic(slower=slower) as b, drivers() as made:
        servers = {"A": a, "B": b}
        for number in range(count):
            turns = in_turns(rounds, lambda side, _: _round(made, servers[side], seconds))
            before, after = zip(*turns, strict=True)
            changes = compare(before, after, kept, paired=True)
            regressions += any(change.verdict == "regression" for change in changes)
            ratios.append(changes[0].ratio)
            tick(number + 1)
    return Trials(slower, count, regressions, ratios)


# Blocks of 16 KiB: a millisecond or so of hashing, which a busy machine makes longer, as it does any model.
_WORK = 100


def _round(made: Drivers, server: Synthetic, seconds: float) -> Figures:
    source, schedule, timing = server.source(work=_WORK), Closed(2), Timing(seconds, 0.05)
    return figures_of(_run(made, source, schedule, timing), source, schedule, timing, None, 1)
