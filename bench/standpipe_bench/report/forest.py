"""How one side compares with another: ratios, how sure they are, and where they lie on one scale.

Not aware of HTML, nor of how ratios were found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe_bench.report.entries import Named

_TICKS = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.4, 2.0, 5.0, 10.0)

NARROWEST = 1.05
"""The scale reaches at least so far, or differences that mean nothing would look large."""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure, compared.

    Attributes:
        name: Of the figure.
        unit: Of the figure.
        ratio: B's to A's, as text.
        interval: Between what it lies, as text.
        verdict: What comes of it.
        kind: The verdict as a class of the style sheet.
        at: Where the ratio lies on the scale, in per cent of its width; None where there is no ratio.
        low: Where the interval begins.
        width: Of the interval.
    """

    name: str
    unit: str
    ratio: str
    interval: str
    verdict: str
    kind: str
    at: float | None
    low: float
    width: float


@dataclass(frozen=True, slots=True)
class Forest:
    """All of a comparison.

    Attributes:
        name: Of the result.
        one: Where a ratio of 1 lies on the scale, in per cent of its width.
        ticks: Of the scale: where they lie, and their text.
        lines: What was compared.
    """

    name: str
    one: float
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]


def forests(results: Sequence[Named]) -> list[Forest]:
    """One for each result that compares."""
    return [_forest(name, result.found["metrics"]) for name, result in results if result.found.get("metrics")]


def _forest(name: str, metrics: Sequence[Mapping[str, Any]]) -> Forest:
    ratios = [value for metric in metrics for value in _bounds(metric) or () if value > 0]
    reach = max([NARROWEST, *(max(value, 1 / value) for value in ratios)]) ** 1.2
    ticks = [tick for tick in _TICKS if 1 / reach <= tick <= reach]
    return Forest(
        name,
        _at(1.0, reach),
        [(_at(tick, reach), f"{tick:g}") for tick in _apart(ticks, reach)],
        [_line(metric, reach) for metric in metrics],
    )


def _line(metric: Mapping[str, Any], reach: float) -> Line:
    name, unit, verdict = (str(metric.get(key, "")) for key in ("name", "unit", "verdict"))
    kind = verdict.replace(" ", "-") if verdict in _VERDICTS else "unclear"
    bounds = _bounds(metric)
    if bounds is None:
        return Line(name, unit, "–", "–", verdict, kind, None, 0.0, 0.0)
    ratio, low, high = bounds
    return Line(
        name,
        unit,
        f"{ratio:.3f}",
        f"{low:.3f}–{high:.3f}",
        verdict,
        kind,
        _at(ratio, reach),
        _at(low, reach),
        round(_at(high, reach) - _at(low, reach), 2),
    )


_VERDICTS = ("regression", "improvement", "no change", "unclear")


def _bounds(metric: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """The ratio and its interval; None where A's figure was nothing that B's could be compared with."""
    if metric.get("ratio") is None:
        return None
    # Without an interval there is only the ratio.
    ratio = float(metric["ratio"])
    low, high = (float(ratio if metric.get(key) is None else metric[key]) for key in ("low", "high"))
    return ratio, low, high


def _at(ratio: float, reach: float) -> float:
    """By the logarithm: half and double are equally far from 1."""
    if ratio <= 0:
        return 0.0
    return round(50 + 50 * math.log(ratio) / math.log(reach), 2)


def _apart(ticks: Sequence[float], reach: float) -> list[float]:
    """Those whose texts don't touch; 1 always."""
    kept = [1.0]
    for tick in sorted(ticks, key=lambda tick: -abs(math.log(tick))):
        if all(abs(_at(tick, reach) - _at(other, reach)) >= 10 for other in kept):
            kept.append(tick)
    return sorted(kept)
