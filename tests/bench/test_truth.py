"""That the bench tells the truth: against a server that stands still at moments that are known."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from standpipe_bench.load.driver import Timing
from standpipe_bench.load.drivers import Driven, drivers
from standpipe_bench.load.records import OK
from standpipe_bench.load.schedules import Closed, Poisson, Schedule
from standpipe_bench.statistics import PERCENTILES, Milliseconds, summarize
from standpipe_bench.synthetic import synthetic

SECONDS = 10.0
SCHEDULE = Poisson(rate=200, seed=3)
# What answers take: a few milliseconds mostly, and as the last percent of any real server more.
SERVICE = np.minimum(np.random.default_rng(1).lognormal(np.log(0.005), 0.5, 997), 0.05)


@dataclass(frozen=True, slots=True)
class Measured:
    """What both loops saw of the same stall, and what callers who don't wait must have seen."""

    open: Driven
    closed: Driven
    expected: dict[str, float]


def latency(driven: Driven, *, closed: bool) -> Milliseconds:
    figures = summarize(driven.records, 0.0, SECONDS, closed=closed)
    assert figures.latency_ms is not None
    return figures.latency_ms


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    """Two seconds of every ten nothing is answered. Both loops run side by side: neither takes much."""

    def run(schedule: Schedule) -> Driven:
        with drivers() as processes:
            return processes.run(server.source(SERVICE.tolist()), schedule, Timing(SECONDS))

    with synthetic(stall=2.0, period=10.0) as server, ThreadPoolExecutor(2) as threads:
        opened, closed = threads.map(run, [SCHEDULE, Closed(4)])
        due = SCHEDULE.arrivals(SECONDS)
        waits = server.stalls.left(due + opened.begin) + SERVICE[np.arange(len(due)) % len(SERVICE)]
        expected = {
            name: float(np.percentile(waits, percentile)) * 1e3 for name, percentile in PERCENTILES.items()
        }
        yield Measured(opened, closed, expected)


@pytest.mark.parametrize("percentile", ["p99", "p99.9"])
def test_an_open_loop_sees_a_stall_as_callers_do(measured: Measured, percentile: str) -> None:
    assert measured.expected[percentile] > 1500
    found = latency(measured.open, closed=False)[percentile]
    assert measured.expected[percentile] == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("percentile", ["p99", "p99.9"])
def test_a_closed_loop_misses_it(measured: Measured, percentile: str) -> None:
    assert len(measured.closed.records.calls) > 1000
    assert latency(measured.closed, closed=True)[percentile] < measured.expected[percentile] / 10


def test_every_call_that_was_due_was_made_and_answered(measured: Measured) -> None:
    calls = measured.open.records.calls
    assert SCHEDULE.arrivals(SECONDS).tolist() == calls["scheduled"].tolist()
    assert {OK} == set(calls["status"].tolist())


def test_percentiles_agree_with_numpy_on_the_raw_records(measured: Measured) -> None:
    lines = list(measured.open.records.lines())
    times = [line["last"] - line["scheduled"] for line in lines]
    for name, found in latency(measured.open, closed=False).items():
        if name in PERCENTILES:
            # A thousandth, as the histogram keeps three digits; one rank is the two libraries' rounding.
            step = 100 / len(times)
            below, above = np.percentile(
                times, [max(0, PERCENTILES[name] - step), min(100, PERCENTILES[name] + step)]
            )
            assert below * 999 <= found <= above * 1001
