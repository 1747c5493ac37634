"""Whether one of two got slower: rounds of both, held against each other, with confidence intervals.

A single figure of a shared machine says little, and the calls of one run aren't independent of each other:
what is drawn again and again (the bootstrap) are whole rounds. Where both were measured in turns, a round's
two figures stand side by side, and the machine's drift cancels. Medians: a neighbour that disturbs a round
mustn't decide. Not aware of how rounds are measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from standpipe_bench.results import Label, Point, Result
from standpipe_bench.statistics import Figures

Verdict = Literal["regression", "improvement", "no change", "unclear"]

Logarithms = npt.NDArray[np.float64]

FEWEST = 5
"""Rounds without which there is no interval."""

_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared.

    Attributes:
        name: "p99".
        unit: "ms".
        higher_is_better: Of rates.
    """

    name: str
    unit: str
    higher_is_better: bool = False


METRICS = {
    metric.name: metric
    for metric in (Metric("p50", "ms"), Metric("p99", "ms"), Metric("calls/s", "1/s", higher_is_better=True))
}

Sample = Mapping[str, float]
"""A round's figures by their metrics' names."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a metric.

    Attributes:
        name: Of the metric.
        unit: Of ``a`` and ``b``.
        a: Median over the rounds.
        b: The same.
        ratio: How many times as slow B is as A: above 1 is worse, also of rates.
        low: Lower end of the ratio's confidence interval.
        high: Upper end.
        rounds: Of the side that has fewer.
        verdict: What that means.
        labels: Of the point that it belongs to.
    """

    name: str
    unit: str
    a: float
    b: float
    ratio: float
    low: float
    high: float
    rounds: int
    verdict: Verdict
    labels: Mapping[str, Label]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a change.

    Attributes:
        threshold: Share by which B must be slower, or faster.
        confidence: Of the intervals.
        metrics: Names of what is looked at.
    """

    threshold: float = 0.05
    confidence: float = 0.98
    metrics: Sequence[str] = tuple(METRICS)

    def verdict(self, ratio: float, low: float, high: float) -> Verdict:
        """A change must be certain, and large enough to matter; so must its absence be certain."""
        slower, faster = 1 + self.threshold, 1 / (1 + self.threshold)
        if low > 1 and ratio >= slower:
            return "regression"
        if high < 1 and ratio <= faster:
            return "improvement"
        return "no change" if faster < low and high < slower else "unclear"


def compare(
    a: Sequence[Sample],
    b: Sequence[Sample],
    rules: Rules,
    *,
    paired: bool,
    labels: Mapping[str, Label] | None = None,
) -> list[Change]:
    """Hold rounds against each other.

    Args:
        a: The rounds of what was there before.
        b: The rounds of what is new.
        rules: What counts.
        paired: They were measured in turns: the first of ``a`` belongs to the first of ``b``.
        labels: Of the point that they belong to.

    Raises:
        ValueError: There are too few rounds for an interval.
    """
    fewer = min(len(a), len(b))
    if fewer < FEWEST:
        raise ValueError(f"{fewer} rounds are too few for a confidence interval: measure {FEWEST} or more")
    return [_change(METRICS[name], a, b, rules, paired=paired, labels=labels or {}) for name in rules.metrics]


def sample(figures: Figures) -> Sample:
    """A round's figures.

    Raises:
        ValueError: Nothing was answered.
    """
    if figures.latency_ms is None or not figures.calls_per_second:
        why = figures.errors or "give it a longer --duration"
        raise ValueError(f"no call was answered within the {figures.seconds:.3g} s that count: {why}")
    times = figures.latency_ms
    return {"p50": times["p50"], "p99": times["p99"], "calls/s": figures.calls_per_second}


def windows(figures: Figures) -> list[Sample]:
    """The parts of one run as rounds; those without an answer are left out."""
    return [
        {"p50": window.p50, "p99": window.p99, "calls/s": window.calls_per_second}
        for window in figures.windows
        if window.p50 and window.p99 and window.calls_per_second
    ]


def errors(figures: Iterable[Figures]) -> float:
    """Share of the calls that failed, of all that ended."""
    every = list(figures)
    ended = sum(one.calls - one.unfinished for one in every)
    return sum(sum(one.errors.values()) for one in every) / ended if ended else 0.0


def matched(a: Result, b: Result) -> list[tuple[Point, Point]]:
    """The points that both results measured alike, and in which there are enough calls to tell.

    Raises:
        ValueError: There are none.
    """
    others = {_key(point): point for point in b.points if _told(point)}
    pairs = [(point, others[_key(point)]) for point in a.points if _told(point) and _key(point) in others]
    if not pairs:
        raise ValueError(
            "the results have no point in common: their labels, targets or schedules differ, or calls are few"
        )
    return pairs


def _key(point: Point) -> str:
    schedule = {name: value for name, value in point.schedule.items() if name != "seed"}
    return json.dumps([point.labels, point.target, schedule], sort_keys=True)


def _told(point: Point) -> bool:
    return point.figures is not None and len(windows(point.figures)) >= FEWEST


def _change(
    metric: Metric,
    a: Sequence[Sample],
    b: Sequence[Sample],
    rules: Rules,
    *,
    paired: bool,
    labels: Mapping[str, Label],
) -> Change:
    before, after = (np.array([one[metric.name] for one in side]) for side in (a, b))
    sign = -1 if metric.higher_is_better else 1
    draw = _paired if paired else _apart
    draws, estimate = draw(sign * np.log(before), sign * np.log(after))
    tail = 50 * (1 - rules.confidence)
    low, high = np.exp(np.percentile(draws, [tail, 100 - tail])).tolist()
    ratio = float(np.exp(estimate))
    return Change(
        name=metric.name,
        unit=metric.unit,
        a=float(np.median(before)),
        b=float(np.median(after)),
        ratio=ratio,
        low=low,
        high=high,
        rounds=min(len(a), len(b)),
        verdict=rules.verdict(ratio, low, high),
        labels=labels,
    )


_Drawn = tuple[Logarithms, float]
"""The differences that redrawn rounds show, and the one that the rounds themselves show."""


def _paired(before: Logarithms, after: Logarithms) -> _Drawn:
    differences = after - before
    return np.median(_redrawn(differences, 0), axis=1), float(np.median(differences))


def _apart(before: Logarithms, after: Logarithms) -> _Drawn:
    draws = np.median(_redrawn(after, 0), axis=1) - np.median(_redrawn(before, 1), axis=1)
    return draws, float(np.median(after) - np.median(before))


def _redrawn(values: Logarithms, seed: int) -> Logarithms:
    # Seeded: the same files give the same verdict.
    places = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    drawn: Logarithms = values[places]
    return drawn


Measure = Callable[[str, int], Figures]
"""Measures a side ("A" or "B") once more, for the round of that number."""


def in_turns(
    rounds: int, measure: Measure, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Sample, Sample]]:
    """Measure both sides by turns; each comes first as often, as whoever comes second may fare otherwise.

    Args:
        rounds: Of both.
        measure: Measures a side.
        stop: Whether to break off: the round under way doesn't count.

    Yields:
        A's round and B's.

    Raises:
        ValueError: No call of a round was answered.
    """
    for number in range(rounds):
        turn: dict[str, Sample] = {}
        for side in "AB" if number % 2 == 0 else "BA":
            figures = measure(side, number)
            if stop():
                return
            turn[side] = sample(figures)
        yield turn["A"], turn["B"]
