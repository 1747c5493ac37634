"""Schedules: pure, seeded, and as their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from standpipe_bench.load.schedules import (
    Closed,
    Constant,
    OpenSchedule,
    Poisson,
    Steps,
    Trace,
    described,
)

OPEN: list[OpenSchedule] = [
    Constant(rate=50),
    Poisson(rate=50),
    Steps(rates=(20, 100), seconds=4),
    Steps(rates=(20, 100, 20), seconds=4, ramp=True),
    Trace(times=(0.0, 0.5, 0.5, 1.75, 3.0)),
]


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_have_exponential_distances(seed: int) -> None:
    times = Poisson(rate=200, seed=seed).arrivals(100)
    gaps = np.diff(times, prepend=0.0)
    assert kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.001
    # Nor do distances know of the one before.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_of_any_second_are_spread_evenly(seed: int) -> None:
    times = Poisson(rate=200, seed=seed).arrivals(100)
    assert kstest(times / 100, "uniform").pvalue > 0.001
    assert 20_000 == pytest.approx(len(times), rel=0.03)


def test_the_test_of_poisson_arrivals_can_fail() -> None:
    gaps = np.diff(Constant(rate=200).arrivals(100), prepend=0.0)
    assert kstest(gaps, "expon", args=(0, 1 / 200)).pvalue < 1e-6


def test_a_constant_rate_keeps_its_distance() -> None:
    assert [0.0, 0.25, 0.5, 0.75] == Constant(rate=4).arrivals(1).tolist()
    assert 3 == len(Constant(rate=0.3).arrivals(10))


@pytest.mark.parametrize("schedule", OPEN, ids=lambda schedule: schedule.kind)
def test_arrivals_are_ascending_and_within_the_time(schedule: OpenSchedule) -> None:
    times = schedule.arrivals(3.5)
    assert len(times)
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] < 3.5


@pytest.mark.parametrize("schedule", OPEN, ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("parts", [2, 3])
def test_several_drivers_together_make_the_same_calls_as_one(schedule: OpenSchedule, parts: int) -> None:
    shares = [schedule.share(part, parts) for part in range(parts)]
    times = np.concatenate([share.arrivals(3.0) for share in shares])  # type: ignore[attr-defined]
    assert schedule.arrivals(3.0).tolist() == sorted(times.tolist())


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    schedule = Poisson(rate=300, seed=4)
    short = schedule.arrivals(10)
    assert short.tolist() == schedule.arrivals(60)[: len(short)].tolist()


def test_the_same_seed_gives_the_same_arrivals_and_another_gives_others() -> None:
    assert Poisson(rate=9, seed=1).arrivals(9).tolist() == Poisson(rate=9, seed=1).arrivals(9).tolist()
    assert Poisson(rate=9, seed=1).arrivals(9).tolist() != Poisson(rate=9, seed=2).arrivals(9).tolist()


def test_steps_have_each_their_rate_and_the_last_goes_on() -> None:
    times = Steps(rates=(100, 400), seconds=20).arrivals(40)
    counts, _ = np.histogram(times, [0, 10, 20, 40])
    assert [1000, 4000, 8000] == pytest.approx(counts.tolist(), rel=0.1)


def test_a_ramp_rises_in_a_straight_line() -> None:
    times = Steps(rates=(0.001, 400), seconds=40, ramp=True).arrivals(40)
    counts, _ = np.histogram(times, [0, 10, 20, 30, 40])
    assert [500, 1500, 2500, 3500] == pytest.approx(counts.tolist(), rel=0.1)


def test_callers_are_shared_among_drivers() -> None:
    assert [3, 2, 2] == [Closed(7).share(part, 3).concurrency for part in range(3)]


def test_a_trace_is_replayed_from_its_first_arrival(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("# of Monday\n1700000003.5\n\n1700000001\n1700000002.25 # late\n")
    trace = Trace.read(file, speed=2.0)
    assert [0.0, 0.625, 1.25] == trace.arrivals(2).tolist()
    assert 1.25 == trace.seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.0\nsoon\n", "line 2: 'soon' is no time in seconds"),
        ("# nothing\n", "holds no arrival times"),
        ("nan\n", "isn't finite"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        Trace.read(file)


def test_a_result_says_what_a_schedule_was() -> None:
    assert {"kind": "poisson", "rate": 9, "seed": 1} == described(Poisson(rate=9))
    assert {"kind": "closed", "concurrency": 8, "pause": 0.0} == described(Closed(8))
    assert {"kind": "trace", "speed": 1.0} == described(Trace(times=(0.0, 1.0)))
