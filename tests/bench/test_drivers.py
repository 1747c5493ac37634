"""Drivers in processes of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from standpipe_bench.load.driver import Timing
from standpipe_bench.load.drivers import Tick, drivers
from standpipe_bench.load.records import OK
from standpipe_bench.load.schedules import Closed, Constant
from standpipe_bench.statistics import summarize
from standpipe_bench.synthetic import synthetic
from standpipe_bench.targets import Answer, Null, Target
from standpipe_bench.targets.grpc import Grpc


@dataclass(frozen=True)
class Broken:
    """What can't be opened, or ends its process when it is called."""

    says: str = ""

    name = "broken"
    sent = ""
    remote = False
    timeout = 1.0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Target]:
        if self.says:
            raise RuntimeError(self.says)
        yield self

    async def call(self, index: int) -> Answer:
        os._exit(3)


def test_several_drivers_make_one_schedule_by_one_clock() -> None:
    with synthetic() as server, drivers(2) as processes:
        driven = processes.run(server.source([0.01]), Constant(rate=100), Timing(1.0))
    calls = driven.records.calls
    assert Constant(rate=100).arrivals(1.0).tolist() == calls["scheduled"].tolist()
    assert {OK} == set(calls["status"].tolist())
    figures = summarize(driven.records, 0.0, 1.0, closed=False)
    assert figures.latency_ms is not None
    assert figures.latency_ms["p50"] >= 9.99


def test_drivers_do_one_job_after_the_other_and_tell_how_it_goes() -> None:
    ticks: list[Tick] = []
    made = 0
    with drivers() as processes:
        for _ in range(2):
            driven = processes.run(Null(), Closed(2), Timing(0.7), ticks.append)
            assert len(driven.records.calls)
            assert not driven.partial
            made += len(driven.records.calls)
    assert len(ticks) >= 2
    # What came after the last tick is told by the records alone.
    assert 0 < sum(len(tick.latencies) for tick in ticks) <= made
    assert 0 == sum(tick.failed for tick in ticks)


def test_more_drivers_than_callers_are_no_trouble() -> None:
    with drivers(2) as processes:
        driven = processes.run(Null(), Closed(1), Timing(0.6))
    assert len(driven.records.calls)
    assert driven.busy < 1.5


def test_why_a_target_cannot_be_opened_is_said() -> None:
    with drivers() as processes:
        with pytest.raises(RuntimeError, match="the water is off"):
            processes.run(Broken("the water is off"), Closed(1), Timing(0.1))
        # It is still there for the next one.
        assert len(processes.run(Null(), Closed(1), Timing(0.1)).records.calls)


def test_a_driver_that_ends_is_noticed() -> None:
    with drivers() as processes, pytest.raises(RuntimeError, match="a driver process has ended"):
        processes.run(Broken(), Closed(1), Timing(5.0))


def test_calls_end_by_their_time_limit() -> None:
    with synthetic(stall=60.0, period=120.0) as server, drivers() as processes:
        source = server.source([30.0])
        limited = Grpc(source.connection, source.rpc, source.requests, timeout=0.3)
        driven = processes.run(limited, Constant(rate=20), Timing(0.5))
    figures = summarize(driven.records, 0.0, 0.5, closed=False)
    assert {"DEADLINE_EXCEEDED": 10} == figures.errors
    assert figures.latency_ms is not None
    assert figures.latency_ms["p50"] >= 299
