"""From records to figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from standpipe_bench.load.records import DEADLINE_EXCEEDED, OK, STATUSES, UNFINISHED, Records
from standpipe_bench.statistics import PERCENTILES, Figures, Window, steady, summarize


def row(
    due: float, latency: float, *, status: int = OK, sent: float | None = None, **others: int
) -> tuple[Any, ...]:
    fields = {"items": 1, "size": 0, "messages": 0, "batch": 0, "read": 0, "written": 0} | others
    return (due, due if sent is None else sent, due + latency, due + latency, status, *fields.values())


def figures(
    rows: Sequence[tuple[Any, ...]], times: Sequence[float] = (), end: float = 10.0, **options: Any
) -> Figures:
    return summarize(Records.of(rows, times), 0.0, end, closed=options.pop("closed", False), **options)


def test_percentiles_agree_with_numpy() -> None:
    latencies = np.random.default_rng(1).lognormal(-6, 1, 20_000)
    found = figures([row(n * 5e-4, latency) for n, latency in enumerate(latencies.tolist())])
    assert found.latency_ms is not None
    for name, percentile in PERCENTILES.items():
        # One rank more or less is the two libraries' rounding.
        below, above = (
            np.percentile(latencies, [percentile - 0.005, percentile + 0.005], method="inverted_cdf") * 1e3
        )
        assert below * 0.998 - 0.001 <= found.latency_ms[name] <= above * 1.002 + 0.001
    assert found.latency_ms["max"] == pytest.approx(latencies.max() * 1e3, rel=2e-3)
    assert found.latency_ms["mean"] == pytest.approx(latencies.mean() * 1e3, rel=2e-3)
    assert HdrHistogram.decode(found.histogram).get_total_count() == 20_000


def test_latency_counts_from_the_schedule_and_from_the_send_apart() -> None:
    found = figures([row(1.0, 0.5, sent=1.4)])
    assert found.latency_ms is not None
    assert found.service_ms is not None
    assert (500, 100) == pytest.approx((found.latency_ms["max"], found.service_ms["max"]), rel=2e-3)


def test_the_warm_up_and_what_comes_after_do_not_count() -> None:
    rows = [row(0.9, 9.0), row(1.0, 0.5), row(1.9, 0.5), row(2.0, 9.0)]
    found = summarize(Records.of(rows), 1.0, 2.0, closed=True)
    assert (2, 2, 2.0) == (found.calls, found.answered, found.offered_per_second)
    # Of those that began before it, or ended after it, the part that lies in it.
    assert pytest.approx(1 + 1 / 9 + 0.1 / 0.5) == found.calls_per_second
    assert found.latency_ms is not None
    assert 500 == pytest.approx(found.latency_ms["max"], rel=2e-3)


def test_errors_are_counted_by_status_and_not_timed() -> None:
    unavailable = STATUSES.index("UNAVAILABLE")
    rows = [row(1.0, 0.001), row(1.0, 9.0, status=unavailable), row(1.0, 9.0, status=unavailable)]
    found = figures(rows)
    assert (3, 1, {"UNAVAILABLE": 2}) == (found.calls, found.answered, found.errors)
    assert found.latency_ms is not None
    assert 1.0 == pytest.approx(found.latency_ms["max"], rel=2e-3)
    assert 2 / 3 == pytest.approx(found.error_share())


@pytest.mark.parametrize("status", [DEADLINE_EXCEEDED, UNFINISHED])
def test_what_was_cut_off_took_at_least_as_long(status: int) -> None:
    found = figures([row(1.0, 0.001), row(1.0, 4.0, status=status)])
    assert found.latency_ms is not None
    assert 4000 == pytest.approx(found.latency_ms["max"], rel=2e-3)


def test_what_is_unfinished_is_no_error() -> None:
    found = figures([row(1.0, 0.001), row(1.0, 4.0, status=UNFINISHED)])
    assert ({}, 1, 0.0) == (found.errors, found.unfinished, found.error_share())


def test_throughput_counts_items_and_tokens() -> None:
    found = figures([row(n, 0.1, items=3, read=10, written=5, batch=8 + n % 2) for n in range(10)])
    assert (1.0, 3.0, 10.0, 5.0) == (
        found.calls_per_second,
        found.items_per_second,
        found.read_per_second,
        found.written_per_second,
    )
    assert {8: 5, 9: 5} == found.batches


def test_what_a_server_does_not_say_is_not_made_up() -> None:
    found = figures([row(1.0, 0.1)])
    assert (None, None, {}) == (found.read_per_second, found.written_per_second, found.batches)
    assert (None, None, None) == (found.first_ms, found.gap_ms, found.goodput)


def test_of_streams_the_first_message_and_the_gaps_are_timed() -> None:
    rows = [
        (1.0, 1.0, 1.2, 1.5, OK, 1, 0, 3, 0, 0, 6),
        (2.0, 2.0, 2.4, 2.5, OK, 1, 0, 2, 0, 0, 4),
    ]
    found = figures(rows, [1.2, 1.3, 1.5, 2.4, 2.5])
    assert found.first_ms is not None
    assert found.gap_ms is not None
    assert (200, 400) == pytest.approx((found.first_ms["p50"], found.first_ms["max"]), rel=2e-3)
    assert (100, 200) == pytest.approx((found.gap_ms["p50"], found.gap_ms["max"]), rel=2e-3)
    assert 1.0 == found.written_per_second


def test_tokens_of_a_stream_count_where_they_came_in_the_time() -> None:
    records = Records.of([(0.5, 0.5, 0.8, 1.4, OK, 1, 0, 4, 0, 0, 8)], [0.8, 0.9, 1.2, 1.4])
    assert 4.0 == summarize(records, 1.0, 2.0, closed=True).written_per_second


def test_goodput_is_what_was_answered_in_time() -> None:
    found = figures([row(n, 0.1 if n < 7 else 0.3) for n in range(10)], end=10.5, good_ms=200)
    assert found.goodput == pytest.approx(7 / 10.5)


def test_no_answer_at_all_gives_no_times() -> None:
    found = figures([row(1.0, 0.1, status=STATUSES.index("INTERNAL"))])
    assert (None, (), "") == (found.latency_ms, tuple(found.curve), found.histogram)
    assert not found.steady


def test_the_curve_goes_as_far_as_there_are_calls_to_tell() -> None:
    found = figures([row(n / 1000, 0.001 * (1 + n % 10)) for n in range(1000)])
    percentiles, times = zip(*found.curve, strict=True)
    assert (0.0, 99.9) == (percentiles[0], percentiles[-1])
    assert list(percentiles) == sorted(percentiles)
    assert list(times) == sorted(times)


@pytest.mark.parametrize(
    ("late_share", "late", "expected"),
    [
        (0.005, 0.050, ""),
        (0.05, 0.0015, ""),
        (0.05, 0.008, ""),
        (0.05, 0.050, "5.0% of the calls were sent more than 10 ms late"),
    ],
)
def test_a_driver_that_sends_late_is_named_as_the_bottleneck(
    late_share: float, late: float, expected: str
) -> None:
    # Answers come 100 ms after they were due: what is late by less than a tenth of that hardly matters.
    late_calls = round(1000 * late_share)
    rows = [row(n / 100, 0.1, sent=n / 100 + (late if n < late_calls else 0)) for n in range(1000)]
    assert expected == figures(rows).driver.bottleneck


def test_a_closed_loop_is_bound_by_its_driver_where_that_is_busy_all_the_time() -> None:
    rows = [row(1.0, 0.1)]
    assert "" == figures(rows, closed=True, busy=0.8).driver.bottleneck
    assert "0.97 cores" in figures(rows, closed=True, busy=0.97).driver.bottleneck


@pytest.mark.parametrize(
    ("rates", "medians", "expected"),
    [
        ([5000, 10000, 10400, 9700], [9, 5, 5.2, 4.9], True),
        ([10000, 10000, 12500, 9700], [5, 5, 5, 5], False),
        # Of few calls chance alone makes one window have a quarter more.
        ([100, 100, 125, 97], [5, 5, 5, 5], True),
        ([100, 100, 100, 100], [5, 5, 7, 5], False),
        ([100, 100, 100, 100], [5, 5, None, 5], False),
        ([100, 100], [5, 5], False),
    ],
)
def test_a_run_is_steady_where_its_last_three_windows_are_alike(
    rates: list[float], medians: list[float | None], expected: bool
) -> None:
    windows = [
        Window(float(n), rate, p50, p50) for n, (rate, p50) in enumerate(zip(rates, medians, strict=True))
    ]
    assert expected == steady(windows)


def test_windows_cut_the_counted_time() -> None:
    found = figures([row(n / 100, 0.002 + (0.1 if n >= 900 else 0)) for n in range(1000)])
    assert [float(n) for n in range(10)] == [window.start for window in found.windows]
    assert found.windows[0].p50 == pytest.approx(2, rel=0.01)
    assert found.windows[9].p50 == pytest.approx(102, rel=0.01)


def test_windows_know_what_was_cut_off() -> None:
    rows = [
        row(n / 100, 5.0 if n % 3 == 0 else 0.02, status=DEADLINE_EXCEEDED * (n % 3 == 0)) for n in range(900)
    ]
    found = figures(rows, end=9.0)
    assert all(window.p99 is not None and window.p99 > 4999 for window in found.windows)


def test_a_stream_that_never_began_waited_for_its_first_message_until_it_was_cut_off() -> None:
    nan = float("nan")
    rows = [
        (1.0, 1.0, 1.2, 1.5, OK, 1, 0, 2, 0, 0, 0),
        (1.0, 1.0, nan, 5.0, DEADLINE_EXCEEDED, 1, 0, 0, 0, 0, 0),
    ]
    found = figures(rows, [1.2, 1.5])
    assert found.first_ms is not None
    assert 4000 == pytest.approx(found.first_ms["max"], rel=2e-3)


@pytest.mark.parametrize("latency", [0.55, 0.7, 0.9])
def test_the_throughput_of_a_lone_caller_does_not_jump_with_whole_calls(latency: float) -> None:
    found = figures([row(n * latency, latency) for n in range(10)], end=3.0, closed=True)
    assert 1 / latency == pytest.approx(found.calls_per_second)


def test_what_was_said_with_an_error_is_kept() -> None:
    invalid = STATUSES.index("INVALID_ARGUMENT")
    records = Records.of([row(1.0, 0.1, status=invalid)], (), {invalid: "texts is empty"})
    found = summarize(records, 0.0, 2.0, closed=True)
    assert {"INVALID_ARGUMENT": "texts is empty"} == found.details
