"""What callers may expect, in a few characters."""

from __future__ import annotations

import pytest

from standpipe_bench.load.records import Records
from standpipe_bench.slo import parse
from standpipe_bench.statistics import summarize

# Ten calls in a second: 20 ms each, the last one an error; 5 ms to the first message, and gaps of 3 ms.
ROWS = [(n / 10, n / 10, n / 10 + 0.005, n / 10 + 0.02, 13 * (n == 9), 1, 0, 2, 0, 0, 0) for n in range(10)]
TIMES = [n / 10 + offset for n in range(10) for offset in (0.005, 0.008)]
FIGURES = summarize(Records.of(ROWS, TIMES), 0.0, 1.0, closed=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99<50ms", True),
        ("p99<10ms", False),
        ("p50 <= 0.021s", True),
        ("max<19999us", False),
        ("mean<21ms", True),
        ("errors<5%", False),
        ("errors<=10%", True),
        ("p99.9<50ms,errors<50%", True),
        ("p99<50ms,errors<5%", False),
        ("ttft_p90<6ms", True),
        ("ttft_p90<4ms", False),
        ("gap_p50<3.1ms", True),
        ("gap_p50<2ms", False),
    ],
)
def test_bounds_hold_or_do_not(text: str, expected: bool) -> None:
    assert expected == parse(text).holds(FIGURES)


def test_what_was_not_measured_does_not_hold() -> None:
    unary = summarize(Records.of([(*row[:7], 0, *row[8:]) for row in ROWS]), 0.0, 1.0, closed=False)
    assert not parse("ttft_p90<6ms").holds(unary)


@pytest.mark.parametrize(
    ("text", "expected"), [("p99<50ms,p50<10ms", 10.0), ("errors<1%", None), ("ttft_p99<1ms", None)]
)
def test_a_good_call_keeps_the_strictest_bound_on_latency(text: str, expected: float | None) -> None:
    assert expected == parse(text).latency_ms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "'fast' is no bound: write for example p99<50ms"),
        ("p99>50ms", "is no bound"),
        ("p99<50", "is no bound"),
        ("p95<3ms", "there are p50, p90, p99, p99.9, mean, max"),
        ("p99<1%", "latencies are bounded in us, ms or s"),
        ("errors<1ms", "errors in %"),
        ("p99<50ms,", "'' is no bound"),
    ],
)
def test_what_is_no_bound_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
