"""The search for the highest rate, told by servers of known capacity."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from standpipe_bench.load.records import Records
from standpipe_bench.search import Search
from standpipe_bench.slo import parse
from standpipe_bench.statistics import Figures, summarize

SLO = parse("p99<50ms")


def figures(rate: float, latency: float, answered: float = 1.0) -> Figures:
    rows = [(n / 100, n / 100, 0.0, n / 100 + latency, 0, 1, 0, 0, 0, 0, 0) for n in range(100)]
    found = summarize(Records.of(rows), 0.0, 2.0, closed=False)
    return replace(found, offered_per_second=rate, calls_per_second=rate * answered)


def search(
    capacity: float, *, start: float = 50, most: float = 1e5, noise: float = 0.0
) -> tuple[Search, int]:
    generator = random.Random(1)
    looking, probes = Search(start, most, 0.05), 0
    while (rate := looking.next()) is not None:
        probes += 1
        assert probes < 60
        limit = capacity * (1 + generator.uniform(-noise, noise))
        looking.tell(figures(rate, 0.02 if rate <= limit else 0.2), SLO)
    return looking, probes


@pytest.mark.parametrize("capacity", [3, 49, 50, 51, 777, 30_000])
def test_the_highest_rate_is_found_within_its_precision(capacity: float) -> None:
    looking, probes = search(capacity)
    found = looking.found()
    assert found["confirmed"]
    assert capacity * 0.95 <= found["rate"] <= capacity
    assert probes <= 20


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_noise_does_not_keep_it_from_ending(noise: float) -> None:
    looking, _ = search(777, noise=noise)
    assert 777 * (0.9 - noise) <= looking.found()["rate"] <= 777 * (1 + noise)


def test_a_rate_that_held_by_luck_does_not_count() -> None:
    looking = Search(100, 1e5, 0.05)
    for rate, latency in [(100, 0.02), (200, 0.2), (150, 0.2), (125, 0.2), (112.5, 0.2), (106.25, 0.2)]:
        assert rate == looking.next()
        looking.tell(figures(rate, latency), SLO)
    # 103.125 is near enough to 106.25 in the end; then the best is asked again.
    while (asked := looking.next()) not in (100, None):
        looking.tell(figures(asked or 0, 0.2), SLO)
    looking.tell(figures(100, 0.2), SLO)
    following = looking.next()
    assert following is not None
    assert following < 100


def test_no_rate_holds() -> None:
    looking, probes = search(0.0)
    assert {"rate": 0.0, "confirmed": False, "ended": ""} == looking.found()
    assert "no rate holds p99<50ms" == looking.sentence("p99<50ms")
    assert probes <= 8


def test_the_highest_allowed_rate_may_hold() -> None:
    looking, _ = search(1e9, most=400)
    assert {"rate": 400, "confirmed": True, "ended": ""} == looking.found()


def test_a_queue_that_grows_holds_nothing() -> None:
    looking = Search(100, 1e5, 0.05)
    looking.tell(figures(100, 0.02, answered=0.8), SLO)
    assert 50 == looking.next()


def test_a_driver_that_cannot_keep_up_ends_the_search_and_is_not_blamed_on_the_server() -> None:
    looking = Search(100, 1e5, 0.05)
    looking.tell(figures(100, 0.02), SLO)
    late = figures(200, 0.02)
    looking.tell(replace(late, driver=replace(late.driver, bottleneck="3 % late")), SLO)
    assert looking.next() is None
    assert 100 == looking.found()["rate"]
    assert "the driver can't send 200 calls/s in time" in looking.sentence("p99<50ms")
