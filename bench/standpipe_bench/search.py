"""Which rate to try next, to find the highest that holds an SLO: a policy, told figures, that never measures.

Rates are doubled until one fails, then the gap is halved until it is small; in the end the best one must hold
once more, because the best of many noisy figures is better than it deserves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from standpipe_bench.slo import Slo
from standpipe_bench.statistics import Figures

KEEPS_UP = 0.95
"""Share of the offered calls that must be answered in the counted time: below it a queue grows."""


def keeps_up(figures: Figures) -> bool:
    """Whether no queue grew, beyond what chance alone lets the calls under way differ at both ends."""
    offered = figures.offered_per_second * figures.seconds
    short = offered - figures.calls_per_second * figures.seconds
    under_way = figures.offered_per_second * (figures.latency_ms or {"mean": 0.0})["mean"] / 1e3
    return bool(short <= (1 - KEEPS_UP) * offered + 2 * (2 * under_way) ** 0.5)


class Search:
    """One search.

    Args:
        start: Calls a second to begin with.
        most: Never more.
        precision: How close to come, as a share of the rate.
    """

    def __init__(self, start: float, most: float, precision: float) -> None:
        self._most = most
        self._least = start / 64
        self._precision = precision
        self._rate: float | None = min(start, most)
        self._holding: list[float] = []
        self._failed: float | None = None
        self._confirmed = False
        self._ended = ""

    def next(self) -> float | None:
        """The rate to try now; None where the search is over."""
        return None if self._ended or self._confirmed else self._rate

    def tell(self, figures: Figures, slo: Slo) -> None:
        """What the rate that ``next`` gave has shown."""
        assert self._rate is not None  # noqa: S101 - it was asked for
        if figures.driver.bottleneck and slo.holds(replace(figures, latency_ms=figures.service_ms)):
            # What a driver can't send says nothing of the server; but a server that is too slow even counted
            # from the sending is, and then it is its calls under way that keep others from being sent.
            self._ended = f"the driver can't send {self._rate:,.4g} calls/s in time: give it more --processes"
            return
        held = slo.holds(figures) and keeps_up(figures)
        if not held:
            # Where it had held before that was luck.
            self._holding = [rate for rate in self._holding if rate < self._rate]
            self._failed = self._rate
        elif self._rate == self._best():
            self._confirmed = True
        else:
            self._holding.append(self._rate)
        self._rate = self._following()

    def _best(self) -> float:
        return max(self._holding, default=0.0)

    def found(self) -> dict[str, Any]:
        """The highest rate that held, 0 where none did; and what ended the search, if anything did."""
        return {"rate": self._best(), "confirmed": self._confirmed, "ended": self._ended}

    def sentence(self, slo: str) -> str:
        """What was found, for people."""
        if self._ended:
            best = f"; {self._best():,.4g} calls/s held" if self._best() else ""
            return f"{self._ended}{best}"
        if not self._best():
            return f"no rate holds {slo}"
        if self._confirmed and self._failed is None:
            return f"{self._best():,.4g} calls/s, the most that was to be tried, holds {slo}"
        again = "" if self._confirmed else ", not confirmed"
        return f"{self._best():,.4g} calls/s is the highest rate that holds {slo}{again}"

    def _following(self) -> float | None:
        best = self._best()
        if self._failed is None:
            return min(2 * best, self._most)
        if self._failed - best <= self._precision * self._failed:
            # Close enough: the best is tried again.
            return best
        middle = (best + self._failed) / 2
        return middle if best or middle >= self._least else None
