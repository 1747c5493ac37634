"""From records to figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

from standpipe_bench.closed_loop import Record

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run showed.

    Attributes:
        calls: That were answered with OK.
        errors: Calls by any other status.
        calls_per_second: Of the answered ones.
        items_per_second: Their inputs.
        latency_ms: Milliseconds from sending to the answer, by percentile, of the answered calls.
        max_ms: The longest of them.
    """

    calls: int
    errors: dict[str, int]
    calls_per_second: float
    items_per_second: float
    latency_ms: dict[str, float]
    max_ms: float


def summarize(records: Sequence[Record], items: int, duration: float) -> Summary:
    """Figures of a run.

    Args:
        records: Calls that ended in the counted time.
        items: Inputs in each call.
        duration: The counted time in seconds.
    """
    # Microseconds from 1 µs to 1 h, to three digits.
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    answered = [record for record in records if record.status == "OK"]
    for record in answered:
        histogram.record_value(max(1, round((record.done - record.sent) * 1e6)))
    return Summary(
        calls=len(answered),
        errors=dict(Counter(record.status for record in records if record.status != "OK")),
        calls_per_second=len(answered) / duration,
        items_per_second=len(answered) * items / duration,
        latency_ms={f"p{p:g}": histogram.get_value_at_percentile(p) / 1e3 for p in PERCENTILES},
        max_ms=histogram.get_max_value() / 1e3,
    )
