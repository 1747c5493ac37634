"""What callers may expect of a server, in a few characters: ``p99<50ms,errors<1%``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from standpipe_bench.statistics import NAMES, Figures

_TERM = re.compile(
    r"(?:(?P<of>ttft|gap)_)?(?P<what>p\d+(?:\.\d+)?|mean|max|errors)\s*<=?\s*(?P<bound>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|%)"
)
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing that is to hold.

    Attributes:
        text: As it was written.
        of: "latency", "ttft" (to the first message), "gap" (between two messages), or "errors".
        percentile: "p99", "mean" or "max"; empty of errors.
        most: Milliseconds, or a share of the calls.
    """

    text: str
    of: str
    percentile: str
    most: float

    def measured(self, figures: Figures) -> float | None:
        """The figure that is bounded; None where nothing was measured."""
        if self.of == "errors":
            return figures.error_share()
        times = {"latency": figures.latency_ms, "ttft": figures.first_ms, "gap": figures.gap_ms}[self.of]
        return None if times is None else times[self.percentile]

    def holds(self, figures: Figures) -> bool:
        """Whether it holds; what wasn't measured doesn't."""
        measured = self.measured(figures)
        return measured is not None and measured <= self.most


@dataclass(frozen=True, slots=True)
class Slo:
    """Bounds that are to hold together.

    Attributes:
        text: As it was written.
        bounds: Its parts.
    """

    text: str
    bounds: Sequence[Bound]

    def holds(self, figures: Figures) -> bool:
        """Whether all of them hold."""
        return all(bound.holds(figures) for bound in self.bounds)

    @property
    def latency_ms(self) -> float | None:
        """The strictest bound on a call's whole latency: what a call must keep to count as good."""
        return min((bound.most for bound in self.bounds if bound.of == "latency"), default=None)


def parse(text: str) -> Slo:
    """An SLO from its text.

    Args:
        text: Bounds with commas between: ``p50``, ``p90``, ``p99``, ``p99.9``, ``mean`` or ``max`` of the
            latency, with ``ttft_`` of the time to the first message, with ``gap_`` of that between two; in
            us, ms or s; ``errors`` in %.

    Raises:
        ValueError: It isn't one; the message shows the part and an example.
    """
    return Slo(text, [_bound(part.strip()) for part in text.split(",")])


def _bound(text: str) -> Bound:
    found = _TERM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no bound: write for example p99<50ms, ttft_p90<0.2s or errors<1%")
    what, unit = found["what"], found["unit"]
    if (what == "errors") != (unit == "%") or (what == "errors" and found["of"]):
        raise ValueError(f"{text!r}: latencies are bounded in us, ms or s, errors in %")
    figure = float(found["bound"])
    if what == "errors":
        return Bound(text, "errors", "", figure / 100)
    if what not in NAMES:
        raise ValueError(f"{text!r}: there are {', '.join(NAMES)}")
    return Bound(text, found["of"] or "latency", what, figure * _MS[unit])
