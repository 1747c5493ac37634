"""Whether one of two got slower: on rounds with the noise of a shared machine, and the truth known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from standpipe_bench.comparison import (
    METRICS,
    Rules,
    Sample,
    compare,
    errors,
    in_turns,
    matched,
    sample,
    windows,
)
from standpipe_bench.load.records import Records
from standpipe_bench.results import Point, Result
from standpipe_bench.statistics import Figures, summarize

ROUNDS, TRIALS = 30, 20


def rounds(seed: int, slower: float) -> tuple[list[Sample], list[Sample]]:
    """Rounds in turns: drift that both sides share, noise of each, and neighbours that hit one of them."""
    generator = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(generator.normal(0, 0.05, ROUNDS)))

    def side(factor: float) -> list[Sample]:
        noise = np.exp(generator.normal(0, 0.04, ROUNDS))
        hit = np.where(generator.random(ROUNDS) < 0.1, generator.uniform(1.2, 2.5, ROUNDS), 1.0)
        p50 = 5 * factor * drift * noise * hit
        p99 = 9 * factor * drift * hit * np.exp(generator.normal(0, 0.08, ROUNDS))
        return [
            {"p50": median, "p99": tail, "calls/s": 1e3 / median}
            for median, tail in zip(p50.tolist(), p99.tolist(), strict=True)
        ]

    return side(1.0), side(slower)


def verdicts(slower: float) -> list[set[str]]:
    return [
        {change.verdict for change in compare(*rounds(seed, slower), Rules(), paired=True)}
        for seed in range(TRIALS)
    ]


def test_a_slowdown_of_a_tenth_is_found_in_19_of_20_trials() -> None:
    assert sum("regression" in found for found in verdicts(1.10)) >= 19


def test_nothing_is_found_in_19_of_20_identical_pairs() -> None:
    assert sum("regression" not in found and "improvement" not in found for found in verdicts(1.0)) >= 19


def test_a_gain_of_a_tenth_is_no_regression() -> None:
    assert sum("improvement" in found and "regression" not in found for found in verdicts(1 / 1.1)) >= 19


def test_the_ratio_is_of_slowness_whatever_the_metric() -> None:
    a = [{"p50": 10.0, "p99": 20.0, "calls/s": 100.0}] * 5
    b = [{"p50": 12.0, "p99": 20.0, "calls/s": 50.0}] * 5
    changes = {change.name: change for change in compare(a, b, Rules(), paired=True)}
    assert {"p50": 1.2, "p99": 1.0, "calls/s": 2.0} == pytest.approx(
        {name: change.ratio for name, change in changes.items()}
    )
    assert ("regression", "no change", "regression") == tuple(one.verdict for one in changes.values())


@pytest.mark.parametrize(
    ("ratio", "low", "high", "expected"),
    [
        (1.10, 1.06, 1.14, "regression"),
        (1.10, 1.01, 1.20, "regression"),
        (1.10, 0.98, 1.22, "unclear"),
        (1.03, 1.01, 1.04, "no change"),
        (1.04, 1.01, 1.08, "unclear"),
        (1.00, 0.97, 1.03, "no change"),
        (0.90, 0.85, 0.95, "improvement"),
        (0.97, 0.93, 1.01, "unclear"),
    ],
)
def test_a_change_must_be_certain_and_large_enough(
    ratio: float, low: float, high: float, expected: str
) -> None:
    assert expected == Rules(threshold=0.05).verdict(ratio, low, high)


def test_the_same_rounds_give_the_same_verdict() -> None:
    a, b = rounds(3, 1.05)
    assert compare(a, b, Rules(), paired=True) == compare(a, b, Rules(), paired=True)


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="4 rounds are too few"):
        compare([{"p50": 1.0}] * 4, [{"p50": 1.0}] * 9, Rules(metrics=["p50"]), paired=False)


def figures(latency: float = 0.01) -> Figures:
    rows = [(n / 100, n / 100, 0.0, n / 100 + latency, 0, 1, 0, 0, 0, 0, 0) for n in range(1000)]
    return summarize(Records.of(rows), 0.0, 10.0, closed=False)


def test_both_sides_are_measured_in_turns_and_each_comes_first_as_often() -> None:
    order = []

    def measure(side: str, number: int) -> Figures:
        order.append(f"{side}{number}")
        return figures()

    found = list(in_turns(4, measure))
    assert ["A0", "B0", "B1", "A1", "A2", "B2", "B3", "A3"] == order
    assert [(sample(figures()),) * 2] * 4 == found


def test_a_round_that_is_broken_off_does_not_count() -> None:
    left = iter([False, False, False, True])
    assert 1 == len(list(in_turns(4, lambda side, number: figures(), lambda: next(left))))


def test_a_round_without_an_answer_is_no_round() -> None:
    nothing = replace(figures(), calls_per_second=0.0, errors={"UNAVAILABLE": 9})
    with pytest.raises(ValueError, match=r"no call was answered.*UNAVAILABLE"):
        sample(nothing)


def test_the_windows_of_one_run_are_its_rounds() -> None:
    found = windows(figures())
    assert 10 == len(found)
    assert set(METRICS) == set(found[0])


def test_points_are_matched_by_their_labels() -> None:
    def result(*loads: int) -> Result:
        return Result("sweep", {}, [Point({"concurrency": load}, figures=figures()) for load in loads])

    pairs = matched(result(1, 2, 4), result(2, 4, 8))
    assert [({"concurrency": 2},) * 2, ({"concurrency": 4},) * 2] == [(a.labels, b.labels) for a, b in pairs]
    with pytest.raises(ValueError, match="no point in common"):
        matched(result(1), result(2))


def test_different_loads_are_not_compared() -> None:
    closed, opened = (
        Result("run", {}, [Point({}, "a.B.C", {"kind": kind}, figures())]) for kind in ("closed", "poisson")
    )
    with pytest.raises(ValueError, match="no point in common"):
        matched(closed, opened)


def test_failing_fast_is_counted_apart() -> None:
    failing = replace(figures(), errors={"RESOURCE_EXHAUSTED": 250})
    assert 0.125 == errors([failing, figures()])
    assert 0.0 == errors([])
